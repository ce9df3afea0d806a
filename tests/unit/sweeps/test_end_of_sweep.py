"""What ends a sweep, or stops an agent, and what does not."""

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, SMALL, bad, engine, good, work
from sweep_documents import specification

from gcodefp.errors import UserError
from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps.local_engine import Trial
from gcodefp.sweeps.rules import Rules
from gcodefp.sweeps.run_folder import run_folder, run_folders


def test_failed_runs_do_not_end_the_sweep(tmp_path: Path) -> None:
    numbers = work(engine(tmp_path, 9), lambda t: (good if t.folder.number % 3 else bad)(t))
    assert numbers == list(range(9))
    assert run_folder(tmp_path, 3).ended() == {"format": "gcodefp-run-1"} | bad(None)  # type: ignore[arg-type]


def test_three_failures_in_a_row_stop_the_agent(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        work(engine(tmp_path, 20), lambda t: (good if t.folder.number in (2, 5) else bad)(t))
    assert platform.node() in str(error.value)
    for part in ("3 runs failed in a row", str(tmp_path / "0008"), "cheese", "--forcerun agent"):
        assert part in str(error.value)
    with pytest.raises(UserError):
        work(engine(tmp_path, 20), bad)
    assert len(run_folders(tmp_path)) == 12


def test_failures_at_the_end_of_a_sweep_stop_nothing(tmp_path: Path) -> None:
    assert work(engine(tmp_path, 3), bad) == [0, 1, 2]


def test_with_a_width_a_run_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    sweep = replace(RANDOM, rules=Rules(width=2))
    assert work(engine(tmp_path, 1, sweep)) == [0]
    (tmp_path / "0000/run.json").write_text("garbage", encoding="utf-8")
    with pytest.raises(UserError, match=r"0000: cannot be read, and with a width") as error:
        work(engine(tmp_path, 4, sweep))
    assert "remove this run's folder" in str(error.value)


def test_a_target_that_is_raised_goes_on(tmp_path: Path) -> None:
    assert work(engine(tmp_path, 3, replace(RANDOM, target=0.6))) == [0, 1, 2]

    def logged(trial: Trial) -> dict[str, Any]:
        append_metrics(trial.folder.path / "metrics.csv", {"epoch": 1, "val/gcode_acc": 0.5})
        return good(trial)

    folder = tmp_path / "again"
    assert work(engine(folder, 3, replace(RANDOM, target=0.4)), logged) == [0]
    assert work(engine(folder, 3, replace(RANDOM, target=0.4)), logged) == []
    assert work(engine(folder, 3, replace(RANDOM, target=0.9)), logged) == [1, 2]
    assert run_folder(folder, 1).closed() is None


def test_a_larger_total_goes_on_and_a_complete_sweep_ends_at_once(tmp_path: Path) -> None:
    assert work(engine(tmp_path, 3)) == [0, 1, 2]
    assert work(engine(tmp_path, 3)) == []
    assert work(engine(tmp_path, 5)) == [3, 4]
    assert work(engine(tmp_path, 2)) == []


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_an_exhausted_space_ends_the_sweep(tmp_path: Path, method: str) -> None:
    sweep = specification(method=method, parameters=SMALL)
    assert work(engine(tmp_path, 9, sweep)) == [0, 1, 2, 3]
    assert work(engine(tmp_path, 9, sweep)) == []
    assert run_folder(tmp_path, 4).closed() == "every configuration of the space has been tried"
    assert not (tmp_path / "0005").exists()


def test_a_grid_ends_by_itself(tmp_path: Path) -> None:
    sweep = specification(method="grid", parameters=SMALL)
    work(engine(tmp_path, 4, sweep))
    given = [run.assigned() or {} for run in run_folders(tmp_path)]
    assert [tuple(g["hyperparameters"].values()) for g in given] == [
        (1, "adam"), (1, "sgd"), (2, "adam"), (2, "sgd"),
    ]  # fmt: skip
