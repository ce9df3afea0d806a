"""The few numbers that stand above everything else."""

from typing import NamedTuple

from gcodefp.evaluation.files import CEILING, MODEL, WHOLE
from gcodefp.findings.results import Document, Results
from gcodefp.findings.verdict import METRIC, best_baseline, difference, interval


class KeyNumber(NamedTuple):
    """A number with its interval, and what it is."""

    value: str
    interval: str
    title: str
    is_own: bool


def key_numbers(results: Results) -> list[KeyNumber]:
    """Exact lines of the network and of the best baseline, and what could be reached at most."""
    scores = results.evaluation["models"]
    baseline = best_baseline(scores)
    found = [_share(scores[MODEL], "of the G-code lines exactly right", is_own=True)]
    if baseline:
        found += [
            _share(scores[baseline], f"by the best baseline, {baseline}", is_own=False),
            _gain(*difference(results, baseline)[:3]),
        ]
    if CEILING in scores:
        found.append(_share(scores[CEILING], "by perfect sensing, the clock unknown", is_own=False))
    elif WHOLE in scores:
        found.append(_share(scores[WHOLE], "when whole recordings are read at once", is_own=True))
    return found


def _share(of: Document, title: str, is_own: bool) -> KeyNumber:
    """`34.8 % [15.2, 55.1]` in two."""
    value, _, rest = interval(of[METRIC]).partition(" [")
    return KeyNumber(value, f"[{rest}" if rest else "", title, is_own)


def _gain(*shares: float | None) -> KeyNumber:
    value, low, high = (f"{100 * (share or 0.0):+.1f}" for share in shares)
    return KeyNumber(value, f"[{low}, {high}]", "percentage points between them", is_own=True)
