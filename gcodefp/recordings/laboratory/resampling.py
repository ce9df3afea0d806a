"""Puts the samples of a sensor onto rows at other times; samples come in chunks.

`add` takes times (n,), ascending, and samples (n, C), NaN where missing; `finish` returns suffixes
of the channels' names and their samples (N, C), NaN where a row has none. `period_seconds`, once
finished, is that of the samples; 0 of a sensor that is faster than the rows.

A sensor that is faster than the rows becomes features over each row's interval: the mean, the root
mean square and the peak of the deviation from it, and the power in frequency bands. Interpolation
would alias a vibration to a slow wave that does not exist. A slower sensor is interpolated
linearly, or its last sample is held.

Shapes: N rows, n samples of a chunk, C channels, B bands.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.clock import median_period
from gcodefp.recordings.laboratory.layout import Source

Samples = NDArray[np.float64]

RATE_SAMPLES = 10_000
"""The sample rate is measured on the first ones."""
MIN_BAND_SAMPLES = 8
"""In fewer, a band has no power that means anything."""
MIN_RATE_RATIO = 1.999
"""Of sensor and rows: from twice on, but for rounding, interpolating the sensor would alias."""
MIN_FEATURES_RATIO = 1.9
"""Below it there are no features: at twice the rate of the rows, the measured one may be less."""
MAX_GAP_PERIODS = 5.0
"""No sample is interpolated over a longer gap."""
MAX_HELD_PERIODS = 2.0
"""No sample is held for longer: the sensor has stopped."""
MIN_POWER = 1e-12
"""Added to a band's power before its logarithm, in the square of the channel's unit."""


def row_intervals(seconds: Samples) -> tuple[Samples, Samples]:
    """Start and end of each row's interval, both (N,): half way to its neighbours.

    Beside a gap, and at both ends, a row's interval reaches half the median period.
    """
    half = median_period(seconds) / 2
    middle = (seconds[:-1] + seconds[1:]) / 2
    start = np.maximum(np.concatenate([[-np.inf], middle]), seconds - half)
    end = np.minimum(np.concatenate([middle, [np.inf]]), seconds + half)
    return start, end


def resampler(source: Source, rows: Samples) -> "RowFeatures | SlowSensor":
    """What a source's `resample` names, for rows at some seconds, (N,), ascending."""
    if source.resample == "features":
        return RowFeatures(source, rows)
    return SlowSensor(source, rows)


