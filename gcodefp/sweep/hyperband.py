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
    """Bands, counted in values of the metric, ascending.

    Attributes:
        eta: a run must be among the best 1/eta at each band.
        strict: compare the value at the band; otherwise the best value up to it.
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
        reached = [band for band in self.bands if band <= len(history)]
        if not reached:
            return False
        band = reached[-1]
        mine = self._loss(history, band, goal)
        losses = sorted([mine] + [self._loss(o, band, goal) for o in others if len(o) >= band])
        return mine > losses[min(int(len(losses) / self.eta), len(losses) - 1)]

    def _loss(self, history: Sequence[float], band: int, goal: str) -> float:
        sign = -1.0 if goal == "maximize" else 1.0
        if self.strict:
            return sign * history[band - 1]
        return min(sign * value for value in history[:band])


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
        count = int(_positive(config.get("s", 2), f"{where}.s"))
        bands = {int(longest / eta**i) for i in range(1, count + 1)}
    elif "min_iter" in config:
        shortest = _positive(config["min_iter"], f"{where}.min_iter")
        count = int(math.log(LAST_BAND / shortest) / math.log(eta)) + 1
        bands = {int(shortest * eta**i) for i in range(count)}
    else:
        raise UserError(f"{where}: needs min_iter or max_iter")
    return Hyperband(tuple(sorted(band for band in bands if band >= 1)), eta, strict)


def _positive(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise UserError(f"{where}: {value!r} must be a number above 0")
    return value
