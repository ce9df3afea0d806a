from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_documents import WHERE, specification

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import hyperparameters_from
from gcodefp.sweeps.sampling import Observation, propose
from gcodefp.sweeps.trainable import check_trainable
from gcodefp.sweeps.values import SEPARATOR, flatten, key_path, leaf, nest

GROUPS = {
    "model": {
        "parameters": {
            "d_model": {"values": [32, 64]},
            "inner": {"parameters": {"num_layers": {"min": 1, "max": 3}}},
        }
    },
    "dropout": {"min": 0.0, "max": 0.5},
    "optim.izer": {"parameters": {"optimizer": {"value": "sgd"}, "momentum": {"value": 0.5}}},
}
NAME = st.text("abc._-", min_size=1, max_size=3)
LEAF = st.integers() | st.text() | st.none() | st.lists(st.integers())
TREES = st.recursive(
    st.dictionaries(NAME, LEAF, min_size=1),
    lambda inner: st.dictionaries(NAME, LEAF | inner, min_size=1),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(tree=TREES)
def test_nesting_is_the_inverse_of_flattening(tree: dict[str, Any]) -> None:
    flat = flatten(tree)
    assert not any(isinstance(value, dict) for value in flat.values())
    assert nest(flat) == tree
    assert flatten(nest(flat)) == flat


def test_names_of_a_path() -> None:
    assert SEPARATOR == "/"
    assert leaf("a/b.c/d") == "d"
    assert leaf("d") == "d"
    assert key_path("a/b.c/d") == "parameters.a.parameters.b.c.parameters.d"


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_a_run_gets_it_nested_and_the_trainer_takes_it(method: str) -> None:
    parameters = GROUPS | ({"dropout": {"values": [0.1, 0.2]}} if method == "grid" else {})
    sweep = specification(method=method, parameters=parameters)
    check_trainable(sweep, WHERE)
    assert list(sweep.parameters) == [
        "dropout", "model/d_model", "model/inner/num_layers", "optim.izer/momentum",
        "optim.izer/optimizer",
    ]  # fmt: skip
    earlier: list[Observation] = []
    for number in range(4):
        made = propose(sweep, 0, number, earlier)
        earlier.append(Observation(made.hyperparameters, made.latent, 1.0))
        given = made.hyperparameters
        assert set(given) == {"dropout", "model", "optim.izer"}
        assert set(given["model"]) == {"d_model", "inner"}
        taken = hyperparameters_from(given)
        assert taken.d_model == given["model"]["d_model"]
        assert taken.num_layers == given["model"]["inner"]["num_layers"]
        assert (taken.optimizer, taken.momentum) == ("sgd", 0.5)
    assert len({str(run.hyperparameters) for run in earlier}) == 4


def test_a_name_in_two_groups_is_refused_by_the_trainer() -> None:
    with pytest.raises(UserError, match="seed is there twice"):
        hyperparameters_from({"a": {"seed": 1}, "seed": 2})
