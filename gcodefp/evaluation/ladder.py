"""The primary metric's ladder: right program and time in it, after how many rows of listening.

A listener hears a window of T rows of a recording and answers with the state at the window's centre
row, or hears the whole recording and answers with the state at every row. Windows begin at every
row; they may cross a gap in the clock.

Shapes: N rows of a recording, T rows of a window, C channels, M centre rows of all windows.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.metrics import NEAR_SECONDS, program_error_seconds
from gcodefp.programs.table import Programs

WINDOW_ROWS = (16, 32, 64, 128, 256)
STRIDE_ROWS = 4
"""Rows from one window to the next: neighbours share nearly all rows, and answers."""

Listener = Callable[[NDArray[np.float32], int | None], NDArray[np.int64]]
"""(signals (N, C) of one recording, rows per window T) -> states of the centre rows T // 2 of the
windows that begin at each row, (N - T + 1,); T is None: of all rows of the recording, (N,)."""


class Heard(NamedTuple):
    """Answers of a listener: centre rows (M,) of the split, and their predicted states (M,)."""

    rows: NDArray[np.intp]
    state: NDArray[np.int64]


def measure_ladder(
    listeners: Mapping[str, Listener],
    split: Split,
    programs: Programs,
    stride: int = STRIDE_ROWS,
    doubtful: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The rungs of the ladder for metrics.json: of each window length, last of whole recordings.

    The `stride` is rows from one window to the next. Of the recordings with `doubtful` names the
    lag, and so the truth, is doubtful.
    """

    def scores(listener: Listener, rows: int | None) -> dict[str, Any]:
        rung = score_rung(listen(listener, split, rows, stride), split, programs, doubtful)
        return {metric: score._asdict() for metric, score in rung.items()}

    return [
        {
            "rows": rows,
            "seconds": None if rows is None else rows * float(programs.step_seconds),
            "models": {name: scores(listener, rows) for name, listener in listeners.items()},
        }
        for rows in (*WINDOW_ROWS, None)
    ]


def listen(listener: Listener, split: Split, rows: int | None, stride: int = 1) -> Heard:
    """Lets a listener hear all windows of so many rows, or whole recordings (None).

    Recordings with at most so many rows are heard as a whole, and all of their rows count.
    """
    centres, states = [], []
    for recording in np.unique(split.recording):
        own = np.flatnonzero(split.recording == recording)
        if rows is None or len(own) <= rows:
            centre, state = own, listener(split.signals[own], None)
        else:
            starts = np.arange(0, len(own) - rows + 1, stride)
            centre = own[starts + rows // 2]
            state = listener(split.signals[own], rows)[starts]
        centres.append(centre)
        states.append(state)
    return Heard(np.concatenate(centres), np.concatenate(states))


def score_rung(
    heard: Heard, split: Split, programs: Programs, doubtful: Collection[str] = ()
) -> dict[str, Estimate]:
    """The shares of centre rows within 1 s and of the right program, with their intervals.

    A row whose program is not in the train split is wrong. `within_1s_certain` leaves out the
    recordings with a doubtful lag.
    """
    rows, state = heard
    program, recording = programs.program_of_state()[state], split.recording[rows]
    error = program_error_seconds(programs, state, program, split.state[rows], split.program[rows])
    near, ones = error <= NEAR_SECONDS, np.ones(len(rows))
    certain = ~np.isin(split.recordings[recording], list(doubtful))
    return {
        "within_1s": estimate(near, ones, recording),
        "within_1s_certain": estimate(near & certain, certain, recording),
        "program": estimate(program == split.program[rows], ones, recording),
    }
