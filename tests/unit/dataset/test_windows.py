"""Channels and their scale, and the windows over the rows."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gcodefp.dataset.channels import CLIP, STD_OFFSET, fit_scaler
from gcodefp.dataset.windows import row_to_window_mask, window_starts
from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import Recording

NAN = float("nan")


def recording(**signals: list[float]) -> Recording:
    count = len(next(iter(signals.values())))
    nothing = np.zeros(count, np.float32)
    return Recording(
        name="face_1", operation="face", row=np.arange(count, dtype=np.int32),
        seconds=np.arange(count) / 4, blocks=np.full(count, "X1"), lines=np.arange(count),
        mm_per_unit=nothing, position_mm=np.zeros((count, 3), np.float32),
        signals=pd.DataFrame({f"n.{name}": values for name, values in signals.items()}),
        environment=np.full((count, 2), np.nan, np.float32), counts=Counter(),
    )  # fmt: skip


def test_the_scale_is_that_of_the_valid_train_samples() -> None:
    constant = [5.0, 5.0, 5.0, 5.0]
    train = [
        recording(Ax=[1.0, 2.0, 3.0, NAN], RMS=constant, Mx=[1, NAN, NAN, NAN]),
        recording(Ax=[4.0, 5.0, 6.0, 7.0], RMS=constant, Gx=[1, 2, 3, 4]),
    ]
    scaler = fit_scaler(train, 0.9, centered=False)
    # RMS never varies; Mx is mostly missing; Gx is in half of the recordings.
    assert (scaler.channels, scaler.mean, scaler.std) == (("n.Ax",), (4.0,), (2.0,))
    assert fit_scaler(train, 0.5, centered=False).channels == ("n.Ax", "n.Gx")
    np.testing.assert_allclose(scaler.apply(train[0])[:, 0], [-1.5, -1.0, -0.5, 0.0])
    outliers = recording(Ax=[1e6, -1e6, NAN])
    assert scaler.apply(outliers)[:, 0].tolist() == [CLIP, -CLIP, 0.0]
    assert scaler.valid(outliers).tolist() == [[True], [True], [False]]
    lacking = recording(Mx=[1.0, 2.0, 3.0])
    assert not scaler.apply(lacking).any()
    assert not scaler.valid(lacking).any()


WAVE = 3 * np.sin(np.arange(200.0)) + np.random.default_rng(0).normal(size=200)


def in_deviations(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    return (samples - samples.mean(0)) / samples.std(0)


@pytest.mark.parametrize("centered", [False, True])
def test_gain_and_offset_of_a_recording_do_not_matter_if_zscored(centered: bool) -> None:
    train = [recording(Ax=list(10 + WAVE)), recording(Ax=list(-5 + 2 * WAVE[::-1]))]
    scaler = fit_scaler(train, 0.9, centered, zscored=True)
    reference = scaler.apply(recording(Ax=list(WAVE)))
    for gain, offset in ((1.0, 1e4), (0.3, 0.0), (1.5, -1e4), (-1.0, 3.0)):
        scaled = scaler.apply(recording(Ax=list(gain * WAVE + offset)))
        assert abs(scaled.mean()) < 1e-4
        np.testing.assert_allclose(
            in_deviations(scaled), np.sign(gain) * in_deviations(reference), atol=1e-3
        )
        # In deviations of the train split, both recordings together.
        deviation = abs(gain) * WAVE.std() / scaler.std[0]
        assert scaled.std() == pytest.approx(deviation / (deviation + STD_OFFSET), rel=1e-3)
    plain = fit_scaler(train, 0.9, centered)
    assert plain.apply(recording(Ax=list(0.3 * WAVE))).std() < 0.5 * reference.std()


def test_missing_and_constant_samples_are_0_if_zscored() -> None:
    train = [recording(Ax=list(WAVE), Gx=list(WAVE), Mx=list(WAVE))]
    scaler = fit_scaler(train, 0.9, centered=True, zscored=True)
    # The mean of the valid samples is 5, not that of all.
    missing = [4.0, NAN, 6.0, NAN, 5.0, 5.0]
    scaled = scaler.apply(recording(Ax=missing, Gx=[0.1] * 6))
    assert np.isfinite(scaled).all()
    assert (scaled[[1, 3, 4, 5], 0] == 0).all()
    assert scaled[2, 0] == -scaled[0, 0] > 0
    assert not scaled[:, 1:].any(), "constant, and missing"
    # What little varies is nearly constant, and stays so.
    hum = scaler.apply(recording(Ax=[5.0, 5.001] * 50))
    assert np.abs(hum).max() < 0.01
    # One outlier does not decide the deviation.
    loose = scaler.apply(recording(Ax=[*WAVE, 100.0]))[:-1, 0]
    assert loose.std() > 0.7


@pytest.mark.parametrize("centered", [False, True])
def test_no_live_channel_is_an_error(centered: bool) -> None:
    # 0.1 is no binary fraction: rounding gives equal samples a deviation above 0.
    train = [recording(Ax=[0.1] * 7), recording(Ax=[0.1] * 9)]
    if centered:
        train.append(recording(Ax=[0.3] * 10))
    with pytest.raises(UserError, match=rf"none is in 90% of the {len(train)} train record"):
        fit_scaler(train, 0.9, centered)


@st.composite
def clocks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Recording index and clock of up to 4 recordings, with gaps."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    steps = [
        draw(st.lists(st.sampled_from([0.25] * 9 + [2.0, 2.1, 9.0]), min_size=n, max_size=n))
        for n in lengths
    ]
    recordings = np.repeat(np.arange(len(lengths)), lengths)
    return recordings, np.concatenate([np.cumsum(part) for part in steps])


@settings(max_examples=50, deadline=None)
@given(clocks(), st.integers(1, 12), st.data())
def test_windows_cover_every_long_enough_segment_and_cross_no_border(
    rows: tuple[np.ndarray, np.ndarray], window: int, data: st.DataObject
) -> None:
    recordings, seconds = rows
    stride = data.draw(st.integers(1, window))
    starts = window_starts(recordings, seconds, window, stride, 2.0)
    assert (np.diff(starts) > 0).all()
    covered = np.zeros(len(recordings), int)
    for start in starts:
        inside = slice(start, start + window)
        assert len(seconds[inside]) == window
        assert len(set(recordings[inside])) == 1
        assert (np.diff(seconds[inside]) <= 2.0).all()
        covered[inside] += 1
    is_border = (np.diff(recordings, prepend=0) != 0) | (np.diff(seconds, prepend=0.0) > 2.0)
    segment = np.cumsum(is_border)
    np.testing.assert_array_equal(covered > 0, np.bincount(segment)[segment] >= window)
    assigned = np.zeros(len(recordings), int)
    row_mask = row_to_window_mask(starts, window)
    np.add.at(assigned, (starts[:, None] + np.arange(window))[row_mask], 1)
    np.testing.assert_array_equal(assigned, covered > 0)


def test_a_row_is_assigned_to_the_window_with_the_nearest_middle() -> None:
    assert window_starts(np.zeros(10), np.arange(10.0), 4, 3, 1.0).tolist() == [0, 3, 6]
    row_mask = row_to_window_mask(np.array([0, 2, 4]), 4)
    assert row_mask.tolist() == [
        [True, True, True, False],
        [False, True, True, False],
        [False, True, True, True],
    ]
