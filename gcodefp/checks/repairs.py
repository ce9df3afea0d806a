"""What of a sweep that does not run here has one right answer, and which.

Works on the document as YAML gives it, and changes nothing but that; `yaml_edit` brings a repair
into the text.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gcodefp.checks.repair import CAP_NAMES, Change, Path, Repair, Repairs, keys, numbers, word
from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import KNOWN, OPTIMIZERS
from gcodefp.learning.objective import HEADLINE, METRICS
from gcodefp.search import hyperband
from gcodefp.search.distributions import ARGUMENTS, DISTRIBUTIONS, Parameter
from gcodefp.search.names import hyperparameter_meant, metric_meant
from gcodefp.search.nesting import SEPARATOR, leaf
from gcodefp.search.parameters import plainly_values, read_parameter
from gcodefp.search.specification import KEYS, METHODS, METRIC_KEYS
from gcodefp.search.trainable import misfits

GOALS = ("maximize", "minimize")
ENTRY_KEYS = {"distribution", "min", "max", "q"}.union(*ARGUMENTS.values())


def repairs(document: Any) -> Repairs:
    """What can be done next; some of it may show only after the rest is done."""
    if not isinstance(document, Mapping):
        return
    yield from keys((), document, KEYS, "W&B's key")
    for name in CAP_NAMES:
        if name in document and "run_cap" not in document:
            yield Repair(Change.KEY, (name,), name, "run_cap", "W&B's key")
    yield from numbers(document, ("run_cap",))
    yield from word(document, ("method",), METHODS)
    yield from _early_terminate(document)
    yield from _metric(document)
    entries = dict(_entries(document.get("parameters"), ("parameters",)))
    for path, entry in entries.items():
        if isinstance(entry, Mapping):
            yield from _entry(path, entry)
    yield from _hyperparameters(entries)
    yield from _heads(entries)


def _entries(block: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every parameter with its path; those of nested blocks in place of the block."""
    if not isinstance(block, Mapping):
        return
    for name, entry in block.items():
        if isinstance(entry, Mapping) and set(entry) == {"parameters"}:
            yield from _entries(entry["parameters"], (*path, name, "parameters"))
        else:
            yield (*path, name), entry


def _early_terminate(document: Mapping[str, Any]) -> Repairs:
    config = document.get("early_terminate")
    if not isinstance(config, Mapping) or not config:
        return
    here: Path = ("early_terminate",)
    yield from keys(here, config, hyperband.KEYS, "W&B's key")
    for key in ("min_iter", "max_iter", "s", "eta"):
        yield from numbers(document, (*here, key))
    yield from word(document, (*here, "type"), ("hyperband",))
    if "type" not in config:
        why = "W&B needs it, and knows no other"
        yield Repair(Change.ADD, (*here, "type"), next(iter(config)), "hyperband", why)
    if "max_iter" in config and "s" not in config:
        why = "max_iter needs the number of bands below it"
        yield Repair(Change.ADD, (*here, "s"), "max_iter", 2, why)


def _metric(document: Mapping[str, Any]) -> Repairs:
    config = document.get("metric")
    here: Path = ("metric",)
    if isinstance(config, Mapping):
        yield from keys(here, config, METRIC_KEYS, "W&B's key")
        yield from word(document, (*here, "goal"), GOALS)
        yield from numbers(document, (*here, "target"))
        name, goal = config.get("name"), config.get("goal", "minimize")
        if isinstance(name, str) and name not in METRICS and goal in GOALS:
            why = "the trainer logs no such metric"
            yield Repair(Change.VALUE, (*here, "name"), name, metric_meant(name, goal), why)
    elif (
        config is None
        and "method" in document
        and (document["method"] == "bayes" or "early_terminate" in document)
    ):
        new = {"name": HEADLINE.metric, "goal": HEADLINE.goal}
        change, old = (Change.VALUE, None) if "metric" in document else (Change.ADD, "method")
        yield Repair(change, here, old, new, "decides which run is better")


def _entry(path: Path, entry: Mapping[str, Any]) -> Repairs:
    """What is wrong with one parameter's distribution."""
    yield from keys(path, entry, ENTRY_KEYS, "W&B's key")
    found: list[Repair] = [*word(entry, ("distribution",), DISTRIBUTIONS)]
    for key in entry:
        found += numbers(entry, (key,))
    yield from (Repair(r.change, (*path, *r.path), r.old, r.new, r.why) for r in found)
    low, high = entry.get("min"), entry.get("max")
    if found or not all(type(bound) in (int, float) for bound in (low, high)):
        return
    assert low is not None
    assert high is not None
    distribution = str(entry.get("distribution", ""))
    if plainly_values(distribution, low, high):
        why = f"its bounds are exponents; {low!r} and {high!r} are values"
        new = f"{distribution}_values"
        yield Repair(Change.VALUE, (*path, "distribution"), distribution, new, why)
    if not distribution and type(low) is not type(high):
        known = KNOWN.get(str(path[-1]))
        is_whole = (
            known and isinstance(known.default, int) and low == int(low) and high == int(high)
        )
        kind = int if is_whole else float
        key = "min" if type(low) is not kind else "max"
        why = "min and max have to be of one kind"
        yield Repair(Change.VALUE, (*path, key), entry[key], kind(entry[key]), why)


def _hyperparameters(entries: Mapping[Path, Any]) -> Repairs:
    """Names, and the optimizers' spelling."""
    there = {path[-1] for path in entries}
    for path, entry in entries.items():
        name = path[-1]
        if name not in KNOWN:
            meant = hyperparameter_meant(str(name))
            if meant is not None and meant not in there:
                there.add(meant)
                yield Repair(Change.KEY, path, name, meant, "its name in this trainer")
        if name == "optimizer" and isinstance(entry, Mapping):
            values = entry.get("values")
            for index, word in enumerate(values if isinstance(values, list) else ()):
                if isinstance(word, str) and word not in OPTIMIZERS and word.lower() in OPTIMIZERS:
                    place = (*path, "values", index)
                    yield Repair(Change.VALUE, place, word, word.lower(), "its name here")


def _heads(entries: Mapping[Path, Any]) -> Repairs:
    """One listed value of nhead or d_model that fits none of the other, where others remain."""
    paths: dict[str, Path] = {}
    parameters: dict[str, Parameter] = {}
    for path, entry in entries.items():
        if path[-1] in ("nhead", "d_model"):
            key = SEPARATOR.join(str(part) for part in path[1:] if part != "parameters")
            try:
                parameters[key] = read_parameter(entry, "")
            except UserError:
                return
            paths[key] = path
    if len({leaf(key) for key in parameters}) < len(parameters):
        return
    for key, value in _safely(misfits, parameters):
        values = parameters[key].choices
        if parameters[key].distribution == "categorical" and len(values) > 1:
            other = "divides no d_model" if leaf(key) == "nhead" else "no nhead divides it"
            place = (*paths[key], "values", list(values).index(value))
            yield Repair(Change.REMOVE, place, value, None, other)
            return


def _safely(
    find: Callable[[Mapping[str, Parameter]], list[tuple[str, Any]]],
    parameters: Mapping[str, Parameter],
) -> list[tuple[str, Any]]:
    """Nothing where a value is no number above 0, which another message tells."""
    try:
        return find(parameters)
    except (TypeError, ValueError, ZeroDivisionError):
        return []
