"""Assigns hyperparameters to runs, and decides whether they start and whether they are pruned.

Without a width, every result that is there counts. With one, run k depends on the results of the
runs up to k - width alone, so that any agent decides the same at any time.
"""

import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.sweeps.run_folder import SCORED_STATES, RunFolder, run_folder, run_folders
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted, Proposal
from gcodefp.sweeps.specification import Observation, Specification

logger = logging.getLogger(__name__)


class SweepHistory:
    """The runs of one sweep, as its search and hyperband see them.

    What never changes (an assignment, an outcome, the history of an ended run) is read once.
    """

    def __init__(self, specification: Specification, folder: Path) -> None:
        self._specification = specification
        self._objective = specification.objective
        self._folder = folder
        self._assigned: dict[int, dict[str, Any]] = {}
        self._outcomes: dict[int, dict[str, Any]] = {}
        self._histories: dict[int, list[float]] = {}
        self._ended: set[int] = set()
        self._first_unfinished = 0
        self._reported: set[int] = set()

    def numbers(self) -> list[int]:
        """All runs that have a folder."""
        return [folder.number for folder in run_folders(self._folder)]

    def has_ended(self, number: int) -> bool:
        """Whether the run has ended, successfully or not."""
        if number not in self._ended and self._run(number).has_ended():
            self._ended.add(number)
        return number in self._ended

    def first_unfinished(self) -> int:
        """All runs before this one have ended; it may have ended, too."""
        while self._first_unfinished in self._ended:
            self._first_unfinished += 1
        return self._first_unfinished

    def assigned(self, number: int, again: bool = False) -> dict[str, Any] | None:
        """What was assigned to the run, read `again` as it may be removed; None before that."""
        if again or number not in self._assigned:
            content = self._run(number).assigned()
            self._assigned.pop(number, None)
            if content is not None:
                self._assigned[number] = content
        return self._assigned.get(number)

    def outcome(self, number: int) -> dict[str, Any] | None:
        """run.json; None before the run's end."""
        if number not in self._outcomes:
            content = self._run(number).read_outcome()
            if content is not None:
                self._outcomes[number] = content
        return self._outcomes.get(number)

    def is_readable(self, number: int) -> bool:
        """Whether all of the run's files can be read; one that cannot is logged once."""
        try:
            self.assigned(number)
            self.outcome(number)
            self.history(number)
        except (OSError, ValueError, LookupError, UserError) as error:
            if number not in self._reported:
                logger.warning("run %04d does not count: %s", number, error)
            self._reported.add(number)
            return False
        return True

    def may_be_assigned(self, number: int) -> bool:
        """Whether a run may still get hyperparameters; one after the sweep's end does not."""
        run = self._run(number)
        return not (run.is_assigned() or run.has_ended() or run.sweep_end_reason() is not None)

    def history(self, number: int) -> list[float]:
        """The finite values of the metric so far."""
        if number in self._histories:
            return self._histories[number]
        has_ended = self.has_ended(number)  # Before the file is read, which may still grow.
        values = self._run(number).history(self._objective.metric)
        finite = [value for value in values if math.isfinite(value)]
        if has_ended:
            self._histories[number] = finite
        return finite

    def observation(self, number: int, visible: Iterable[int]) -> Observation:
        """An assigned run, as Bayesian search sees it.

        Args:
            visible: the runs whose results count; this one may be among them.
        """
        assigned = self.assigned(number)
        assert assigned is not None, "only assigned runs are observed"
        visible = list(visible)
        loss = self._loss(number, visible) if number in visible else None
        return Observation(assigned["hyperparameters"], assigned["latent"], loss)

    def reached_target(self, visible: Iterable[int]) -> int | None:
        """A run that has reached the metric's target; None if there is none."""
        target = self._specification.target
        if target is None:
            return None
        limit = self._objective.loss(target)
        reached = (n for n in visible if any(loss <= limit for loss in self._losses(n)))
        return next(reached, None)

    def _loss(self, number: int, visible: Iterable[int]) -> float | None:
        """Lower is better; None for an unfinished run, infinite if it failed without a value.

        Imputed as in W&B: `worst` is the worst value of all runs that ended, the others the run's
        own. For a run without a value W&B takes 0, which may be better than all; here it is
        `worst`.
        """
        content = self.outcome(number)
        if content is not None and content["state"] in SCORED_STATES:
            return self._objective.loss(content["best_value"])
        specification = self._specification
        rule = specification.impute if content else specification.impute_while_running
        if rule is None:
            return None
        losses = self._losses(number) if rule != "worst" else []
        if not losses:
            rule = "worst"
            losses = [x for other in visible if self.outcome(other) for x in self._losses(other)]
        if not losses:
            return math.inf if content else None
        return {"best": min(losses), "worst": max(losses), "latest": losses[-1]}[rule]

    def _losses(self, number: int) -> list[float]:
        return [self._objective.loss(value) for value in self.history(number)]

    def _run(self, number: int) -> RunFolder:
        return run_folder(self._folder, number)


TARGET_REACHED = "has reached the metric's target"
ASSIGNMENT_TIMEOUT_SECONDS = 60.0
"""The longest time between an agent's acquiring a run and its writing the run's hyperparameters."""
POLL_SECONDS = 0.03


