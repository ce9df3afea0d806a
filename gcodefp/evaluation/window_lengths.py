"""The primary metric by window length: correct program and time in it, after so many rows.

Of a window of T rows of a recording the state at its centre row is predicted, of a whole recording
the state at every row. Windows begin at every row; they may cross a gap in the time stamps.

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
"""Rows from one window to the next: neighbours share nearly all rows, and predictions."""

CentreDecoder = Callable[[NDArray[np.float32], int | None], NDArray[np.int64]]
"""(signals (N, C) of one recording, rows per window T) -> states of the centre rows T // 2 of the
windows that begin at each row, (N - T + 1,); T is None: of all rows of the recording, (N,)."""


class CentreStates(NamedTuple):
    """Centre rows (M,) of the split, and their predicted states (M,)."""

    rows: NDArray[np.intp]
    state: NDArray[np.int64]


def evaluate_window_lengths(
    decoders: Mapping[str, CentreDecoder],
    split: Split,
    programs: Programs,
    stride: int = STRIDE_ROWS,
    doubtful: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The key `ladder` of metrics.json: scores of each window length, last of whole recordings.

    The `stride` is rows from one window to the next. Of the recordings with `doubtful` names the
    lag, and so the truth, is doubtful.
    """

    def scores(decode: CentreDecoder, rows: int | None) -> dict[str, Any]:
        centres = decode_centre_rows(decode, split, rows, stride)
        estimates = evaluate_centres(centres, split, programs, doubtful)
        return {metric: score._asdict() for metric, score in estimates.items()}

    return [
        {
            "rows": rows,
            "seconds": None if rows is None else rows * float(programs.step_seconds),
            "models": {name: scores(decode, rows) for name, decode in decoders.items()},
        }
        for rows in (*WINDOW_ROWS, None)
    ]


def decode_centre_rows(
    decode: CentreDecoder, split: Split, rows: int | None, stride: int = 1
) -> CentreStates:
    """Decodes all windows of so many rows, or whole recordings (None).

    Recordings with at most so many rows are decoded as a whole, and all of their rows count.
    """
    centres, states = [], []
    for recording in np.unique(split.recording):
        own = np.flatnonzero(split.recording == recording)
        if rows is None or len(own) <= rows:
            centre, state = own, decode(split.signals[own], None)
        else:
            starts = np.arange(0, len(own) - rows + 1, stride)
            centre = own[starts + rows // 2]
            state = decode(split.signals[own], rows)[starts]
        centres.append(centre)
        states.append(state)
    return CentreStates(np.concatenate(centres), np.concatenate(states))


def evaluate_centres(
    centres: CentreStates, split: Split, programs: Programs, doubtful: Collection[str] = ()
) -> dict[str, Estimate]:
    """The shares of centre rows within 1 s and of the correct program, with their intervals.

    A row whose program is not in the train split is wrong. `within_1s_certain` leaves out the
    recordings with a doubtful lag.
    """
    rows, state = centres
    program, recording = programs.program_of_state()[state], split.recording[rows]
    error = program_error_seconds(programs, state, program, split.state[rows], split.program[rows])
    near, ones = error <= NEAR_SECONDS, np.ones(len(rows))
    certain = ~np.isin(split.recordings[recording], list(doubtful))
    return {
        "within_1s": estimate(near, ones, recording),
        "within_1s_certain": estimate(near & certain, certain, recording),
        "program": estimate(program == split.program[rows], ones, recording),
    }
