"""The lag of each recording's sensors, estimated from recordings of one program."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gcodefp.dataset.channels import fit_scaler
from gcodefp.programs.lag import (
    MAX_LAG_SECONDS,
    Lag,
    estimate_joint_lags,
    estimate_lag,
    is_doubtful,
    reliable_groups,
)
from gcodefp.programs.table import fit_programs, lag_corrected_labels
from gcodefp.recordings.cleaning import load_recording
from gcodefp.simulation import recording as simulation

STEP = 0.25
ROWS = 240
CHANNELS = 40
Signals = NDArray[np.float64]


def motion(lag_rows: float, seed: int = 0) -> Signals:
    """The same motion for all recordings, late by a number of rows; its deviation is 1."""
    random = np.random.default_rng(seed)
    grid = np.arange(-100, ROWS + 100)
    # As smooth as the motion of a machine that takes a second for each line.
    knots = random.normal(size=(len(grid), CHANNELS))
    smooth = np.stack([np.convolve(knot, np.ones(4) / 2, "same") for knot in knots.T], axis=1)
    at = np.arange(ROWS) - lag_rows
    return np.stack([np.interp(at, grid, channel) for channel in smooth.T], axis=1)


def recordings(lags: NDArray[np.float64], noise: float = 1.0, seed: int = 0) -> list[Signals]:
    """One for each lag in seconds, with its own noise, in deviations of the motion."""
    random = np.random.default_rng(seed + 1)
    moved = [motion(lag / STEP, seed) for lag in lags]
    return [signals + noise * random.normal(size=signals.shape) for signals in moved]


def true_lags(count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).gamma(1.0, 1.2, count).clip(max=9.0)


@pytest.mark.parametrize(
    ("count", "noise", "seed"), [(2, 1.0, 0), (3, 2.0, 1), (12, 3.0, 0), (30, 3.0, 0)]
)
def test_lags_are_estimated_in_noise_stronger_than_the_motion(
    count: int, noise: float, seed: int
) -> None:
    true = true_lags(count, seed)
    (estimated,) = estimate_joint_lags([recordings(true, noise, seed)], STEP).seconds
    assert np.median(estimated) == pytest.approx(0.0, abs=1e-12)
    error = estimated - (true - np.median(true))
    assert np.sqrt(np.mean(error**2)) < STEP / 3
    assert np.abs(error).max() < STEP / 2


def test_a_drift_is_no_motion_and_the_noise_of_channels_is_found() -> None:
    true = true_lags(8, 1)
    drift = np.linspace(-3, 3, ROWS)[:, None]
    signals = [samples + drift for samples in recordings(true, seed=1)]
    (estimated,) = estimate_joint_lags([signals], STEP).seconds
    np.testing.assert_allclose(estimated, true - np.median(true), atol=STEP / 3)
    random = np.random.default_rng(3)
    for samples in signals:
        samples[:, ::2] = 5 * random.normal(size=(ROWS, CHANNELS // 2))
    noise = estimate_joint_lags([signals], STEP).noise
    assert noise.shape == (CHANNELS, CHANNELS)
    assert 2 * np.diag(noise)[1::2].max() < np.diag(noise)[::2].min()


def test_recordings_that_lack_a_node_are_compared_by_the_others() -> None:
    true, random = true_lags(8, 1), np.random.default_rng(4)
    signals = recordings(true, seed=1)
    for number, samples in enumerate(signals):
        samples += 2 * random.normal(size=(ROWS, 1))  # A noise that all channels share.
        if number % 2:
            samples[:, :10] = 0.0
    lags = estimate_joint_lags([signals], STEP)
    np.testing.assert_allclose(lags.seconds[0], true - np.median(true), atol=STEP / 3)
    whole = estimate_joint_lags([signals[::2]], STEP).noise
    np.testing.assert_allclose(np.diag(lags.noise)[:10], np.diag(whole)[:10], rtol=0.35)


def test_the_motion_of_a_node_that_is_missing_does_not_count() -> None:
    """Two nodes with one noise; the second moves as the first one does 10 s later, and more."""
    random, (once, hum) = np.random.default_rng(0), (motion(0.0)[:, :1], motion(0.0, 5)[:, :1])
    template = np.hstack([once, -3 * np.roll(once, 40, axis=0)])

    def recording(lag_rows: int, node_is_missing: bool) -> Signals:
        noise = 0.5 * np.roll(hum, int(random.integers(ROWS)), axis=0)
        samples = np.roll(template, lag_rows, axis=0) + noise
        samples += 0.02 * random.normal(size=samples.shape)
        samples[:, 1] *= not node_is_missing
        return samples

    rows = np.array([0, 1, -2, 3, 0, 2, -1, 1])
    signals = [recording(lag, n % 2 == 1) for n, lag in enumerate(rows)]
    for lag_rows, samples in zip(rows, signals, strict=True):
        lag = estimate_lag(samples, template, np.array([[1.0, 0.97], [0.97, 1.0]]), STEP, {})
        assert lag.seconds == pytest.approx(lag_rows * STEP, abs=STEP)
    lags = estimate_joint_lags([signals], STEP)
    np.testing.assert_allclose(lags.seconds[0], (rows - np.median(rows)) * STEP, atol=STEP)
    assert lags.noise[0, 1] > 0.5 * np.sqrt(lags.noise[0, 0] * lags.noise[1, 1])


@pytest.mark.parametrize("lag", [-6.0, 0.0, 0.375, 11.0, MAX_LAG_SECONDS - 1])
def test_a_recording_is_compared_with_a_template(lag: float) -> None:
    (signals,) = recordings(np.array([lag]), 2.0)
    estimated = estimate_lag(signals, motion(0.0), np.eye(CHANNELS), STEP, {}).seconds
    assert estimated == pytest.approx(lag, abs=STEP / 3)


def test_noisy_channels_hardly_count() -> None:
    signals, other = recordings(np.array([1.0, 5.0]))
    is_near = np.arange(CHANNELS) % 2 > 0
    mixed = np.where(is_near, signals, other)
    for is_noisy, seconds in ((~is_near, 1.0), (is_near, 5.0)):
        lag = estimate_lag(mixed, motion(0.0), np.diag(np.where(is_noisy, 1e6, 1.0)), STEP, {})
        assert lag.seconds == pytest.approx(seconds, abs=STEP / 3)
    masks = {"near": is_near, "far": ~is_near}
    lag = estimate_lag(mixed, motion(0.0), np.eye(CHANNELS), STEP, masks)
    assert lag.by_group == pytest.approx({"near": 1.0, "far": 5.0}, abs=STEP / 3)
    # A recording that lacks all nodes of a group has no lag by it.
    lag = estimate_lag(mixed * is_near, motion(0.0), np.eye(CHANNELS), STEP, masks)
    assert lag.by_group == pytest.approx({"near": 1.0}, abs=STEP / 3)
    assert lag.uncertainty_seconds(["near", "far"]) is None
    others = [Lag(1.0, {"near": 1.0, "far": 1.0})] * 3
    assert reliable_groups([*others, lag]) == ["near", "far"]


def test_groups_that_find_the_lags_of_val_recordings_are_a_check() -> None:
    lags = [Lag(1.0, {"imu": 1.2, "mag": 0.8, "motor": 9.0}) for _ in range(18)]
    lags += [Lag(1.0, {"imu": 1.0, "mag": 13.0, "motor": 1.0}) for _ in range(2)]
    groups = reliable_groups([*lags, Lag(np.nan, {})])
    assert groups == ["imu", "mag"]
    uncertainty = [lag.uncertainty_seconds(groups) for lag in lags]
    assert uncertainty == pytest.approx([0.2] * 18 + [12.0] * 2)
    assert [is_doubtful(seconds) for seconds in uncertainty] == [False] * 18 + [True] * 2
    assert lags[19].uncertainty_seconds(["imu"]) is None, "one group is no second opinion"
    assert Lag(np.nan, {}).uncertainty_seconds(groups) is None
    assert not any(is_doubtful(seconds) for seconds in (None, 1.0))
    assert reliable_groups([]) == []


@pytest.mark.parametrize("rows", [1, 2, 5, ROWS])
def test_constant_signals_have_no_lag(rows: int) -> None:
    constant = [np.full((rows, 3), level) for level in (0.0, 0.0, 2.0)]
    lags = estimate_joint_lags([constant, constant[:1]], STEP)
    assert [seconds.tolist() for seconds in lags.seconds] == [[0.0] * 3, [0.0]]
    assert np.isfinite(lags.noise).all()
    assert estimate_lag(constant[0], constant[1], lags.noise, STEP, {}).seconds == 0.0


def test_noise_that_channels_share_is_no_motion() -> None:
    """One channel measures the motion, and a loud noise like a later motion, as others do."""
    random = np.random.default_rng(0)
    template = np.hstack([motion(0.0)[:, :1], np.zeros((ROWS, 8))])

    def recording(lag_rows: int, noise_rows: int) -> Signals:
        noise = 3 * np.roll(template[:, :1], noise_rows, axis=0)
        noise = noise + 0.05 * random.normal(size=template.shape)
        return np.roll(template, lag_rows, axis=0) + noise

    recordings = [recording(0, noise_rows) for noise_rows in (40, 80, 120)]
    noise = np.cov(np.concatenate([signals - template for signals in recordings]).T)
    for used, seconds in ((noise, 0.5), (np.diag(np.diag(noise)), 10.0)):
        lag = estimate_lag(recording(2, 40), template, used, STEP, {})
        assert lag.seconds == pytest.approx(seconds, abs=STEP)


def test_the_lags_of_simulated_recordings_are_those_that_were_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    draw = simulation.draw_lag_seconds

    def recorded(random: np.random.Generator) -> float:
        drawn.append(draw(random))
        return drawn[-1]

    monkeypatch.setattr(simulation, "draw_lag_seconds", recorded)
    paths = simulation.simulate_recordings(tmp_path, 6, 0, ["pocket25"])
    loaded = [load_recording(path, ("imu", "mag", "mic", "motor"), 64) for path in paths]
    scaler = fit_scaler(loaded, 0.7, centered=True)
    signals = {recording.name: scaler.apply(recording) for recording in loaded}
    programs = fit_programs(loaded, signals)
    estimated = [lag_corrected_labels(r, signals[r.name], programs, {}).lag.seconds for r in loaded]
    # The lag that all share is not observable: the median recording is taken to have none.
    error = np.array(estimated) - np.array(drawn)
    assert np.ptp(drawn) > 1.0
    assert np.std(error) < 0.13
    assert np.mean(error) == pytest.approx(-np.median(drawn), abs=0.13)
