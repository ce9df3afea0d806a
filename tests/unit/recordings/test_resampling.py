"""Sensors that are faster or slower than the rows: features over each row's interval, and lines."""

import tracemalloc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.recordings.laboratory import resampling
from gcodefp.recordings.laboratory.layout import Source
from gcodefp.recordings.laboratory.resampling import Samples, resampler

ROWS = np.arange(1, 21) / 5
"""Five reports a second."""


def source(**changes: Any) -> Source:
    content = {
        "files": "*",
        "clock": {"format": "seconds", "column": "t"},
        "columns": {"a": "toolhead.Ax [g]"},
    }
    return Source.model_validate(content | changes)


def resample(
    seconds: Samples,
    values: Samples,
    rows: Samples = ROWS,
    cuts: Sequence[int] = (),
    **changes: Any,
) -> dict[str, Samples]:
    method = resampler(source(**changes), rows)
    for times, part in zip(np.split(seconds, cuts), np.split(values, cuts), strict=True):
        method.add(times, part if part.ndim == 2 else part[:, None])
    return method.finish()


def sine(rate_hz: float, frequency_hz: float, amplitude: float = 1.0) -> tuple[Samples, Samples]:
    seconds = np.arange(0, 5, 1 / rate_hz)
    return seconds, amplitude * np.sin(2 * np.pi * frequency_hz * seconds)


def test_a_vibration_that_aliases_is_measured_as_it_is() -> None:
    """90.2 Hz interpolated onto 5 Hz looks like a motion of 0.2 Hz; its power is 2 in its band."""
    seconds, wave = sine(400, 90.2, amplitude=2.0)
    assert np.ptp(np.interp(ROWS, seconds, wave)) > 3, "interpolation sees a slow motion"
    features = resample(seconds, wave + 7.0)
    np.testing.assert_allclose(features["_mean"], 7.0, atol=0.05)
    np.testing.assert_allclose(features["_rms"], np.sqrt(2), rtol=0.02)
    np.testing.assert_allclose(features["_peak"], 2.0, rtol=0.02)
    # Bands are 0 to 25, 50, 100 and 200 Hz.
    np.testing.assert_allclose(10 ** features["_band3"], 2.0, rtol=0.02)
    for other in ("_band1", "_band2", "_band4"):
        assert (10 ** features[other] < 2.0 / 1000).all()


@pytest.mark.parametrize(("frequency", "band"), [(6, 1), (12, 2), (40, 3)])
def test_bands_in_hertz(frequency: float, band: int) -> None:
    features = resample(
        *sine(100, frequency, 0.5), ROWS, features=["bands"], bands_hz=[1, 8, 24, 50]
    )
    assert set(features) == {"_band1", "_band2", "_band3"}
    powers = np.stack([10 ** features[f"_band{n}"][:, 0] for n in (1, 2, 3)])
    np.testing.assert_allclose(powers.sum(axis=0), 0.125, rtol=0.15)
    assert (powers.argmax(axis=0) == band - 1).all()


def test_features_by_hand() -> None:
    rows = np.array([1.0, 2.0, 3.0])
    seconds = np.array([0.5, 0.6, 0.9, 1.4, 1.5, 2.0, 2.4, 2.6])
    values = np.array([1.0, 2.0, 3.0, 2.0, 8.0, np.nan, 6.0, np.nan])
    features = resample(seconds, values, rows, features=["mean", "rms", "peak"])
    # 0.5 to 1.5, without 1.5; the middle row has a missing sample, the last one no other.
    np.testing.assert_allclose(features["_mean"][:, 0], [2.0, 7.0, np.nan])
    np.testing.assert_allclose(features["_rms"][:, 0], [np.sqrt(0.5), 1.0, np.nan])
    np.testing.assert_allclose(features["_peak"][:, 0], [1.0, 1.0, np.nan])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 1999), max_size=8),
    st.sampled_from(["features", "interpolate", "hold"]),
    st.integers(0, 2**32 - 1),
)
def test_chunks_do_not_matter(cuts: list[int], method: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    rate = 400 if method == "features" else 6
    seconds = np.sort(np.arange(2000) / rate + random.uniform(0, 0.3 / rate, 2000))
    values = random.normal(size=(2000, 3))
    values[random.random(values.shape) < 0.02] = np.nan
    rows = (
        np.sort(random.uniform(0, 2000 / rate, 30)) if method == "features" else np.arange(60) / 5
    )
    with pytest.MonkeyPatch.context() as patch:
        # Else the rate of so few samples is measured at the end.
        patch.setattr(resampling, "RATE_SAMPLES", 200)
        whole = resample(seconds, values, rows, resample=method)
        parts = resample(seconds, values, rows, sorted(cuts), resample=method)
    assert whole.keys() == parts.keys()
    for name, feature in whole.items():
        np.testing.assert_array_equal(feature, parts[name])


def test_memory_does_not_grow_with_the_file() -> None:
    method: Any = resampler(source(), np.arange(0, 1000) / 5)
    for n in range(300):
        seconds = n + np.arange(25_000) / 25_000
        method.add(seconds, np.zeros((25_000, 1)))
        assert len(method._seconds) <= 5000, "a row of the rows' time, none after their end"


def test_rows_without_a_sample_are_not_kept_in_memory() -> None:
    """Of a sensor in every hundredth row of a table with ten channels only the clock is."""
    method = resampler(source(resample="interpolate"), np.arange(0, 1000) / 5)
    values = np.full((100_000, 10), np.nan)
    values[::100] = 1.0
    tracemalloc.start()
    for n in range(10):
        table = np.c_[n * 100 + np.arange(100_000) / 1000, values]
        method.add(table[:, 0], table[:, 1:])
        del table
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 12 * 1_000_000, "8 bytes for the time of a row, one for whether it has a sample"


def test_slow_sensors_are_interpolated_or_held() -> None:
    seconds, values = np.array([1.0, 2.0, 3.0, 9.0]), np.array([10.0, 20.0, np.nan, 40.0])
    rows = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 8.0, 9.0, 9.5])
    line = resample(seconds, values, rows, resample="interpolate")[""][:, 0]
    nan = np.nan
    np.testing.assert_allclose(line, [nan, 10, 15, 20, nan, nan, nan, 40, nan])
    held = resample(seconds, values, rows, resample="hold")[""][:, 0]
    np.testing.assert_allclose(held, [nan, 10, 10, 20, 20, nan, nan, 40, 40])


