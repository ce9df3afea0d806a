"""A parallel search with a width is the same for the same seed, whoever is how fast."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from chaos_crew import Crew, Orders, run_crew

from gcodefp.sweeps.run_folder import run_folders

WIDTH = 8
EPOCHS = 4
TARGET = 0.3
"""A value that this search finds after some twenty runs."""
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
"""More than the even spread of the first runs, and so a matter of their results."""


class Done(NamedTuple):
    crew: Crew
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
    meets: Mapping[int, Sequence[int]] = MappingProxyType({}),
) -> Done:
    """The sweep, done; its table is all that a run is given and shows.

    Args:
        meets: run -> the runs that must have begun before it goes on.
    """
    told = {"runs": str(folder / "runs"), "sweep": sweep, "width": width, "seed": seed}
    told |= {"total": total, "epochs": EPOCHS, "epoch_seconds": epoch_seconds}
    told["meets"] = {str(number): list(others) for number, others in meets.items()}
    patches = {
        "gcodefp.sweeps.local_engine.POLL_SECONDS": 0.02,
        "gcodefp.sweeps.local_engine.FAILURES_IN_A_ROW": 1000,
    }
    done = run_crew(Orders(str(folder / "crew"), "calculate", told, agents=agents, patches=patches))
    runs = [run for run in run_folders(folder / "runs") if run.assigned() is not None]
    assert [run.number for run in runs] == list(range(len(runs)))
    return Done(done, [(run.assigned(), run.history("val/loss"), run.ended()) for run in runs])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return search(tmp_path_factory.mktemp("alone"), total=ALL, sweep=WITH_TARGET)


def states(table: list[Any]) -> list[str]:
    return [ended["state"] for _, _, ended in table]


def test_the_search_is_worth_comparing_with(alone: Done) -> None:
    """Runs are stopped and fail in it, and it ends early, well after the first result counted."""
    assert set(states(alone.table)) == {"finished", "stopped", "failed"}
    assert 2 * WIDTH < len(alone.table) < ALL
    best = [min(shown) for _, shown, _ in alone.table]
    reached = next(number for number, value in enumerate(best) if value <= TARGET)
    assert len(alone.table) == reached + WIDTH


@pytest.mark.parametrize("epoch_seconds", [0.02, 0.2])
def test_many_agents_make_the_same_table_as_one(
    alone: Done, tmp_path: Path, epoch_seconds: float
) -> None:
    many = search(tmp_path, agents=8, total=ALL, sweep=WITH_TARGET, epoch_seconds=epoch_seconds)
    assert many.table == alone.table
    check_nobody_left_early(many.crew)


def check_nobody_left_early(done: Crew) -> None:
    """When the first agent leaves, each other has the last run that it will have, or none."""
    left = min(event.seconds for event in done.events("gone"))
    later = [event.pid for event in done.events("begin") if event.seconds > left]
    assert len(later) == len(set(later))


def test_as_many_as_the_width_work_at_once(alone: Done, tmp_path: Path) -> None:
    """No run of eight goes on before the others have begun; with fewer at once, none would."""
    eights = {
        number: range(number // WIDTH * WIDTH, number // WIDTH * WIDTH + WIDTH)
        for number in range(2 * WIDTH)
    }
    many = search(tmp_path, agents=WIDTH, total=2 * WIDTH, meets=eights)
    assert many.table == alone.table[: 2 * WIDTH]
    check_nobody_left_early(many.crew)


@pytest.mark.parametrize("changed", [{"seed": 4}, {"width": 4}])
def test_another_seed_or_width_makes_another_table(
    alone: Done, tmp_path: Path, changed: dict[str, int]
) -> None:
    other = search(tmp_path, **changed).table
    assert len(other) == FEW
    assert [asked for asked, _, _ in other] != [asked for asked, _, _ in alone.table[:FEW]]


def test_without_a_width_timing_decides(tmp_path: Path) -> None:
    """Stable: run 0 goes on until others have begun that would have known its result."""
    one = search(tmp_path / "one", width=None)
    many = search(tmp_path / "many", width=None, agents=8, epoch_seconds=0.05, meets={0: [FEW - 1]})
    assert len(one.table) == len(many.table) == FEW
    assert [asked for asked, _, _ in one.table] != [asked for asked, _, _ in many.table]
