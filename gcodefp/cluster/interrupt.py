"""What signals ask of an agent: to end after its run, at the epoch, or at once.

At a terminal the first Ctrl-C lets the run finish, the second ends the agent at the epoch, the
third at once. Snakemake's Ctrl-C reaches the agents too: there the first ends at the epoch. SIGTERM
does so as well, however often it arrives. An unfinished run resumes when an agent takes it up.
"""

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = signal.SIGINT, signal.SIGTERM
AFTER_RUN, AT_EPOCH, AT_ONCE = 1, 2, 3
TEXTS = {
    AFTER_RUN: "the agent ends after its run; Ctrl-C again: at the epoch; a third time: at once",
    AT_EPOCH: "the agent ends at the epoch, its run resumes later; Ctrl-C again: at once",
}
RESUMES = "an agent that is started again goes on with the sweep"


class Interrupted(KeyboardInterrupt):
    """The agent ends as a signal has asked; a run that is unfinished resumes later."""


class InterruptRequest:
    """The request of one agent, which its workers share; it may arrive any number of times."""

    def __init__(self) -> None:
        self._level: Any = None

    def requested_at_epoch(self) -> bool:
        """Whether the agent ends before its run does; that run stays unfinished."""
        return self.level.value >= AT_EPOCH

    def check_between_runs(self) -> None:
        """Raises Interrupted if no further run may start."""
        if self.level.value >= AFTER_RUN:
            raise Interrupted(f"ends before the next run, as a signal asks; {RESUMES}")

    def check_between_epochs(self) -> None:
        """Raises Interrupted if no further epoch may start."""
        if self.requested_at_epoch():
            raise Interrupted(f"ends at the epoch, as a signal asks; {RESUMES}")

    @property
    def level(self) -> Any:
        """The shared number that holds the request; workers get it from their parent."""
        if self._level is None:
            # Without a lock, since a handler may interrupt whoever holds it.
            self._level = multiprocessing.get_context("spawn").RawValue("i", 0)
        return self._level

    @contextmanager
    def listening(self, first: int) -> Iterator[None]:
        """Takes SIGINT and SIGTERM as the request; the `first` Ctrl-C is AFTER_RUN or AT_EPOCH."""
        self.level.value = 0
        if threading.current_thread() is not threading.main_thread():
            yield  # Only the main thread may set handlers.
            return

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            self._raise_to(max(self.level.value + 1, first))
            if self.level.value >= AT_ONCE:
                raise KeyboardInterrupt

        before = {number: signal.getsignal(number) for number in SIGNALS}
        if before[signal.SIGINT] is not signal.SIG_IGN:  # It is for a shell's background jobs.
            signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        try:
            yield
        finally:
            if self.requested_at_epoch():
                del before[signal.SIGTERM]
                _ignore_while_ending()
            for number, handler in before.items():
                signal.signal(number, handler)

    def follow(self, level: Any) -> None:
        """Shares a parent's request, in a worker; the parent counts what a whole group gets."""
        self._level = level

        def on_interrupt(number: int, frame: FrameType | None) -> None:
            if self.level.value >= AT_ONCE:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                raise KeyboardInterrupt

        signal.signal(signal.SIGINT, on_interrupt)
        signal.signal(signal.SIGTERM, self._on_terminate)
        _ignore_while_ending()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        self._raise_to(AT_EPOCH)

    def _raise_to(self, level: int) -> None:
        if level <= self.level.value:
            return
        self.level.value = level
        if level in TEXTS:
            with suppress(OSError):  # A log handler may be busy in the interrupted code.
                os.write(2, f"{TEXTS[level]}\n".encode())


def _ignore_while_ending() -> None:
    """Python takes its handlers away before it has ended; one more SIGTERM would then kill it."""
    atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)


INTERRUPT = InterruptRequest()


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Defers both signals until the block ends, and in processes that it starts until `follow`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
