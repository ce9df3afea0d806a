"""explanation.json and explanation.npz, as the stage would write them of a small test split."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from learning_data import CPU
from result_documents import PROGRAM, PROVENANCE, ROWS_PER_BLOCK, STEP_SECONDS

from gcodefp.dataset.store import DatasetDescription, Split, parse_description
from gcodefp.evaluation.bootstrap import ratio
from gcodefp.evaluation.decode import SplitPredictions
from gcodefp.evaluation.explanation import (
    Explanation,
    channel_sets,
    describe_explanation,
    explanation_arrays,
)
from gcodefp.evaluation.metrics import RowPredictions, RowSequences
from gcodefp.evaluation.names import EXPLANATION_FORMAT, MODEL, OCCLUSION_METRICS, WHOLE
from gcodefp.files import write_json
from gcodefp.programs.table import Programs


def write_explanation(
    folder: Path, dataset: Mapping[str, Any], test: Split, predictions: Mapping[str, RowPredictions]
) -> None:
    """Writes both files for N rows that are all scored.

    Args:
        dataset: dataset.json.
        predictions: of all rows; those of the network are used.
    """
    random = np.random.default_rng(0)
    description = parse_description(dataset, small_programs(dataset))
    shape = len(test.row), len(description.scaler.channels)
    valid = random.random(shape) < 0.95
    signals = np.where(valid, random.normal(size=shape), 0.0).astype(np.float32)
    test = replace(test, signals=signals, valid=valid)
    explained = _explained(test, description, predictions, random)
    content = describe_explanation(explained, test, description, CPU)
    write_json(
        folder / "explanation.json", EXPLANATION_FORMAT, {"provenance": PROVENANCE, **content}
    )
    np.savez(folder / "explanation.npz", **explanation_arrays(explained, test, description))


def _explained(
    test: Split,
    description: DatasetDescription,
    predictions: Mapping[str, RowPredictions],
    random: np.random.Generator,
) -> Explanation:
    rows = np.arange(len(test.row))
    correct = predictions[MODEL].blocks == test.blocks[test.block]
    confidence = np.clip(0.2 + 0.6 * correct + random.normal(0, 0.1, len(rows)), 0, 1)
    confidences = {MODEL: confidence, WHOLE: np.sqrt(confidence)}
    windows = RowSequences(rows, test.recording)
    decoding = SplitPredictions(rows, dict(predictions), windows, {}, confidences)
    parts = channel_sets(description.scaler.channels)
    without = [correct & (random.random(len(rows)) < 1 - len(part.channels) / 5) for part in parts]
    complete, *metrics = (
        dict.fromkeys(OCCLUSION_METRICS, ratio(each, np.ones(len(rows)), test.recording))
        for each in (correct, *without)
    )
    return Explanation(decoding, complete, list(zip(parts, metrics, strict=True)))


def small_programs(dataset: Mapping[str, Any]) -> Programs:
    """Programs of the blocks of PROGRAM, a state for each row of a recording."""
    names = np.array(dataset["programs"]["names"])
    line = np.arange(len(PROGRAM)).repeat(ROWS_PER_BLOCK)
    fields = {
        "names": names,
        "first": (len(line) * np.arange(len(names) + 1)).astype(np.int32),
        "line": np.tile(line, len(names)),
        "block": np.tile(np.array(PROGRAM)[line], len(names)),
        "step_seconds": np.array(STEP_SECONDS),
    }
    return Programs(
        **{name: fields.get(name, np.zeros(0)) for name in Programs.__dataclass_fields__}
    )
