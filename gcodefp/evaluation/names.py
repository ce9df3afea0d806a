"""The names that the files of an evaluation go by; free of torch, so that reports start fast."""

from typing import NamedTuple

EVALUATION_FORMAT = "gcodefp-evaluation-2"
EVALUATION_REBUILD = "snakemake --cores all --forcerun evaluate"

SENSORS, CLOCK_KNOWN, BASELINE, TOLD = "sensors", "clock known", "baseline", "told"


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
MODEL_CLOCK = "gcodefp, clock known"
WHOLE_CLOCK = "gcodefp, whole recording, clock known"
CEILING = "perfect sensing, clock unknown"
NEIGHBOUR = "nearest neighbour"
TREES = "extra trees"
ENVIRONMENT = "pressure and temperature"
MAJORITY = "majority"
MAJORITY_GIVEN = "majority, told the operation"
ELAPSED = "elapsed time, told operation and start"

ANSWERS = {
    MODEL: Kind("model", SENSORS),
    WHOLE: Kind("whole", SENSORS),
    WRITTEN: Kind("written", SENSORS),
    NEIGHBOUR: Kind("neighbour", BASELINE),
    TREES: Kind("trees", BASELINE),
    ENVIRONMENT: Kind("environment", BASELINE),
    MAJORITY: Kind("majority", BASELINE),
    MAJORITY_GIVEN: Kind("majority_given", TOLD),
    ELAPSED: Kind("elapsed", TOLD),
    MODEL_CLOCK: Kind("model_clock", CLOCK_KNOWN),
    WHOLE_CLOCK: Kind("whole_clock", CLOCK_KNOWN),
    CEILING: Kind("ceiling", CLOCK_KNOWN),
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
