"""All baselines, asked about the same rows."""

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.baselines import (
    elapsed_time,
    majority,
    majority_given_operation,
    nearest_neighbour,
)
from gcodefp.evaluation.files import (
    ELAPSED,
    ENVIRONMENT,
    MAJORITY,
    MAJORITY_GIVEN,
    NEIGHBOUR,
    TREES,
)
from gcodefp.evaluation.trees import environment_only, extra_trees

SEED = 0


def ask_baselines(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, jobs: int
) -> dict[str, Answers]:
    """Answers of each baseline, by name.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
        jobs: processor cores that forests may use.
    """
    answers = {
        NEIGHBOUR: nearest_neighbour(train, test, rows, window),
        TREES: extra_trees(train, test, rows, window, SEED, jobs),
        MAJORITY: majority(train, rows),
        MAJORITY_GIVEN: majority_given_operation(train, test, rows),
        ELAPSED: elapsed_time(train, test, rows),
    }
    if np.isfinite(train.environment).any() and np.isfinite(test.environment).any():
        answers[ENVIRONMENT] = environment_only(train, test, rows, window, SEED, jobs)
    return answers
