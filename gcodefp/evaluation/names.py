"""Names in the files of evaluation and explanation; free of torch, so that reports start fast."""

from collections.abc import Iterable
from typing import NamedTuple

EVALUATION_FORMAT = "gcodefp-evaluation-4"
EVALUATION_REBUILD = "snakemake --cores all --forcerun evaluate"

SENSORS, ORACLE, BASELINE, PRIVILEGED = "sensors", "state oracle", "baseline", "privileged"


class PredictorEntry(NamedTuple):
    """One predictor of metrics.json and predictions.npz."""

    array: str  # prefix of its arrays in predictions.npz
    # SENSORS: gcodefp, from sensors alone. ORACLE: a decoder with the true states and without the
    # lag. BASELINE: a simple method trained on the same data. PRIVILEGED: a baseline with labels as
    # inputs.
    kind: str


MODEL = "gcodefp"
WHOLE = "gcodefp, whole recording"
GREEDY = "gcodefp, row by row"
STATE_ORACLE = "upper bound, lag unknown"
"""A bound of the expected block accuracy; a single recording may exceed it."""
FILTER = "matched filter"
FILTER_WHOLE = "matched filter, whole recording"
NEIGHBOUR = "nearest neighbour"
TREES = "extra trees"
TREES_WHOLE = "extra trees, whole recording"
WARPING = "dynamic time warping"
WARPING_WHOLE = "dynamic time warping, whole recording"
ENVIRONMENT = "pressure and temperature"
MAJORITY = "majority"
MAJORITY_PRIVILEGED = "majority, operation provided"
ELAPSED = "elapsed time, operation and start provided"

PREDICTORS = {
    MODEL: PredictorEntry("model", SENSORS),
    WHOLE: PredictorEntry("whole", SENSORS),
    GREEDY: PredictorEntry("written", SENSORS),
    FILTER: PredictorEntry("filter", BASELINE),
    FILTER_WHOLE: PredictorEntry("filter_whole", BASELINE),
    NEIGHBOUR: PredictorEntry("neighbour", BASELINE),
    TREES: PredictorEntry("trees", BASELINE),
    TREES_WHOLE: PredictorEntry("trees_whole", BASELINE),
    WARPING: PredictorEntry("warping", BASELINE),
    WARPING_WHOLE: PredictorEntry("warping_whole", BASELINE),
    ENVIRONMENT: PredictorEntry("environment", BASELINE),
    MAJORITY: PredictorEntry("majority", BASELINE),
    MAJORITY_PRIVILEGED: PredictorEntry("majority_given", PRIVILEGED),
    ELAPSED: PredictorEntry("elapsed", PRIVILEGED),
    STATE_ORACLE: PredictorEntry("ceiling", ORACLE),
}
"""All predictors, in the order of the report."""
NETWORK_ALONE, TEMPLATES_ALONE = "network alone", "templates alone"
NETWORK_AND_TEMPLATES = "network and templates"
"""Emissions of a decoder."""
PRIMARY = "within_1s"
"""The primary metric: which program, and which time in it; conclusions are about it."""
GCODEFP = (MODEL, WHOLE)
"""What conclusions are about, windows and whole recordings; both have a confidence."""
WHOLE_SUFFIX = WHOLE.removeprefix(MODEL)
"""Ends the names of the predictors that decode whole recordings."""
CENTRE_METRICS = {
    "within_1s": "within_1s",
    "within_1s_certain": "within_1s",
    "program": "program",
}
"""The metrics by window length, and what they are in the registry."""
BREAKDOWN = ("by_operation", "confusion", "words", "differences")
"""Keys of metrics.json with breakdowns of its metrics; few rows determine such numbers."""

EXPLANATION_FORMAT = "gcodefp-explanation-2"
EXPLANATION_REBUILD = "snakemake --cores all --forcerun explain"

ALL, GROUP, NODE = "all", "group", "node"
"""Kinds of channel sets: all channels, those of one group, or those of one sensor node."""
OCCLUSION_METRICS = ("gcode", "token", "operation")
"""The metrics of sensor occlusion."""


def compared_baselines(name: str, predictors: Iterable[str]) -> list[str]:
    """The baselines, in this order, that a predictor of GCODEFP is compared with.

    Windows are compared with baselines of windows, whole recordings with all of them.
    """
    return [
        baseline
        for baseline in predictors
        if PREDICTORS[baseline].kind == BASELINE
        and (name.endswith(WHOLE_SUFFIX) or not baseline.endswith(WHOLE_SUFFIX))
    ]
