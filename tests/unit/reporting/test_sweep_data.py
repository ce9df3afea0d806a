"""What the page's scripts are given of a sweep."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_files import results_of, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, swept

from gcodefp.reporting import sweep_data as module
from gcodefp.reporting.page_tables import runs_table
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_data import sweep_data
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


def test_a_column_that_the_curves_lack_is_left_out(results: Results) -> None:
    def without(*columns: str) -> Results:
        return replace(results, curves=results.curves.drop(columns=list(columns)))

    data = sweep_data(without("val/loss"))
    assert [of["name"] for of in data["series"]] == ["val/gcode_acc"]
    assert data["curves"][0] == {"epochs": [1, 2, 3], "values": [[0.21, 0.41, 0.61]]}
    neither = sweep_data(without("val/loss", "val/gcode_acc"))
    assert (neither["series"], neither["curves"][0]["values"]) == ([], [])


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


def test_a_run_that_does_not_use_a_hyperparameter_is_not_at_its_default(results: Results) -> None:
    rules = {"conditions": {"momentum": "optimizer == 'sgd'"}}
    made = swept(results, 12, {"momentum": MOMENTUM, "optimizer": OPTIMIZER}, rules=rules)
    used = (made.runs["optimizer"] == "sgd").to_numpy()
    assert 0 < used.sum() < 12
    made.runs.loc[~used, "momentum"] = 0.9
    found = axis(made, "momentum")
    below = found["tickvals"][0]
    assert found["ticktext"][0] == "not set"
    assert below < made.runs["momentum"][used].min()
    assert found["values"] == np.where(used, made.runs["momentum"], below).tolist()
    assert found["range"] == pytest.approx([below, made.runs["momentum"][used].max()])
    choices = swept(results, 4, {"optimizer": OPTIMIZER})
    choices.runs["optimizer"] = ["adamw", np.nan, "sgd", "sgd"]
    found = axis(choices, "optimizer")
    assert (found["ticktext"], found["values"]) == (["adamw", "sgd", "not set"], [0, 2, 1, 1])


def test_a_failed_run_that_holds_only_what_it_was_asked_makes_no_default_varied(
    results: Results,
) -> None:
    failed = with_runs(results, dropout=[0.1, 0.1, 0.1, np.nan], seed=[3, 3, 4, np.nan])
    data = sweep_data(failed)
    assert data["varied"] == ["learning_rate", "optimizer", "seed"]
    assert "dropout" not in data["columns"]
    assert [of["label"] for of in data["axes"]["axes"][:-1]] == ["learning_rate", "optimizer"]


def test_a_hyperparameter_that_only_failed_runs_had_otherwise_still_has_a_range(
    results: Results,
) -> None:
    made = swept(results, 4, {"dropout": MOMENTUM}, {3: "failed"})
    made.runs["dropout"] = [0.5, 0.5, 0.5, 0.9]
    found = axis(made, "dropout")
    assert found["values"] == [0.5] * 3
    assert found["range"] == pytest.approx([0.0, 1.0])
    assert found["ticktext"] == ["0.5"]


@pytest.mark.parametrize("drawn", [{"values": [1.0, 2.0]}, MOMENTUM])
def test_an_infinite_hyperparameter_is_json(results: Results, drawn: dict[str, Any]) -> None:
    made = swept(results, 4, {"grad_clip": drawn})
    made.runs["grad_clip"] = [1.0, 2.0, np.inf, 2.0]
    found = axis(made, "grad_clip")
    json.dumps(sweep_data(made), allow_nan=False)
    if drawn is MOMENTUM:
        assert (found["ticktext"][0], found["values"][2]) == ("not set", found["tickvals"][0])
    else:
        assert (found["ticktext"], found["values"]) == (["1", "2", "inf"], [0, 1, 2, 1])


def test_numbers_that_differ_late_have_ticks_apart(results: Results) -> None:
    made = swept(results, 4, {"steps": {"distribution": "int_uniform", "min": 1, "max": 9999999}})
    made.runs["steps"] = [1000001, 1000002, 1000003, 1000004]
    texts = axis(made, "steps")["ticktext"]
    assert len(set(texts)) == len(texts) > 2


def test_a_run_of_the_service_without_any_history_is_no_error(results: Results) -> None:
    empty = pd.DataFrame(columns=results.curves.columns)
    assert sweep_data(replace(results, curves=empty))["curves"] == [None] * 4
