"""W&B's `early_terminate: hyperband`, by the rules of its search engine.

There are no brackets as in the paper (Li et al. 2018): a run is compared, at the newest band that
it has reached, with all runs that have reached that band.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcodefp.errors import UserError, did_you_mean
from gcodefp.sweeps.values import reject_text_number

KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")
LAST_BAND = 10_000_000


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
        sign = -1.0 if goal == "maximize" else 1.0
        losses = sorted(
            sign * values[band - 1] for values in (history, *others) if band <= len(values)
        )
        threshold = losses[int(len(losses) / self.eta)]
        if self.strict:
            return sign * history[band - 1] > threshold
        return min(sign * value for value in history) > threshold


def read_hyperband(config: Any, where: str) -> Hyperband | None:
    """Reads and checks `early_terminate`; None if there is none."""
    if config is None:
        return None
    if not isinstance(config, Mapping) or config.get("type") != "hyperband":
        raise UserError(f"{where}: {config!r}; the only kind there is: write type: hyperband")
    for key in config:
        if key not in KEYS:
            raise UserError(f"{where}.{key}: unknown; {did_you_mean(str(key), KEYS)}")
    eta = _positive(config.get("eta", 3), f"{where}.eta")
    if eta <= 1:
        raise UserError(f"{where}.eta: {eta!r} must be above 1")
    strict = config.get("strict", True)
    if not isinstance(strict, bool):
        raise UserError(f"{where}.strict: {strict!r} must be true or false")
    bands = _bands(config, eta, where)
    if not bands:
        raise UserError(f"{where}: no band at or above 1; make max_iter larger or eta smaller")
    return Hyperband(tuple(sorted(set(bands))), eta, strict)


def _bands(config: Mapping[str, Any], eta: float, where: str) -> list[int]:
    """Multiplied and divided step by step, as W&B does, so that both round alike."""
    bands: list[int] = []
    if "max_iter" in config:
        if "s" not in config:
            raise UserError(f"{where}: max_iter needs s, the number of bands below it; add s: 2")
        band = _positive(config["max_iter"], f"{where}.max_iter") / eta
        count = _positive(config["s"], f"{where}.s")
        while band >= 1 and len(bands) < count:
            bands.append(int(band))
            band /= eta
    elif "min_iter" in config:
        band = _positive(config["min_iter"], f"{where}.min_iter")
        if band < 1:
            raise UserError(f"{where}.min_iter: {band!r} must be at least 1")
        while band <= LAST_BAND:
            bands.append(int(band))
            band *= eta
    else:
        raise UserError(
            f"{where}: needs the first epoch that decides, such as min_iter: 5, or max_iter and s"
        )
    return bands


def _positive(value: Any, where: str) -> float:
    reject_text_number(value, where)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise UserError(f"{where}: {value!r} must be a number above 0")
    return value
