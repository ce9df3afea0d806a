"""Two quantities of a sweep: which runs no other beats, in runs.csv, the figure and the table."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_figures import drawn, texts
from sweep_results import METRIC, RATE, swept
from tiny_sweep import TinySweep

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import LOGGED_METRICS, Objective
from gcodefp.reporting.page_tables import pareto_table
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import differing_hyperparameters, pareto_front
from gcodefp.sweeps.ranking import ON_FRONT, non_dominated, read_pareto

GOALS = {METRIC: "maximize", "parameters": "minimize"}
ACC = Objective(METRIC, "maximize")


@pytest.fixture(scope="module")
def results(results: Results) -> Results:
    """Six runs of growing size; run 4 has failed, 1 and 5 are dominated."""
    made = swept(results, 6, {"learning_rate": RATE}, {4: "failed"}, pareto=GOALS)
    table = made.runs.sort_values("run").assign(
        best_value=[0.2, 0.1, 0.5, 0.9, np.nan, 0.9],
        parameters=[10.0, 20.0, 30.0, 400.0, np.nan, 500.0],
        **{ON_FRONT: ["yes", "no", "yes", "yes", np.nan, "no"]},
    )
    best_run = {**made.best_run, "run": "0003", "metric": METRIC}
    return replace(made, runs=table.reset_index(drop=True), best_run=best_run)


@pytest.mark.parametrize("seed", range(5))
def test_non_dominated_rows_are_those_that_no_other_beats(seed: int) -> None:
    losses = np.random.default_rng(seed).integers(0, 6, (40, 3)).astype(float)
    expected = [
        not any((other <= row).all() and (other < row).any() for other in losses) for row in losses
    ]
    assert non_dominated(losses).tolist() == expected
    assert 0 < sum(expected) < 40


def test_equal_rows_and_a_single_one_are_non_dominated() -> None:
    assert non_dominated(np.ones((3, 2))).tolist() == [True] * 3
    assert non_dominated(np.array([[1.0, 2.0]])).tolist() == [True]


def test_goals_are_those_of_the_sweep_and_of_the_names() -> None:
    logged = [*LOGGED_METRICS, "score"]
    assert read_pareto(["val/loss", "seconds"], ACC, logged, "here") == {
        "val/loss": "minimize", "seconds": "minimize",
    }  # fmt: skip
    score = Objective("score", "minimize")
    assert read_pareto(["score", "val/loss"], score, logged, "here")["score"] == "minimize"
    with pytest.raises(UserError, match="here: 'score' does not tell whether more or less"):
        read_pareto(["score", "val/loss"], ACC, logged, "here")
    with pytest.raises(UserError, match=r"here: 'parameter' is not logged; did you mean 'parame"):
        read_pareto(["val/loss", "parameter"], ACC, logged, "here")


def test_table_has_the_front_alone(results: Results) -> None:
    table = pareto_table(results)
    assert table is not None
    assert table["header"] == ["run", METRIC, "parameters", "learning_rate"]
    assert [row[:3] for row in table["rows"]] == [
        ["0000", "0.2", "10"], ["0002", "0.5", "30"], ["0003", "0.9", "400"],
    ]  # fmt: skip
    assert ON_FRONT not in differing_hyperparameters(results)


def test_figure_has_each_run_and_the_staircase(results: Results) -> None:
    figure = drawn("pareto", results)
    assert "3 of 5 runs are non-dominated best epoch of each run" in " ".join(texts(figure))
    external = replace(results, sweep={**results.sweep, "program": {"path": "train.py"}})
    assert "best step of each run" in " ".join(texts(drawn("pareto", external)))
    (axes,) = figure.axes
    others, front, best_run = axes.lines
    assert list(zip(*others.get_data(), strict=True)) == [(20, 0.1), (500, 0.9)]
    assert list(zip(*front.get_data(), strict=True)) == [(10, 0.2), (30, 0.5), (400, 0.9)]
    assert list(zip(*best_run.get_data(), strict=True)) == [(400, 0.9)]
    # Beside a run of the front, what it dominates has more parameters.
    assert front.get_drawstyle() == "steps-post"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert "(less is better)" in " ".join(axes.get_xlabel().split())
    assert "(more is better)" in " ".join(axes.get_ylabel().split())


def test_without_quantities_or_values_a_sentence_takes_its_place(results: Results) -> None:
    plain = replace(results, sweep={**results.sweep, "pareto": None})
    failed = replace(results, runs=results.runs.assign(best_value=np.nan))
    stale = replace(results, runs=results.runs.drop(columns=ON_FRONT))
    for made, sentence in (
        (plain, "names no two quantities"),
        (failed, "No run has a value of both"),
        (stale, "runs.csv has no column non_dominated: run select_best again"),
    ):
        assert sentence in str(pareto_front(made))
        assert pareto_table(made) is None
        assert not drawn("pareto", made).axes


def test_runs_csv_has_the_values_of_the_best_epochs(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = TinySweep(dataset, tmp_path)
    wrong = ["--pareto", "val/los", "parameters"]
    assert sweep.create(*wrong) == 1
    assert "sweep.pareto: 'val/los' is not logged; did you mean" in capsys.readouterr().err
    assert sweep.create() == 0
    plain = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    rates = {"values": [0.01, 1e30, 0.02]}
    optimizer = {"optimizer": {"value": "sgd"}}
    flags = ["--pareto", "val/loss", "parameters"]
    assert sweep.create(*flags) == 0
    assert json.loads((tmp_path / "sweep.json").read_text("utf-8"))["id"] == plain["id"]
    assert sweep.create(*flags, parameters={"learning_rate": rates, **optimizer}) == 0
    assert sweep.work() == 0
    assert sweep.select() == 0
    with (tmp_path / "best/runs.csv").open(encoding="utf-8") as handle:
        rows = {row["run"]: row for row in csv.DictReader(handle)}
    losses = {}
    for number in (0, 2):
        run = sweep.run(number)
        epoch = (run.read_outcome() or {})["best_epoch"]
        losses[number] = run.metrics()[epoch - 1]["val/loss"]
        assert float(rows[f"{number:04d}"]["val/loss"]) == losses[number]
    best = {number: losses[number] == min(losses.values()) for number in losses}
    assert {n: rows[f"{n:04d}"][ON_FRONT] == "yes" for n in losses} == best
    assert (rows["0001"]["val/loss"], rows["0001"][ON_FRONT]) == ("", "")
