"""The request to stop a run of the service: SIGTERM and the SDK's flag, which are one.

The run ends its epoch, keeps its best weights and is recorded as stopped. Imports nothing large, so
that a request which arrives while torch is imported is not lost.
"""

import logging
import os
import signal
from typing import Any

logger = logging.getLogger(__name__)

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
