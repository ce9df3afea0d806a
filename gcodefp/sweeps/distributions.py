"""W&B's parameter distributions.

A value is the quantile function of its distribution at a unit coordinate u, uniform in (0, 1),
as in W&B's own search. Random search draws u, Bayesian search proposes it, so that both see the
same space, whatever its scale.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Scalar = int | float | str | bool | None
Numbers = Mapping[str, float]

UNIT_EDGE = 1e-9
"""u stays this far from 0 and 1, where a normal or beta quantile may be infinite."""


def _uniform(a: Numbers, u: float) -> float:
    return a["min"] + u * (a["max"] - a["min"])


def _log_uniform_values(a: Numbers, u: float) -> float:
    value = math.exp(math.log(a["min"]) + u * (math.log(a["max"]) - math.log(a["min"])))
    return min(max(value, a["min"]), a["max"])


def _normal(a: Numbers, u: float) -> float:
    from scipy import stats  # late: it takes longer than all the rest of a command

    return float(stats.norm.ppf(u, loc=float(a["mu"]), scale=float(a["sigma"])))


def _beta(a: Numbers, u: float) -> float:
    from scipy import stats

    return float(stats.beta.ppf(u, float(a["a"]), float(a["b"])))


QUANTILES: dict[str, Callable[[Numbers, float], float]] = {
    "uniform": _uniform,
    "log_uniform": lambda a, u: math.exp(_uniform(a, u)),
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": lambda a, u: math.exp(-_uniform(a, 1 - u)),
    "inv_log_uniform_values": _log_uniform_values,
    "normal": _normal,
    "log_normal": lambda a, u: math.exp(_normal(a, u)),
    "beta": _beta,
}
"""Distribution -> quantile function of its arguments; each has a q_ form but the inv_ ones."""

QUANTIZED = tuple(f"q_{name}" for name in QUANTILES if not name.startswith("inv_"))
_ARGUMENTS = dict.fromkeys(QUANTILES, ("min", "max")) | {
    "normal": ("mu", "sigma"),
    "log_normal": ("mu", "sigma"),
    "beta": ("a", "b"),
}
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": ("min", "max"),
    **_ARGUMENTS,
    **{name: (*_ARGUMENTS[name.removeprefix("q_")], "q") for name in QUANTIZED},
}
"""Distribution -> the keys of its entry in a sweep YAML."""
DISTRIBUTIONS = tuple(ARGUMENTS)
MAX_DISTINCT = 2**53
"""The unit coordinate, a float, cannot tell more values apart."""
MAX_MULTIPLES = 100_000
"""A range with more multiples of q counts as infinite."""


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
    def is_quantized(self) -> bool:
        """Whether the value is a multiple of q."""
        return self.distribution.startswith("q_")

    def value(self, u: float) -> Scalar:
        """The value at a unit coordinate u in (0, 1)."""
        u = min(max(u, UNIT_EDGE), 1 - UNIT_EDGE)
        if self.choices:
            return self.choices[self.choice(u)]
        value = self.quantile(u)
        return self._multiple(round(value / self.arguments["q"])) if self.is_quantized else value

    def to_unit(self, value: Any) -> float | None:
        """The unit coordinate u of a value, inverse of `value`; None if it never has it."""
        if self.choices:
            index = self._index(value)
            return None if index is None else self._middle(index)
        if not self._reaches(value):
            return None
        low, high = 0.0, 1.0
        # A quantile function never falls.
        for _ in range(60):
            middle = (low + high) / 2
            below = float(self.value(middle)) < value  # type: ignore[arg-type]
            low, high = (middle, high) if below else (low, middle)
        return None if self.is_quantized and self.value(high) != value else high

    def _index(self, value: Any) -> int | None:
        """The place of a value among the choices; 1.0 is 1, but True is not."""
        if isinstance(self.choices, range):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or int(value) != value:
                return None
            return int(value) - self.choices[0] if int(value) in self.choices else None
        for index, choice in enumerate(self.choices):
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return index
        return None

    def _reaches(self, value: Any) -> bool:
        """Whether a number lies between the ends, which exp() may give a hair off."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        ends = (self.quantile(0.0), self.quantile(1.0))
        between = ends[0] <= value <= ends[1] or any(math.isclose(value, end) for end in ends)
        return between or self.is_quantized

    def support(self) -> Sequence[Scalar] | None:
        """All values that can be drawn, in order; None if they are infinitely many, or nearly."""
        if self.probabilities:
            pairs = zip(self.choices, self.probabilities, strict=True)
            return [choice for choice, share in pairs if share]
        if self.choices:
            return self.choices
        ends = (self.quantile(0.0), self.quantile(1.0))
        if not self.is_quantized or not all(map(math.isfinite, ends)):
            return None
        # What lies just at the end, and rounds beyond it, is never drawn.
        edges = (UNIT_EDGE, 1 - UNIT_EDGE)
        first, last = (round(self.quantile(u) / self.arguments["q"]) for u in edges)
        if last - first >= MAX_MULTIPLES:
            return None
        return [self._multiple(steps) for steps in range(first, last + 1)]

    def choice(self, u: float) -> int:
        """The index into `choices` at a unit coordinate u."""
        if not self.probabilities:
            return min(int(u * len(self.choices)), len(self.choices) - 1)
        below = 0.0
        for index, probability in enumerate(self.probabilities):
            below += probability
            if u < below:
                return index
        return len(self.choices) - 1

    def _middle(self, index: int) -> float | None:
        """The u in the middle of those that give this choice; None if none does."""
        if not self.probabilities:
            return (index + 0.5) / len(self.choices)
        share = self.probabilities[index]
        return sum(self.probabilities[:index]) + share / 2 if share else None

    def quantile(self, u: float) -> float:
        """The distribution's quantile function, before any rounding to q."""
        return QUANTILES[self.distribution.removeprefix("q_")](self.arguments, u)

    def _multiple(self, steps: int) -> int | float:
        q = self.arguments["q"]
        return int(steps * q) if float(q).is_integer() else round(steps * q, 12)

    def grid(self) -> Sequence[Scalar]:
        """All values in order, for a grid; empty if they are too many.

        As in W&B's grid search, int_uniform and q_uniform count, and q_uniform leaves out max.
        """
        if self.distribution != "q_uniform":
            return self.choices
        low, high, q = (self.arguments[key] for key in ("min", "max", "q"))
        count = math.ceil((high - low) / q - 1e-9)
        values = (low + index * q for index in range(count if count < MAX_MULTIPLES else 0))
        return [int(v) if float(v).is_integer() else round(v, 12) for v in values]

    def describe(self) -> dict[str, Any]:
        """As sweep.json holds it."""
        described: dict[str, Any] = {"distribution": self.distribution, **self.arguments}
        if self.choices and self.distribution != "int_uniform":
            described["values"] = list(self.choices)
        if self.probabilities:
            described["probabilities"] = list(self.probabilities)
        return described
