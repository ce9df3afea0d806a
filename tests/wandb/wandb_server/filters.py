"""The filters and orders of lists of runs, in the form of MongoDB's queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from .execution import ApiError
from .model import Run


def chosen(runs: Sequence[Run], query: Mapping[str, Any]) -> list[Run]:
    """The runs that a filter lets through."""
    return [run for run in runs if _passes(run, query)]


def ordered(runs: Sequence[Run], order: str | None) -> list[Run]:
    """Sorted by a key such as `-summary_metrics.loss`; runs without a value come last."""
    if not order:
        return list(runs)
    key = order.lstrip("+-")
    have = [run for run in runs if _look_up(run, key) is not None]
    rest = [run for run in runs if _look_up(run, key) is None]
    have.sort(key=lambda run: _look_up(run, key), reverse=order.startswith("-"))
    return have + rest


def _passes(run: Run, query: Mapping[str, Any]) -> bool:
    for key, wanted in query.items():
        if key in ("$and", "$or", "$nor"):
            results = [_passes(run, part) for part in wanted]
            good = {"$and": all(results), "$or": any(results), "$nor": not any(results)}[key]
        elif isinstance(wanted, Mapping):
            raise ApiError(f"no operators are known here: {wanted}")
        else:
            good = _look_up(run, key) == wanted
        if not good:
            return False
    return True


def _look_up(run: Run, key: str) -> Any:
    """A run's value under a filter's key, None if it has none."""
    head, _, rest = key.partition(".")
    if head in ("summary_metrics", "summaryMetrics"):
        return _inside(run.summary, rest)
    if head == "config":
        return _inside(run.settings, rest)
    plain = {
        "name": run.name,
        "display_name": run.display_name,
        "displayName": run.display_name,
        "state": run.state,
        "sweep": run.sweep,
        "group": run.group,
        "jobType": run.job_type,
        "job_type": run.job_type,
        "created_at": run.created,
        "createdAt": run.created,
        "heartbeat_at": run.last_sign,
    }
    if head in ("tags", "tags[*]"):
        return " ".join(run.tags)
    if key not in plain:
        raise ApiError(f"unknown filter or order key: {key}")
    return plain[key]


def _inside(values: Mapping[str, Any], key: str) -> Any:
    """`a.b` may be one key with a dot, or `b` within `a`."""
    if key in values:
        return values[key]
    head, _, rest = key.partition(".")
    while rest:
        inner = values.get(head)
        if isinstance(inner, Mapping):
            return _inside(inner, rest)
        more, _, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
