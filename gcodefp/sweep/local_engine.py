"""The local engine: any number of agents work on run folders, and nothing else holds state.

An agent takes the lowest run that nobody works on and that has not ended: one that another agent
left half-done goes on from its last epoch, a new one gets its hyperparameters and starts.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.sweep.lease import Hold, Lease, LeaseLost, LeaseWatch, holding
from gcodefp.sweep.run_folder import AGENTS_AGAIN, COUNTED, RunFolder, run_folder, run_folders
from gcodefp.sweep.sampling import Earlier, Exhausted, propose
from gcodefp.sweep.specification import Specification

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
FAILURES_IN_A_ROW = 3


@dataclass
class Trial:
    """A run as its objective sees it."""

    folder: RunFolder
    hyperparameters: Mapping[str, Any]
    lease: Lease
    engine: "LocalEngine"

    def should_stop(self) -> bool:
        """Whether early termination ends the run after the epochs it has logged by now.

        Raises:
            LeaseLost: the run is another agent's by now.
        """
        self.lease.check()
        return self.engine.falls_behind(self.folder)


class LocalEngine:
    """One sweep, seen by one agent."""

    def __init__(self, specification: Specification, seed: int, total: int, folder: Path) -> None:
        self.specification = specification
        self.seed = seed
        self.total = total
        self.folder = folder
        self._watch = LeaseWatch()

    def work(
        self, objective: Callable[[Trial], dict[str, Any]], after_each: Callable[[], None]
    ) -> int:
        """Runs the objective for one run after another until none is left to take.

        Args:
            objective: trains a run and returns the content of its run.json.
            after_each: called when a run is over.

        Returns:
            the number of runs that this agent ended.

        Raises:
            UserError: three runs failed in a row; something else than they is wrong.
        """
        ended, failures = 0, 0
        while (folder := self._next()) is not None:
            with self._taken(folder) as trial:
                if trial is None:
                    continue
                try:
                    content = objective(trial)
                    trial.lease.check()
                except LeaseLost as error:
                    logger.warning("%s", error)
                    continue
                folder.end(content)
            after_each()
            ended += 1
            failures = failures + 1 if content["state"] == "failed" else 0
            if failures == FAILURES_IN_A_ROW:
                raise UserError(
                    f"{failures} runs failed in a row, the last is {folder.path}: "
                    f"{content['reason']}; mend that, remove the folders of the runs to be tried "
                    f"again, then {AGENTS_AGAIN}; the other runs are kept"
                )
        return ended

    def falls_behind(self, folder: RunFolder) -> bool:
        """Whether the sweep's early termination stops this run now."""
        rule, objective = self.specification.early_terminate, self.specification.objective
        if rule is None:
            return False
        others = [
            other.history(objective.metric)
            for other in run_folders(self.folder)
            if other.number != folder.number
        ]
        return rule.should_stop(folder.history(objective.metric), others, objective.goal)

    def _next(self) -> RunFolder | None:
        """The lowest run to be taken; waits while a holder far away may be gone."""
        while True:
            undecided = exhausted = False
            for number in range(self.total):
                folder = run_folder(self.folder, number)
                if folder.is_over():
                    continue
                exhausted |= folder.is_exhausted()
                if exhausted and folder.asked() is None:
                    continue
                hold = self._watch.look(folder.path)
                if hold is Hold.FREE:
                    return folder
                undecided |= hold is Hold.UNKNOWN
            if not undecided:
                return None
            time.sleep(POLL_SECONDS)

    @contextmanager
    def _taken(self, folder: RunFolder) -> Iterator[Trial | None]:
        """The run with its lease and hyperparameters; None if it is not to be had after all."""
        with holding(folder.path, self._watch) as lease:
            if lease is None:
                yield None
                return
            if folder.is_over():  # It ended between the look and the lease.
                folder.remove_leases()
                yield None
                return
            asked = folder.asked()
            if asked is None:
                try:
                    proposal = propose(
                        self.specification, self.seed, folder.number, self._earlier(folder.number)
                    )
                except Exhausted:
                    logger.info("every configuration of the space has been tried")
                    folder.exhaust()
                    yield None
                    return
                folder.give(proposal.hyperparameters, proposal.latent)
                asked = {"hyperparameters": dict(proposal.hyperparameters)}
            yield Trial(folder, asked["hyperparameters"], lease, self)

    def _earlier(self, number: int) -> list[Earlier]:
        """The runs before, of which another agent may be about to write down what it gives."""
        if self.specification.method != "bayes":
            return []
        earlier = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        for before in range(number):
            folder = run_folder(self.folder, before)
            while (asked := folder.asked()) is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS / 10)
            if asked is not None:
                loss = self._loss(folder)
                earlier.append(Earlier(asked["hyperparameters"], asked["latent"], loss))
        return earlier

    def _loss(self, folder: RunFolder) -> float | None:
        content = folder.ended()
        if content is None:
            return None
        if content["state"] not in COUNTED:
            return math.inf
        value = float(content["best_value"])
        return -value if self.specification.objective.goal == "maximize" else value
