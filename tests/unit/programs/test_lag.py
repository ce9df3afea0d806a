"""Recordings of one program tell how late the sensors of each are."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gcodefp.dataset.channels import fit_scaler
from gcodefp.programs.lag import MAX_LAG_SECONDS, joint_lags, lag_against
from gcodefp.programs.table import align_recording, learn_programs
from gcodefp.recordings.cleaning import load_recording
from gcodefp.simulation import recording as simulation

STEP = 0.25
ROWS = 240
CHANNELS = 40
Signals = NDArray[np.float64]


def motion(lag_rows: float, seed: int = 0, channels: int = CHANNELS) -> Signals:
    """The same motion for all recordings, late by so many rows; its deviation is 1."""
    random = np.random.default_rng(seed)
    grid = np.arange(-100, ROWS + 100)
    # As smooth as what a machine does that takes a second for each line.
    knots = random.normal(size=(len(grid), channels))
    smooth = np.stack([np.convolve(of, np.ones(4) / 2, "same") for of in knots.T], axis=1)
    at = np.arange(ROWS) - lag_rows
    return np.stack([np.interp(at, grid, of) for of in smooth.T], axis=1)


def recordings(lags: NDArray[np.float64], noise: float = 1.0, seed: int = 0) -> list[Signals]:
    """One for each lag (in seconds), with noise of its own, in deviations of the motion."""
    random = np.random.default_rng(seed + 1)
    moved = [motion(lag / STEP, seed) for lag in lags]
    return [of + noise * random.normal(size=of.shape) for of in moved]


def true_lags(count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(1.0, 1.2, count).clip(max=9.0)


@pytest.mark.parametrize(
    ("count", "noise", "seed"),
    [(2, 1.0, 0), (2, 1.0, 1), (3, 2.0, 0), (3, 2.0, 1), (12, 3.0, 0), (12, 3.0, 1), (30, 3.0, 0)],
)
def test_lags_are_found_in_noise_stronger_than_the_motion(
    count: int, noise: float, seed: int
) -> None:
    true = true_lags(count, seed)
    found = joint_lags(recordings(true, noise, seed), STEP).seconds
    assert np.median(found) == pytest.approx(0.0, abs=1e-12)
    error = found - (true - np.median(true))
    assert np.sqrt(np.mean(error**2)) < STEP / 3
    assert np.abs(error).max() < STEP / 2


def test_recordings_that_do_not_lag_have_no_lag() -> None:
    found = joint_lags(recordings(np.zeros(8)), STEP).seconds
    np.testing.assert_allclose(found, 0, atol=STEP / 10)


def test_a_drift_that_follows_the_clock_is_no_motion() -> None:
    true = true_lags(8, 1)
    warming = np.linspace(-3, 3, ROWS)[:, None]
    found = joint_lags([of + warming for of in recordings(true, seed=1)], STEP).seconds
    np.testing.assert_allclose(found, true - np.median(true), atol=STEP / 3)


def test_channels_on_which_recordings_agree_count_more() -> None:
    signals = recordings(true_lags(8, 2), seed=2)
    random = np.random.default_rng(3)
    for of in signals:
        of[:, ::2] = 5 * random.normal(size=(ROWS, CHANNELS // 2))
    weight = joint_lags(signals, STEP).weight
    assert weight.shape == (CHANNELS,)
    assert (weight >= 0).all()
    assert weight[1::2].min() > 2 * weight[::2].max()


def test_one_recording_alone_has_no_lag() -> None:
    alone = joint_lags(recordings(np.array([3.0])), STEP)
    assert alone.seconds.tolist() == [0.0]
    assert alone.weight.tolist() == [1.0] * CHANNELS


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_recordings_does_not_matter(seed: int) -> None:
    signals = recordings(true_lags(9, seed), 2.0, seed)
    order = np.random.default_rng(seed).permutation(len(signals))
    found = joint_lags(signals, STEP)
    again = joint_lags([signals[i] for i in order], STEP)
    np.testing.assert_allclose(again.seconds, found.seconds[order], atol=1e-6)
    np.testing.assert_allclose(again.weight, found.weight, atol=1e-5)


@pytest.mark.parametrize("lag", [-6.0, -0.6, 0.0, 0.1, 0.375, 2.0, 11.0, MAX_LAG_SECONDS - 1])
def test_a_recording_is_compared_with_a_template(lag: float) -> None:
    (signals,) = recordings(np.array([lag]), 2.0)
    found = lag_against(signals, motion(0.0), np.ones(CHANNELS), STEP)
    assert found == pytest.approx(lag, abs=STEP / 3)


def test_channels_without_weight_do_not_count() -> None:
    signals, other = recordings(np.array([1.0, 5.0]))
    weight = np.zeros(CHANNELS)
    weight[::2] = 1.0
    mixed = np.where(weight > 0, signals, other)
    assert lag_against(mixed, motion(0.0), weight, STEP) == pytest.approx(1.0, abs=STEP / 3)
    assert lag_against(mixed, motion(0.0), 1 - weight, STEP) == pytest.approx(5.0, abs=STEP / 3)


@pytest.mark.parametrize("rows", [1, 2, 5, ROWS])
def test_signals_that_say_nothing_have_no_lag(rows: int) -> None:
    still = [np.full((rows, 3), level) for level in (0.0, 0.0, 2.0)]
    found = joint_lags(still, STEP)
    assert found.seconds.tolist() == [0.0] * 3
    assert np.isfinite(found.weight).all()
    assert lag_against(still[0], still[1], found.weight, STEP) == 0.0


def test_simulated_recordings_are_late_by_what_the_simulator_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    draw = simulation.draw_lag_seconds

    def remembered(random: np.random.Generator) -> float:
        drawn.append(draw(random))
        return drawn[-1]

    monkeypatch.setattr(simulation, "draw_lag_seconds", remembered)
    paths = simulation.simulate_recordings(tmp_path, 6, 0, ["pocket25"])
    loaded = [load_recording(path, ("imu", "mag", "mic", "motor"), 64) for path in paths]
    scaler = fit_scaler(loaded, 0.7, centered=True)
    signals = {of.name: scaler.apply(of) for of in loaded}
    programs = learn_programs(loaded, signals)
    found = [align_recording(of, signals[of.name], programs).lag_seconds for of in loaded]
    error = np.array(found) - np.array(drawn)
    # All are late by as much; that cannot be seen, and the median recording is taken to be on time.
    assert np.ptp(drawn) > 1.0
    assert np.std(error) < 0.13
    assert np.mean(error) == pytest.approx(-np.median(drawn), abs=0.13)
