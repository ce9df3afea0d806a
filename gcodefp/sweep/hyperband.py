"""W&B's `early_terminate: hyperband`, by the rules of its search engine.

There are no brackets as in the paper (Li et al. 2018): a run is compared, at the newest band that
it has reached, with all runs that have reached that band.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcodefp.errors import UserError, did_you_mean

KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
LAST_BAND = 10_000_000


@dataclass(frozen=True)
class Hyperband:
    """The rule of a sweep.

    Attributes:
        bands: ascending; a run is at band b once the metric has b values before its newest, since
            W&B counts steps from 0.
        eta: a run must be among the best 1/eta at each band.
        strict: compare the run's value at the band; otherwise its best value so far.
    """

    bands: tuple[int, ...]
    eta: float
    strict: bool

    def should_stop(
        self, history: Sequence[float], others: Sequence[Sequence[float]], goal: str
    ) -> bool:
        """Whether a run with these values so far falls behind.

        Args:
            history: finite values of the metric of this run, in order.
            others: those of all other runs of the sweep.
            goal: maximize or minimize.
        """
        reached = [band for band in self.bands if band < len(history)]
        if not reached:
            return False
        band = reached[-1]
        sign = -1.0 if goal == "maximize" else 1.0
        losses = sorted(sign * values[band] for values in (history, *others) if band < len(values))
        threshold = losses[int(len(losses) / self.eta)]
        if self.strict:
            return sign * history[band] > threshold
        return min(sign * value for value in history) > threshold


def read_hyperband(config: Any, where: str) -> Hyperband | None:
    """Reads and checks `early_terminate`; None if there is none."""
    if config is None:
        return None
    if not isinstance(config, Mapping) or config.get("type") != "hyperband":
        raise UserError(f"{where}: {config!r}; the only type is hyperband")
    for key in config:
        if key not in KEYS:
            raise UserError(f"{where}.{key}: unknown; {did_you_mean(str(key), KEYS)}")
    eta = _positive(config.get("eta", 3), f"{where}.eta")
    if eta <= 1:
        raise UserError(f"{where}.eta: {eta!r} must be above 1")
    strict = config.get("strict", False)
    if not isinstance(strict, bool):
        raise UserError(f"{where}.strict: {strict!r} must be true or false")
    if "max_iter" in config:
        longest = _positive(config["max_iter"], f"{where}.max_iter")
        count = math.ceil(_positive(config.get("s", 2), f"{where}.s"))
        bands = {int(longest / eta**i) for i in range(1, count + 1)}
    elif "min_iter" in config:
        shortest = _positive(config["min_iter"], f"{where}.min_iter")
        count = int(math.log(LAST_BAND / shortest) / math.log(eta)) + 1
        bands = {int(shortest * eta**i) for i in range(count)}
    else:
        raise UserError(f"{where}: needs min_iter or max_iter")
    bands.discard(0)
    if not bands:
        raise UserError(f"{where}: no band at or above 1; make max_iter larger or eta smaller")
    return Hyperband(tuple(sorted(bands)), eta, strict)


def _positive(value: Any, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise UserError(f"{where}: {value!r} must be a number above 0")
    return value
