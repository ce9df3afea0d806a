"""What W&B's agent asks of the trainer that it started: a run to train, and perhaps to stop it.

Imports nothing large, so that a request to stop which arrives while torch is imported is not lost.
"""

import json
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gcodefp.errors import UserError

logger = logging.getLogger(__name__)

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


# The request to stop a run: SIGTERM and the SDK's flag, which are one. The run ends its epoch,
# keeps its best weights and is recorded as stopped.

STOP_VARIABLE = "GCODEFP_STOP"
"""Environment variable that makes the request before the run starts."""
POLL_SECONDS = 0.5


class StopRequest:
    """The request of one process, which trains one run; it may arrive any number of times."""

    def __init__(self) -> None:
        self._is_set = False
        self._poll: Any = None

    def is_set(self) -> bool:
        """Whether the run has to stop."""
        return self._is_set

    def set(self) -> None:
        """Asks the run to stop."""
        self._is_set = True

    def listen(self) -> None:
        """Takes SIGTERM as the request until the process ends, since agents repeat it.

        Ctrl-C is none: a run that a person interrupts resumes later.
        """
        self._is_set = STOP_VARIABLE in os.environ
        signal.signal(signal.SIGTERM, lambda *_: self.set())

    def start_polling(self, run: Any) -> None:
        """Has the SDK ask the service often; its own 15 s are longer than a short run."""
        import wandb

        try:
            from wandb.sdk.lib.run_stopping import RunStopChecker

            parts = wandb.setup().asyncer, run._interface, self.set
            self._poll = RunStopChecker(*parts, poll_interval=POLL_SECONDS)
            self._poll.start()
        except (ImportError, AttributeError, TypeError) as error:
            # These parts of the SDK may change.
            logger.warning("the service's request to stop takes up to 15 s to arrive (%s)", error)

    def stop_polling(self) -> None:
        """Ends the polling, before the SDK's run is finished."""
        if self._poll is not None:
            self._poll.stop_soon()


STOP = StopRequest()
