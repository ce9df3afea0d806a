"""W&B's parameter distributions.

A value is a function of a latent number u, uniform in (0, 1): its distribution's quantile function,
as in W&B's own search. Random search draws u, Bayesian search proposes it, so that both see the
same space, whatever its scale.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

Scalar = int | float | str | bool | None
Numbers = Mapping[str, float]

LATENT_EDGE = 1e-9
"""u stays this far from 0 and 1, where a normal or beta quantile may be infinite."""


def _uniform(a: Numbers, u: float) -> float:
    return a["min"] + u * (a["max"] - a["min"])


def _log_uniform(a: Numbers, u: float) -> float:
    return math.exp(_uniform(a, u))


def _log_uniform_values(a: Numbers, u: float) -> float:
    value = math.exp(math.log(a["min"]) + u * (math.log(a["max"]) - math.log(a["min"])))
    return min(max(value, a["min"]), a["max"])


def _inv_log_uniform(a: Numbers, u: float) -> float:
    return math.exp(-_uniform(a, 1 - u))


def _inv_log_uniform_values(a: Numbers, u: float) -> float:
    return _log_uniform_values(a, u)


def _normal(a: Numbers, u: float) -> float:
    return float(stats.norm.ppf(u, loc=a["mu"], scale=a["sigma"]))


def _log_normal(a: Numbers, u: float) -> float:
    return math.exp(_normal(a, u))


def _beta(a: Numbers, u: float) -> float:
    return float(stats.beta.ppf(u, a["a"], a["b"]))


QUANTILES: dict[str, Callable[[Numbers, float], float]] = {
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _inv_log_uniform_values,
    "normal": _normal,
    "log_normal": _log_normal,
    "beta": _beta,
}
"""Distribution -> quantile function of its arguments; each has a q_ form but the inv_ ones."""

QUANTIZED = tuple(f"q_{name}" for name in QUANTILES if not name.startswith("inv_"))
DISTRIBUTIONS = (
    "constant",
    "categorical",
    "categorical_w_probabilities",
    "int_uniform",
    *QUANTILES,
    *QUANTIZED,
)

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "normal": ("mu", "sigma"),
    "log_normal": ("mu", "sigma"),
    "beta": ("a", "b"),
}
"""Distribution -> its arguments; min and max where it is not named, q besides for q_ forms."""

DEFAULTS: dict[str, float] = {"mu": 0.0, "sigma": 1.0, "q": 1.0}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a sweep, checked.

    Attributes:
        distribution: one of DISTRIBUTIONS.
        arguments: min, max, mu, sigma, a, b, q, as far as the distribution has them.
        choices: the values of a constant, a categorical or an int_uniform range, in order.
        probabilities: of the choices, if they are not equal.
    """

    distribution: str
    arguments: Mapping[str, float]
    choices: Sequence[Scalar] = ()
    probabilities: tuple[float, ...] = ()

    @property
    def is_discrete(self) -> bool:
        """Whether the value is one of `choices`."""
        return bool(self.choices)

    def value(self, u: float) -> Scalar:
        """The value at a latent u in (0, 1)."""
        u = min(max(u, LATENT_EDGE), 1 - LATENT_EDGE)
        if self.choices:
            return self.choices[self.choice(u)]
        value = QUANTILES[self.distribution.removeprefix("q_")](self.arguments, u)
        if self.distribution.startswith("q_"):
            q = self.arguments["q"]
            steps = round(value / q)
            return int(steps * q) if float(q).is_integer() else round(steps * q, 12)
        return value

    def choice(self, u: float) -> int:
        """The index into `choices` at a latent u."""
        if not self.probabilities:
            return min(int(u * len(self.choices)), len(self.choices) - 1)
        below = 0.0
        for index, probability in enumerate(self.probabilities):
            below += probability
            if u < below:
                return index
        return len(self.choices) - 1

    def grid(self) -> Sequence[Scalar]:
        """All values in order, for a grid; empty if there are infinitely many.

        As in W&B's grid search, int_uniform and q_uniform count, and q_uniform leaves out max.
        """
        if self.distribution != "q_uniform":
            return self.choices
        low, high, q = (self.arguments[key] for key in ("min", "max", "q"))
        count = math.ceil((high - low) / q - 1e-9)
        values = (low + i * q for i in range(count))
        return tuple(int(v) if float(v).is_integer() else round(v, 12) for v in values)

    def describe(self) -> dict[str, Any]:
        """As sweep.json holds it."""
        described: dict[str, Any] = {"distribution": self.distribution, **self.arguments}
        if self.choices and self.distribution != "int_uniform":
            described["values"] = list(self.choices)
        if self.probabilities:
            described["probabilities"] = list(self.probabilities)
        return described
