"""Which runs `early_terminate: hyperband` stops."""

from collections.abc import Mapping, Sequence
from typing import Any

from .model import Run

LAST_BAND = 10_000_000


def behind(runs: Sequence[Run], config: Mapping[str, Any]) -> list[Run]:
    """The live runs that are strictly worse than the best 1/eta at their newest band."""
    rule = config.get("early_terminate")
    if not rule or rule.get("type") != "hyperband" or "metric" not in config:
        return []
    eta = rule.get("eta", 3)
    sign = -1 if config["metric"].get("goal", "minimize") == "maximize" else 1
    losses = {
        run.name: [sign * value for value in run.values(config["metric"]["name"])] for run in runs
    }
    worse = []
    for run in runs:
        mine = losses[run.name]
        reached = [band for band in _bands(rule, eta) if band <= len(mine)]
        if run.is_over or not reached:
            continue
        band = reached[-1]
        ranked = sorted(values[band - 1] for values in losses.values() if len(values) >= band)
        value = mine[band - 1] if rule.get("strict", True) else min(mine)
        if value > ranked[int(len(ranked) / eta)]:
            worse.append(run)
    return worse


def _bands(rule: Mapping[str, Any], eta: float) -> list[int]:
    """Ascending; a run is at band b once it has logged the metric b times."""
    if "max_iter" in rule:
        bands = [int(rule["max_iter"] / eta**i) for i in range(1, rule.get("s", 1) + 1)]
        return sorted(band for band in bands if band >= 1)
    bands, band = [], float(rule["min_iter"])
    while band <= LAST_BAND:
        bands.append(int(band))
        band *= eta
    return bands
