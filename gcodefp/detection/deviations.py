"""What deviates in an aligned recording: statistics of the whole, and the segments.

Shapes: N rows, T states.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.alignment import AFTER, BEFORE, INSIDE, OTHER, Path, align
from gcodefp.detection.template import Array, SensedRecording, Template
from gcodefp.programs.lag import moving_average

WINDOW_SECONDS = 10.0
END_SECONDS = 15.0
"""Rows at either end of the alignment that say when the program begins and ends."""
IDLE_SECONDS = 10.0
LEAST_FIT = 0.7
"""A lack of fit is a share of at least this: where little is expected, it says little. Chosen on
real recordings, as IDLE_SECONDS."""
SHORTEST_SECONDS = 1.0
"""Shorter segments are not listed."""
ELSEWHERE_FIT = 0.5
"""Mean fit with which the rows of a segment are of another place in the program."""
MISSING, EXTRA, SLOWER, FASTER, ELSEWHERE, SIGNAL = KINDS = (
    "missing", "extra", "slower", "faster", "elsewhere", "other signal",
)  # fmt: skip


class Statistics(NamedTuple):
    """Of one recording; more is worse, except where a deviation to both sides is.

    Attributes:
        length: of the recording, s; of rows outside of the program, IDLE_SECONDS are not counted
            beyond the first IDLE_SECONDS: a log that begins earlier than usual is no deviation.
        slowdown: of the program from its first to its last row, s: more than the template's.
        start, end: of the program that the recording lacks, s, by extrapolation.
        gain: log-likelihood of the alignment above that without jumps and OTHER rows.
        fit: largest lack of fit within WINDOW_SECONDS, as a share of what is expected there.
        level: mean fit, as a share of the expected one, negative.
        cover: share of the program that is not missing at its ends, negative.
        drift: largest change of the rows against the program within WINDOW_SECONDS, s.
    """

    length: float
    slowdown: float
    start: float
    end: float
    gain: float
    fit: float
    level: float
    cover: float
    drift: float


TWO_SIDED = ("length", "slowdown")


@dataclass(frozen=True)
class Aligned:
    """A recording on its program.

    Attributes:
        fit: (N,) of each row at its state; 0 where it has none.
        state: (N,) with rows outside of the program, which are extrapolated, clipped to it.
        first, end: rows of the program, by extrapolation.
        start_seconds, end_seconds: as in Statistics.
    """

    path: Path
    fits: Array
    fit: Array
    state: NDArray[np.int64]
    first: int
    end: int
    start_seconds: float
    end_seconds: float
    slowdown_seconds: float
    step_seconds: float


def align_recording(template: Template, recording: SensedRecording) -> Aligned:
    """Aligns a recording with the template of a program."""
    fits, step = template.row_fits(recording), template.step_seconds
    path, count = align(fits), len(fits)
    inside = np.flatnonzero(path.condition == INSIDE)
    if not len(inside):
        return Aligned(path, fits, np.zeros(count), np.zeros(count, np.int64), 0, count,
                       len(template) * step, 0.0, 0.0, step)  # fmt: skip
    offset = path.state[inside] - inside
    rows = max(1, round(END_SECONDS / step))
    begin, end = float(np.median(offset[:rows])), float(np.median(offset[-rows:]))
    row = np.arange(count)
    extrapolated = row + np.where(row < inside[0], begin, end)
    within = (path.condition == INSIDE) | (path.condition == OTHER)
    state = np.where(within, path.state, np.rint(extrapolated)).astype(np.int64)
    state = state.clip(0, len(template) - 1)
    fit = np.where(path.condition == INSIDE, fits[row, state], 0.0)
    first = int(np.clip(-begin, 0, inside[0]))
    last = int(np.clip(np.ceil(len(template) - end), inside[-1] + 1, count))
    lacking = max(0.0, len(template) - 1 - (count - 1 + end)) * step
    return Aligned(path, fits, fit, state, first, last, max(0.0, begin) * step, lacking,
                   (begin - end) * step, step)  # fmt: skip


def measure(aligned: Aligned, expected: Array) -> Statistics:
    """The statistics of a recording; `expected` (T,) is the fit of good recordings."""
    step, inside = aligned.step_seconds, slice(aligned.first, aligned.end)
    fit, usual = aligned.fit[inside], expected[aligned.state[inside]]
    rows = max(1, min(round(WINDOW_SECONDS / step), len(fit)))
    own, other = _window_means(fit, rows), _window_means(usual, rows)
    other *= float(np.median(own / np.maximum(other, 0.1)))
    idle = (len(aligned.fit) - aligned.end + aligned.first) * step - IDLE_SECONDS
    return Statistics(
        length=len(aligned.fit) * step - min(max(idle, 0.0), IDLE_SECONDS),
        slowdown=aligned.slowdown_seconds,
        start=aligned.start_seconds,
        end=aligned.end_seconds,
        gain=aligned.path.gain,
        fit=float(((other - own) / np.maximum(other, LEAST_FIT)).max()),
        level=-float(fit.sum() / max(usual.sum(), 1.0)),
        cover=(aligned.start_seconds + aligned.end_seconds) / (len(expected) * step) - 1,
        drift=float(np.abs(_drift(aligned)).max(initial=0.0)),
    )


def _window_means(values: Array, rows: int) -> Array:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: Array = (sums[rows:] - sums[:-rows]) / rows
    return means


def _drift(aligned: Aligned) -> Array:
    """Seconds by which the rows advance more than the program within a window around each, (N,)."""
    rows = max(1, round(WINDOW_SECONDS / aligned.step_seconds))
    delay = np.arange(len(aligned.state)) - aligned.state
    inside = slice(aligned.first, aligned.end)
    half, drift = rows // 2, np.zeros(len(delay))
    own = np.pad(delay[inside], half, mode="edge")
    drift[inside] = (own[2 * half :] - own[: len(own) - 2 * half]) * aligned.step_seconds
    return drift


@dataclass(frozen=True)
class Segment:
    """Rows of a recording that deviate, or the place at which a part of the program is missing.

    Attributes:
        kind: one of KINDS.
        first, end: rows; equal where something is missing.
        first_state, end_state: of the program there.
        seconds: of the deviation: missing, extra, or of the rows.
    """

    kind: str
    first: int
    end: int
    first_state: int
    end_state: int
    seconds: float


def find_segments(aligned: Aligned, usual_drift: float) -> list[Segment]:
    """The segments of a recording in the order of time.

    Args:
        usual_drift: seconds in WINDOW_SECONDS that good recordings do not exceed.
    """
    segments = [*_ends(aligned), *_others(aligned), *_jumps(aligned)]
    broken = np.zeros(len(aligned.state), bool)
    half = round(WINDOW_SECONDS / aligned.step_seconds / 2) + 1
    for segment in segments:
        broken[max(segment.first - half, 0) : segment.end + half] = True
    segments += _speeds(aligned, max(usual_drift, SHORTEST_SECONDS / 2), broken)
    return sorted(segments, key=lambda segment: (segment.first, segment.end))


def _ends(aligned: Aligned) -> list[Segment]:
    count, last = len(aligned.state), aligned.fits.shape[1]
    ends = []
    if (seconds := aligned.start_seconds) >= SHORTEST_SECONDS:
        states = round(seconds / aligned.step_seconds)
        ends.append(Segment(MISSING, 0, 0, 0, states, seconds))
    if (seconds := aligned.end_seconds) >= SHORTEST_SECONDS:
        states = round(seconds / aligned.step_seconds)
        ends.append(Segment(MISSING, count, count, last - states, last, seconds))
    for first, end in ((0, aligned.first), (aligned.end, count)):
        # The program again, or a part of it; it may begin a little later than these rows.
        quarter = min(end - first, last) // 4
        fit, place = _best_place(aligned.fits[first + quarter : first + 3 * quarter])
        seconds = (end - first) * aligned.step_seconds
        if seconds >= WINDOW_SECONDS and fit > ELSEWHERE_FIT:
            begin = max(place - quarter, 0)
            until = min(begin + end - first, last)
            ends.append(Segment(ELSEWHERE, first, end, begin, until, seconds))
    return ends


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First row and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _others(aligned: Aligned) -> list[Segment]:
    """Segments of OTHER rows, and of rows before or after the program that should be in it."""
    condition, step = aligned.path.condition, aligned.step_seconds
    row = np.arange(len(condition))
    within = (row >= aligned.first) & (row < aligned.end)
    outside = ((condition == BEFORE) | (condition == AFTER)) & within
    segments = []
    for first, end in _runs((condition == OTHER) | outside):
        begin = int(aligned.state[first])
        until = int(aligned.state[min(end, len(row) - 1)])
        rows, states = end - first, until - begin
        seconds = rows * step
        if max(rows, states) * step < SHORTEST_SECONDS:
            continue
        if states < rows / 2:
            kind, seconds = EXTRA, (rows - states) * step
        elif states > 2 * rows:
            kind, seconds = MISSING, (states - rows) * step
        else:
            fit, _ = _best_place(aligned.fits[first:end])
            kind = ELSEWHERE if fit > ELSEWHERE_FIT else SIGNAL
        segments.append(Segment(kind, first, end, begin, until, seconds))
    return segments


def _best_place(fits: Array) -> tuple[float, int]:
    """The highest mean fit of some rows (M, T) at any place of the program, and its state."""
    rows, length = fits.shape
    if not 0 < rows <= length:
        return 0.0, 0
    row = np.arange(rows)
    means = fits[row, np.arange(length - rows + 1)[:, None] + row].mean(1)
    return float(means.max()), int(means.argmax())


def _jumps(aligned: Aligned) -> list[Segment]:
    state, inside = aligned.state, aligned.path.condition == INSIDE
    segments = []
    for row in np.flatnonzero((np.diff(state) > 2) & inside[1:] & inside[:-1]).tolist():
        seconds = float((state[row + 1] - state[row] - 1) * aligned.step_seconds)
        if seconds >= SHORTEST_SECONDS:
            begin, until = int(state[row] + 1), int(state[row + 1])
            segments.append(Segment(MISSING, row + 1, row + 1, begin, until, seconds))
    return segments


def _speeds(aligned: Aligned, limit: float, broken: NDArray[np.bool_]) -> list[Segment]:
    drift = np.where(broken, 0.0, _drift(aligned))
    segments = []
    for kind, sign in ((SLOWER, 1), (FASTER, -1)):
        # A feed that is wrong by a tenth changes by steps: runs with short breaks are one.
        share = moving_average((sign * drift > limit).astype(float)[:, None], 9)[:, 0]
        for first, end in _runs(share > 0.1):
            seconds = (end - first) * aligned.step_seconds
            if seconds >= WINDOW_SECONDS / 2:
                begin, until = int(aligned.state[first]), int(aligned.state[end - 1])
                segments.append(Segment(kind, first, end, begin, until, seconds))
    return segments
