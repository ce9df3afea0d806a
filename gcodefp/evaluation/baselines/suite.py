"""All baselines, fitted, and their predictions of the same rows."""

from typing import Any, NamedTuple

import numpy as np

from gcodefp.dataset.store import Split, join_splits
from gcodefp.evaluation.baselines.baseline_input import BaselineInput, Predictions
from gcodefp.evaluation.baselines.lookups import elapsed_time, majority, majority_of_operation
from gcodefp.evaluation.baselines.matched_filter import filter_predictions, tune_matched_filter
from gcodefp.evaluation.baselines.time_warping import time_warping
from gcodefp.evaluation.baselines.windows import environment_only, extra_trees, nearest_neighbour
from gcodefp.evaluation.names import FILTER
from gcodefp.evaluation.window_lengths import CentreDecoder

BASELINES = (
    *(time_warping, nearest_neighbour, extra_trees),
    *(majority, majority_of_operation, elapsed_time),
)


class Baselines(NamedTuple):
    """What the baselines predict, and how they were tuned."""

    predictions: Predictions
    centre_decoders: dict[str, CentreDecoder]  # by name, for scores by window length
    # name -> the options chosen on the val split, for metrics.json
    tuned: dict[str, dict[str, Any]]


def run_baselines(inputs: BaselineInput, val: Split | None) -> Baselines:
    """Fits all baselines and predicts their rows.

    Args:
        val: options are chosen on it; then all are fitted to train and val, as the templates of
            the decoder are. Without it the defaults are used.
    """
    matched = tune_matched_filter(inputs.train, val, inputs.programs, inputs.window)
    if val is not None:
        inputs = inputs._replace(train=join_splits(inputs.train, val))
    predictions = filter_predictions(inputs, matched)
    for baseline in BASELINES:
        predictions |= baseline(inputs)
    if all(np.isfinite(split.environment).any() for split in (inputs.train, inputs.test)):
        predictions |= environment_only(inputs)
    return Baselines(predictions, {FILTER: matched}, {FILTER: matched.tuned()})
