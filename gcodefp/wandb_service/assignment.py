"""What W&B's agent has assigned to the trainer that it started; imports nothing large."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gcodefp.errors import UserError

FLAGS_VARIABLE = "GCODEFP_TRAIN_FLAGS"
"""Environment variable with the pipeline's own flags for the trainer, as JSON."""


class Assignment(NamedTuple):
    """What a W&B agent assigned to this process.

    Attributes:
        hyperparameters: as the sweep has them, nested ones nested.
    """

    sweep_id: str
    run_id: str
    hyperparameters: dict[str, Any]


def assigned_by_agent() -> Assignment | None:
    """The assignment of the W&B agent that started this process; None if none did.

    Raises UserError: its file of parameters cannot be read.
    """
    variables = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
    sweep_id, run_id, path = (os.environ.get(name) for name in variables)
    if not (sweep_id and run_id and path):
        return None
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        values = {name: item["value"] for name, item in document.items() if name != "wandb_version"}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: no parameters of a W&B agent ({error})") from None
    return Assignment(sweep_id, run_id, values)


def own_flags(argv: Sequence[str], assignment: Assignment) -> list[str]:
    """A command line without the hyperparameters that the agent put there, which its file types."""
    passed_on = json.loads(os.environ.get(FLAGS_VARIABLE, "[]"))
    assigned = tuple(f"--{name}=" for name in assignment.hyperparameters)
    return [*passed_on, *(flag for flag in argv if not flag.startswith(assigned))]
