"""What the search makes of run folders: losses, the metric's target, and what others will get."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_documents import specification
from tiny_sweep import TinySweep, tiny_dataset

from gcodefp.learning.metrics_file import append_metrics
from gcodefp.search.rules import Rules
from gcodefp.search.sampling import Earlier, Plan
from gcodefp.search.space import Proposal
from gcodefp.search.specification import Specification
from gcodefp.sweep import decisions
from gcodefp.sweep.decisions import Decisions
from gcodefp.sweep.local_engine import LocalEngine, Trial
from gcodefp.sweep.results_so_far import ResultsSoFar
from gcodefp.sweep.run_folder import RunFolder, run_folder, run_folders

ACCURACY = "val/gcode_acc"
SHOWN: Sequence[tuple[str | None, Sequence[float]]] = (
    ("finished", (0.5, 0.6, 0.55)),
    ("failed", (0.3, 0.1, 0.2, math.nan)),
    ("failed", ()),
    (None, (0.45, 0.4)),
    (None, ()),
    ("stopped", (0.35,)),
)
"""State and accuracies of the runs 0 to 5; the worst of those that ended is 0.1."""
ALL = range(len(SHOWN))


def show(run: RunFolder, values: Sequence[float], metric: str = ACCURACY) -> None:
    for epoch, value in enumerate(values, 1):
        append_metrics(run.path / "metrics.csv", {"epoch": epoch, metric: value})


def made(folder: Path, number: int, state: str | None, values: Sequence[float]) -> None:
    run = run_folder(folder, number)
    run.give({"learning_rate": 0.01}, {"learning_rate": 0.5})
    show(run, values)
    if state is not None:
        run.end({"state": state, "best_value": None if state == "failed" else max(values)})


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, (state, values) in enumerate(SHOWN):
        made(tmp_path, number, state, values)
    return tmp_path


def losses(folder: Path, numbers: Sequence[int], visible: Sequence[int], **metric: Any) -> Any:
    asked = {"name": ACCURACY, "goal": "maximize", **metric}
    results = ResultsSoFar(specification(method="bayes", metric=asked), folder)
    return [results.earlier(number, visible).loss for number in numbers]


# Impute


@pytest.mark.parametrize(
    ("impute", "expected"),
    [("worst", [-0.1, -0.1]), ("best", [-0.3, -0.1]), ("latest", [-0.2, -0.1])],
)
def test_a_failed_run_counts_as_told(runs: Path, impute: str, expected: list[float]) -> None:
    """Run 1 has values of its own; run 2 has none and is as bad as the worst."""
    assert losses(runs, (1, 2), ALL, impute=impute) == expected


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (None, [None, None]),
        ("false", [None, None]),
        ("worst", [-0.1, -0.1]),
        ("best", [-0.45, -0.1]),
        ("latest", [-0.4, -0.1]),
    ],
)
@pytest.mark.parametrize("impute", ["worst", "best"])
def test_a_run_that_goes_on_counts_as_told(
    runs: Path, running: str | None, expected: list[float | None], impute: str
) -> None:
    metric = {"impute": impute} | ({"impute_while_running": running} if running else {})
    assert losses(runs, (3, 4), ALL, **metric) == expected


def test_runs_with_a_value_count_with_their_best(runs: Path) -> None:
    assert losses(runs, (0, 5), ALL, impute="latest", impute_while_running="worst") == [-0.6, -0.35]
    assert losses(runs, (0,), ALL, goal="minimize") == [0.6]


def test_the_worst_is_the_largest_where_the_goal_is_to_minimize(runs: Path) -> None:
    assert losses(runs, (1, 2), ALL, goal="minimize") == [0.6, 0.6]
    assert losses(runs, (1, 3), ALL, goal="minimize", impute="best") == [0.1, None]


def test_the_worst_is_among_what_may_be_seen(runs: Path) -> None:
    assert losses(runs, (2,), (0, 2)) == [-0.5]
    assert losses(runs, (2,), (2, 3)) == [math.inf]
    assert losses(runs, (3,), (2, 3), impute_while_running="worst") == [None]
    # The result of a run that may not be seen is open, as if it went on.
    assert losses(runs, (0, 1), (2,), impute_while_running="worst") == [None, None]


# The metric's target


def engine(folder: Path, total: int = 9, **metric: Any) -> LocalEngine:
    asked = {"name": ACCURACY, "goal": "maximize", "target": 0.7, **metric}
    return LocalEngine(specification(metric=asked), 3, total, folder)


def showing(
    values: Callable[[int], Sequence[float]], begun: list[int], metric: str = ACCURACY
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
    name = metric.get("name", ACCURACY)
    objective = showing(lambda n: values if n == 2 else values[:1], begun, name)
    assert engine(tmp_path, **metric).work(objective, lambda: None) == 3
    assert begun == [0, 1, 2]
    assert run_folder(tmp_path, 3).closed() == "run 0002 has reached the metric's target"
    assert not run_folder(tmp_path, 3).is_given()
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
    assert run_folder(tmp_path, 0).history(ACCURACY) == [0.1, 0.2]
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


# What others are given


BAYES = specification(method="bayes")


class Counted(Plan):
    """Notes who is asked about."""

    asked: list[int]

    def __init__(self, specification: Specification, seed: int) -> None:
        super().__init__(specification, seed)
        Counted.asked = []

    def propose(self, number: int, others: Sequence[Earlier]) -> Proposal:
        Counted.asked.append(number)
        return super().propose(number, others)


def test_what_runs_before_will_get_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them depends on those before it; and it is what they do get."""
    monkeypatch.setattr(decisions, "Plan", Counted)
    width = 6
    sweep = replace(BAYES, rules=Rules(width=width))
    foreseeing = Decisions(sweep, 3, tmp_path)
    foreseen = foreseeing.given(run_folder(tmp_path, width - 1))
    assert sorted(Counted.asked) == list(range(width))
    one_by_one = Decisions(sweep, 3, tmp_path / "other")
    given = [one_by_one.given(run_folder(tmp_path / "other", number)) for number in range(width)]
    assert given[-1] == foreseen


def test_a_closed_run_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It will be given nothing, however long one waits."""

    def never(seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(decisions.time, "sleep", never)
    with pytest.raises(AssertionError, match="it waits"):
        Decisions(BAYES, 3, tmp_path).given(run_folder(tmp_path, 1))
    run_folder(tmp_path, 0).close("every configuration of the space has been tried")
    assert Decisions(BAYES, 3, tmp_path).given(run_folder(tmp_path, 1)) is not None


def test_a_target_reached_while_an_agent_waits_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run 1 waits for what run 0 gets, and in the meantime run 0 reaches the target."""
    sweep = replace(BAYES, target=0.7)
    monkeypatch.setattr(decisions.time, "sleep", lambda _: made(tmp_path, 0, "finished", (0.8,)))
    assert Decisions(sweep, 3, tmp_path).given(run_folder(tmp_path, 1)) is None
    assert run_folder(tmp_path, 1).closed() == "run 0000 has reached the metric's target"
