"""Statistics of a recording while it grows, from its first rows alone.

What is compared with the profile needs a scale, and the whole recording's is not known yet. The
rows so far are brought to the mean and spread that the profile has in the states that they are
aligned with; again each time when there are more of them by a quarter.

Shapes: N rows, T states, R good recordings, L statistics.
"""

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.alignment import NOT_STARTED, live_jump_gain, live_states
from gcodefp.detection.profile import CLIP, Array, Profile, RecordingSignals

WARM_UP_ROWS = 100
"""No warning before them."""
GROWTH = 1.25
WINDOW_SECONDS = 6.0
MIN_ROWS = 24
"""Rows in the program that are needed for their scale."""
SPREAD_OFFSET = 0.3
"""Added to both spreads; a machine that stands still has none."""
MAX_SCALE = 2.5
PRIOR_ROWS = 4.0
"""Of the share of the expected match that a recording has."""
FALSE_ALARMS_PER_HOUR = 2.0


LIVE = {
    "gain": "its rows jump in the program, or are not of it",
    "lack": "its rows do not fit",
    "wait": "the program has not begun",
}
"""Statistic -> what is wrong. More is worse: the gain of the alignment so far; lack of match within
WINDOW_SECONDS, below the recording's share of what is expected; seconds until the program
begins."""
FLOORS = (1.0, 0.1, 0.0)


def live_statistics(profile: Profile, recording: RecordingSignals) -> Array:
    """The statistics after each row, (N, L); 0 within the first WARM_UP_ROWS."""
    matches, step = _matches_so_far(profile, recording), profile.step_seconds
    gain, state = live_jump_gain(matches)
    row, inside = np.arange(len(matches)), state >= 0
    own = np.cumsum(np.append(0.0, np.where(inside, matches[row, state], 0.0)))
    usual = np.cumsum(np.append(0.0, np.where(inside, profile.expected[state], 0.0)))
    end, first = row + 1, np.maximum(row + 1 - (rows := round(WINDOW_SECONDS / step)), 0)
    share = np.clip((own[first] + PRIOR_ROWS) / (usual[first] + PRIOR_ROWS), 0.0, 1.0)
    lack = (share * (usual[end] - usual[first]) - (own[end] - own[first])) / rows
    wait = np.where(state == NOT_STARTED, end * step, 0.0)
    statistics = np.stack([gain, lack, wait], axis=1)
    statistics[: WARM_UP_ROWS - 1] = 0.0
    return statistics


def live_thresholds(live: Array, seconds: Array, per_hour: float) -> tuple[Array, float]:
    """The statistics above which there is a warning, (L,), and the rate of false warnings per hour.

    All statistics have limits of the same rank, the lowest with which so few of the good recordings
    raise a warning; one more counts as false, for the recording that comes.

    Args:
        live: (R, L) highest statistics of each good recording.
        seconds: (R,) duration.
        per_hour: rate that is asked for; at least one in all their time can be promised.
    """
    hours = max(float(seconds.sum()) / 3600, 1e-9)
    allowed = max(0, int(per_hour * hours) - 1)
    ranked = np.maximum(-np.sort(-live, axis=0), FLOORS)
    alarms = (live > ranked[:, None]).any(2).sum(1)
    rank = int(np.flatnonzero(alarms <= allowed)[-1])
    return ranked[rank], (int(alarms[rank]) + 1) / hours


def _matches_so_far(profile: Profile, recording: RecordingSignals) -> Array:
    """Matches (N, T) of which each row's is computed from the rows until it, and few more."""
    count = len(recording.signals)
    matches = np.empty((count, len(profile)))
    end = min(WARM_UP_ROWS, count)
    # At first as if the program began with the recording; then as these rows are aligned.
    matches[:end] = _matches(profile, recording, np.arange(end).clip(max=len(profile) - 1), 0, end)
    matches[:end] = _matches(profile, recording, live_states(matches[:end]), 0, end)
    while end < count:
        first, end = end, min(max(end + 1, int(end * GROWTH)), count)
        matches[first:end] = _matches(profile, recording, live_states(matches[:first]), first, end)
    return matches


def _matches(
    profile: Profile, recording: RecordingSignals, states: NDArray[np.int64], first: int, end: int
) -> Array:
    """Matches of some rows, (M, T), with the scale of the rows whose states are known."""
    count, valid = len(states), recording.valid[:end]
    values = np.where(valid, recording.signals[:end], 0.0).astype(np.float64)
    mean = values[:count].sum(0) / np.maximum(valid[:count].sum(0), 1)
    smoothed = profile.smooth(np.clip(np.where(valid, values - mean, 0.0), -CLIP, CLIP))
    rows = np.flatnonzero(states >= 0)
    if len(rows) < MIN_ROWS:
        rows, states = np.arange(count), np.arange(count).clip(max=len(profile) - 1)
    usual, own = profile.mean[states[rows]], smoothed[rows]
    scale = (usual.std(0) + SPREAD_OFFSET) / (own.std(0) + SPREAD_OFFSET)
    scale = scale.clip(1 / MAX_SCALE, MAX_SCALE)
    smoothed = (smoothed - own.mean(0)) * scale + usual.mean(0)
    return profile.matches(smoothed[first:], valid[first:], valid[:count].mean(0))
