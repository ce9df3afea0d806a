"""explanation.json and explanation.npz, as the step would write them of a small test split."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from learning_data import CPU
from result_documents import PROVENANCE, STEP_SECONDS

from gcodefp.dataset.store import Description, Split, description_of
from gcodefp.evaluation.baselines import RowPredictions
from gcodefp.evaluation.bootstrap import ratio
from gcodefp.evaluation.decode import SplitDecoding
from gcodefp.evaluation.explanation import (
    Embedding,
    Explained,
    describe_explanation,
    explanation_arrays,
)
from gcodefp.evaluation.metrics import Segments
from gcodefp.evaluation.names import EXPLANATION_FORMAT, JUDGED, MODEL, WHOLE
from gcodefp.evaluation.sensor_groups import SensorScores, parts_of
from gcodefp.files import write_json
from gcodefp.programs.table import Programs


def write_explanation(
    folder: Path, dataset: Mapping[str, Any], test: Split, answers: Mapping[str, RowPredictions]
) -> None:
    """Writes both files for N rows that are all scored.

    Args:
        dataset: dataset.json.
        answers: of all rows; those of the network are looked at.
    """
    random = np.random.default_rng(0)
    description = description_of(dataset, small_programs(dataset))
    shape = len(test.row), len(description.scaler.channels)
    valid = random.random(shape) < 0.95
    signals = np.where(valid, random.normal(size=shape), 0.0).astype(np.float32)
    test = replace(test, signals=signals, valid=valid)
    explained = _explained(test, description, answers, random)
    content = describe_explanation(explained, test, description, CPU)
    write_json(
        folder / "explanation.json", EXPLANATION_FORMAT, {"provenance": PROVENANCE, **content}
    )
    np.savez(folder / "explanation.npz", **explanation_arrays(explained, test, description))


def _explained(
    test: Split,
    description: Description,
    answers: Mapping[str, RowPredictions],
    random: np.random.Generator,
) -> Explained:
    rows = np.arange(len(test.row))
    right = answers[MODEL].blocks == test.blocks[test.block]
    sure = np.clip(0.2 + 0.6 * right + random.normal(0, 0.1, len(rows)), 0, 1)
    whole = Segments(rows, test.recording)
    reading = SplitDecoding(
        rows, dict(answers), whole, whole, {}, {MODEL: sure, WHOLE: np.sqrt(sure)}
    )
    every = np.ones(len(rows))
    parts = parts_of(description.scaler.channels)
    without = [right & (random.random(len(rows)) < 1 - len(of.channels) / 5) for of in parts]
    complete, *measured = (
        dict.fromkeys(JUDGED, ratio(of, every, test.recording)) for of in (right, *without)
    )
    embedding = Embedding(
        rows,
        random.normal(size=(len(rows), 2)).astype(np.float32),
        np.linspace(0, 1, len(rows), dtype=np.float32),
        np.roll(rows, len(rows) // 2),
    )
    saliency = np.abs(random.normal(size=test.signals.shape) * test.signals).astype(np.float32)
    scores = SensorScores(complete, list(zip(parts, measured, strict=True)))
    return Explained(reading, scores, embedding, saliency)


def small_programs(dataset: Mapping[str, Any]) -> Programs:
    """What an explanation looks at of them; the rest is empty."""
    names = np.array(dataset["programs"]["names"])
    known = {
        "names": names,
        "first": np.linspace(0, dataset["programs"]["places"], len(names) + 1).astype(np.int32),
        "step_seconds": np.array(STEP_SECONDS),
    }
    return Programs(**{of: known.get(of, np.zeros(0)) for of in Programs.__dataclass_fields__})