class SlowSensor:
    """Interpolates the samples of a sensor that is not faster than the rows, or holds them.

    Rows outside of the samples and in gaps are NaN; a sample is held for MAX_HELD_PERIODS.
    """

    def __init__(self, source: Source, rows: Samples) -> None:
        self._source, self._rows, self._is_held = source, rows, source.resample == "hold"
        self._chunks: list[tuple[Samples, NDArray[np.bool_], Samples]] = []
        self._count, self.period_seconds = 0, 0.0

    def add(self, seconds: Samples, values: Samples) -> None:
        has_sample = np.asarray(np.isfinite(values).any(axis=1))
        # A column of a table would keep all of the table.
        self._chunks.append((seconds.copy(), has_sample, values[has_sample]))
        self._count += int(has_sample.sum())
        # Before memory is full; `finish` says it exactly.
        if self._count > 10 * len(self._rows) + RATE_SAMPLES:
            self.finish()

    def finish(self) -> dict[str, Samples]:
        if not sum(len(times) for times, *_ in self._chunks):
            raise ValueError("it has no sample")
        seconds, has_sample, values = map(np.concatenate, zip(*self._chunks, strict=True))
        self._chunks = [(seconds, has_sample, values)]
        with_sample = np.flatnonzero(has_sample)
        spacing = np.diff(with_sample)
        if len(with_sample) == 1 or (len(spacing) and np.median(spacing) >= 2):
            # It is slower than the file's clock; one that stops has samples in row after row.
            seconds = seconds[with_sample]
        elif not has_sample.all():
            samples, values = values, np.full((len(seconds), values.shape[1]), np.nan)
            values[has_sample] = samples
        row_period = median_period(self._rows)
        self.period_seconds = median_period(seconds)
        if np.isnan(self.period_seconds):  # of a single sample
            self.period_seconds = row_period
        rate, row_rate = 1 / self.period_seconds, 1 / row_period
        if rate >= MIN_RATE_RATIO * row_rate:
            raise ValueError(
                f"{rate:.4g} samples a second for {row_rate:.4g} rows a second cannot be "
                f"{'held' if self._is_held else 'interpolated'}: they would alias; set resample: "
                f"features in {self._source.where}"
            )
        if self._is_held:
            return {"": self._hold(seconds, values)}
        columns = [self._interpolate(seconds, column) for column in values.T]
        return {"": np.stack(columns, axis=1)}

    def _hold(self, seconds: Samples, values: Samples) -> Samples:
        index = np.searchsorted(seconds, self._rows, side="right") - 1
        held = values[np.maximum(index, 0)]
        age = self._rows - seconds[np.maximum(index, 0)]
        held[(age < 0) | (age > MAX_HELD_PERIODS * self.period_seconds)] = np.nan
        return held

    def _interpolate(self, seconds: Samples, column: Samples) -> Samples:
        valid = np.isfinite(column)
        times, samples = seconds[valid], column[valid]
        if len(times) < 2:
            return np.full(len(self._rows), np.nan)
        result = np.interp(self._rows, times, samples, left=np.nan, right=np.nan)
        after = np.clip(np.searchsorted(times, self._rows), 1, len(times) - 1)
        limit = MAX_GAP_PERIODS * self.period_seconds
        is_sample = np.isin(self._rows, times)
        result[(times[after] - times[after - 1] > limit) & ~is_sample] = np.nan
        return result


