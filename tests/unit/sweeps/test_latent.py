"""The latent number behind a value, and the values that can be drawn."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gcodefp.sweeps.distributions import DISTRIBUTIONS, QUANTIZED, Parameter
from gcodefp.sweeps.parameters import read_parameter

ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "constant": {"value": 7},
    "categorical": {"values": [8, "adam", None, True, 0.5]},
    "categorical_w_probabilities": {"values": [1, 2, 3], "probabilities": [0.2, 0.5, 0.3]},
    "int_uniform": {"min": -2, "max": 9},
    "uniform": {"min": -1.0, "max": 3.0},
    "log_uniform": {"min": -7.0, "max": 3.0},
    "log_uniform_values": {"min": 1e-4, "max": 10.0},
    "inv_log_uniform": {"min": 2.0, "max": 9.0},
    "inv_log_uniform_values": {"min": 1e-4, "max": 0.1},
    "normal": {"mu": 2.0, "sigma": 0.5},
    "log_normal": {"mu": 1.0, "sigma": 0.5},
    "beta": {"a": 2.0, "b": 5.0},
}


def parameter(distribution: str, **more: Any) -> Parameter:
    arguments = ARGUMENTS[distribution.removeprefix("q_")]
    return read_parameter({"distribution": distribution, **arguments, **more}, "p")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@settings(max_examples=20, deadline=None)
@given(u=st.floats(0, 1))
def test_the_latent_number_of_a_value_gives_it_again(name: str, u: float) -> None:
    made = parameter(name, q=0.25) if name in QUANTIZED else parameter(name)
    value = made.value(u)
    found = made.latent(value)
    assert found is not None
    assert 0 < found <= 1
    again = made.value(found)
    if made.choices or made.is_quantized:
        assert again == value
        assert type(again) is type(value)
    else:
        assert again == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(low=st.floats(-10, 10), width=st.floats(1e-3, 10), u=st.floats(0, 1))
def test_a_value_written_by_hand_has_one_too(low: float, width: float, u: float) -> None:
    """The bounds themselves among them."""
    high = low + width
    made = read_parameter({"distribution": "uniform", "min": low, "max": high}, "p")
    for value in (low, high, min(low + u * width, high)):
        found = made.latent(value)
        assert found is not None
        assert made.value(found) == pytest.approx(value, abs=1e-6)


@given(low=st.floats(1e-6, 10), factor=st.floats(1.01, 1e4))
def test_bounds_on_a_log_scale_have_one(low: float, factor: float) -> None:
    for name in ("log_uniform_values", "inv_log_uniform_values"):
        config = {"distribution": name, "min": low, "max": low * factor}
        made = read_parameter(config, "p")
        assert made.latent(low) is not None
        assert made.latent(low * factor) is not None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", [8, "7", None]),
        ("categorical", [9, "adamw", False, 1, 0.25]),
        ("int_uniform", [-3, 10, 2.5, "2", True]),
        ("uniform", [-1.1, 3.1, "1", None, True]),
        ("log_uniform_values", [0, -1, 11]),
        ("beta", [-0.1, 1.1]),
        ("log_normal", [-1]),
        ("q_uniform", [0.1, 4, -2, True]),
        ("q_log_uniform_values", [0.1, 11]),
    ],
)
def test_what_is_never_drawn_has_none(name: str, values: list[Any]) -> None:
    for value in values:
        assert parameter(name).latent(value) is None


def test_whole_numbers_and_others_are_the_same_value() -> None:
    assert parameter("int_uniform").latent(2.0) == parameter("int_uniform").latent(2)
    assert parameter("uniform").latent(1) == parameter("uniform").latent(1.0)


def test_a_choice_of_no_probability_has_none_and_is_no_support() -> None:
    config = {"values": ["a", "b"], "probabilities": [1.0, 0.0]}
    made = read_parameter(config, "p")
    assert made.latent("b") is None
    assert made.support() == ["a"]


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"value": 3}, [3]),
        ({"values": [8, 4]}, [8, 4]),
        ({"min": 2, "max": 4}, [2, 3, 4]),
        # Other than a grid, a draw reaches max, and what rounds beyond it.
        ({"distribution": "q_uniform", "min": 2, "max": 6, "q": 2}, [2, 4, 6]),
        ({"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1}, [0, 0.1, 0.2, 0.3]),
        ({"distribution": "q_uniform", "min": 3, "max": 9, "q": 4}, [4, 8]),
        ({"distribution": "q_log_uniform_values", "min": 32, "max": 96, "q": 32}, [32, 64, 96]),
        ({"distribution": "q_log_uniform", "min": 0, "max": 1, "q": 1}, [1, 2, 3]),
        ({"distribution": "q_beta", "q": 0.5}, [0, 0.5, 1]),
        ({"distribution": "q_normal"}, None),
        ({"min": 0.0, "max": 1.0}, None),
    ],
)
def test_all_values_that_can_be_drawn(config: dict[str, Any], values: list[Any] | None) -> None:
    support = read_parameter(config, "p").support()
    assert support is None if values is None else list(support or ()) == values


@given(low=st.integers(-8, 8), width=st.integers(2, 12), q=st.sampled_from([0.5, 1, 1.5, 2]))
def test_the_support_is_what_draws_give(low: int, width: int, q: float) -> None:
    config = {"distribution": "q_uniform", "min": low / 2, "max": (low + width) / 2, "q": q}
    assume(q <= width / 2)
    made = read_parameter(config, "p")
    draws = {made.value(u) for u in np.linspace(0, 1, 500)}
    assert draws == set(made.support() or ())
    assert all(made.latent(value) is not None for value in made.support() or ())


def test_a_quantile_beyond_the_edge_is_finite() -> None:
    assert math.isfinite(float(parameter("normal").value(1.0) or math.inf))
