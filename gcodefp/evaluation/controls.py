"""Whether a control fails, as it must: what it may not beat, and whether it does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY, SENSORS_PERMUTED
from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines import RowPredictions
from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.names import MAJORITY, MAJORITY_PRIVILEGED, MODEL, WHOLE, WRITTEN
from gcodefp.files import read_json

CONTROL_FORMAT = "gcodefp-control-1"
CONTROL_REBUILD = "snakemake --cores all --forcerun control"

LIMITS: Mapping[str, str] = {
    LABELS_SHUFFLED: MAJORITY,
    SENSORS_PERMUTED: MAJORITY_PRIVILEGED,
    PRESENCE_ONLY: MAJORITY_PRIVILEGED,
}
"""Control -> the baseline that it may not beat: what can be said with no motion sensed."""
JUDGED = (MODEL, WHOLE, WRITTEN)
"""The answers from sensors alone."""


class Judgement(NamedTuple):
    """Exact lines of one kind of answers to a control.

    Attributes:
        limit: the baseline that it may not beat.
        score, limit_score: shares of rows that are right.
        difference: score minus limit_score, on the same rows.
    """

    limit: str
    score: Estimate
    limit_score: Estimate
    difference: Estimate

    @property
    def fails(self) -> bool:
        """Whether it stays, up to chance, within the limit."""
        return self.difference.low is None or self.difference.low <= 0

    def described(self) -> dict[str, Any]:
        """As it stands in control.json."""
        fields = {name: of._asdict() for name, of in self._asdict().items() if name != "limit"}
        return {"limit": self.limit, **fields, "fails": self.fails}


def judge(
    control: str,
    answers: Mapping[str, RowPredictions],
    limits: Mapping[str, RowPredictions],
    test: Split,
    rows: NDArray[np.integer],
) -> dict[str, Judgement]:
    """Compares what a network said of a control's rows with what it may not beat.

    Args:
        answers, limits: of these rows, by name.
        rows: (N,) of the test split, whose labels are the true ones.
    """
    true, recording = test.blocks[test.block[rows]], test.recording[rows]
    every = np.ones(len(rows))
    found = {}
    limit = LIMITS[control]
    for name in JUDGED:
        correct, most = (of.blocks == true for of in (answers[name], limits[limit]))
        gain = correct.astype(int) - most.astype(int)
        three = (estimate(of, every, recording) for of in (correct, most, gain))
        found[name] = Judgement(limit, *three)
    return found


def read_controls(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """What each control.json says, without where it comes from."""
    documents = [read_json(path, CONTROL_FORMAT, CONTROL_REBUILD) for path in paths]
    left_out = ("format", "provenance")
    return [{k: v for k, v in of.items() if k not in left_out} for of in documents]


def not_failed(control: Mapping[str, Any]) -> list[str]:
    """A sentence for each kind of answers that does not fail, of the content of control.json."""
    passed = [name for name, of in control["answers"].items() if not of["fails"]]
    told = []
    for name in passed:
        of = control["answers"][name]
        score, limit, gain = (_percent(of[key]) for key in ("score", "limit_score", "difference"))
        told.append(
            f"CONTROL NOT FAILED: {control['control']} ({control['what']}): {name} has {score} % "
            f"of the lines right, '{of['limit']}' {limit} %, difference {gain}: so much of its "
            "score needs no motion to be sensed"
        )
    return told


def _percent(estimated: Mapping[str, Any]) -> str:
    value, low, high = (100 * estimated[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
