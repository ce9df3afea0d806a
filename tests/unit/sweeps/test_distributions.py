import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gcodefp.sweeps.distributions import DISTRIBUTIONS, Parameter
from gcodefp.sweeps.parameters import read_parameter

PROBABILITIES = (0.01, 0.2, 0.5, 0.77, 0.99)
SHARES = [0.2, 0.5, 0.3]

CONTINUOUS: Mapping[str, tuple[dict[str, float], Any]] = {
    "uniform": ({"min": -1.0, "max": 3.0}, stats.uniform(-1, 4)),
    # W&B's log_uniform is given exponents, log_uniform_values the values themselves.
    "log_uniform": ({"min": -7.0, "max": -2.0}, stats.loguniform(math.exp(-7), math.exp(-2))),
    "log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "inv_log_uniform": ({"min": 2.0, "max": 9.0}, stats.loguniform(math.exp(-9), math.exp(-2))),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 0.1}, stats.loguniform(1e-4, 0.1)),
    "normal": ({"mu": 2.0, "sigma": 0.5}, stats.norm(2, 0.5)),
    "log_normal": ({"mu": 1.0, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e)),
    "beta": ({"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
}
QUANTIZED = [name for name in CONTINUOUS if not name.startswith("inv_")]


def parameter(distribution: str, **arguments: Any) -> Parameter:
    return read_parameter({"distribution": distribution, **arguments}, "p")


def test_every_distribution_is_tested_here() -> None:
    discrete = {"constant", "categorical", "categorical_w_probabilities", "int_uniform"}
    assert {*discrete, *CONTINUOUS, *(f"q_{name}" for name in QUANTIZED)} == set(DISTRIBUTIONS)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_the_value_at_u_is_the_quantile(name: str) -> None:
    arguments, truth = CONTINUOUS[name]
    values = [parameter(name, **arguments).value(u) for u in PROBABILITIES]
    assert values == pytest.approx(list(truth.ppf(PROBABILITIES)), rel=1e-9)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_uniform_draws_follow_the_distribution(name: str) -> None:
    arguments, truth = CONTINUOUS[name]
    made = parameter(name, **arguments)
    draws = [made.value(u) for u in np.random.default_rng(0).random(300)]
    assert stats.kstest(draws, truth.cdf).pvalue > 0.01


STEPS = {name: 0.01 if "log_uniform" in name else 0.25 for name in QUANTIZED}
"""Steps that are not wider than the distribution."""


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_values_are_the_nearest_multiples(name: str) -> None:
    arguments, truth = CONTINUOUS[name]
    made, q = parameter(f"q_{name}", **arguments, q=STEPS[name]), STEPS[name]
    for u in PROBABILITIES:
        assert made.value(u) == pytest.approx(round(truth.ppf(u) / q) * q, abs=1e-12)


@pytest.mark.parametrize("name", ["uniform", "normal", "log_normal", "beta"])
def test_multiples_of_a_whole_number_are_whole(name: str) -> None:
    arguments, truth = CONTINUOUS[name]
    made = parameter(f"q_{name}", **arguments, q=1)
    for u in PROBABILITIES:
        value = made.value(u)
        assert value == round(truth.ppf(u))
        assert isinstance(value, int)


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_draws_follow_the_distribution(name: str) -> None:
    """Each multiple is as likely as all that rounds to it; rare ones are counted together."""
    arguments, truth = CONTINUOUS[name]
    made, q, count = parameter(f"q_{name}", **arguments, q=STEPS[name]), STEPS[name], 1000
    draws = [float(made.value(u)) / q for u in np.random.default_rng(2).random(count)]
    multiples = np.arange(round(min(draws)) - 1, round(max(draws)) + 2)
    expected = count * np.diff(truth.cdf((np.append(multiples, multiples[-1] + 1) - 0.5) * q))
    counted = np.array([sum(round(draw) == m for draw in draws) for m in multiples])
    assert counted.sum() == count
    common = expected >= 5
    assert common.sum() > 3
    rest = (counted[~common].sum(), count - expected[common].sum())
    pairs = [*zip(counted[common], expected[common], strict=True), *([rest] if rest[1] > 1 else [])]
    observed, wanted = np.array(pairs).T
    assert stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 0.01


def test_quantized_values_may_leave_the_bounds_as_in_wandb() -> None:
    made = parameter("q_uniform", min=3, max=9, q=4)
    assert [made.value(u) for u in (0.01, 0.99)] == [4, 8]
    assert parameter("q_uniform", min=0.0, max=1.9, q=1).value(0.99) == 2


def test_defaults_of_normal_and_of_q() -> None:
    assert parameter("normal").arguments == {"mu": 0.0, "sigma": 1.0}
    assert parameter("q_normal").arguments == {"mu": 0.0, "sigma": 1.0, "q": 1.0}


def test_whole_numbers_are_equally_likely() -> None:
    made = parameter("int_uniform", min=2, max=5)
    assert [made.value(u) for u in (0.0, 0.24, 0.26, 0.49, 0.51, 0.74, 0.76, 1.0)] == [
        2, 2, 3, 3, 4, 4, 5, 5,
    ]  # fmt: skip
    assert isinstance(made.value(0.5), int)


def test_choices_and_their_probabilities() -> None:
    plain = parameter("categorical", values=["adam", "sgd"])
    assert [plain.value(u) for u in (0.1, 0.49, 0.51, 0.9)] == ["adam", "adam", "sgd", "sgd"]
    weighted = parameter("categorical_w_probabilities", values=[1, 2, 3], probabilities=SHARES)
    assert [weighted.value(u) for u in (0.19, 0.21, 0.69, 0.71, 1.0)] == [1, 2, 2, 3, 3]
    draws = [weighted.value(u) for u in np.random.default_rng(1).random(2000)]
    counts = [draws.count(value) for value in (1, 2, 3)]
    assert stats.chisquare(counts, np.array(SHARES) * 2000).pvalue > 0.01


def test_a_constant_has_one_value() -> None:
    assert {parameter("constant", value=7).value(u) for u in PROBABILITIES} == {7}


@given(u=st.floats(0, 1), low=st.floats(1e-6, 1), width=st.floats(1e-6, 10))
def test_bounded_values_stay_inside(u: float, low: float, width: float) -> None:
    high = low + width
    for name in ("uniform", "log_uniform_values", "inv_log_uniform_values"):
        assert low <= parameter(name, min=low, max=high).value(u) <= high


@given(u=st.floats(0, 1))
def test_unbounded_values_are_finite(u: float) -> None:
    for name in ("normal", "log_normal"):
        assert math.isfinite(parameter(name, mu=0.0, sigma=1.0).value(u))
    assert 0 <= parameter("beta", a=0.5, b=0.5).value(u) <= 1


@pytest.mark.parametrize(
    ("config", "values"),
    [
        ({"value": 3}, [3]),
        ({"values": [8, 4]}, [8, 4]),
        ({"min": 2, "max": 4}, [2, 3, 4]),
        ({"distribution": "q_uniform", "min": 2, "max": 6, "q": 2}, [2, 4]),
        ({"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1}, [0, 0.1, 0.2]),
        ({"min": 0.0, "max": 1.0}, []),
    ],
)
def test_what_a_grid_makes_of_it(config: dict[str, Any], values: list[float]) -> None:
    """As in W&B, q_uniform leaves out max, and a continuous range has no grid."""
    assert list(read_parameter(config, "p").grid()) == values
