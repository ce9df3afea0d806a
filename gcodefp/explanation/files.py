"""The names that the files of an explanation go by; free of torch, so that reports start fast."""

from gcodefp.evaluation.files import MODEL, WHOLE

EXPLANATION_FORMAT = "gcodefp-explanation-1"
EXPLANATION_REBUILD = "snakemake --cores all --forcerun explain"

ALL, GROUP, NODE = "all", "group", "node"
"""What is removed at a time: every channel, those of one group, or those of one sensor node."""
JUDGED = ("gcode", "token", "operation")
"""The metrics that are looked at while sensors are missing."""
CONFIDENT = (MODEL, WHOLE)
"""The answers that say how sure they are."""
