# What all rules share: the checked configuration, and the names that come from it.
import os
import sys
from pathlib import Path

sys.path.insert(0, str(workflow.basedir))

from snakemake.exceptions import WorkflowError

from gcodefp.code_digest import code_digest, runs_digest
from gcodefp.configuration import check_configuration
from gcodefp.errors import UserError
from gcodefp.recordings.read import folder_digest
from gcodefp.rule_environment import prepare_rule_environment

prepare_rule_environment(Path(workflow.basedir))

try:
    check_configuration(
        config,
        Path(workflow.basedir, "workflow/schemas/config.schema.yaml"),
        ", ".join(dict.fromkeys(os.path.relpath(path) for path in workflow.configfiles)),
    )
except UserError as error:
    raise WorkflowError(str(error)) from None

RESULTS = config["results"].rstrip("/")
IS_SIMULATED = config["recordings"]["folder"] is None
RECORDINGS = f"{RESULTS}/recordings" if IS_SIMULATED else config["recordings"]["folder"]
# A folder's own time does not tell that a file in it has changed.
RECORDINGS_DIGEST = None if IS_SIMULATED else folder_digest(Path(RECORDINGS))
AGENTS = range(1, config["agents"]["count"] + 1)
ENVIRONMENT = "../../envs/gcodefp.yaml"
FIGURES = {
    "toolpath": "Test",
    "toolpaths": "Test",
    "accuracy": "Test",
    "axis_errors": "Test",
    "confusion": "Test",
    "learning_curves": "Sweep",
    "sweep": "Sweep",
    "dataset": "Data",
}


wildcard_constraints:
    n=r"\d+",
