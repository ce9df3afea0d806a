"""Results of which only a part is left."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gcodefp.evaluation.names import BASELINE, PREDICTORS
from gcodefp.reporting.results import Results


def one_recording(results: Results, index: int) -> Results:
    """The rows of one test recording, and no baselines."""
    decoded = results.predictions
    rows = decoded.recording == index

    def chosen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: chosen(part) for name, part in value.items()}
        return value[rows] if len(value) == len(rows) else value

    predictions = replace(decoded, **{name: chosen(value) for name, value in vars(decoded).items()})
    assert len(np.unique(predictions.recording)) == 1
    models = results.evaluation["models"]
    models = {name: scores for name, scores in models.items() if PREDICTORS[name].kind != BASELINE}
    evaluation = {**results.evaluation, "models": models, "recordings": 1, "rows": int(rows.sum())}
    return replace(results, predictions=predictions, evaluation=evaluation)
