"""What the page's scripts are given of a sweep."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_files import results_of, true_blocks, write_results

from gcodefp.findings.results import Results
from gcodefp.reporting import sweep_data as module
from gcodefp.reporting.sweep_data import sweep_data
from gcodefp.reporting.tables import runs_table
from gcodefp.reporting.templates import environment


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    return results_of(write_results(folder, true_blocks(), true_blocks()))


def with_runs(results: Results, **columns: list[Any]) -> Results:
    return replace(results, runs=results.runs.assign(**columns))


def axis(results: Results, name: str) -> dict[str, Any]:
    return next(of for of in sweep_data(results)["axes"]["axes"] if of["label"] == name)


def test_columns_and_rows_are_those_of_the_table(results: Results) -> None:
    data, table = sweep_data(results), runs_table(results)
    assert [name.replace("_", " ") for name in data["columns"]] == [
        name.replace("_", " ") for name in table["head"]
    ]
    assert data["varied"] == ["learning_rate", "optimizer"]
    assert data["columns"]["run"] == [row[0] for row in table["rows"]]
    assert data["columns"]["best_value"] == [0.61, 0.4, 0.2, None]
    assert data["columns"]["epochs"] == [3, 3, 1, None]


def test_json_has_no_nan_and_ends_no_script(results: Results) -> None:
    template = environment().from_string("{{ data | tojson }}")
    text = template.render(data=sweep_data(results))
    assert "<" not in text
    assert json.loads(text)["columns"]["reason"][3] == "<script>loss is nan</script>"


def test_a_run_has_its_curves_or_none(results: Results) -> None:
    data = sweep_data(results)
    assert [of["name"] for of in data["series"]] == ["val/gcode_acc", "val/loss"]
    first, *_, failed = data["curves"]
    assert first == {"epochs": [1, 2, 3], "values": [[0.21, 0.41, 0.61], [5.0, 2.5, 1.6667]]}
    assert failed is None
    curves = results.curves.assign(**{"val/loss": np.inf})
    assert sweep_data(replace(results, curves=curves))["curves"][0]["values"][1] == [None] * 3


def test_of_many_epochs_only_the_best_runs_have_curves(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_EPOCHS", 6)
    assert [of is not None for of in sweep_data(results)["curves"]] == [True, True, False, False]


def test_axes_are_of_runs_with_a_value_and_end_with_the_metric(results: Results) -> None:
    found = sweep_data(results)["axes"]
    assert found["rows"] == [0, 1, 2]
    assert [of["label"] for of in found["axes"]] == ["learning_rate", "optimizer", "val/gcode_acc"]
    assert found["axes"][-1]["values"] == [0.61, 0.4, 0.2]


def test_an_axis_is_logarithmic_where_the_sweep_is(results: Results) -> None:
    found = axis(results, "learning_rate")
    assert found["values"] == pytest.approx(np.log10([0.002, 0.0005, 0.005]).tolist())
    assert found["range"] == pytest.approx(np.log10([0.0005, 0.005]).tolist())
    assert found["ticktext"] == ["0.0005", "0.001", "0.002", "0.005"]
    assert found["tickvals"] == pytest.approx(np.log10([0.0005, 0.001, 0.002, 0.005]).tolist())


def test_choices_are_in_the_order_of_the_sweep(results: Results) -> None:
    found = axis(results, "optimizer")
    assert (found["ticktext"], found["values"]) == (["adamw", "sgd"], [0.0, 1.0, 0.0])


def test_a_run_without_the_hyperparameter_has_a_place_of_its_own(results: Results) -> None:
    found = axis(with_runs(results, momentum=[0.5, np.nan, 0.9, 0.9]), "momentum")
    assert found["ticktext"][0] == "not set"
    below = found["tickvals"][0]
    assert found["values"] == pytest.approx([0.5, below, 0.9])
    assert below < 0.5
    assert found["range"] == pytest.approx([below, 0.9])
    found = axis(with_runs(results, optimizer=["adamw", np.nan, "sgd", "sgd"]), "optimizer")
    assert found["ticktext"] == ["adamw", "sgd", "not set"]


def test_a_hyperparameter_that_only_failed_runs_had_otherwise_still_has_a_range(
    results: Results,
) -> None:
    found = axis(with_runs(results, dropout=[0.1, 0.1, 0.1, 0.2]), "dropout")
    assert found["values"] == [0.1] * 3
    assert found["range"] == pytest.approx([-0.4, 0.6])
    assert found["ticktext"] == ["0.1"]


def test_a_run_of_the_service_without_any_history_is_no_error(results: Results) -> None:
    empty = pd.DataFrame(columns=results.curves.columns)
    assert sweep_data(replace(results, curves=empty))["curves"] == [None] * 4
