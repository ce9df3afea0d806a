"""What ends a sweep, or stops an agent, and what does not."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, bad, engine, good, work
from sweep_documents import specification
from trivial_runs import METRIC, write_epochs

from gcodefp.errors import UserError
from gcodefp.sweeps.local_engine import LeasedRun
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.search_options import SearchOptions
from gcodefp.sweeps.specification import Specification

TARGET_REACHED = "has reached the metric's target"


def test_failed_runs_do_not_end_the_sweep(tmp_path: Path) -> None:
    numbers = work(engine(tmp_path, 9), lambda t: (good if t.folder.number % 3 else bad)(t))
    assert numbers == list(range(9))
    assert (run_folder(tmp_path, 3).read_outcome() or {})["state"] == "failed"
    assert work(engine(tmp_path / "other", 3), bad) == [0, 1, 2], "nor at its end"


def test_three_failures_in_a_row_stop_the_agent(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        work(engine(tmp_path, 20), lambda t: (good if t.folder.number in (2, 5) else bad)(t))
    failures = f"3 runs failed in a row on host {platform.node()}, the last is"
    for part in (failures, str(tmp_path / "0008"), "cheese", "--forcerun agent"):
        assert part in str(error.value)
    with pytest.raises(UserError):
        work(engine(tmp_path, 20), bad)
    assert len(run_folders(tmp_path)) == 12


def test_with_a_width_an_unreadable_run_is_named(tmp_path: Path) -> None:
    sweep = replace(RANDOM, options=SearchOptions(width=2))
    assert work(engine(tmp_path, 1, sweep)) == [0]
    (tmp_path / "0000/run.json").write_text("garbage", encoding="utf-8")
    message = r"0000: cannot be read, and with a width .*remove this run's folder"
    with pytest.raises(UserError, match=message):
        work(engine(tmp_path, 4, sweep))


def test_larger_total_goes_on_and_complete_sweep_ends_at_once(tmp_path: Path) -> None:
    assert work(engine(tmp_path, 3)) == [0, 1, 2]
    assert work(engine(tmp_path, 3)) == []
    assert work(engine(tmp_path, 5)) == [3, 4]
    assert work(engine(tmp_path, 2)) == []


# metric.target


def with_target(target: float = 0.7, **metric: Any) -> Specification:
    metric = {"name": METRIC, "goal": "maximize", "target": target, **metric}
    return specification(metric=metric)


def logging(leased: LeasedRun, values: Sequence[float], metric: str = METRIC) -> dict[str, Any]:
    write_epochs(leased.folder, values, metric)
    return good(leased)


@pytest.mark.parametrize(
    ("metric", "values"),
    [({}, (0.69, 0.7, 0.1)), ({"name": "val/loss", "goal": "minimize"}, (0.71, 0.7, 0.9))],
    ids=["maximize", "minimize"],
)
def test_no_run_starts_after_one_has_reached_the_target(
    tmp_path: Path, metric: dict[str, Any], values: Sequence[float]
) -> None:
    """In any of its epochs; a run that comes near it ends nothing."""
    sweep, name = with_target(**metric), metric.get("name", METRIC)

    def objective(leased: LeasedRun) -> dict[str, Any]:
        return logging(leased, values if leased.folder.number == 2 else values[:1], name)

    assert work(engine(tmp_path, 9, sweep), objective) == [0, 1, 2]
    assert run_folder(tmp_path, 3).sweep_end_reason() == f"run 0002 {TARGET_REACHED}"
    assert not run_folder(tmp_path, 3).is_assigned()
    assert not run_folder(tmp_path, 4).path.exists()
    for total in (9, 30):
        assert work(engine(tmp_path, total, sweep), objective) == []


def test_raised_target_goes_on(tmp_path: Path) -> None:
    def objective(leased: LeasedRun) -> dict[str, Any]:
        return logging(leased, (0.5,))

    for target, numbers in ((0.4, [0]), (0.4, []), (0.9, [1, 2])):
        assert work(engine(tmp_path, 3, with_target(target)), objective) == numbers
    assert run_folder(tmp_path, 1).sweep_end_reason() is None


def test_runs_at_work_end_as_usual_when_the_target_is_reached(tmp_path: Path) -> None:
    def objective(leased: LeasedRun) -> dict[str, Any]:
        if leased.folder.number == 0:
            others = engine(tmp_path, 9, with_target())
            assert work(others, lambda other: logging(other, (0.9,))) == [1]
            assert run_folder(tmp_path, 2).sweep_end_reason()
        return logging(leased, (0.1, 0.2))

    assert work(engine(tmp_path, 9, with_target()), objective) == [0]
    assert run_folder(tmp_path, 0).history(METRIC) == [0.1, 0.2]


def test_killed_run_that_reached_the_target_goes_on_alone(tmp_path: Path) -> None:
    def killed(leased: LeasedRun) -> dict[str, Any]:
        logging(leased, (0.8,))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(engine(tmp_path, 9, with_target()), killed)
    assert work(engine(tmp_path, 9, with_target())) == [0]
    assert run_folder(tmp_path, 1).sweep_end_reason()
