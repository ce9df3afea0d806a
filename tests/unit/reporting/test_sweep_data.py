"""The interactive figures of a sweep that the page embeds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_files import results_of, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, swept

from gcodefp.reporting import sweep_data
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_data import learning_curves, parallel_coordinates
from gcodefp.reporting.sweep_results import CURVE_COLUMNS, read_table
from gcodefp.reporting.templates import environment


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    return results_of(write_results(folder, true_blocks(), true_blocks()))


def axes(results: Results) -> dict[str, dict[str, Any]]:
    figure = parallel_coordinates(results)
    assert figure is not None
    json.dumps(figure, allow_nan=False)
    return {axis["label"]: axis for axis in figure["data"][0]["dimensions"]}


def test_axes_are_of_runs_with_a_value_and_end_with_the_metric(results: Results) -> None:
    found = axes(results)
    assert list(found) == ["learning_rate", "optimizer", "val/gcode_acc"]
    assert found["val/gcode_acc"]["values"] == [0.61, 0.4, 0.2]
    rate = found["learning_rate"]  # The sweep draws it from a log scale.
    assert rate["values"] == pytest.approx(np.log10([0.002, 0.0005, 0.005]))
    assert rate["range"] == pytest.approx(np.log10([0.0005, 0.005]))
    assert rate["ticktext"] == ["0.0005", "0.001", "0.002", "0.005"]
    assert rate["tickvals"] == pytest.approx(np.log10([0.0005, 0.001, 0.002, 0.005]))
    choices = found["optimizer"]
    assert (choices["ticktext"], choices["values"]) == (["adamw", "sgd"], [0.0, 1.0, 0.0])
    figure = parallel_coordinates(results)
    assert figure is not None
    assert figure["excluded"] == 1


def test_one_run_or_no_varied_hyperparameter_has_no_parallel_coordinates(results: Results) -> None:
    assert parallel_coordinates(replace(results, runs=results.runs[:1])) is None
    made = swept(results, 4, {"dropout": {"value": 0.1}})
    assert parallel_coordinates(made) is None


def test_run_that_does_not_use_a_hyperparameter_is_not_at_its_default(results: Results) -> None:
    rules = {"conditions": {"momentum": "optimizer == 'sgd'"}}
    made = swept(results, 12, {"momentum": MOMENTUM, "optimizer": OPTIMIZER}, rules=rules)
    used = (made.runs["optimizer"] == "sgd").to_numpy()
    assert 0 < used.sum() < 12
    made.runs.loc[~used, "momentum"] = 0.9
    found = axes(made)["momentum"]
    below = found["tickvals"][0]
    assert found["ticktext"][0] == "not set"
    assert below < made.runs["momentum"][used].min()
    assert found["values"] == np.where(used, made.runs["momentum"], below).tolist()
    choices = swept(results, 4, {"optimizer": OPTIMIZER})
    choices.runs["optimizer"] = ["adamw", np.nan, "sgd", "sgd"]
    found = axes(choices)["optimizer"]
    assert (found["ticktext"], found["values"]) == (["adamw", "sgd", "not set"], [0, 2, 1, 1])


def test_equal_values_still_have_a_range(results: Results) -> None:
    made = swept(results, 4, {"dropout": MOMENTUM}, {3: "failed"})
    made.runs["dropout"] = [0.5, 0.5, 0.5, 0.9]
    found = axes(made)["dropout"]
    assert found["range"] == pytest.approx([0.0, 1.0])
    assert found["ticktext"] == ["0.5"]


@pytest.mark.parametrize("drawn", [{"values": [1.0, 2.0]}, MOMENTUM])
def test_infinite_hyperparameter_is_json(results: Results, drawn: dict[str, Any]) -> None:
    made = swept(results, 4, {"grad_clip": drawn})
    made.runs["grad_clip"] = [1.0, 2.0, np.inf, 2.0]
    found = axes(made)["grad_clip"]
    if drawn is MOMENTUM:
        assert (found["ticktext"][0], found["values"][2]) == ("not set", found["tickvals"][0])
    else:
        assert (found["ticktext"], found["values"]) == (["1", "2", "inf"], [0, 1, 2, 1])


def test_numbers_that_differ_late_have_different_ticks(results: Results) -> None:
    made = swept(results, 4, {"steps": {"distribution": "int_uniform", "min": 1, "max": 9999999}})
    made.runs["steps"] = [1000001, 1000002, 1000003, 1000004]
    texts = axes(made)["steps"]["ticktext"]
    assert len(set(texts)) == len(texts) > 2


def test_curves_are_of_metric_and_loss_the_best_runs_shown(results: Results) -> None:
    metric, loss = learning_curves(results)
    assert metric["data"][0]["x"] == [1, 2, 3]
    assert metric["data"][0]["y"] == [0.21, 0.41, 0.61]
    assert loss["data"][0]["y"] == [5.0, 2.5, 1.6667]
    assert [line["name"] for line in loss["data"]] == ["run 0001", "run 0000", "run 0002"]
    made = swept(results, 5, {"dropout": MOMENTUM})
    shown = [line["visible"] for line in learning_curves(made)[0]["data"]]
    assert shown == [True, True, True, "legendonly", "legendonly"]


def test_a_program_may_log_seconds_and_pid_at_some_steps_only(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("run,epoch,loss,seconds,pid\n0000,1,0.5,nan,nan\n0000,2,0.4,3.5,7.5\n")
    table = read_table(path, CURVE_COLUMNS, pd.DataFrame({"run": ["0000"]}))
    assert table["seconds"].dropna().tolist() == [3.5]
    assert table["pid"].dropna().tolist() == [7.5]


def test_missing_and_infinite_curves_are_no_error(results: Results) -> None:
    infinite = replace(results, curves=results.curves.assign(**{"val/loss": np.inf}))
    assert learning_curves(infinite) == learning_curves(results)[:1]
    loss = results.curves["val/loss"].where(results.curves["epoch"] > 1, np.inf)
    late = replace(results, curves=results.curves.assign(**{"val/loss": loss}))
    assert learning_curves(late)[1]["data"][0]["y"] == [None, 2.5, 1.6667]
    (only,) = learning_curves(replace(results, curves=results.curves.drop(columns="val/loss")))
    assert only["data"][0]["y"] == [0.21, 0.41, 0.61]
    empty = pd.DataFrame(columns=results.curves.columns)
    assert learning_curves(replace(results, curves=empty)) == []


def test_many_epochs_leave_curves_of_the_best_runs_only(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_data, "MAX_EPOCHS", 6)
    names = [line["name"] for line in learning_curves(results)[0]["data"]]
    assert names == ["run 0001", "run 0000"]


def test_names_are_plain_text_for_plotly_and_html(results: Results) -> None:
    curves = results.curves.assign(run="<b>0001")
    runs = results.runs.assign(run="<b>0001").iloc[:1]
    figures = learning_curves(replace(results, runs=runs, curves=curves))
    assert figures[0]["data"][0]["name"] == "run &lt;b&gt;0001"
    text = environment().from_string("{{ data | tojson }}").render(data=["</script>"])
    assert "<" not in text
