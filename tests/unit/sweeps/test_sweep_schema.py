import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_documents import SHIPPED, WHERE, guide, specification, sweep_document

from gcodefp.errors import UserError
from gcodefp.sweeps.parameters import read_parameter
from gcodefp.sweeps.specification import load_specification, read_specification
from gcodefp.sweeps.trainable import check_trainable

EXPONENTS = {"distribution": "log_uniform", "min": 1e-5, "max": 1e-1}

INFERRED: list[tuple[dict[str, Any], str]] = [
    ({"min": 1, "max": 4}, "int_uniform"),
    ({"min": 1.0, "max": 4.0}, "uniform"),
    ({"values": [1, 2]}, "categorical"),
    ({"value": 1}, "constant"),
    ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "categorical_w_probabilities"),
    ({"mu": 0.0, "sigma": 1.0}, "normal"),
    ({"mu": 0.0}, "normal"),
]

BAD_PARAMETERS: dict[str, tuple[Any, list[str]]] = {
    "exponents": (EXPONENTS, ["1e-05", "0.1", "log_uniform_values"]),
    "q exponents": (
        {"distribution": "q_log_uniform", "min": 32, "max": 1024, "q": 32},
        ["32", "1024", "q_log_uniform_values"],
    ),
    "text": ({"min": "1e-5", "max": 0.1}, [".min", "'1e-5'", "write 1.0e-5"]),
    "text value": ({"value": "1e-3"}, [".value", "'1e-3'", "write 0.001"]),
    "large text value": ({"value": "1e22"}, [".value", "'1e22'", "write 1.0e+22"]),
    "whole text": ({"values": ["16", 32]}, [".values[0]", "'16'", "write 16"]),
    "date": ({"values": [1, date(2024, 1, 2)]}, [".values[1]", "2024-01-02", "date", "quotes"]),
    "date in a list": ({"values": [[date(2024, 1, 2)]]}, [".values[0][0]", "2024-01-02"]),
    "bytes": ({"value": b"x"}, [".value", "bytes", "quotes"]),
    "infinite value": ({"values": [float("nan")]}, [".values[0]: nan", "finite"]),
    "mapping as value": ({"value": {"a": 1}}, [".value: {'a': 1}", "`parameters:`"]),
    "mapping in values": ({"values": [{"a": 1}]}, [".values[0]: {'a': 1}", "`parameters:`"]),
    "text in values": ({"values": [0.1, "2e-3"]}, [".values[1]", "'2e-3'", "write 0.002"]),
    "mixed": ({"min": 0, "max": 0.5}, ["min 0", "max 0.5", "(0.0, 0.5)"]),
    "unknown key": ({"min": 0.1, "maxx": 0.5, "max": 1.0}, [".maxx", "did you mean 'max'?"]),
    "number as key": ({"value": 0.1, 3: 4}, [".3", "known are: value"]),
    "foreign key": ({"distribution": "normal", "min": 1.0}, [".min", "normal", "mu"]),
    "distribution": (
        {"distribution": "loguniform_values", "min": 0.1, "max": 1.0},
        [".distribution", "'loguniform_values'", "did you mean 'log_uniform_values'?"],
    ),
    "shares sum": ({"values": [0.1, 0.2], "probabilities": [0.5, 0.6]}, ["[0.5, 0.6]", "sum to 1"]),
    "shares count": ({"values": [0.1, 0.2], "probabilities": [1.0]}, ["[1.0]", "[0.1, 0.2]"]),
    "shares sign": ({"values": [0.1, 0.2], "probabilities": [1.5, -0.5]}, ["-0.5", "at least 0"]),
    "shares alone": ({"probabilities": [1.0]}, ["'values' is missing"]),
    "order": ({"min": 0.5, "max": 0.1}, ["min 0.5", "above max 0.1", "exchange"]),
    "no width": ({"min": 2, "max": 2}, ["both 2", "`value: 2`"]),
    "log of 0": (
        {"distribution": "log_uniform_values", "min": 0, "max": 1},
        [".min: 0", "above 0"],
    ),
    "sigma": ({"distribution": "normal", "mu": 1.0, "sigma": 0}, [".sigma: 0", "above 0"]),
    "q": ({"distribution": "q_uniform", "min": 1, "max": 2, "q": -1}, [".q: -1", "above 0"]),
    "wide q": (
        {"distribution": "q_uniform", "min": 1, "max": 2, "q": 5},
        [".q: 5", "range 1 to 2"],
    ),
    "wide q of values": (
        {"distribution": "q_log_uniform_values", "min": 1, "max": 2, "q": 5},
        [".q: 5", "range 1 to 2", "smaller"],
    ),
    "wide q of exponents": (
        {"distribution": "q_log_uniform", "min": -2, "max": 0, "q": 1},
        [".q: 1", "range 0.135335 to 1"],
    ),
    "infinite": ({"min": 0.1, "max": float("inf")}, [".max: inf", "no number"]),
    "scalar": (0.1, ["0.1 is no mapping", "`value: 0.1`"]),
    "nothing": ({}, ["value, values, or min and max"]),
    "no values": ({"values": []}, [".values", "[]"]),
    "nested and more": (
        {"parameters": {"a": {"value": 1}}, "value": 1},
        ["parameters of its own", "['value']", "one or the other"],
    ),
    "bad in a group": ({"parameters": {"a": {"value": "1e-3"}}}, [".parameters.a.value: YAML"]),
    "empty group": ({"parameters": {}}, [".parameters: {} must map"]),
}

