"""A table of protocols that is made of one evaluation, as if several splits had its numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.evaluation.significance import MIN_FOLDS
from gcodefp.files import write_json
from gcodefp.reporting.protocols_table import PROTOCOLS_FORMAT, Fold, protocol_rows, read_fold


def repeated(fold: Fold, count: int = MIN_FOLDS) -> list[Fold]:
    """Splits by other seeds with the same numbers."""
    split = fold.document["split"]
    documents = ({**fold.document, "split": {**split, "seed": seed}} for seed in range(count))
    return [fold._replace(document=document) for document in documents]


def write_protocols(path: Path, winner: Mapping[str, Any], count: int = MIN_FOLDS) -> None:
    """protocols.json of `count` folds by recording and a leaky one, as `evaluation` beside it.

    Args:
        winner: best/run.json.
    """
    fold = read_fold(path.with_name("evaluation"))
    split = {**fold.document["split"], "by": "window"}
    leaky = fold._replace(document={**fold.document, "split": split, "leaky": True})
    content = {
        "provenance": winner["provenance"],
        "winner": winner,
        "left_out": ["session: no recording <matches>"],
        "protocols": protocol_rows([*repeated(fold, count), leaky]),
    }
    write_json(path, PROTOCOLS_FORMAT, content)