class Scheduler:
    """Decides about the runs of one sweep, by the content of its folder."""

    def __init__(self, specification: Specification, seed: int, folder: Path) -> None:
        self.results = SweepHistory(specification, folder)
        self._specification = specification
        self._folder = folder
        self._sequence = ConfigurationSequence(specification, seed)
        self._predicted: dict[int, Proposal] = {}

    def waits_for(self, number: int) -> list[int]:
        """The runs whose results a new run depends on, and which have not ended."""
        if self._specification.options.width is None:
            return []
        results = self.results
        return [
            n
            for n in self._visible(number)
            if not (results.has_ended(n) and results.is_readable(n))
        ]

    def is_after_end(self, folder: RunFolder) -> bool:
        """Whether neither this run nor a later one starts; a changed target continues the sweep."""
        reason = folder.sweep_end_reason()
        if reason is None or not reason.endswith(TARGET_REACHED):
            return reason is not None
        if self.results.reached_target(self._visible(folder.number)) is None:
            folder.clear_sweep_end()
            return False
        return True

    def assign(self, folder: RunFolder) -> Mapping[str, Any] | None:
        """The run's hyperparameters, decided now if they are not yet.

        None if no further run starts; the sweep's end is marked then.
        """
        if (assigned := self.results.assigned(folder.number, again=True)) is not None:
            return assigned["hyperparameters"]
        takes_turns = (
            self._specification.method == "bayes" and self._specification.options.width is None
        )
        if takes_turns and (assigned := self._wait_for_turn(folder.number)) is not None:
            return assigned["hyperparameters"]
        # Without a target, no agent has to read all other runs' results.
        visible = [] if self._specification.target is None else self._visible(folder.number)
        if (best := self.results.reached_target(visible)) is not None:
            self._end_sweep(folder, f"run {best:04d} {TARGET_REACHED}")
            return None
        observations = self._observations(folder.number)
        try:
            proposal = self._sequence.propose(folder.number, observations)
        except Exhausted as error:
            self._end_sweep(folder, str(error))
            return None
        if takes_turns:
            self._assign_waiting(folder.number, proposal, observations)
        folder.assign(proposal.hyperparameters, proposal.unit_point)
        assigned = self.results.assigned(folder.number)  # Perhaps that of an earlier holder.
        return assigned["hyperparameters"] if assigned else None

    def should_prune(self, number: int) -> bool:
        """Whether hyperband prunes a run after its epochs so far."""
        rule = self._specification.early_terminate
        if rule is None:
            return False
        others = [self.results.history(other) for other in self._visible(number)]
        goal = self._specification.objective.goal
        return rule.should_prune(self.results.history(number), others, goal)

    def _visible(self, number: int) -> list[int]:
        """The other runs whose results count in decisions about this one."""
        width = self._specification.options.width
        if width is not None:
            return list(range(number - width + 1))
        others = (other for other in self.results.numbers() if other != number)
        return [other for other in others if self.results.is_readable(other)]

    def _observations(self, number: int) -> list[Observation]:
        """The runs that Bayesian search knows when it decides about this one."""
        if self._specification.method != "bayes":
            return []
        visible = self._visible(number)
        if self._specification.options.width is not None:
            return [self._earlier(other, visible) for other in range(number)]
        assigned = (other for other in visible if self.results.assigned(other) is not None)
        return [self.results.observation(other, visible) for other in assigned]

    def _earlier(self, number: int, visible: list[int]) -> Observation:
        """An earlier run; its assignment is predicted if no agent has written it yet."""
        if self.results.assigned(number) is not None:
            return self.results.observation(number, visible)
        # It depends on the runs before it in the same way: without the cache, work doubles per run.
        if number not in self._predicted:
            self._predicted[number] = self._sequence.propose(number, self._observations(number))
        proposal = self._predicted[number]
        return Observation(proposal.hyperparameters, proposal.unit_point, None)

    def _end_sweep(self, folder: RunFolder, reason: str) -> None:
        logger.info("%s; no further run starts", reason)
        folder.mark_sweep_end(reason)

    def _wait_for_turn(self, number: int) -> dict[str, Any] | None:
        """Bayesian search without a width depends on what all earlier runs were assigned.

        Returns what an earlier run's agent has assigned to this one; None if it is its turn.
        """
        deadline = time.monotonic() + ASSIGNMENT_TIMEOUT_SECONDS
        for earlier in range(self.results.first_unfinished(), number):
            while self.results.may_be_assigned(earlier) and time.monotonic() < deadline:
                if (assigned := self.results.assigned(number)) is not None:
                    return assigned
                time.sleep(POLL_SECONDS)
        return self.results.assigned(number)

    def _assign_waiting(self, number: int, last: Proposal, others: list[Observation]) -> None:
        """Assigns the later runs whose agents wait for this one: one model serves all of them."""
        for later in self.results.numbers():
            if later > number and self.results.may_be_assigned(later):
                others = [*others, Observation(last.hyperparameters, last.unit_point, None)]
                try:
                    last = self._sequence.propose(later, others)
                except Exhausted:
                    return  # Its own agent finds so, too.
                run_folder(self._folder, later).assign(last.hyperparameters, last.unit_point)