BAD_DOCUMENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "max_runs": ({"max_runs": 20, "run_cap": None}, ["max_runs", "write run_cap: 20"]),
    "count": ({"count": 20, "run_cap": None}, ["count", "write run_cap: 20"]),
    "count besides": ({"count": 20}, ["count is no key", "remove it"]),
    "key": ({"metod": "grid"}, ["'metod'", "did you mean 'method'?"]),
    "method": ({"method": "bayesian"}, ["method: 'bayesian'", "did you mean 'bayes'?"]),
    "no method": ({"method": None}, ["method: None", "bayes, grid, random"]),
    "run_cap": ({"run_cap": 0}, ["run_cap: 0", "at least 1"]),
    "text run_cap": ({"run_cap": "20"}, ["run_cap: '20'", "whole number"]),
    "no parameters": ({"parameters": {}}, ["parameters: {}"]),
    "no text": ({"parameters": {1: {"value": 0.1}}}, ["parameters.1", "begins with a letter"]),
    "name": ({"parameters": {"a/b": {"value": 0.1}}}, ["a", "begins with a letter"]),
    "no metric": ({"metric": None, "method": "bayes"}, ["metric: None", "val/aligned_acc"]),
    "metric of early_terminate": (
        {"metric": None, "early_terminate": {"type": "hyperband", "min_iter": 1}},
        ["metric: None", "val/aligned_acc"],
    ),
    "target": ({"metric": {"name": "val/loss", "target": "low"}}, ["metric.target: 'low'"]),
    "impute": (
        {"metric": {"name": "val/loss", "impute": "wurst"}},
        ["metric.impute: 'wurst'", "did you mean 'worst'?"],
    ),
    "goal": (
        {"metric": {"name": "val/loss", "goal": "minimise"}},
        ["metric.goal: 'minimise'", "minimize"],
    ),
    "metric key": ({"metric": {"name": "val/loss", "gaol": 1}}, ["metric.gaol", "'goal'"]),
    "grid": (
        {"method": "grid", "parameters": {"dropout": {"min": 0.0, "max": 0.5}}},
        ["parameters.dropout", "uniform", "list its values"],
    ),
    "type": ({"early_terminate": {"type": "median"}}, ["early_terminate", "hyperband"]),
    "no band": ({"early_terminate": {"type": "hyperband"}}, ["early_terminate", "min_iter"]),
    "band key": (
        {"early_terminate": {"type": "hyperband", "miniter": 3}},
        ["early_terminate.miniter", "did you mean 'min_iter'?"],
    ),
    "eta": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 1}},
        ["early_terminate.eta: 1", "above 1"],
    ),
    "infinite eta": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": float("nan")}},
        ["early_terminate.eta: nan", "number"],
    ),
    "strict": (
        {"early_terminate": {"type": "hyperband", "min_iter": 3, "strict": 1}},
        ["early_terminate.strict: 1", "true or false"],
    ),
    "no s": (
        {"early_terminate": {"type": "hyperband", "max_iter": 27}},
        ["early_terminate: max_iter needs s", "add s: 2"],
    ),
    "text min_iter": (
        {"early_terminate": {"type": "hyperband", "min_iter": "5"}},
        ["early_terminate.min_iter", "'5'", "write 5"],
    ),
    "bands below 1": (
        {"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 2}},
        ["early_terminate", "max_iter larger"],
    ),
}


