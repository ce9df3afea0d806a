"""Which results decide about a run: what it gets, whether it begins, and whether it is stopped.

Without a width, that is all that is known at the moment. With one, it is the results of the runs up
to k - width alone: whoever asks, and whenever, the answer is the same.
"""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.search.sampling import Earlier, Exhausted, Plan
from gcodefp.search.space import Proposal
from gcodefp.search.specification import Specification
from gcodefp.sweep.results_so_far import ResultsSoFar
from gcodefp.sweep.run_folder import RunFolder

logger = logging.getLogger(__name__)

TARGET_REACHED = "has reached the metric's target"
PATIENCE_SECONDS = 60.0
"""An agent may be so long between taking a run and writing down what the run gets."""
POLL_SECONDS = 0.05


class Decisions:
    """What is decided about the runs of one sweep, on what its folder tells."""

    def __init__(self, specification: Specification, seed: int, folder: Path) -> None:
        self.results = ResultsSoFar(specification, folder)
        self._specification = specification
        self._plan = Plan(specification, seed)
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

    def falls_behind(self, number: int) -> bool:
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

    def _others(self, number: int) -> list[Earlier]:
        """The runs that Bayesian search knows of when it decides about this one."""
        if self._specification.method != "bayes":
            return []
        if self._specification.rules.width is not None:
            visible = self._visible(number)
            return [self._before(other, visible) for other in range(number)]
        visible = self._visible(number)
        given = (other for other in visible if self.results.asked(other) is not None)
        return [self.results.earlier(other, visible) for other in given]

    def _before(self, number: int, visible: list[int]) -> Earlier:
        """A run before; what it will get is known even if nobody has written it down yet."""
        if self.results.asked(number) is not None:
            return self.results.earlier(number, visible)
        # It depends on those before it in the same way: without memory, twice the work for each.
        if number not in self._foreseen:
            self._foreseen[number] = self._plan.propose(number, self._others(number))
        proposal = self._foreseen[number]
        return Earlier(proposal.hyperparameters, proposal.latent, None)

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
