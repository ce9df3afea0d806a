"""Local engines with a trivial objective."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep_documents import specification

from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.specification import Specification

SEED = 3
RANDOM = specification()
SMALL = {"num_layers": {"values": [1, 2]}, "optimizer": {"values": ["adam", "sgd"]}}
Objective = Callable[[LeasedRun], dict[str, Any]]


def engine(
    folder: Path, total: int = 4, sweep: Specification = RANDOM, seed: int = SEED
) -> LocalEngine:
    return LocalEngine(sweep, seed, total, folder)


def good(run: LeasedRun) -> dict[str, Any]:
    return {"state": "finished", "best_value": 0.5}


def bad(run: LeasedRun) -> dict[str, Any]:
    return {"state": "failed", "reason": "the disk is made of cheese"}


def work(made: LocalEngine, objective: Objective = good) -> list[int]:
    """Numbers of the runs that the objective was called for."""
    numbers: list[int] = []

    def noted(run: LeasedRun) -> dict[str, Any]:
        numbers.append(run.folder.number)
        return objective(run)

    assert made.work(noted, lambda: None) == len(numbers)
    return numbers
