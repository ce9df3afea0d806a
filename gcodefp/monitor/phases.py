"""A sweep, its later phases and its repeats, as long as they come and go; writes nothing."""

import logging
from pathlib import Path
from typing import NamedTuple

from gcodefp.monitor.observer import Observer
from gcodefp.monitor.overview import Overview
from gcodefp.sweep.sweep_file import SweepFile, read_sweep

logger = logging.getLogger(__name__)


class Seen(NamedTuple):
    """One sweep at one moment; its name begins with its id."""

    name: str
    sweep: SweepFile
    overview: Overview


class Phases:
    """Looks again and again, and follows a sweep that is extended, or another in its place."""

    def __init__(self, sweep: Path, runs: Path) -> None:
        """Begins to follow sweep.json and those below its folder.

        Args:
            runs: the folder that keeps the runs of all sweeps.

        Raises:
            UserError: sweep.json is missing, or cannot be read.
        """
        self._first = sweep
        self._runs = runs
        self._followed: dict[Path, tuple[SweepFile, Observer]] = {}
        self._told: set[str] = set()
        self._follow(sweep)

    def look(self) -> list[Seen]:
        """All sweeps as they are now; one whose file cannot be read stays as it was."""
        below = self._first.parent
        phases = sorted(below.glob("phase_*/sweep.json"), key=_phase)
        paths = [self._first, *phases, *below.glob("repeats/sweep.json")]
        for path in paths:
            try:
                self._follow(path)
            except Exception as error:  # Whatever one file holds, the others are shown.
                self._tell(f"{path} is not followed: {error}")
        followed = [(path, *self._followed[path]) for path in paths if path in self._followed]
        return [
            Seen(self._name(path, sweep), sweep, observer.look())
            for path, sweep, observer in followed
        ]

    def _follow(self, path: Path) -> None:
        sweep = read_sweep(path)
        known = self._followed.get(path)
        if known is None or known[0].document != sweep.document:
            self._followed[path] = sweep, Observer(sweep, self._runs / sweep.sweep_id)

    def _name(self, path: Path, sweep: SweepFile) -> str:
        return sweep.sweep_id if path == self._first else f"{sweep.sweep_id} {path.parent.name}"

    def _tell(self, message: str) -> None:
        if message not in self._told:
            logger.warning("%s", message)
        self._told.add(message)


def _phase(path: Path) -> tuple[int, str]:
    """phase_2 before phase_10."""
    return len(path.parent.name), path.parent.name
