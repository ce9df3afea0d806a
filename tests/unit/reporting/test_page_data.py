"""What the page shows of a sweep, in interactive figures and tables of costs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sweep_results import MOMENTUM, OPTIMIZER, swept

from gcodefp.reporting import page
from gcodefp.reporting.page import learning_curves, parallel_coordinates
from gcodefp.reporting.page_tables import cost_tables, stage_costs
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import CURVE_COLUMNS, read_table
from gcodefp.reporting.templates import jinja_environment


def axes(results: Results) -> dict[str, tuple[dict[str, Any], list[float | None]]]:
    """Name -> the axis, and the values of the runs on it."""
    content = parallel_coordinates(results)
    assert content is not None
    json.dumps(content, allow_nan=False)
    columns = map(list, zip(*content["rows"], strict=True))
    return {a["name"]: (a, c) for a, c in zip(content["axes"], columns, strict=True)}


def test_axes_are_of_runs_with_a_value_and_end_with_the_metric(results: Results) -> None:
    drawn = axes(results)
    assert list(drawn) == ["learning_rate", "optimizer", "val/gcode_acc"]
    assert drawn["val/gcode_acc"][1] == [0.61, 0.4, 0.2]
    # The sweep draws it from a log scale.
    rate = {"name": "learning_rate", "type": "log"}
    assert drawn["learning_rate"] == (rate, [0.002, 0.0005, 0.005])
    assert drawn["optimizer"][0]["data"] == ["adamw", "sgd"]
    assert drawn["optimizer"][1] == [0, 1, 0]
    content = parallel_coordinates(results)
    assert content is not None
    assert (content["runs"], content["excluded"]) == (["0001", "0000", "0002"], 1)


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
    _, values = axes(made)["momentum"]
    assert [value is not None for value in values] == used.tolist()
    choices = swept(results, 4, {"optimizer": OPTIMIZER})
    choices.runs["optimizer"] = ["adamw", np.nan, "sgd", "sgd"]
    axis, values = axes(choices)["optimizer"]
    assert (axis["data"], values) == (["adamw", "sgd", "not set"], [0, 2, 1, 1])


@pytest.mark.parametrize("drawn", [{"values": [1.0, 2.0]}, MOMENTUM])
def test_infinite_hyperparameter_is_json(results: Results, drawn: dict[str, Any]) -> None:
    made = swept(results, 4, {"grad_clip": drawn})
    made.runs["grad_clip"] = [1.0, 2.0, np.inf, 2.0]
    axis, values = axes(made)["grad_clip"]
    if drawn is MOMENTUM:
        assert values == [1, 2, None, 2]
    else:
        assert (axis["data"], values) == (["1", "2", "inf"], [0, 1, 2, 1])


def curve(results: Results, run: str, name: str, split: str = "val") -> list[float | None]:
    content = learning_curves(results)
    assert content is not None
    json.dumps(content, allow_nan=False)
    spans = {name: slice(begin, end) for name, begin, end in content["runs"]}
    assert content["steps"][spans[run]][0] == 1
    values: list[float | None] = content["metrics"][name][split][spans[run]]
    return values


def test_curves_are_of_all_metrics_on_both_splits_the_best_runs_first(results: Results) -> None:
    content = learning_curves(results)
    assert content is not None
    assert [run for run, *_ in content["runs"]] == ["0001", "0000", "0002"]
    assert {name: [*splits] for name, splits in content["metrics"].items()} == {
        "gcode_acc": ["val"], "loss": ["val", "train"],
    }  # fmt: skip
    assert curve(results, "0001", "gcode_acc") == [0.21, 0.41, 0.61]
    assert curve(results, "0000", "loss") == [5.0, 2.5, 1.6667]
    assert curve(results, "0000", "loss", "train") == [4.0, 2.0, 1.3333]
    external = results.curves.rename(columns={"val/loss": "a/b"})
    assert curve(replace(results, curves=external), "0000", "a/b", "") == [5.0, 2.5, 1.6667]


def test_a_program_may_log_seconds_and_pid_at_some_steps_only(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("run,epoch,loss,seconds,pid\n0000,1,0.5,nan,nan\n0000,2,0.4,3.5,7.5\n")
    table = read_table(path, CURVE_COLUMNS, pd.DataFrame({"run": ["0000"]}))
    assert table["seconds"].dropna().tolist() == [3.5]
    assert table["pid"].dropna().tolist() == [7.5]


def test_missing_and_infinite_curves_are_no_error(results: Results) -> None:
    infinite = replace(results, curves=results.curves.assign(**{"val/loss": np.inf}))
    content = learning_curves(infinite)
    assert content is not None
    assert [*content["metrics"]["loss"]] == ["train"]
    loss = results.curves["val/loss"].where(results.curves["epoch"] > 1, np.inf)
    changed = replace(results, curves=results.curves.assign(**{"val/loss": loss}))
    assert curve(changed, "0001", "loss") == [None, 2.5, 1.6667]
    empty = pd.DataFrame(columns=results.curves.columns)
    assert learning_curves(replace(results, curves=empty)) is None


def test_many_epochs_leave_curves_of_the_best_runs_only(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_CURVE_VALUES", 3 * 6)
    content = learning_curves(results)
    assert content is not None
    assert [run for run, *_ in content["runs"]] == ["0001", "0000"]
    assert content["excluded"] == 1


def test_json_in_the_page_ends_no_script() -> None:
    text = jinja_environment().from_string("{{ data | tojson }}").render(data=["</script>"])
    assert "<" not in text


# Costs


def test_runs_are_added_up_by_state_device_and_repeats(results: Results) -> None:
    best_run = {**results.best_run, "seeds": [{"runs": ["0000", "0002"]}]}
    costs = cost_tables(replace(results, best_run=best_run))
    assert costs["parts"]["rows"] == [
        ["all runs", "4", "7", "22 s"],
        ["finished", "2", "6", "18 s"],
        ["stopped", "1", "1", "3 s"],
        ["failed", "1", "0", "0 s"],
        ["device cpu", "3", "7", "22 s"],
        ["device unknown", "1", "0", "0 s"],
        ["repeats with other seeds", "2", "4", "12 s"],
    ]
    assert costs["total"] == "4 runs, 7 epochs, 22 s of training"
    assert (costs["repeated_epochs"], costs["stages"]) == (0, [])
    names = [row[0] for row in cost_tables(results)["parts"]["rows"]]
    assert "repeats with other seeds" not in names


def test_repeated_epochs_are_counted(results: Results) -> None:
    work = results.work.copy()
    # As if the end of the first epoch of run 0000 had not reached the disk.
    work.loc[(work["run"] == "0000") & (work["pid"] == 2), "epoch"] -= 1
    assert cost_tables(replace(results, work=work))["repeated_epochs"] == 1


def test_stages_are_those_of_the_benchmarks_longest_first(tmp_path: Path) -> None:
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, line in (
        ("evaluate", "1.5\t0:00:01\tNA\t-\n"),
        ("controls/presence_only", "9.5\t0:00:09\t300.25\t8.0\n"),
        ("report", "99\t0:01:39\t1\t1\n"),
        ("empty", ""),
        ("cut", "\udcffinf\t\x00\n"),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((head + line).encode(errors="surrogateescape"))
    assert stage_costs(tmp_path) == [
        ("controls/presence_only", 9.5, 8.0, 300.25),
        ("evaluate", 1.5, 0.0, 0.0),
        ("cut", 0.0, 0.0, 0.0),
    ]
    assert stage_costs(tmp_path / "none") == []
