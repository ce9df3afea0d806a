"""W&B's `early_terminate: hyperband`, by the rules of its search engine.

There are no brackets as in the paper (Li et al. 2018): a run is compared, at the newest band that
it has reached, with all runs that have reached that band.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Self

from pydantic import model_validator

from gcodefp.schema import Section, validated
from gcodefp.sweeps.values import PositiveNumber

MAX_BAND = 10_000_000
MAX_STEPS = 100_000
"""Of the bands' computation; only an eta that is next to 1 has more."""


@dataclass(frozen=True)
class Hyperband:
    """The rule of a sweep.

    Attributes:
        bands: ascending; a run is at band b once the metric has b values.
        eta: a run must be among the best 1/eta at each band.
        strict: compare the run's value at the band; otherwise its best value so far.
    """

    bands: tuple[int, ...]
    eta: float
    strict: bool

    def should_prune(
        self, history: Sequence[float], others: Sequence[Sequence[float]], goal: str
    ) -> bool:
        """Whether a run with these values so far is pruned.

        Args:
            history: finite values of the metric of this run, in order.
            others: those of all other runs of the sweep.
            goal: maximize or minimize.
        """
        reached = [band for band in self.bands if band <= len(history)]
        if not reached:
            return False
        band = reached[-1]
        sign = -1.0 if goal == "maximize" else 1.0
        losses = sorted(
            sign * values[band - 1] for values in (history, *others) if band <= len(values)
        )
        # In the order of W&B's engine, so that both round alike: 1/49 of 49 runs is 0.99….
        threshold = losses[int(1.0 / self.eta * len(losses))]
        if self.strict:
            return sign * history[band - 1] > threshold
        return min(sign * value for value in history) > threshold


class EarlyTerminate(Section):
    """`early_terminate` of a sweep YAML."""

    type: Literal["hyperband"]
    min_iter: PositiveNumber | None = None
    max_iter: PositiveNumber | None = None
    s: PositiveNumber | None = None
    eta: PositiveNumber = 3
    strict: bool = True

    def rule(self) -> Hyperband:
        """The rule with its bands. Raises ValueError: there are no bands, or too many."""
        steps = list(islice(self._steps(), MAX_STEPS + 1))
        if not steps:
            raise ValueError("no band at or above 1; make max_iter larger or eta smaller")
        if len(steps) > MAX_STEPS:
            raise ValueError(f"eta: {self.eta!r} makes more than {MAX_STEPS} bands; try eta: 2")
        return Hyperband(tuple(sorted(set(steps))), self.eta, self.strict)

    def _steps(self) -> Iterator[int]:
        """Multiplied and divided step by step, as W&B does, so that both round alike."""
        if self.max_iter is not None and self.s is not None:
            band = self.max_iter / self.eta
            for _ in range(math.ceil(self.s)):
                if band < 1:
                    break
                yield int(band)
                band /= self.eta
        elif self.min_iter is not None:
            band = self.min_iter
            while band <= MAX_BAND:
                yield int(band)
                band *= self.eta

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.eta <= 1:
            raise ValueError(f"eta: {self.eta!r} must be above 1")
        if self.max_iter is not None and self.s is None:
            raise ValueError("max_iter needs s, the number of bands below it; add s: 2")
        if self.max_iter is None and self.min_iter is None:
            raise ValueError(
                "needs the first epoch that decides, such as min_iter: 5, or max_iter and s"
            )
        if self.min_iter is not None and self.min_iter < 1:
            raise ValueError(f"min_iter: {self.min_iter!r} must be at least 1")
        self.rule()
        return self


def read_hyperband(config: Any, where: str) -> Hyperband | None:
    """Reads and checks `early_terminate`; None if there is none."""
    return None if config is None else validated(EarlyTerminate, config, where).rule()
