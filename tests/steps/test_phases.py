"""Sweeps in sequence: ranges narrowed around the best runs, the best repeated with seeds."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_documents import specification, sweep_document
from tiny_sweep import TINY, TinySweep, tiny_dataset

from gcodefp import agent, narrow, repeat_best, select_best
from gcodefp.narrow import best_count, narrowed
from gcodefp.sweeps.specification import load_specification, read_specification
from gcodefp.sweeps.sweep_file import read_sweep


def around(config: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The entry of learning_rate narrowed around these values of it."""
    following = specification(parameters={"learning_rate": config})
    best = [{"learning_rate": value} for value in values]
    document = narrowed(following, best, {"learning_rate"})
    read_specification(document, "narrowed")
    entry: dict[str, Any] = document["parameters"]["learning_rate"]
    return entry


@pytest.mark.parametrize(
    ("config", "values", "changed"),
    [
        # u is 0.2 and 0.6; a tenth of the spread, 0.04, is less than the least margin of 0.05.
        ({"min": 0.0, "max": 1.0}, [0.2, 0.6], {"min": 0.15, "max": 0.65}),
        # u is 0.1 and 0.9: a margin of 0.08 on both sides.
        ({"min": 0.0, "max": 1.0}, [0.1, 0.9], {"min": 0.02, "max": 0.98}),
        ({"min": 0.0, "max": 1.0}, [0.98, 0.99], {"min": 0.93, "max": 1.0}),
        # Over four decades a margin of 0.05 is a factor of 10 ** 0.2.
        (
            {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
            [0.01],
            {"min": 0.00631, "max": 0.01585},
        ),
        # Exponents become values: 0.01 · exp(∓0.5).
        (
            {"distribution": "log_uniform", "min": -10, "max": 0},
            [0.01],
            {"distribution": "log_uniform_values", "min": 0.006065, "max": 0.01649},
        ),
        (
            {"distribution": "inv_log_uniform", "min": 0, "max": 10},
            [0.01],
            {"distribution": "inv_log_uniform_values", "min": 0.006065, "max": 0.01649},
        ),
        # Multiples of q, or the only one that is left.
        (
            {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.125},
            [0.5, 0.75],
            {"min": 0.375, "max": 0.75},
        ),
        ({"distribution": "normal", "mu": 0.5, "sigma": 0.1}, [0.4], {}),
        ({"values": [0.1, 0.2, 0.3]}, [0.3, 0.1, 0.3], {"values": [0.1, 0.3]}),
        ({"values": [0.1, 0.2], "probabilities": [0.5, 0.5]}, [0.1], {}),
        # Values outside of the next sweep do not count.
        ({"min": 0.0, "max": 1.0}, [2.0], {}),
    ],
)
def test_range_becomes_that_of_the_best(
    config: dict[str, Any], values: list[float], changed: dict[str, Any]
) -> None:
    inferred = {"distribution": "uniform"} if set(config) == {"min", "max"} and changed else {}
    expected = {**inferred, **config, **changed}
    assert around(config, values) == {
        key: pytest.approx(value, rel=2e-3) if isinstance(value, float) else value
        for key, value in expected.items()
    }


def test_whole_numbers_stay_whole_and_nested_ones_are_found() -> None:
    layers = {"num_layers": {"min": 1, "max": 8}}
    document = sweep_document(
        parameters={"model": {"parameters": layers}, "dropout": {"value": 0.1}}
    )
    following = read_specification(document, "next")
    best = [{"num_layers": 4, "dropout": 0.1}, {"num_layers": 5, "dropout": 0.1}]
    entries = narrowed(following, best, {"num_layers"})["parameters"]
    assert entries["model"]["parameters"]["num_layers"] == {"min": 4, "max": 5}
    assert document["parameters"]["model"]["parameters"]["num_layers"] == {"min": 1, "max": 8}
    assert narrowed(following, best, set()) == document
    assert narrowed(following, best[:1], {"num_layers"})["parameters"]["model"]["parameters"] == {
        "num_layers": {"value": 4}
    }


def test_count_of_the_best() -> None:
    assert [best_count(runs) for runs in (1, 2, 4, 12, 13, 40)] == [1, 2, 3, 3, 4, 10]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """Three good runs, and one that fails."""
    folder = tmp_path_factory.mktemp("phases")
    made = TinySweep(tiny_dataset(folder), folder / "sweep")
    rates = {"learning_rate": {"values": [0.002, 0.01, 0.02, 1e30]}, "optimizer": {"value": "sgd"}}
    assert made.create(metric={"name": "val/loss"}, parameters=rates) == 0
    assert made.work() == 0
    return made


def flags(sweep: TinySweep, *more: Any) -> list[str]:
    common = ["--sweep", sweep.folder / "sweep.json", "--runs", sweep.folder / "runs"]
    return [str(part) for part in (*common, *more)]


def test_next_phase_is_a_yaml_with_its_origin(sweep: TinySweep, tmp_path: Path) -> None:
    following, output = tmp_path / "next.yaml", tmp_path / "phase_2/sweep.yaml"
    rate = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}
    document = sweep_document(
        metric={"name": "val/loss"}, parameters={**TINY, "learning_rate": rate}
    )
    following.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert narrow.main(flags(sweep, "--next", following, "--output", output)) == 0
    text = output.read_text(encoding="utf-8")
    assert text.startswith("# Phase 2: next.yaml, narrowed around the best 3 of 3 runs")
    entry = load_specification(output).document["parameters"]["learning_rate"]
    assert 1e-4 < entry["min"] < 0.002
    assert 0.02 < entry["max"] < 1.0
    assert load_specification(output).run_cap == document["run_cap"]


