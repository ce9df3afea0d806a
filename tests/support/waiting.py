"""Waiting for what another process does."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_SECONDS = 400


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


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block, whatever happens in it."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
