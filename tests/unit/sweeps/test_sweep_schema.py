import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from sweep_documents import SHIPPED, WHERE, specification, sweep_document

from gcodefp.errors import UserError
from gcodefp.sweeps.parameters import read_parameter
from gcodefp.sweeps.specification import SweepYaml, load_specification, read_specification
from gcodefp.sweeps.trainable import check_trainable

Q_LOG = {"distribution": "q_log_uniform"}
HYPERBAND = {"type": "hyperband", "min_iter": 3}

BAD_PARAMETERS: list[tuple[Any, list[str]]] = [
    (
        {"distribution": "log_uniform", "min": 1e-5, "max": 1e-1},
        ["1e-05", "0.1", "log_uniform_values"],
    ),
    ({**Q_LOG, "min": 32, "max": 1024, "q": 32}, ["32", "1024", "q_log_uniform_values"]),
    ({"min": "1e-5", "max": 0.1}, [".min: YAML reads '1e-5' as a string", "write 1.0e-5"]),
    ({"value": "1e22"}, [".value: YAML reads '1e22'", "write 1.0e+22"]),
    ({"values": ["16", 32]}, [".values[0]: YAML reads '16'", "write 16"]),
    ({"values": [1, date(2024, 1, 2)]}, [".values[1]", "2024-01-02", "date", "quotes"]),
    ({"values": [[date(2024, 1, 2)]]}, [".values[0]", "2024-01-02"]),
    ({"value": b"x"}, [".value", "bytes", "quotes"]),
    ({"values": [float("nan")]}, [".values[0]: nan", "finite"]),
    ({"value": {"a": 1}}, [".value: {'a': 1}", "`parameters:`"]),
    ({"min": 0, "max": 0.5}, ["min 0", "max 0.5", "(0.0, 0.5)"]),
    ({"min": 0.1, "maxx": 0.5, "max": 1.0}, [".maxx: no such key", "did you mean 'max'?"]),
    ({"distribution": "normal", "min": 1.0}, ["min is not a key of normal", "mu, sigma"]),
    (
        {"distribution": "loguniform_values", "min": 0.1, "max": 1.0},
        [".distribution: 'loguniform_values'", "did you mean 'log_uniform_values'?"],
    ),
    ({"values": [0.1, 0.2], "probabilities": [0.5, 0.6]}, ["[0.5, 0.6]", "sum to 1"]),
    ({"values": [0.1, 0.2], "probabilities": [1.0]}, ["[1.0]", "[0.1, 0.2]"]),
    ({"values": [0.1, 0.2], "probabilities": [1.5, -0.5]}, ["-0.5", "at least 0"]),
    ({"probabilities": [1.0]}, ["'values' is missing"]),
    ({"min": 0.5, "max": 0.1}, ["min 0.5", "above max 0.1", "exchange"]),
    ({"min": 2, "max": 2}, ["both 2", "`value: 2`"]),
    ({"distribution": "log_uniform_values", "min": 0, "max": 1}, ["min: 0", "above 0"]),
    ({"distribution": "normal", "mu": 1.0, "sigma": 0}, [".sigma: 0", "above 0"]),
    ({"distribution": "q_uniform", "min": 1, "max": 2, "q": -1}, [".q: -1", "above 0"]),
    ({"distribution": "q_uniform", "min": 1, "max": 2, "q": 5}, ["q: 5", "range 1 to 2", "smal"]),
    ({**Q_LOG, "min": -2, "max": 0, "q": 1}, ["q: 1", "range 0.135335 to 1"]),
    ({"distribution": "int_uniform", "min": 0.5, "max": 3}, ["0.5 is not whole"]),
    ({"min": 0.1, "max": float("inf")}, [".max: inf", "not a number"]),
    ({"min": 1, "max": 10**400}, [".max: 1000", "not a number"]),
    ({"min": 1, "max": 10**30}, ["1 to 1000", "more whole numbers than can be drawn"]),
    ({"distribution": "log_normal", "mu": 800.0}, ["log_normal reaches infinite values"]),
    ({"distribution": "q_normal", "mu": 1e300, "q": 1e-300}, ["reaches infinite values"]),
    (0.1, [": 0.1 is not a mapping", "`value: 0.1`"]),
    ({}, ["value, values, or min and max"]),
    ({"values": []}, [".values: []: has to have at least 1 item"]),
    ({"values": "ab"}, [".values: 'ab' is not a list"]),
    (
        {"parameters": {"a": {"value": 1}}, "value": 1},
        ["parameters of its own", "['value']", "one or the other"],
    ),
    ({"parameters": {"a": {"value": "1e-3"}}}, [".parameters.a.value: YAML"]),
    ({"parameters": {}}, [".parameters: {} must map"]),
]