class RowFeatures:
    """Features of the samples in each row's interval.

    Only the samples of a row that is not complete are kept: memory does not grow with the file.
    """

    def __init__(self, source: Source, rows: Samples) -> None:
        self._source, self._count, self.period_seconds = source, len(rows), 0.0
        self._row_rate = 1 / median_period(rows)
        self._start, self._end = row_intervals(rows)
        self._rate_hz = source.clock.rate_hz
        self._edges_hz: Samples | None = None
        self._seconds: Samples = np.empty(0)
        self._values: Samples | None = None
        self._features: dict[str, Samples] = {}

    def add(self, seconds: Samples, values: Samples) -> None:
        self._seconds = np.concatenate([self._seconds, seconds])
        self._values = values if self._values is None else np.concatenate([self._values, values])
        is_measured = self._rate_hz is not None or len(self._seconds) >= RATE_SAMPLES
        if not len(self._seconds) or not is_measured:
            return
        last = int(np.searchsorted(self._start, self._seconds[-1], side="right")) - 1
        is_complete = last < 0 or self._seconds[-1] >= self._end[last]
        self._process(
            len(self._seconds)
            if is_complete
            else int(np.searchsorted(self._seconds, self._start[last]))
        )

    def finish(self) -> dict[str, Samples]:
        if len(self._seconds):
            self._process(len(self._seconds))
        if self._edges_hz is None:
            raise ValueError("it has no sample")
        return self._features

    def _process(self, count: int) -> None:
        """Features of the rows of the first samples, which are then forgotten."""
        assert self._values is not None
        if self._edges_hz is None:
            self._edges_hz = self._measure()
        seconds, values = self._seconds[:count], self._values[:count]
        self._seconds, self._values = self._seconds[count:], self._values[count:]
        row = np.searchsorted(self._start, seconds, side="right") - 1
        inside = (row >= 0) & (seconds < self._end[np.maximum(row, 0)])
        row, values = row[inside], values[inside]
        rows, first, lengths = np.unique(row, return_index=True, return_counts=True)
        for length in np.unique(lengths):
            of_length = lengths == length
            samples = values[first[of_length, None] + np.arange(length)]
            for name, feature in self._features_of(samples):
                self._features[name][rows[of_length]] = feature

    def _measure(self) -> Samples:
        """Edges of the bands in Hz, (B + 1,), by the sample rate; allocates the features."""
        assert self._values is not None
        if self._rate_hz is None:
            self._rate_hz = _sample_rate(self._seconds)
        if self._rate_hz < MIN_FEATURES_RATIO * self._row_rate:
            raise ValueError(
                f"{self._rate_hz:.4g} samples a second for {self._row_rate:.4g} rows a second have "
                f"no features; set resample: interpolate, or hold, in {self._source.where}"
            )
        edges = np.array(self._source.bands) * self._rate_hz / 2
        if self._source.bands_hz is not None:
            edges = np.array(self._source.bands_hz)
            # A measured rate is not exact.
            if edges[-1] > 1.01 * self._rate_hz / 2:
                raise ValueError(
                    f"bands_hz: {edges[-1]:g} Hz is above half the sample rate, "
                    f"{self._rate_hz / 2:.4g} Hz"
                )
        names: list[str] = [name for name in self._source.features if name != "bands"]
        if "bands" in self._source.features:
            names += [f"band{number}" for number in range(1, len(edges))]
        shape = self._count, self._values.shape[1]
        self._features = {f"_{name}": np.full(shape, np.nan) for name in names}
        return edges

    def _features_of(self, samples: Samples) -> Iterator[tuple[str, Samples]]:
        """Suffix and feature (R, C) of the samples (R, n, C) of R rows."""
        valid = np.isfinite(samples)
        count = np.where(valid.any(axis=1), valid.sum(axis=1), np.nan)
        mean = np.where(valid, samples, 0.0).sum(axis=1) / count
        deviation = np.where(valid, samples - mean[:, None], 0.0)
        for name in self._source.features:
            if name == "mean":
                yield "_mean", mean
            elif name == "rms":
                yield "_rms", np.sqrt((deviation**2).sum(axis=1) / count)
            elif name == "peak":
                yield "_peak", np.abs(deviation).max(axis=1) + 0.0 * count
            elif samples.shape[1] >= MIN_BAND_SAMPLES:
                powers = self._band_powers(deviation) + 0.0 * count
                logarithms = np.log10(powers + MIN_POWER)
                yield from ((f"_band{n}", power) for n, power in enumerate(logarithms, 1))

    def _band_powers(self, deviation: Samples) -> Samples:
        """Mean square in each band, (B, R, C), of deviations (R, n, C); missing samples are 0.

        NaN where a band is so narrow that it has no frequency of the interval.
        """
        from scipy.signal import periodogram

        assert self._edges_hz is not None
        assert self._rate_hz is not None
        frequency, density = periodogram(
            deviation, self._rate_hz, window="hann", detrend=False, axis=1
        )
        # The last band holds its upper edge: half the sample rate is in it.
        band = np.searchsorted(self._edges_hz, frequency, side="right") - 1
        band[np.isclose(frequency, self._edges_hz[-1], rtol=0.01)] = len(self._edges_hz) - 2
        band[0] = -1
        step = frequency[1] - frequency[0]
        powers = [density[:, band == n].sum(axis=1) * step for n in range(len(self._edges_hz) - 1)]
        for n, power in enumerate(powers):
            if not (band == n).any():
                power[:] = np.nan
        return np.stack(powers)


def _sample_rate(seconds: Samples) -> float:
    """Samples a second: of the median period; of the mean one where packets share a time."""
    first = seconds[:RATE_SAMPLES]
    periods = np.diff(first)
    if len(periods) and (median := float(np.median(periods))) > 0:
        return 1 / median
    if len(periods) and first[-1] > first[0]:
        return float(len(periods) / (first[-1] - first[0]))
    raise ValueError("its clock does not advance")
