"""One run that a W&B agent started: what it was given, and the folder that keeps it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gcodefp.errors import UserError
from gcodefp.sweeps.run_folder import RunFolder, run_folder, run_folders

FLAGS_VARIABLE = "GCODEFP_TRAIN_FLAGS"
"""The environment variable by which the pipeline's agents pass on their own flags, as JSON."""
AGENT_VARIABLE = "GCODEFP_AGENT_PID"
"""That by which they say who they are."""


class Assignment(NamedTuple):
    """What an agent gave to this process.

    Attributes:
        hyperparameters: as the sweep has them, nested ones nested.
    """

    sweep_id: str
    run_id: str
    hyperparameters: dict[str, Any]


def assigned_by_agent() -> Assignment | None:
    """What the W&B agent that started this process wants; None if none did.

    Raises:
        UserError: its file of parameters cannot be read.
    """
    variables = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")
    sweep_id, run_id, path = (os.environ.get(name) for name in variables)
    if not (sweep_id and run_id and path):
        return None
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        values = {k: of["value"] for k, of in document.items() if k != "wandb_version"}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: no parameters of a W&B agent ({error})") from None
    return Assignment(sweep_id, run_id, values)


def own_flags(argv: Sequence[str], given: Assignment) -> list[str]:
    """A command line without what the agent put there, which its file says with types."""
    passed_on = json.loads(os.environ.get(FLAGS_VARIABLE, "[]"))
    theirs = tuple(f"--{name}=" for name in given.hyperparameters)
    return [*passed_on, *(flag for flag in argv if not flag.startswith(theirs))]


def claim(sweep_folder: Path, run_id: str, hyperparameters: Mapping[str, Any]) -> RunFolder:
    """The folder of a W&B run: its own one, or the next number that nobody has."""
    if (known := folder_of(sweep_folder, run_id)) is not None:
        return known
    sweep_folder.mkdir(parents=True, exist_ok=True)
    number = max((folder.number for folder in run_folders(sweep_folder)), default=-1) + 1
    while True:
        folder = run_folder(sweep_folder, number)
        try:
            folder.path.mkdir()
        except FileExistsError:
            number += 1
            continue
        folder.give(hyperparameters, {}, wandb_run=run_id)
        return folder


def folder_of(sweep_folder: Path, run_id: str) -> RunFolder | None:
    """The folder that holds a W&B run; None if there is none."""
    for folder in run_folders(sweep_folder):
        if (asked := folder.asked()) and asked.get("wandb_run") == run_id:
            return folder
    return None
