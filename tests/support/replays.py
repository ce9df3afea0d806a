"""Recordings of made-up programs, with sensors of any lag."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings.cleaning import Recording

STEP = 0.25
FIRST_LINE = 16
LINES = 40
LONGEST_LINE = 2.4
"""Seconds."""
CHANNELS = 12


class Replay(NamedTuple):
    """A recording, its scaled signals (N, C), and the program's time at each row, (N,)."""

    recording: Recording
    signals: NDArray[np.float32]
    program_seconds: NDArray[np.float64]


def begins(program: int) -> NDArray[np.float64]:
    """When each line of a program begins, and its end, (LINES + 1,); a line takes several rows."""
    durations = np.random.default_rng(program).uniform(0.6, LONGEST_LINE, LINES)
    return np.concatenate([[0.0], np.cumsum(durations)])


def blocks(program: int) -> NDArray[np.str_]:
    """The blocks of a program, (LINES,)."""
    return np.array([f"G1 X{program}.{line:03d}" for line in range(LINES)])


def replay(
    name: str,
    program: int = 0,
    lag: float = 0.0,
    phase: float = 0.0,
    jitter: float = 0.0,
    speed: float = 1.0,
    start: float = 0.0,
    missing: slice = slice(0),
    noise: float = 1.0,
) -> Replay:
    """A recording of a program.

    Args:
        name: the seed of the noise.
        lag: seconds of the sensors behind the controller.
        phase: seconds from the program's start to the first report.
        jitter: seconds, at most STEP, by which a report may come late.
        speed: of the program, relative to other recordings.
        start: seconds of the program at which the log starts.
        lost: rows that are not in the log.
        noise: of each channel, in standard deviations of its motion.
    """
    random = np.random.default_rng(list(name.encode()))
    begin = begins(program)
    reports = np.arange(phase / speed, begin[-1] / speed - jitter, STEP)
    reports = (reports + random.uniform(0, jitter, len(reports))) * speed
    reports = np.delete(reports[reports >= start], missing)
    line = np.searchsorted(begin, reports, side="right") - 1
    signals = motion(program, reports - lag)
    signals = signals + noise * random.normal(size=signals.shape)
    recording = Recording(
        name=name,
        operation=name.partition("_")[0],
        row=np.arange(len(reports), dtype=np.int32),
        seconds=(reports - reports[0]) / speed,
        blocks=blocks(program)[line],
        lines=FIRST_LINE + line,
        mm_per_unit=np.full(len(reports), 25.4, np.float32),
        position_mm=np.stack([line, reports, 0 * line], axis=1).astype(np.float32),
        signals=pd.DataFrame(signals),
        environment=np.full((len(reports), 2), np.nan, np.float32),
        counts=Counter(),
    )
    return Replay(recording, signals.astype(np.float32), reports)


def motion(program: int, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noiseless signals at times of a program, (N, CHANNELS); constant before its start."""
    knots = np.arange(-20.0, begins(program)[-1] + 20.0, 0.8)
    values = np.random.default_rng(program + 99).normal(size=(len(knots), CHANNELS))
    values[knots < 0] = 0.0
    return np.stack([np.interp(seconds, knots, channel) for channel in values.T], axis=1)
