"""Waiting for what another process does."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 180


def wait_for(condition: Callable[[], Any]) -> Any:
    """The first true value of a condition.

    Raises:
        TimeoutError: it has none for long.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(condition)
