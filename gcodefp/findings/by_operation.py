"""How much of each operation is read right, and how much its recordings differ."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import vocabulary_of
from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.files import MODEL
from gcodefp.findings.results import Results
from gcodefp.learning.scores import Score, row_scores


class OfOperation(NamedTuple):
    """What is read right of one operation with R test recordings.

    Attributes:
        name: None for all operations together.
        value: the share, and its interval over recordings; a single recording has none.
        recordings: (R,) share of each of its recordings that has anything to count.
        rows: of the test split.
    """

    name: str | None
    value: Estimate
    recordings: NDArray[np.float64]
    rows: int

    @property
    def share(self) -> float:
        """The value; each row has something to count."""
        return self.value.value or 0.0


def by_operation(results: Results, metric: str, answer: str = MODEL) -> list[OfOperation]:
    """Each operation of the test split by name, and all of them together at the end.

    Args:
        metric: one of `learning.scores.SCORES`.
        answer: whose, by the names of `ANSWERS`.
    """
    predictions = results.predictions
    score = _scores(results, metric, answer)
    known = results.dataset["recordings"]
    operations = np.array([known[name]["operation"] for name in predictions.recordings.tolist()])
    of_row = operations[predictions.recording]
    rows = {str(name): np.flatnonzero(of_row == name) for name in np.unique(of_row)}
    parts = [_of(name, score, predictions.recording, of) for name, of in rows.items()]
    return [*parts, _of(None, score, predictions.recording, np.arange(len(of_row)))]


def _scores(results: Results, metric: str, answer: str) -> Score:
    predictions = results.predictions
    vocabulary = vocabulary_of(results.dataset)
    written, true = (
        vocabulary.encode_rows(blocks)
        for blocks in (predictions.blocks[answer], predictions.true_block)
    )
    return row_scores(written, true, predictions.operation[answer], predictions.true_operation)[
        metric
    ]


def _of(
    name: str | None, score: Score, recording: NDArray[np.integer], rows: NDArray[np.integer]
) -> OfOperation:
    of = recording[rows]
    hits, chances = score.hits[rows], score.chances[rows]
    value = estimate(hits, chances, of)
    if value.recordings < 2:
        # All resamples of one recording are the same: that is no interval.
        value = value._replace(low=None, high=None)
    counts = np.bincount(of, weights=chances)
    shares = np.bincount(of, weights=hits)[counts > 0] / counts[counts > 0]
    return OfOperation(name, value, shares, len(rows))
