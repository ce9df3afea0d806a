"""What becomes of a sweep whose metric's target is reached."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_documents import specification
from tiny_sweep import TinySweep, tiny_dataset
from trivial_runs import METRIC, made, show

from gcodefp.sweeps import scheduler as decisions
from gcodefp.sweeps.local_engine import LocalEngine, Trial
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.scheduler import Scheduler


def engine(folder: Path, total: int = 9, **metric: Any) -> LocalEngine:
    asked = {"name": METRIC, "goal": "maximize", "target": 0.7, **metric}
    return LocalEngine(specification(metric=asked), 3, total, folder)


def showing(
    values: Callable[[int], Sequence[float]], begun: list[int], metric: str = METRIC
) -> Callable[[Trial], dict[str, Any]]:
    def objective(trial: Trial) -> dict[str, Any]:
        begun.append(trial.folder.number)
        show(trial.folder, values(trial.folder.number), metric)
        return {"state": "finished", "best_value": 0.5}

    return objective


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ({}, (0.69, 0.7, 0.1)),
        ({"name": "val/loss", "goal": "minimize"}, (0.71, 0.7, 0.9)),
    ],
    ids=["maximize", "minimize"],
)
def test_no_run_begins_once_one_has_reached_the_target(
    tmp_path: Path, metric: dict[str, Any], values: Sequence[float]
) -> None:
    """In any of its epochs; a run that came near it ends nothing."""
    begun: list[int] = []
    name = metric.get("name", METRIC)
    objective = showing(lambda n: values if n == 2 else values[:1], begun, name)
    assert engine(tmp_path, **metric).work(objective, lambda: None) == 3
    assert begun == [0, 1, 2]
    assert run_folder(tmp_path, 3).closed() == "run 0002 has reached the metric's target"
    assert not run_folder(tmp_path, 3).is_assigned()
    assert not run_folder(tmp_path, 4).path.exists()
    # Neither another agent nor a larger total restarts the sweep.
    for total in (9, 30):
        assert engine(tmp_path, total, **metric).work(objective, lambda: None) == 0
    assert begun == [0, 1, 2]
    assert len(run_folders(tmp_path)) == 4


def test_runs_that_go_on_while_the_target_is_reached_end_as_usual(tmp_path: Path) -> None:
    begun: list[int] = []

    def objective(trial: Trial) -> dict[str, Any]:
        if trial.folder.number == 0:
            good = showing(lambda n: (0.9,), begun)
            assert engine(tmp_path).work(good, lambda: None) == 1
            assert run_folder(tmp_path, 2).closed()
        return showing(lambda n: (0.1, 0.2), begun)(trial)

    assert engine(tmp_path).work(objective, lambda: None) == 1
    assert begun == [1, 0]
    assert run_folder(tmp_path, 0).history(METRIC) == [0.1, 0.2]
    assert run_folder(tmp_path, 0).is_over()


def test_a_killed_run_that_has_reached_the_target_goes_on_alone(tmp_path: Path) -> None:
    def killed(trial: Trial) -> dict[str, Any]:
        show(trial.folder, (0.8,))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine(tmp_path).work(killed, lambda: None)
    begun: list[int] = []
    assert engine(tmp_path).work(showing(lambda n: (), begun), lambda: None) == 1
    assert begun == [0]
    assert run_folder(tmp_path, 1).closed()


def test_the_best_of_a_sweep_that_has_reached_its_target_can_be_selected(
    tmp_path: Path,
) -> None:
    sweep = TinySweep(tiny_dataset(tmp_path / "data"), tmp_path / "sweep")
    metric = {"name": "val/loss", "goal": "minimize", "target": 1000}
    assert sweep.create(metric=metric, parameters={"max_epochs": {"value": 1}}) == 0
    assert sweep.work() == 0
    assert sweep.run(0).is_over()
    assert sweep.run(1).closed()
    assert sweep.select() == 0


BAYES = specification(method="bayes")


def test_a_target_reached_while_an_agent_waits_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run 1 waits for what run 0 gets, and in the meantime run 0 reaches the target."""
    sweep = replace(BAYES, target=0.7)
    monkeypatch.setattr(decisions.time, "sleep", lambda _: made(tmp_path, 0, "finished", (0.8,)))
    assert Scheduler(sweep, 3, tmp_path).assign(run_folder(tmp_path, 1)) is None
    assert run_folder(tmp_path, 1).closed() == "run 0000 has reached the metric's target"
