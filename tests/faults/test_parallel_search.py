"""With a width, a search is the same for the same seed, however many agents work how fast."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from worker_pool import PoolConfig, WorkerPool, run_pool

from gcodefp.sweeps.run_folder import run_folders

WIDTH = 8
EPOCHS = 4
TARGET = 0.3
"""A value that this search reaches after some twenty runs."""
SWEEP: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/loss", "goal": "minimize", "impute": "latest"},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    "parameters": {
        "learning_rate": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
    },
}
WITH_TARGET = SWEEP | {"metric": SWEEP["metric"] | {"target": TARGET}}
ALL = 40
FEW = 14
"""More than the even spread of the first runs, so that results matter."""


class Done(NamedTuple):
    """A search that is over; `table` has assignment, history and outcome of each run."""

    pool: WorkerPool
    table: list[Any]


def search(
    folder: Path,
    *,
    agents: int = 1,
    width: int | None = WIDTH,
    seed: int = 3,
    total: int = FEW,
    epoch_seconds: float = 0.0,
    sweep: dict[str, Any] = SWEEP,
    waits_for: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> Done:
    """Runs the search; `waits_for` has the runs that must have started before a run goes on."""
    arguments = {"runs": str(folder / "runs"), "sweep": sweep, "width": width, "seed": seed}
    arguments |= {"total": total, "epochs": EPOCHS, "epoch_seconds": epoch_seconds}
    arguments["waits_for"] = {str(number): list(others) for number, others in waits_for.items()}
    engine = "gcodefp.sweeps.local_engine"
    patches = {f"{engine}.POLL_SECONDS": 0.02, f"{engine}.FAILURES_IN_A_ROW": 1000}
    config = PoolConfig(str(folder / "pool"), "work", arguments, agents=agents, patches=patches)
    pool = run_pool(config)
    runs = [run for run in run_folders(folder / "runs") if run.assigned() is not None]
    assert [run.number for run in runs] == list(range(len(runs)))
    return Done(
        pool, [(run.assigned(), run.history("val/loss"), run.read_outcome()) for run in runs]
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return search(tmp_path_factory.mktemp("alone"), total=ALL, sweep=WITH_TARGET)


def test_single_agent_stops_fails_and_reaches_the_target(alone: Done) -> None:
    assert {ended["state"] for _, _, ended in alone.table} == {"finished", "stopped", "failed"}
    assert 2 * WIDTH < len(alone.table) < ALL
    best = [min(values) for _, values, _ in alone.table]
    reached = next(number for number, value in enumerate(best) if value <= TARGET)
    assert len(alone.table) == reached + WIDTH


def check_no_agent_left_early(pool: WorkerPool) -> None:
    """When the first agent ends, each other has its last run, or none."""
    first_exit = min(event.seconds for event in pool.events("exit"))
    later = [event.pid for event in pool.events("start") if event.seconds > first_exit]
    assert len(later) == len(set(later))


@pytest.mark.parametrize("epoch_seconds", [0.02, 0.2])
def test_many_agents_have_the_same_results_as_one(
    alone: Done, tmp_path: Path, epoch_seconds: float
) -> None:
    many = search(tmp_path, agents=8, total=ALL, sweep=WITH_TARGET, epoch_seconds=epoch_seconds)
    assert many.table == alone.table
    check_no_agent_left_early(many.pool)


def test_as_many_agents_as_the_width_work_at_once(alone: Done, tmp_path: Path) -> None:
    """No run of eight goes on before the others have started; with fewer at once, none would."""
    eights = {
        number: range(number // WIDTH * WIDTH, number // WIDTH * WIDTH + WIDTH)
        for number in range(2 * WIDTH)
    }
    many = search(tmp_path, agents=WIDTH, total=2 * WIDTH, waits_for=eights)
    assert many.table == alone.table[: 2 * WIDTH]
    check_no_agent_left_early(many.pool)


@pytest.mark.parametrize("changed", [{"seed": 4}, {"width": 4}])
def test_another_seed_or_width_assigns_other_hyperparameters(
    alone: Done, tmp_path: Path, changed: dict[str, int]
) -> None:
    other = search(tmp_path, **changed).table
    assert len(other) == FEW
    assert [run[0] for run in other] != [run[0] for run in alone.table[:FEW]]


def test_without_a_width_results_depend_on_timing(tmp_path: Path) -> None:
    """Run 0 goes on until runs have started that would otherwise know its result."""
    late = {0: [FEW - 1]}
    one = search(tmp_path / "one", width=None)
    many = search(tmp_path / "many", width=None, agents=8, epoch_seconds=0.05, waits_for=late)
    assert len(one.table) == len(many.table) == FEW
    assert [run[0] for run in one.table] != [run[0] for run in many.table]
