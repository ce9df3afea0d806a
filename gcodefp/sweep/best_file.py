"""The format of best/run.json; free of torch, so that reports start fast."""

BEST_FORMAT = "gcodefp-best-2"
BEST_REBUILD = "snakemake --cores all --forcerun select_best"
