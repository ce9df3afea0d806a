"""The names that the files of an evaluation go by; free of torch, so that reports start fast."""

from typing import NamedTuple

EVALUATION_FORMAT = "gcodefp-evaluation-3"
EVALUATION_REBUILD = "snakemake --cores all --forcerun evaluate"

SENSORS, LAG_ORACLE, BASELINE, PRIVILEGED = "sensors", "lag oracle", "baseline", "privileged"


class Kind(NamedTuple):
    """One set of answers in metrics.json and predictions.npz.

    Attributes:
        array: its part of the names of arrays in predictions.npz.
        kind: SENSORS: gcodefp, from sensors alone. CLOCK_KNOWN: as well, but told how far each
            test recording's sensors lag (an oracle). BASELINE: from the same data. TOLD: a baseline
            that is told what no sensor says.
    """

    array: str
    kind: str


MODEL = "gcodefp"
WHOLE = "gcodefp, whole recording"
WRITTEN = "gcodefp, row by row"
MODEL_LAG_ORACLE = "gcodefp, lag oracle"
WHOLE_LAG_ORACLE = "gcodefp, whole recording, lag oracle"
UPPER_BOUND = "upper bound, lag unknown"
NEIGHBOUR = "nearest neighbour"
TREES = "extra trees"
ENVIRONMENT = "pressure and temperature"
MAJORITY = "majority"
MAJORITY_PRIVILEGED = "majority, operation provided"
ELAPSED = "elapsed time, operation and start provided"

PREDICTORS = {
    MODEL: Kind("model", SENSORS),
    WHOLE: Kind("whole", SENSORS),
    WRITTEN: Kind("written", SENSORS),
    NEIGHBOUR: Kind("neighbour", BASELINE),
    TREES: Kind("trees", BASELINE),
    ENVIRONMENT: Kind("environment", BASELINE),
    MAJORITY: Kind("majority", BASELINE),
    MAJORITY_PRIVILEGED: Kind("majority_given", PRIVILEGED),
    ELAPSED: Kind("elapsed", PRIVILEGED),
    MODEL_LAG_ORACLE: Kind("model_clock", LAG_ORACLE),
    WHOLE_LAG_ORACLE: Kind("whole_clock", LAG_ORACLE),
    UPPER_BOUND: Kind("ceiling", LAG_ORACLE),
}
"""All answers, in the order in which readers see them."""


EXPLANATION_FORMAT = "gcodefp-explanation-1"
EXPLANATION_REBUILD = "snakemake --cores all --forcerun explain"

ALL, GROUP, NODE = "all", "group", "node"
"""What is removed at a time: every channel, those of one group, or those of one sensor node."""
JUDGED = ("gcode", "token", "operation")
"""The metrics that are looked at while sensors are missing."""
CONFIDENT = (MODEL, WHOLE)
"""The answers that say how sure they are."""