@pytest.mark.parametrize("method", ["interpolate", "hold"])
def test_a_sensor_in_every_tenth_row_of_its_file_is_slow_and_one_that_stops_is_not(
    method: str,
) -> None:
    seconds, rows = np.arange(0, 200, 0.1), np.arange(20.0, 180.0, 1.0)
    number, dead = np.arange(len(seconds)), np.full(len(seconds), np.nan)
    sparse = np.where(number % 10 == 0, seconds, np.nan)
    whole = resample(seconds, sparse, rows, resample=method)[""][:, 0]
    np.testing.assert_allclose(whole, rows)
    ended = resample(seconds, np.where(seconds > 100, sparse, np.nan), rows, resample=method)[""]
    assert np.isfinite(ended[:, 0]).sum() == (rows > 100).sum()
    every_row = np.where(rows < 100, rows, np.nan)
    stopped = resample(rows, every_row, rows, resample=method)[""][:, 0]
    np.testing.assert_array_equal(np.isfinite(stopped), rows < 100)
    with pytest.raises(ValueError, match="they would alias"):
        resample(seconds, dead, rows, resample=method)
    single = resample(seconds, np.where(number == 1000, 7.0, np.nan), rows, resample=method)[""]
    assert np.isfinite(single).sum() == (3 if method == "hold" else 0)
    assert np.isnan(resample(rows, dead[: len(rows)], rows, resample=method)[""]).all()


def test_a_sample_is_held_for_two_periods_and_not_for_ever() -> None:
    seconds = np.r_[0:10.0, 20.0]
    rows = np.r_[0:10.0, 11.0, 11.1, 19.9, 20.0, 22.0, 22.1, 99.0]
    held = resample(seconds, seconds, rows, resample="hold")[""][:, 0]
    nan = np.nan
    np.testing.assert_allclose(held, [*range(10), 9, nan, nan, 20, 20, nan, nan])
    one = resample(seconds[:1], seconds[:1], np.arange(5.0), resample="hold")[""][:, 0]
    np.testing.assert_allclose(one, [0, 0, 0, nan, nan])


@pytest.mark.parametrize(
    ("rate", "changes", "message"),
    [
        (400, {"resample": "interpolate"}, "set resample: features in layout: source"),
        (10, {"resample": "interpolate"}, "10 samples a second for 5 rows a second cannot be"),
        (400, {"resample": "hold"}, "cannot be held: they would alias; set resample: features"),
        (6, {}, "have no features; set resample: interpolate, or hold"),
        (400, {"bands_hz": [0, 300]}, "300 Hz is above half the sample rate, 200 Hz"),
    ],
)
def test_a_rate_that_does_not_fit_its_method(
    rate: float, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        resample(*sine(rate, 1), **changes)


@pytest.mark.parametrize("rate", [9.9, 10, 10.1])
def test_a_sensor_of_twice_the_rate_of_the_rows_has_features(rate: float) -> None:
    features = resample(*sine(rate, 1), features=["mean", "peak"])
    assert np.isfinite(features["_mean"]).mean() > 0.9


def test_samples_that_share_the_time_of_their_packet() -> None:
    seconds = np.repeat(np.arange(0, 5, 0.02), 8)
    wave = np.tile([1.0, -1.0], len(seconds) // 2)
    features = resample(seconds, wave)
    np.testing.assert_allclose(features["_rms"], 1.0)
    # 400 Hz: the alternation is at 200 Hz, in the last band.
    assert (features["_band4"] > -1).all()
