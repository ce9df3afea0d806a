"""Quantile functions, the unit coordinate behind a value, and the values that can be drawn."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gcodefp.sweeps.distributions import DISTRIBUTIONS, QUANTIZED, Parameter
from gcodefp.sweeps.parameters import read_parameter

PROBABILITIES = (0.01, 0.2, 0.5, 0.77, 0.99)
SHARES = [0.2, 0.5, 0.3]
CONTINUOUS: Mapping[str, tuple[dict[str, float], Any]] = {
    "uniform": ({"min": -1.0, "max": 3.0}, stats.uniform(-1, 4)),
    # W&B's log_uniform has exponents, log_uniform_values the values themselves.
    "log_uniform": ({"min": -7.0, "max": -2.0}, stats.loguniform(math.exp(-7), math.exp(-2))),
    "log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "inv_log_uniform": ({"min": 2.0, "max": 9.0}, stats.loguniform(math.exp(-9), math.exp(-2))),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "normal": ({"mu": 2.0, "sigma": 0.5}, stats.norm(2, 0.5)),
    "log_normal": ({"mu": 1.0, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e)),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
}
DISCRETE: Mapping[str, dict[str, Any]] = {
    "constant": {"value": 7},
    "categorical": {"values": [8, "adam", None, True, 0.5]},
    "categorical_w_probabilities": {"values": [1, 2, 3], "probabilities": SHARES},
    "int_uniform": {"min": -2, "max": 9},
}


def parameter(name: str, **changes: Any) -> Parameter:
    plain = name.removeprefix("q_")
    arguments = DISCRETE[name] if name in DISCRETE else CONTINUOUS[plain][0]
    return read_parameter({"distribution": name, **arguments, **changes}, "p")


def step(name: str) -> float:
    """A q that is not wider than the distribution."""
    return 0.01 if "log_uniform" in name else 0.25


def test_every_distribution_is_tested_here() -> None:
    assert {*DISCRETE, *CONTINUOUS, *QUANTIZED} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_value_at_u_is_the_quantile(name: str) -> None:
    made, truth = parameter(name), CONTINUOUS[name][1]
    values = [made.value(u) for u in PROBABILITIES]
    assert values == pytest.approx(list(truth.ppf(PROBABILITIES)), rel=1e-9)
    draws = [made.value(u) for u in np.random.default_rng(0).random(300)]
    assert stats.kstest(draws, truth.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_values_are_the_nearest_multiples(name: str) -> None:
    q, truth = step(name), CONTINUOUS[name.removeprefix("q_")][1]
    for u in PROBABILITIES:
        multiple = round(truth.ppf(u) / q) * q
        assert parameter(name, q=q).value(u) == pytest.approx(multiple, abs=1e-12)
    if "log_uniform" not in name:
        whole = parameter(name, q=1).value(0.77)
        assert isinstance(whole, int)
        assert whole == round(truth.ppf(0.77))


def test_defaults_of_normal_and_of_q() -> None:
    for name, arguments in (("normal", {}), ("q_normal", {"q": 1.0})):
        made = read_parameter({"distribution": name}, "p")
        assert made.arguments == {"mu": 0.0, "sigma": 1.0, **arguments}
        assert math.isfinite(float(made.value(1.0) or math.inf))


def test_choices_have_their_share_of_u() -> None:
    whole = parameter("int_uniform", min=2, max=5)
    points = (0.0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 1.0)
    assert [whole.value(u) for u in points] == [2, 2, 3, 3, 4, 4, 5, 5]
    plain = parameter("categorical", values=["adam", "sgd"])
    assert [plain.value(u) for u in (0.1, 0.49, 0.51, 0.9)] == ["adam", "adam", "sgd", "sgd"]
    weighted = parameter("categorical_w_probabilities")
    assert [weighted.value(u) for u in (0.19, 0.21, 0.69, 0.71, 1.0)] == [1, 2, 2, 3, 3]
    assert {parameter("constant").value(u) for u in PROBABILITIES} == {7}


@settings(max_examples=40, deadline=None)
@given(u=st.floats(0, 1), low=st.floats(1e-6, 1), width=st.floats(1e-6, 10))
def test_bounded_values_stay_inside_and_bounds_have_a_latent(
    u: float, low: float, width: float
) -> None:
    high = low + width
    for name in ("uniform", "log_uniform_values", "inv_log_uniform_values"):
        made = parameter(name, min=low, max=high)
        assert low <= float(made.value(u) or 0) <= high
        assert made.to_unit(low) is not None
        assert made.to_unit(high) is not None


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@settings(max_examples=20, deadline=None)
@given(u=st.floats(0, 1))
def test_latent_of_a_value_gives_the_value(name: str, u: float) -> None:
    made = parameter(name, q=step(name)) if name in QUANTIZED else parameter(name)
    value = made.value(u)
    unit = made.to_unit(value)
    assert unit is not None
    assert 0 < unit <= 1
    if made.choices or made.is_quantized:
        assert (made.value(unit), type(made.value(unit))) == (value, type(value))
    else:
        assert made.value(unit) == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("constant", [8, "7", None]),
        ("categorical", [9, "adamw", False, 1, 0.25]),
        ("int_uniform", [-3, 10, 2.5, "2", True, math.inf]),
        ("uniform", [-1.1, 3.1, "1", None, True]),
        ("log_uniform_values", [0, -1, 11]),
        ("beta", [-0.1, 1.1]),
        ("log_normal", [-1]),
        ("q_uniform", [0.1, 5, -2, True]),
    ],
)
def test_what_is_never_drawn_has_no_latent(name: str, values: list[Any]) -> None:
    for value in values:
        assert parameter(name).to_unit(value) is None
    assert parameter("int_uniform").to_unit(2.0) == parameter("int_uniform").to_unit(2)


Q_UNIFORM = {"distribution": "q_uniform"}


@pytest.mark.parametrize(
    ("config", "support", "grid"),
    [
        ({"value": 3}, [3], [3]),
        ({"values": [8, 4]}, [8, 4], [8, 4]),
        ({"values": ["a", "b"], "probabilities": [1.0, 0.0]}, ["a"], ["a", "b"]),
        ({"min": 2, "max": 4}, [2, 3, 4], [2, 3, 4]),
        # A draw reaches max, and what rounds beyond it; W&B's grid leaves out max.
        ({**Q_UNIFORM, "min": 2, "max": 6, "q": 2}, [2, 4, 6], [2, 4]),
        ({**Q_UNIFORM, "min": 0.0, "max": 0.3, "q": 0.1}, [0, 0.1, 0.2, 0.3], [0, 0.1, 0.2]),
        ({**Q_UNIFORM, "min": 3, "max": 9, "q": 4}, [4, 8], [3, 7]),
        ({"distribution": "q_log_uniform", "min": 0, "max": 1, "q": 1}, [1, 2, 3], []),
        ({"distribution": "q_beta", "q": 0.5}, [0, 0.5, 1], []),
        ({"distribution": "q_beta", "q": 1e-30}, None, []),
        ({"distribution": "q_normal"}, None, []),
        ({"min": 0.0, "max": 1.0}, None, []),
    ],
)
def test_values_of_draws_and_of_a_grid(
    config: dict[str, Any], support: list[Any] | None, grid: list[Any]
) -> None:
    made = read_parameter(config, "p")
    values = made.support()
    assert values is None if support is None else list(values or ()) == support
    assert list(made.grid()) == grid


def test_long_ranges_are_not_listed() -> None:
    long = read_parameter({**Q_UNIFORM, "min": 0, "max": 10**8, "q": 1}, "p")
    assert (long.support(), [*long.grid()]) == (None, [])
    assert len(read_parameter({"min": 0, "max": 10**8}, "p").grid()) == 10**8 + 1
    assert read_parameter({"min": 0, "max": 10**8}, "p").to_unit(5 * 10**7) == pytest.approx(0.5)
