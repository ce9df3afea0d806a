"""Which results decide about a run: what it gets, whether it begins, and whether it is stopped.

Without a width, that is all that is known at the moment. With one, it is the results of the runs up
to k - width alone: whoever asks, and whenever, the answer is the same.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.sweeps.run_folder import COUNTED, RunFolder, run_folder, run_folders
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted, Observation
from gcodefp.sweeps.space import Proposal
from gcodefp.sweeps.specification import Specification

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

    def earlier(self, number: int, visible: Iterable[int]) -> Observation:
        """A run that was given something, as Bayesian search sees it.

        Args:
            visible: the runs whose results may be looked at; this one may be among them.
        """
        asked = self.asked(number)
        assert asked is not None, "only runs that were given something are asked about"
        visible = list(visible)
        loss = self._loss(number, visible) if number in visible else None
        return Observation(asked["hyperparameters"], asked["latent"], loss)

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


TARGET_REACHED = "has reached the metric's target"
PATIENCE_SECONDS = 60.0
"""An agent may be so long between taking a run and writing down what the run gets."""
POLL_SECONDS = 0.05


class Scheduler:
    """What is decided about the runs of one sweep, on what its folder tells."""

    def __init__(self, specification: Specification, seed: int, folder: Path) -> None:
        self.results = ResultsSoFar(specification, folder)
        self._specification = specification
        self._plan = ConfigurationSequence(specification, seed)
        self._foreseen: dict[int, Proposal] = {}

    def waits_for(self, number: int) -> list[int]:
        """The runs whose results decide about a new run, and are not there."""
        if self._specification.rules.width is None:
            return []
        results = self.results
        return [
            n for n in self._visible(number) if not (results.is_over(n) and results.is_readable(n))
        ]

    def is_closed(self, folder: RunFolder) -> bool:
        """Whether neither this run nor one after it begins; a target may have been changed."""
        reason = folder.closed()
        if reason is None or not reason.endswith(TARGET_REACHED):
            return reason is not None
        if self.results.reached(self._visible(folder.number)) is None:
            folder.reopen()
            return False
        return True

    def given(self, folder: RunFolder) -> Mapping[str, Any] | None:
        """The run's hyperparameters, which are decided now if they are not yet.

        None if no further run begins; the run is closed then.
        """
        if (asked := self.results.asked(folder.number)) is not None:
            return asked["hyperparameters"]
        if self._decides_by_all_before:
            self._wait_for_those_before(folder.number)
        # Without a target, no agent has to read what all others did.
        visible = [] if self._specification.target is None else self._visible(folder.number)
        if (best := self.results.reached(visible)) is not None:
            _close(folder, f"run {best:04d} {TARGET_REACHED}")
            return None
        try:
            proposal = self._plan.propose(folder.number, self._others(folder.number))
        except Exhausted as error:
            _close(folder, str(error))
            return None
        folder.give(proposal.hyperparameters, proposal.latent)
        return proposal.hyperparameters

    def should_prune(self, number: int) -> bool:
        """Whether early termination stops a run after what it has shown by now."""
        rule = self._specification.early_terminate
        if rule is None:
            return False
        others = [self.results.history(other) for other in self._visible(number)]
        goal = self._specification.objective.goal
        return rule.should_stop(self.results.history(number), others, goal)

    def _visible(self, number: int) -> list[int]:
        """The other runs whose results may decide about this one."""
        width = self._specification.rules.width
        if width is not None:
            return list(range(number - width + 1))
        others = (other for other in self.results.numbers() if other != number)
        return [other for other in others if self.results.is_readable(other)]

    def _others(self, number: int) -> list[Observation]:
        """The runs that Bayesian search knows of when it decides about this one."""
        if self._specification.method != "bayes":
            return []
        if self._specification.rules.width is not None:
            visible = self._visible(number)
            return [self._before(other, visible) for other in range(number)]
        visible = self._visible(number)
        given = (other for other in visible if self.results.asked(other) is not None)
        return [self.results.earlier(other, visible) for other in given]

    def _before(self, number: int, visible: list[int]) -> Observation:
        """A run before; what it will get is known even if nobody has written it down yet."""
        if self.results.asked(number) is not None:
            return self.results.earlier(number, visible)
        # It depends on those before it in the same way: without memory, twice the work for each.
        if number not in self._foreseen:
            self._foreseen[number] = self._plan.propose(number, self._others(number))
        proposal = self._foreseen[number]
        return Observation(proposal.hyperparameters, proposal.latent, None)

    @property
    def _decides_by_all_before(self) -> bool:
        """Whether what a run gets depends on what all runs before it were given."""
        return self._specification.method == "bayes" and self._specification.rules.width is None

    def _wait_for_those_before(self, number: int) -> None:
        """Another agent may be about to write down what a run before gets."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for before in range(number):
            while self.results.is_undecided(before):
                if time.monotonic() > deadline:
                    return
                time.sleep(POLL_SECONDS)


def _close(folder: RunFolder, reason: str) -> None:
    logger.info("%s; no further run begins", reason)
    folder.close(reason)
