"""What the controller reports when the sensors see some place, its clock unknown.

The sensors lag the controller by a constant that differs from recording to recording and that
nobody knows of a new one. The train recordings tell how it is spread.

Shapes: N rows, P places.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.table import Programs

BELL = (0.25, 0.5, 0.25)
"""The lags of a dozen recordings leave holes: each lag stands for those one row away as well."""


class MostProbable(NamedTuple):
    """The block that is the most probable at each of N rows.

    Attributes:
        blocks: (N,) texts.
        confidence: (N,) their probabilities.
    """

    blocks: NDArray[np.str_]
    confidence: NDArray[np.float64]


def block_confidence(
    posterior: NDArray[np.float32], path: NDArray[np.int64], programs: Programs
) -> NDArray[np.float64]:
    """Probability of the text of each row's block, (N,).

    Args:
        posterior: (N, P) probability of each place.
        path: (N,) places whose blocks are meant.
    """
    mass, text = _text_masses(posterior, programs)
    return np.clip(mass[np.arange(len(path)), text[path]], 0.0, 1.0)


def most_probable_blocks(posterior: NDArray[np.float32], programs: Programs) -> MostProbable:
    """The text of a block that is the most probable at each row, of all places with that text."""
    mass, _ = _text_masses(posterior, programs)
    text = mass.argmax(axis=1)
    confidence = np.clip(mass[np.arange(len(text)), text], 0.0, 1.0)
    return MostProbable(np.unique(programs.block)[text], confidence)


def marginalise_lag(posterior: NDArray[np.float32], programs: Programs) -> NDArray[np.float32]:
    """Probability of each place that the controller may be at, its clock unknown, (N, P).

    The place that the sensors see, moved by the lags of the train recordings of its program, each
    as likely as the others; before its first place and behind its last one a program stays there.
    """
    moved = np.zeros_like(posterior)
    for program in range(len(programs.names)):
        states = programs.states(program)
        lags = programs.lag_seconds[programs.lag_program == program] / float(programs.step_seconds)
        around = np.rint(lags)[:, None].astype(int) + np.array([-1, 0, 1])
        steps, index = np.unique(around, return_inverse=True)
        weight = np.bincount(index.ravel(), np.tile(BELL, len(lags))) / len(lags)
        for step, share in zip(steps.tolist(), weight.tolist(), strict=True):
            _add_moved(moved[:, states], share * posterior[:, states], step)
    return moved


def _add_moved(total: NDArray[np.float32], seen: NDArray[np.float32], step: int) -> None:
    """Adds what is seen (N, places), so many places later, to the total; ends hold on to it."""
    count = seen.shape[1]
    step = int(np.clip(step, 1 - count, count - 1))
    if step >= 0:
        total[:, step:] += seen[:, : count - step]
        total[:, -1] += seen[:, count - step :].sum(axis=1)
    else:
        total[:, :step] += seen[:, -step:]
        total[:, 0] += seen[:, :-step].sum(axis=1)


def _text_masses(
    posterior: NDArray[np.float32], programs: Programs
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Probability of each text, (N, texts), and the text of each place, (P,)."""
    texts, text = np.unique(programs.block, return_inverse=True)
    order = np.argsort(text, kind="stable")
    first = np.searchsorted(text[order], np.arange(len(texts)))
    return np.add.reduceat(posterior[:, order].astype(np.float64), first, axis=1), text
