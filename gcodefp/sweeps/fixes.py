"""One repair of a sweep, and the ways to find one that hold for all its parts."""

import copy
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import yaml

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, KNOWN, METRICS, OPTIMIZERS
from gcodefp.sweeps import hyperband
from gcodefp.sweeps.distributions import ARGUMENTS, DISTRIBUTIONS, Parameter
from gcodefp.sweeps.parameters import plainly_values, read_parameter
from gcodefp.sweeps.specification import KEYS, METHODS, METRIC_KEYS
from gcodefp.sweeps.trainable import hyperparameter_meant, metric_meant, misfits, nearest
from gcodefp.sweeps.values import SEPARATOR, leaf, number_in, number_text

Path = tuple[str | int, ...]
CAP_NAMES = ("max_runs", "count")


class Change(Enum):
    """What a repair does at its path."""

    VALUE = "value"
    KEY = "key"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True)
class Repair:
    """One change to a sweep.

    Attributes:
        path: keys and list indices from the root; of what is changed, added or removed.
        old: the value or the key as it stands; for an addition, the key that it comes after.
        new: the value or the key that takes its place.
        why: for the user.
    """

    change: Change
    path: Path
    old: Any
    new: Any
    why: str

    def describe(self) -> str:
        """One line for the user."""
        place = ".".join(str(part) for part in self.path)
        old, new = _shown(self.old), _shown(self.new)
        done = {
            Change.VALUE: f"{old} -> {new}",
            Change.KEY: f"renamed {self.new}",
            Change.ADD: f"added, {new}",
            Change.REMOVE: f"{old} removed",
        }[self.change]
        return f"{place}: {done} ({self.why})"


Repairs = Iterator[Repair]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return number_text(value) if isinstance(value, float) else repr(value)


def keys(path: Path, block: Mapping[Any, Any], known: Collection[str], why: str) -> Repairs:
    """Misspelt keys of a block."""
    for key in block:
        if key in known or (key in CAP_NAMES and not path):
            continue
        meant = nearest(str(key), known)
        if meant is not None and meant not in block:
            yield Repair(Change.KEY, (*path, key), key, meant, why)


