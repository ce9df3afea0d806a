"""What deviates in an aligned recording: statistics of the whole, and the single deviations.

Shapes: N rows, T states.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.alignment import AFTER, BEFORE, INSIDE, OTHER, ViterbiPath, best_path
from gcodefp.detection.profile import Array, Mask, Profile, RecordingSignals
from gcodefp.evaluation.sequences import segments
from gcodefp.programs.lag import moving_average
from gcodefp.recordings.clock import rows_in

WINDOW_SECONDS = 10.0
END_SECONDS = 15.0
"""Rows at either end of the alignment that say when the program begins and ends."""
IDLE_SECONDS = 10.0
MIN_MATCH = 0.7
"""A lack of match is a share of at least this: where little is expected, it says little. Chosen on
real recordings, as IDLE_SECONDS."""
MIN_SECONDS = 1.0
"""Shorter deviations are not listed."""
ELSEWHERE_MATCH = 0.5
"""Mean match with which the rows of a deviation are of other states of the program."""
MISSING, EXTRA, SLOWER, FASTER, ELSEWHERE, SIGNAL = KINDS = (
    "missing", "extra", "slower", "faster", "elsewhere", "other signal",
)  # fmt: skip


class Statistics(NamedTuple):
    """Of one recording; more is worse, except where a deviation to both sides is.

    Attributes:
        duration: of the recording, s; of rows outside of the program, IDLE_SECONDS are not counted
            beyond the first IDLE_SECONDS: a log that begins earlier than usual is no deviation.
        slowdown: of the program from its first to its last row, s: more than the profile's.
        missing_start, missing_end: of the program, s, by extrapolation.
        jump_gain: log-likelihood of the path above that without jumps and OTHER rows.
        match_drop: largest lack of match within WINDOW_SECONDS, a share of what is expected there.
        neg_match_share: minus the mean match, as a share of the expected one.
        neg_coverage: minus the share of the program that is not missing at its ends.
        drift: largest change of the rows against the program within WINDOW_SECONDS, s.
    """

    duration: float
    slowdown: float
    missing_start: float
    missing_end: float
    jump_gain: float
    match_drop: float
    neg_match_share: float
    neg_coverage: float
    drift: float

    @property
    def match_share(self) -> float:
        return -self.neg_match_share


STORED_NAMES = ("length", "slowdown", "start", "end", "gain", "fit", "level", "cover", "drift")
"""The fields of Statistics in files, in their order."""
TWO_SIDED = ("duration", "slowdown")


@dataclass(frozen=True)
class Alignment:
    """A recording on its program.

    Attributes:
        match: (N,) of each row at its state; 0 where it has none.
        state: (N,) with rows outside of the program, which are extrapolated, clipped to it.
        first, end: rows of the program, by extrapolation.
        missing_start_seconds, missing_end_seconds: as in Statistics.
    """

    path: ViterbiPath
    matches: Array
    match: Array
    state: NDArray[np.int64]
    first: int
    end: int
    missing_start_seconds: float
    missing_end_seconds: float
    slowdown_seconds: float
    step_seconds: float


def align_to_program(profile: Profile, recording: RecordingSignals) -> Alignment:
    """Aligns a recording with the profile of a program."""
    matches, step = profile.row_matches(recording), profile.step_seconds
    path, count = best_path(matches), len(matches)
    inside = np.flatnonzero(path.path_state == INSIDE)
    if not len(inside):
        return Alignment(path, matches, np.zeros(count), np.zeros(count, np.int64), 0, count,
                                len(profile) * step, 0.0, 0.0, step)  # fmt: skip
    offset = path.state[inside] - inside
    rows = rows_in(END_SECONDS, step)
    begin, end = float(np.median(offset[:rows])), float(np.median(offset[-rows:]))
    row = np.arange(count)
    extrapolated = row + np.where(row < inside[0], begin, end)
    within = (path.path_state == INSIDE) | (path.path_state == OTHER)
    state = np.where(within, path.state, np.rint(extrapolated)).astype(np.int64)
    state = state.clip(0, len(profile) - 1)
    match = np.where(path.path_state == INSIDE, matches[row, state], 0.0)
    first = int(np.clip(-begin, 0, inside[0]))
    last = int(np.clip(np.ceil(len(profile) - end), inside[-1] + 1, count))
    missing_end = max(0.0, len(profile) - 1 - (count - 1 + end)) * step
    return Alignment(path, matches, match, state, first, last, max(0.0, begin) * step,
                            missing_end, (begin - end) * step, step)  # fmt: skip


def measure(alignment: Alignment, expected: Array) -> Statistics:
    """The statistics of a recording; `expected` (T,) is the match of good recordings."""
    step, inside = alignment.step_seconds, slice(alignment.first, alignment.end)
    match, usual = alignment.match[inside], expected[alignment.state[inside]]
    rows = max(1, min(round(WINDOW_SECONDS / step), len(match)))
    own, other = _window_means(match, rows), _window_means(usual, rows)
    other *= float(np.median(own / np.maximum(other, 0.1)))
    idle = (len(alignment.match) - alignment.end + alignment.first) * step - IDLE_SECONDS
    missing = alignment.missing_start_seconds + alignment.missing_end_seconds
    return Statistics(
        duration=len(alignment.match) * step - min(max(idle, 0.0), IDLE_SECONDS),
        slowdown=alignment.slowdown_seconds,
        missing_start=alignment.missing_start_seconds,
        missing_end=alignment.missing_end_seconds,
        jump_gain=alignment.path.jump_gain,
        match_drop=float(((other - own) / np.maximum(other, MIN_MATCH)).max()),
        neg_match_share=-float(match.sum() / max(usual.sum(), 1.0)),
        neg_coverage=missing / (len(expected) * step) - 1,
        drift=float(np.abs(_drift(alignment)).max(initial=0.0)),
    )


def _window_means(values: Array, rows: int) -> Array:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: Array = (sums[rows:] - sums[:-rows]) / rows
    return means


def _drift(alignment: Alignment) -> Array:
    """Seconds by which the rows advance more than the program within a window around each, (N,)."""
    rows = rows_in(WINDOW_SECONDS, alignment.step_seconds)
    delay = np.arange(len(alignment.state)) - alignment.state
    inside = slice(alignment.first, alignment.end)
    half, drift = rows // 2, np.zeros(len(delay))
    own = np.pad(delay[inside], half, mode="edge")
    drift[inside] = (own[2 * half :] - own[: len(own) - 2 * half]) * alignment.step_seconds
    return drift


@dataclass(frozen=True)
class Deviation:
    """Rows of a recording that deviate, or between which a part of the program is missing.

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


