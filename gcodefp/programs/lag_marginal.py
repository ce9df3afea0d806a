"""Probabilities of the controller's reports, given the states that the sensors measure.

The sensors lag the controller by a constant that differs from recording to recording and is unknown
for a new one. Posteriors are marginalised over the lags of the train recordings.

Shapes: N rows, P states, K programs, X distinct texts of blocks.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.table import Programs
from gcodefp.recordings.clock import rows_in

LAG_KERNEL = (0.25, 0.5, 0.25)
KERNEL_SECONDS = 0.25
"""Smooths the lag distribution of a dozen train recordings: weights of each lag minus this time,
the lag itself, and the lag plus this time."""


class MostProbableBlocks(NamedTuple):
    """The most probable block at each of N rows.

    Attributes:
        blocks: (N,) texts.
        confidence: (N,) their probabilities.
    """

    blocks: NDArray[np.str_]
    confidence: NDArray[np.float64]


class StateTexts(NamedTuple):
    """The texts of the states' blocks.

    Attributes:
        texts: (X,) distinct texts, sorted.
        text: (P,) index of the text of each state.
        order: (P,) states by text.
        first: (X,) where the states of each text begin in `order`.
    """

    texts: NDArray[np.str_]
    text: NDArray[np.intp]
    order: NDArray[np.intp]
    first: NDArray[np.intp]


def state_texts(programs: Programs) -> StateTexts:
    """The texts of the programs' states."""
    texts, index = np.unique(programs.block, return_inverse=True)
    order = np.argsort(index, kind="stable")
    return StateTexts(texts, index, order, np.searchsorted(index[order], np.arange(len(texts))))


def block_confidence(
    posterior: NDArray[np.float32],
    path: NDArray[np.int64],
    texts: StateTexts,
    temperature: float = 1.0,
) -> NDArray[np.float64]:
    """Probability of the text of each row's block, the shape of `path`.

    Args:
        posterior: (N, P) probability of each state.
        path: (N,) state of each row's block, or (N, K) of several blocks.
        temperature: of the probabilities of texts.
    """
    probability = text_probabilities(posterior, texts, temperature)
    index = texts.text[path].reshape(len(path), -1)
    return np.take_along_axis(probability, index, axis=1).reshape(path.shape).clip(0.0, 1.0)


def most_probable_blocks(
    posterior: NDArray[np.float32], texts: StateTexts, temperature: float = 1.0
) -> MostProbableBlocks:
    """The most probable text at each row, summed over all states with that text.

    Args:
        posterior: (N, P) probability of each state.
        temperature: of the probabilities of texts.
    """
    probability = text_probabilities(posterior, texts, temperature)
    index = probability.argmax(axis=1)
    confidence = np.clip(probability[np.arange(len(index)), index], 0.0, 1.0)
    return MostProbableBlocks(texts.texts[index], confidence)


def marginalise_lag(posterior: NDArray[np.float32], programs: Programs) -> NDArray[np.float32]:
    """Posterior of the states that the controller reports, its lag unknown, (N, P).

    The measured state is shifted by the lags of its program's train recordings, with equal weights;
    shifts beyond the first or last state are clipped.

    Args:
        posterior: (N, P) of the states that the sensors measure.
    """
    shifted, step_seconds = np.zeros_like(posterior), float(programs.step_seconds)
    kernel = rows_in(KERNEL_SECONDS, step_seconds) * np.array([-1, 0, 1])
    for program in range(len(programs.names)):
        states = programs.state_slice(program)
        lags = programs.lag_seconds[programs.lag_program == program] / step_seconds
        nearby_steps = np.rint(lags)[:, None].astype(int) + kernel
        steps, index = np.unique(nearby_steps, return_inverse=True)
        weight = np.bincount(index.ravel(), np.tile(LAG_KERNEL, len(lags))) / len(lags)
        for step, step_weight in zip(steps.tolist(), weight.tolist(), strict=True):
            _add_shifted(shifted[:, states], step_weight * posterior[:, states], step)
    return shifted


def _add_shifted(total: NDArray[np.float32], posterior: NDArray[np.float32], step: int) -> None:
    """Adds a posterior (N, states), shifted by `step` states within its program, to a total."""
    count = posterior.shape[1]
    step = int(np.clip(step, 1 - count, count - 1))
    if step >= 0:
        total[:, step:] += posterior[:, : count - step]
        total[:, -1] += posterior[:, count - step :].sum(axis=1)
    else:
        total[:, :step] += posterior[:, -step:]
        total[:, 0] += posterior[:, :-step].sum(axis=1)


def text_probabilities(
    posterior: NDArray[np.float32], texts: StateTexts, temperature: float = 1.0
) -> NDArray[np.float64]:
    """Probability of each text, (N, X).

    Args:
        posterior: (N, P) probability of each state.
        temperature: probabilities are raised to its inverse, and normalised.
    """
    by_text = posterior[:, texts.order].astype(np.float64)
    probability = np.add.reduceat(by_text, texts.first, axis=1)
    if temperature != 1:
        probability = np.clip(probability, 0.0, 1.0) ** (1 / temperature)
        probability /= probability.sum(1, keepdims=True)
    return probability