def message_of(document: Any) -> str:
    with pytest.raises(UserError) as error:
        read_specification(document, WHERE)
    return str(error.value)


@pytest.mark.parametrize(("config", "distribution"), INFERRED)
def test_the_distribution_that_wandb_infers(config: dict[str, Any], distribution: str) -> None:
    assert read_parameter(config, "p").distribution == distribution


@pytest.mark.parametrize("bad", BAD_PARAMETERS)
def test_a_bad_parameter_is_named_with_value_and_way_out(bad: str) -> None:
    config, parts = BAD_PARAMETERS[bad]
    message = message_of(sweep_document(parameters={"learning_rate": config}))
    for part in (WHERE, "parameters.learning_rate", *parts):
        assert part in message


@pytest.mark.parametrize("bad", BAD_DOCUMENTS)
def test_a_bad_sweep_is_named_with_value_and_way_out(bad: str) -> None:
    changes, parts = BAD_DOCUMENTS[bad]
    message = message_of(sweep_document(**changes))
    for part in (WHERE, *parts):
        assert part in message


@pytest.mark.parametrize("document", [None, [], "text"])
def test_a_sweep_that_is_no_mapping(document: Any) -> None:
    assert "mapping" in message_of(document)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("learning_rate", {"distribution": "log_uniform", "min": -10, "max": -2}),
        ("weight_decay", {"distribution": "log_uniform", "min": -30, "max": -2}),
        ("learning_rate", {"distribution": "inv_log_uniform", "min": 2, "max": 9}),
        ("d_model", {"distribution": "q_log_uniform", "min": 3, "max": 6, "q": 8}),
    ],
)
def test_exponents_are_taken_as_exponents(name: str, config: dict[str, Any]) -> None:
    assert specification(parameters={name: config}).parameters[name].arguments == {
        key: value for key, value in config.items() if key != "distribution"
    }


def test_the_goal_is_minimize_unless_told() -> None:
    assert specification(metric={"name": "val/loss"}).objective.goal == "minimize"


def test_grid_and_random_search_need_no_metric() -> None:
    made = specification(metric=None).objective
    assert (made.metric, made.goal) == ("val/aligned_acc", "maximize")


def test_what_metric_may_say_besides() -> None:
    made = specification(metric={"name": "val/loss", "target": 1, "impute": "latest"})
    assert (made.target, made.impute, made.impute_while_running) == (1, "latest", None)
    for written, read in (("false", None), (False, None), ("best", "best")):
        metric = {"name": "val/loss", "impute_while_running": written}
        assert specification(metric=metric).impute_while_running == read


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_sweeps_load(path: Path) -> None:
    specification = load_specification(path)
    assert specification.parameters
    check_trainable(specification, str(path))


def test_a_missing_or_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    with pytest.raises(UserError, match=r"sweep.yaml: no such file; set sweep.file"):
        load_specification(path)
    path.write_text("method: [", encoding="utf-8")
    with pytest.raises(UserError, match=r"sweep.yaml: not YAML"):
        load_specification(path)


def test_the_exponents_of_the_second_guide_are_a_mistake_that_is_told() -> None:
    # Its Python dicts, one a line break apart, are YAML flow mappings but for their comments.
    entries = re.findall(r"'learning_rate': (\{[^{}]*'log_uniform'[^{}]*\})", guide("002"))
    assert len(entries) > 5
    for entry in entries:
        config = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", entry))
        message = message_of(sweep_document(parameters={"learning_rate": config}))
        for part in ("parameters.learning_rate", repr(config["min"]), "log_uniform_values"):
            assert part in message
