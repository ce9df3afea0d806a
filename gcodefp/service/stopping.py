"""How a run hears that the service wants it to stop: through its agent, or through the SDK."""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


class StopNote:
    """The service's wish that a run stops; the epoch is ended first, and its weights are kept."""

    def __init__(self) -> None:
        self._is_left = False

    def is_left(self) -> bool:
        """Whether the run has to stop."""
        return self._is_left

    def leave(self) -> None:
        """Asks the run to stop."""
        self._is_left = True

    def on_signal(self, number: int, _: object) -> None:
        """Who sends SIGTERM a second time does not want to wait for the end of the epoch."""
        if self._is_left:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.leave()


@contextmanager
def stop_note() -> Iterator[StopNote]:
    """A note that SIGTERM leaves, by which agents pass on the service's wish.

    Ctrl-C is a person's: the run goes on later.
    """
    note = StopNote()
    before = signal.signal(signal.SIGTERM, note.on_signal)
    try:
        yield note
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def listening(run: Any, note: StopNote) -> Iterator[None]:
    """Hears the service's wish soon after the service has told it to the SDK.

    The SDK itself asks its helper process every 15 s, which no short run lives to see.

    Args:
        run: of the SDK; None if it has none.
    """
    try:
        checker = _checker(run, note)
        checker.start()
    except (ImportError, AttributeError, TypeError) as error:
        # These parts of the SDK are not promised to stay.
        logger.warning("the service's wish to stop a run takes up to 15 s to arrive (%s)", error)
        checker = None
    try:
        yield
    finally:
        if checker is not None:
            checker.stop_soon()


def _checker(run: Any, note: StopNote) -> Any:
    import wandb
    from wandb.sdk.lib.run_stopping import RunStopChecker

    asyncer = wandb.setup().asyncer
    return RunStopChecker(asyncer, run._interface, note.leave, poll_interval=POLL_SECONDS)