def find_deviations(alignment: Alignment, usual_drift: float) -> list[Deviation]:
    """The deviations of a recording in the order of time.

    Args:
        usual_drift: seconds in WINDOW_SECONDS that good recordings do not exceed.
    """
    deviations = [*_missing_or_elsewhere(alignment), *_other_rows(alignment), *_jumps(alignment)]
    explained = np.zeros(len(alignment.state), bool)
    half = round(WINDOW_SECONDS / alignment.step_seconds / 2) + 1
    for deviation in deviations:
        explained[max(deviation.first - half, 0) : deviation.end + half] = True
    deviations += _speed_changes(alignment, max(usual_drift, MIN_SECONDS / 2), explained)
    return sorted(deviations, key=lambda deviation: (deviation.first, deviation.end))


def _missing_or_elsewhere(alignment: Alignment) -> list[Deviation]:
    count, last = len(alignment.state), alignment.matches.shape[1]
    ends = []
    if (seconds := alignment.missing_start_seconds) >= MIN_SECONDS:
        states = round(seconds / alignment.step_seconds)
        ends.append(Deviation(MISSING, 0, 0, 0, states, seconds))
    if (seconds := alignment.missing_end_seconds) >= MIN_SECONDS:
        states = round(seconds / alignment.step_seconds)
        ends.append(Deviation(MISSING, count, count, last - states, last, seconds))
    for first, end in ((0, alignment.first), (alignment.end, count)):
        # The program again, or a part of it; it may begin a little later than these rows.
        quarter = min(end - first, last) // 4
        match, begin = _best_states(alignment.matches[first + quarter : first + 3 * quarter])
        seconds = (end - first) * alignment.step_seconds
        if seconds >= WINDOW_SECONDS and match > ELSEWHERE_MATCH:
            begin = max(begin - quarter, 0)
            until = min(begin + end - first, last)
            ends.append(Deviation(ELSEWHERE, first, end, begin, until, seconds))
    return ends


def _other_rows(alignment: Alignment) -> list[Deviation]:
    """Deviations of OTHER rows, and of rows before or after the program that should be in it."""
    path_state, step = alignment.path.path_state, alignment.step_seconds
    row = np.arange(len(path_state))
    within = (row >= alignment.first) & (row < alignment.end)
    outside = ((path_state == BEFORE) | (path_state == AFTER)) & within
    deviations = []
    for first, end, is_other in segments((path_state == OTHER) | outside):
        begin = int(alignment.state[first])
        until = int(alignment.state[min(end, len(row) - 1)])
        rows, states = end - first, until - begin
        seconds = rows * step
        if not is_other or max(rows, states) * step < MIN_SECONDS:
            continue
        if states < rows / 2:
            kind, seconds = EXTRA, (rows - states) * step
        elif states > 2 * rows:
            kind, seconds = MISSING, (states - rows) * step
        else:
            match, _ = _best_states(alignment.matches[first:end])
            kind = ELSEWHERE if match > ELSEWHERE_MATCH else SIGNAL
        deviations.append(Deviation(kind, first, end, begin, until, seconds))
    return deviations


def _best_states(matches: Array) -> tuple[float, int]:
    """The highest mean match of rows (M, T) in successive states, and the first of these."""
    rows, length = matches.shape
    if not 0 < rows <= length:
        return 0.0, 0
    row = np.arange(rows)
    means = matches[row, np.arange(length - rows + 1)[:, None] + row].mean(1)
    return float(means.max()), int(means.argmax())


def _jumps(alignment: Alignment) -> list[Deviation]:
    state, inside = alignment.state, alignment.path.path_state == INSIDE
    deviations = []
    for row in np.flatnonzero((np.diff(state) > 2) & inside[1:] & inside[:-1]).tolist():
        seconds = float((state[row + 1] - state[row] - 1) * alignment.step_seconds)
        if seconds >= MIN_SECONDS:
            begin, until = int(state[row] + 1), int(state[row + 1])
            deviations.append(Deviation(MISSING, row + 1, row + 1, begin, until, seconds))
    return deviations


def _speed_changes(alignment: Alignment, max_drift: float, explained: Mask) -> list[Deviation]:
    drift = np.where(explained, 0.0, _drift(alignment))
    deviations = []
    for kind, sign in ((SLOWER, 1), (FASTER, -1)):
        # A speed that is wrong by a tenth changes by steps: segments with short breaks are one.
        share = moving_average((sign * drift > max_drift).astype(float)[:, None], 9)[:, 0]
        for first, end, differs in segments(share > 0.1):
            seconds = (end - first) * alignment.step_seconds
            if differs and seconds >= WINDOW_SECONDS / 2:
                begin, until = int(alignment.state[first]), int(alignment.state[end - 1])
                deviations.append(Deviation(kind, first, end, begin, until, seconds))
    return deviations