def test_phases_need_the_same_metric(
    sweep: TinySweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    following = tmp_path / "next.yaml"
    following.write_text(yaml.safe_dump(sweep_document()), encoding="utf-8")
    assert narrow.main(flags(sweep, "--next", following, "--output", tmp_path / "o.yaml")) == 1
    assert "maximize val/gcode_acc and minimize val/loss" in capsys.readouterr().err


def test_winner_has_the_best_mean_over_fresh_seeds(sweep: TinySweep, tmp_path: Path) -> None:
    repeats, best = tmp_path / "sweep.json", tmp_path / "best"
    more = ["--finalists", 2, "--seeds", 2, "--output", repeats]
    assert repeat_best.main(flags(sweep, *more)) == 0
    read = read_sweep(repeats)
    assert (read.total, read.is_repeat) == (4, True)
    points = [(v["learning_rate"], v["seed"]) for v in read.specification.options.first_points]
    assert [seed for _, seed in points] == [2, 3, 2, 3]
    assert points[0][0] == points[1][0] != points[2][0] == points[3][0]

    common = sweep.flags()
    assert agent.main([*common, "--sweep", str(repeats)]) == 0
    both = ["--sweep", str(sweep.folder / "sweep.json"), str(repeats), "--output", str(best)]
    assert select_best.main([*common, *both]) == 0
    content = json.loads((best / "run.json").read_text(encoding="utf-8"))
    with (best / "runs.csv").open(encoding="utf-8") as handle:
        rows = {row["run"]: row for row in csv.DictReader(handle)}
    assert len(rows) == 8
    means = [group["mean"] for group in content["seeds"]]
    assert means == sorted(means)
    for group in content["seeds"]:
        values = [float(rows[name]["best_value"]) for name in group["runs"]]
        assert group["values"] == values
        assert group["mean"] == pytest.approx(sum(values) / 2)
        assert group["standard_deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
        assert {rows[name]["seed"] for name in group["runs"]} == {"2", "3"}
    assert content["run"] in content["seeds"][0]["runs"]
    assert content["best_value"] == min(content["seeds"][0]["values"])
    assert next(iter(rows)) == content["run"]
    assert content["sweeps"] == [read_sweep(sweep.folder / "sweep.json").sweep_id, read.sweep_id]
    assert rows[content["run"]]["sweep"] == read.sweep_id