BAD_DOCUMENTS: list[tuple[dict[Any, Any], list[str]]] = [
    ({"max_runs": 20, "run_cap": None}, ["max_runs: no key of W&B's", "write run_cap: 20"]),
    ({"count": 20}, ["count: no key", "write run_cap: 20"]),
    ({"metod": "grid"}, ["metod: no such key", "did you mean 'method'?"]),
    ({"Sweep": 1}, ["my.yaml: Sweep: no such key"]),
    ({"parameters": {"Sweep": {"min": 0, "mx": 1}}}, ["parameters.Sweep.mx: no such key", "'max'"]),
    ({"method": "bayesian"}, ["method: 'bayesian'", "did you mean 'bayes'?"]),
    ({"method": None}, ["'method' is missing", "grid, random, bayes"]),
    ({"run_cap": 0}, ["run_cap: 0", "from 1"]),
    ({"run_cap": 10**30}, ["run_cap: 1000", "to 1000000"]),
    ({"run_cap": "20"}, ["run_cap: YAML reads '20' as a string", "write 20"]),
    ({"parameters": {}}, ["parameters: {}"]),
    ({"parameters": {1: {"value": 0.1}}}, ["parameters[1]: a name begins with a letter"]),
    ({"parameters": {"a/b": {"value": 0.1}}}, ["a/b: a name begins with a letter"]),
    ({"metric": None, "method": "bayes"}, ["metric: None", "val/aligned_acc"]),
    ({"metric": None, "early_terminate": HYPERBAND}, ["metric: None", "val/aligned_acc"]),
    ({"metric": {"goal": "minimize"}}, ["metric: 'name' is missing"]),
    ({"metric": {"name": "val/loss", "target": "low"}}, ["metric.target: 'low'"]),
    ({"metric": {"name": "val/loss", "impute": "wurst"}}, ["metric.impute: 'wurst'", "'worst'?"]),
    ({"metric": {"name": "val/loss", "goal": "minimise"}}, ["goal: 'minimise'", "minimize"]),
    ({"metric": {"name": "val/loss", "gaol": 1}}, ["metric.gaol", "'goal'"]),
    (
        {"method": "grid", "parameters": {"dropout": {"min": 0.0, "max": 0.5}}},
        ["parameters.dropout", "uniform", "list its values"],
    ),
    ({"early_terminate": {"type": "median"}}, ["early_terminate", "hyperband"]),
    ({"early_terminate": {"type": "hyperband"}}, ["early_terminate", "min_iter"]),
    ({"early_terminate": {"type": "hyperband", "miniter": 3}}, ["te.miniter", "'min_iter'?"]),
    ({"early_terminate": HYPERBAND | {"eta": 1}}, ["early_terminate: eta: 1", "above 1"]),
    ({"early_terminate": HYPERBAND | {"eta": float("nan")}}, ["te.eta: nan", "number"]),
    ({"early_terminate": HYPERBAND | {"strict": 1}}, ["te.strict: 1", "true or false"]),
    ({"early_terminate": {"type": "hyperband", "max_iter": 27}}, ["needs s", "add s: 2"]),
    ({"early_terminate": HYPERBAND | {"min_iter": "5"}}, ["te.min_iter: YAML reads '5'"]),
    (
        {"early_terminate": {"type": "hyperband", "max_iter": 2, "s": 2}},
        ["early_terminate", "max_iter larger"],
    ),
    ({1: 2}, ["my.yaml: [1]: 1 is not a valid key"]),
    ({"description": float("nan")}, ["description: nan is not a finite number"]),
    ({"name": date(2024, 1, 2)}, ["name: YAML reads 2024-01-02 as a date"]),
]


