"""The names that the files of an evaluation go by; free of torch, so that reports start fast."""

EVALUATION_FORMAT = "gcodefp-evaluation-1"
EVALUATION_REBUILD = "snakemake --cores all --forcerun evaluate"
MODEL, MAJORITY, NEIGHBOUR = "gcodefp", "majority", "nearest neighbour"
"""Whose scores metrics.json holds: the trained network's and the baselines'."""

BLOCKS = {MODEL: "written_block", NEIGHBOUR: "neighbour_block", MAJORITY: "majority_block"}
"""Whose blocks are in which array of predictions.npz; the order in which readers see them."""
