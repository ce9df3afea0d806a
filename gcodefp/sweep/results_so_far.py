"""What a sweep's run folders tell by now; what cannot change any more is read once."""

import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.search.sampling import Earlier
from gcodefp.search.specification import Specification
from gcodefp.sweep.run_folder import COUNTED, RunFolder, run_folder, run_folders

logger = logging.getLogger(__name__)

PICK: dict[str, Callable[[list[float]], float]] = {
    "best": min,
    "worst": max,
    "latest": lambda losses: losses[-1],
}
"""metric.impute -> which of a run's losses is taken."""


class ResultsSoFar:
    """The runs of one sweep, as its search and its early termination see them."""

    def __init__(self, specification: Specification, folder: Path) -> None:
        self._specification = specification
        self._objective = specification.objective
        self._folder = folder
        self._asked: dict[int, dict[str, Any]] = {}
        self._ended: dict[int, dict[str, Any]] = {}
        self._histories: dict[int, list[float]] = {}
        self._over: set[int] = set()
        self._first_open = 0
        self._told: set[int] = set()

    def numbers(self) -> list[int]:
        """All runs that were ever begun."""
        return [folder.number for folder in run_folders(self._folder)]

    def is_over(self, number: int) -> bool:
        """Whether the run has ended, well or not."""
        if number not in self._over and self._run(number).is_over():
            self._over.add(number)
        return number in self._over

    def first_open(self) -> int:
        """All runs before this one were seen to be over; it may be over, too."""
        while self._first_open in self._over:
            self._first_open += 1
        return self._first_open

    def asked(self, number: int) -> dict[str, Any] | None:
        """What the run was given; None before that."""
        return _once(self._asked, number, self._run(number).asked)

    def ended(self, number: int) -> dict[str, Any] | None:
        """run.json; None while the run is not over."""
        return _once(self._ended, number, self._run(number).ended)

    def is_readable(self, number: int) -> bool:
        """Whether all that the run has to tell can be read; what cannot is told once."""
        try:
            self.asked(number)
            self.ended(number)
            self.history(number)
        except (OSError, ValueError, LookupError, UserError) as error:
            if number not in self._told:
                logger.warning("run %04d does not count: %s", number, error)
            self._told.add(number)
            return False
        return True

    def is_undecided(self, number: int) -> bool:
        """Whether a run may still be given something; a closed one is given nothing."""
        if not self.is_readable(number) or self.asked(number) is not None:
            return False
        return self._run(number).closed() is None

    def history(self, number: int) -> list[float]:
        """The finite values of the metric so far."""
        if number in self._histories:
            return self._histories[number]
        over = self.is_over(number)
        values = self._run(number).history(self._objective.metric)
        finite = [value for value in values if math.isfinite(value)]
        if over:
            self._histories[number] = finite
        return finite

    def earlier(self, number: int, visible: Iterable[int]) -> Earlier:
        """A run that was given something, as Bayesian search sees it.

        Args:
            visible: the runs whose results may be looked at; this one may be among them.
        """
        asked = self.asked(number)
        assert asked is not None, "only runs that were given something are asked about"
        visible = list(visible)
        loss = self._loss(number, visible) if number in visible else None
        return Earlier(asked["hyperparameters"], asked["latent"], loss)

    def reached(self, visible: Iterable[int]) -> int | None:
        """A run that has reached the metric's target; None if there is none."""
        target = self._specification.target
        if target is None:
            return None
        for number in visible:
            if any(loss <= self._objective.loss(target) for loss in self._losses(number)):
                return number
        return None

    def _loss(self, number: int, visible: Iterable[int]) -> float | None:
        """Lower is better; None while the run is open, infinite if it failed without a value."""
        content = self.ended(number)
        if content is None:
            running = self._specification.impute_while_running
            if running is None:
                return None
            return self._imputed(number, running, visible, default=None)
        if content["state"] in COUNTED:
            return self._objective.loss(content["best_value"])
        return self._imputed(number, self._specification.impute, visible, default=math.inf)

    def _imputed(
        self, number: int, how: str, visible: Iterable[int], default: float | None
    ) -> float | None:
        """As in W&B: `worst` is the worst value of all runs that ended, the others the run's own.

        Where the run has none, W&B takes 0, which may be better than all; here it is `worst`.
        """
        losses = self._losses(number) if how != "worst" else []
        if not losses:
            how = "worst"
            losses = [x for other in visible if self.ended(other) for x in self._losses(other)]
        return PICK[how](losses) if losses else default

    def _losses(self, number: int) -> list[float]:
        return [self._objective.loss(value) for value in self.history(number)]

    def _run(self, number: int) -> RunFolder:
        return run_folder(self._folder, number)


def _once(
    kept: dict[int, dict[str, Any]], number: int, read: Callable[[], dict[str, Any] | None]
) -> dict[str, Any] | None:
    """What is there never changes: it is read until it is there, and not again."""
    if number not in kept and (content := read()) is not None:
        kept[number] = content
    return kept.get(number)