def message_of(document: Any) -> str:
    with pytest.raises(UserError) as error:
        read_specification(document, WHERE)
    return str(error.value)


@pytest.mark.parametrize(
    ("config", "distribution"),
    [
        ({"min": 1, "max": 4}, "int_uniform"),
        ({"min": 1.0, "max": 4.0}, "uniform"),
        ({"values": [1, 2]}, "categorical"),
        ({"values": [[["1"]], [["b"]]]}, "categorical"),
        ({"value": 1}, "constant"),
        ({"values": [1, 2], "probabilities": [0.5, 0.5]}, "categorical_w_probabilities"),
        ({"mu": 0.0, "sigma": 1.0}, "normal"),
        ({"distribution": None, "mu": 0.0}, "normal"),
    ],
)
def test_distribution_that_wandb_infers(config: dict[str, Any], distribution: str) -> None:
    assert read_parameter(config, "p").distribution == distribution


@pytest.mark.parametrize(("config", "parts"), BAD_PARAMETERS)
def test_bad_parameter_is_named_with_value_and_fix(config: Any, parts: list[str]) -> None:
    message = message_of(sweep_document(parameters={"learning_rate": config}))
    for part in (WHERE, "parameters.learning_rate", *parts):
        assert part in message


@pytest.mark.parametrize(("changes", "parts"), BAD_DOCUMENTS)
def test_bad_sweep_is_named_with_value_and_fix(changes: Any, parts: list[str]) -> None:
    document = {
        key: value for key, value in (sweep_document() | changes).items() if value is not None
    }
    message = message_of(document)
    for part in (WHERE, *parts):
        assert part in message


@pytest.mark.parametrize("document", [None, [], "text"])
def test_sweep_that_is_no_mapping(document: Any) -> None:
    assert "mapping" in message_of(document)


def test_all_errors_are_in_one_message() -> None:
    message = message_of(sweep_document(method="grdi", run_cap=0, metric={"nam": "x"}))
    assert len(message.splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("weight_decay", {"distribution": "log_uniform", "min": -30, "max": -2}),
        ("learning_rate", {"distribution": "inv_log_uniform", "min": 2, "max": 9}),
        ("d_model", {**Q_LOG, "min": 3, "max": 6, "q": 8}),
    ],
)
def test_exponents_are_taken_as_exponents(name: str, config: dict[str, Any]) -> None:
    arguments = specification(parameters={name: config}).parameters[name].arguments
    assert arguments == {key: value for key, value in config.items() if key != "distribution"}
    # A sweep's id depends on it.
    assert all(isinstance(value, int) for value in arguments.values())


def test_metric() -> None:
    assert specification(metric={"name": "val/loss"}).objective.goal == "minimize"
    made = specification(metric=None).objective
    assert (made.metric, made.goal) == ("val/aligned_acc", "maximize")
    more = specification(metric={"name": "val/loss", "target": 1, "impute": "latest"})
    assert (more.target, more.impute, more.impute_while_running) == (1, "latest", None)
    for written, read in (("false", None), (False, None), ("best", "best")):
        metric = {"name": "val/loss", "impute_while_running": written}
        assert specification(metric=metric).impute_while_running == read


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_sweeps_are_right_for_schema_and_trainer(path: Path) -> None:
    check_trainable(load_specification(path), str(path))
    validator = Draft202012Validator(SweepYaml.model_json_schema())
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert not list(validator.iter_errors(document))
    assert list(validator.iter_errors(document | {"max_runs": 3}))
    assert list(validator.iter_errors(document | {"parameters": {"a": {"distribution": "x"}}}))
    json.dumps(SweepYaml.model_json_schema())