def at(document: Any, path: Path) -> Any:
    """What stands there; None if nothing does."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def word(document: Any, path: Path, known: tuple[str, ...]) -> Repairs:
    """A misspelt or cut-off word, such as `max` for maximize."""
    asked = at(document, path)
    if not isinstance(asked, str) or asked in known:
        return
    begun = [other for other in known if len(asked) > 2 and other.startswith(asked.lower())]
    meant = begun[0] if len(begun) == 1 else nearest(asked, known)
    if meant is not None:
        yield Repair(Change.VALUE, path, asked, meant, f"the {path[-1]} that is meant")


def numbers(document: Any, path: Path) -> Repairs:
    """Texts that are meant as numbers, here and in a list here."""
    value = at(document, path)
    if isinstance(value, list):
        for index in range(len(value)):
            yield from numbers(document, (*path, index))
    number = number_in(value)
    if number is not None:
        yield Repair(Change.VALUE, path, value, number, "YAML reads it as text")


# What of a sweep that does not run here has one right answer, and which.
#
# Works on the document as YAML gives it, and changes nothing but that; `yaml_edit` brings a repair
# into the text.

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
        new = {"name": DEFAULT_OBJECTIVE.metric, "goal": DEFAULT_OBJECTIVE.goal}
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


MERGE = "tag:yaml.org,2002:merge"
MOST = 1000
"""Repairs of one document; each makes it better, so that there are far fewer."""


def repaired(text: str) -> tuple[str, list[Repair]]:
    """The text with all that has one right answer put right, and what that was.

    A repair that cannot be made in the text, as where an anchor serves two places, is left out.
    """
    done: list[Repair] = []
    refused: set[str] = set()
    for _ in range(MOST):
        open_ones = (r for r in repairs(yaml.safe_load(text)) if repr(r) not in refused)
        if (repair := next(open_ones, None)) is None:
            break
        if (changed := edited(text, repair)) is None:
            refused.add(repr(repair))
        else:
            text = changed
            done.append(repair)
    return text, done


def edited(text: str, repair: Repair) -> str | None:
    """The text with one repair; None if it would not do just that."""
    document = yaml.safe_load(text)
    try:
        _apply(document, repair)
        changed = _Text(text).with_repair(repair)
        same = changed is not None and yaml.safe_load(changed) == document
    except (yaml.YAMLError, LookupError, TypeError):
        return None
    return changed if same else None


def _apply(document: Any, repair: Repair) -> None:
    """The same change to the document, to compare with."""
    *above, last = repair.path
    place = document
    for part in above:
        place = place[part]
    match repair.change:
        case Change.KEY:
            entries = [(repair.new if k == last else k, v) for k, v in place.items()]
            place.clear()
            place.update(entries)
        case Change.REMOVE:
            del place[last]
        case _:
            place[last] = copy.deepcopy(repair.new)


def repeated_keys(text: str) -> list[str]:
    """Keys that stand twice in one mapping, of which YAML keeps the last."""
    found: list[str] = []

    def look(node: yaml.Node | None, path: str) -> None:
        if isinstance(node, yaml.MappingNode):
            names = [str(key.value) for key, _ in node.value]
            found.extend(f"{path}{n}" for n in dict.fromkeys(names) if names.count(n) > 1)
            for name, (_, value) in zip(names, node.value, strict=True):
                look(value, f"{path}{name}.")

    look(yaml.compose(text, Loader=yaml.SafeLoader), "")
    return found


class _Text:
    """A YAML text and the nodes that it was read from."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root = yaml.compose(text, Loader=yaml.SafeLoader)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def with_repair(self, repair: Repair) -> str | None:
        *above, last = repair.path
        parent = self._node(tuple(above))
        if repair.change is Change.REMOVE:
            return self._without(parent, int(last))
        if repair.change is Change.ADD:
            return self._with_pair(parent, repair.old, str(last), repair.new)
        key, value = self._pair(parent, last)
        node = key if repair.change is Change.KEY and key is not None else value
        return self._replaced(node, repair.new)

    def _node(self, path: Path) -> yaml.Node:
        node = self._root
        assert node is not None
        for part in path:
            _, node = self._pair(node, part)
        return node

    def _pair(self, node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node]:
        """Key and value below a node; a list's item has no key."""
        if isinstance(node, yaml.SequenceNode):
            return None, node.value[int(part)]
        if not isinstance(node, yaml.MappingNode):
            raise LookupError(part)
        # The last of several equal keys counts; those of a merge count least.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and _plain(key) == part:
                return key, value
        for key, value in node.value:
            if key.tag == MERGE and isinstance(value, yaml.MappingNode):
                return self._pair(value, part)
        raise LookupError(part)

    def _replaced(self, node: yaml.Node, new: Any) -> str:
        start, end = node.start_mark.index, node.end_mark.index
        written = self._text[start:end]
        # The place of an empty value is that of the colon before it.
        space = " " if not written else ""
        anchor = re.match(r"&\S+\s+", written)
        kept = anchor[0] if anchor else ""
        return self._text[:start] + space + kept + _scalar(new, node) + self._text[end:]

    def _without(self, node: yaml.Node, index: int) -> str | None:
        """The list without an item, and without the item's line where it has its own."""
        text = self._text
        assert isinstance(node, yaml.SequenceNode)
        items = node.value
        start, end = items[index].start_mark.index, items[index].end_mark.index
        if not node.flow_style:
            line_start = text.rfind("\n", 0, start) + 1
            line_end = text.find("\n", end) + 1 or len(text)
            if text[line_start:start].strip() != "-":
                return None
            return text[:line_start] + text[line_end:]
        if index + 1 < len(items):
            following = items[index + 1].start_mark.index
            if "#" not in text[end:following]:
                return text[:start] + text[following:]
            comma = re.compile(r"\s*,[ \t]*").match(text, end)
            return text[:start] + text[comma.end() :] if comma else None
        before = items[index - 1].end_mark.index
        return text[: start if "#" in text[before:start] else before] + text[end:]

    def _with_pair(self, node: yaml.Node, after: str, name: str, new: Any) -> str:
        """The mapping with another key after the pair of the key `after`."""
        key, value = self._pair(node, after)
        assert isinstance(node, yaml.MappingNode)
        assert isinstance(key, yaml.ScalarNode)
        column, end = key.start_mark.column, value.end_mark.index
        quote = key.style or ""
        if node.flow_style:
            same_line = key.start_mark.line == node.start_mark.line
            space = " " if same_line else self._newline + " " * column
            pair = f"{quote}{name}{quote}: {_scalar(new, value, quote)}"
            return f"{self._text[:end]},{space}{pair}{self._text[end:]}"
        line_end = self._text.find("\n", end)
        if isinstance(new, dict):
            inner = [f"{' ' * (column + 2)}{k}: {_scalar(v, None)}" for k, v in new.items()]
            lines = [f"{' ' * column}{name}:", *inner]
        else:
            lines = [f"{' ' * column}{name}: {_scalar(new, None)}"]
        block = self._newline.join(lines) + self._newline
        if line_end < 0:
            return self._text + self._newline + block
        return self._text[: line_end + 1] + block + self._text[line_end + 1 :]


def _plain(key: yaml.ScalarNode) -> Any:
    return yaml.safe_load(key.value) if key.style is None and key.value else key.value


def _scalar(value: Any, like: yaml.Node | None, quote: str = "") -> str:
    """A value as YAML, texts in the quotes of the one that it replaces."""
    if isinstance(value, dict):
        pairs = (f"{quote}{k}{quote}: {_scalar(v, None, quote)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, float):
        return number_text(value)
    if not isinstance(value, str):
        return str(value)
    style = getattr(like, "style", None) or quote
    return f"{style}{value}{style}" if style in ("'", '"') else value
