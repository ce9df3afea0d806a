"""What `check_sweep --fix` changes in a sweep YAML: what has one right answer, and nothing else.

Names that are misspelt or another trainer's, exponents that are meant as values, numbers that YAML
reads as text, the goal of a metric whose direction is known. A fix replaces the characters of one
key or value in the file, so comments, order and layout stay.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import yaml

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import (
    DEFAULT_OBJECTIVE,
    HYPERPARAMETERS,
    LOGGED_METRICS,
    OPTIMIZERS,
    usual_goal,
)
from gcodefp.sweeps.check import Path, entries
from gcodefp.sweeps.distributions import DISTRIBUTIONS
from gcodefp.sweeps.hyperband import EarlyTerminate
from gcodefp.sweeps.parameters import Entry, plainly_values
from gcodefp.sweeps.program import is_external
from gcodefp.sweeps.specification import CAP_NAMES, METHODS, Goal, MetricConfig, Sweep
from gcodefp.sweeps.trainable import hyperparameter_meant, nearest, same_letters
from gcodefp.sweeps.values import number_text, parse_number
from gcodefp.yaml_input import LOADER, load_yaml

GOALS = get_args(Goal)
MAX_FIXES, MAX_SHOWN = 1000, 20
BOM = "\ufeff"


Change = Literal["value", "key", "add"]
"""What a fix does at its path."""


@dataclass(frozen=True)
class Fix:
    """One change to a sweep.

    Attributes:
        path: of what is changed or added.
        old: the value or the key that is there; for an addition, the key that it comes after.
        new: the value or the key that replaces it.
        reason: for the user.
        is_needed: whether the sweep does not run without it.
    """

    change: Change
    path: Path
    old: Any
    new: Any
    reason: str
    is_needed: bool = True

    def describe(self) -> str:
        """One line for the user."""
        change = {
            "value": f"{_text(self.old)} -> {_text(self.new)}",
            "key": f"renamed {self.new}",
            "add": f"added, {_text(self.new)}",
        }[self.change]
        return f"{'.'.join(map(str, self.path))}: {change} ({self.reason})"


Fixes = Iterator[Fix]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return number_text(value) if isinstance(value, float) else repr(value)


# What to fix, in the document as YAML gives it.


def proposed_fixes(document: Any) -> Fixes:
    """What can be fixed next; some of it may show only after the rest is done."""
    if not isinstance(document, Mapping):
        return
    yield from _keys((), document, Sweep.model_fields)
    for name in CAP_NAMES:
        if name in document and "run_cap" not in document:
            yield Fix("key", (name,), name, "run_cap", "W&B's key")
    yield from _numbers(document, ("run_cap",))
    yield from _word(document, ("method",), METHODS)
    yield from _early_terminate(document)
    yield from _metric(document)
    parameters = dict(entries(document.get("parameters")))
    for path, entry in parameters.items():
        if isinstance(entry, Mapping):
            yield from _entry(document, path, entry)
    if not is_external(document):
        yield from _hyperparameters(parameters)


def _keys(path: Path, block: Mapping[Any, Any], names: Collection[str]) -> Fixes:
    """Misspelt keys of a block."""
    for key in block:
        if key in names or (key in CAP_NAMES and not path):
            continue
        meant = nearest(str(key), names)
        if meant is not None and meant not in block:
            yield Fix("key", (*path, key), key, meant, "W&B's key")


def _at(document: Any, path: Path) -> Any:
    """The value at a path; None if there is none."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _word(document: Any, path: Path, words: tuple[str, ...]) -> Fixes:
    """A misspelt or cut-off word, such as `max` for maximize."""
    word = _at(document, path)
    if not isinstance(word, str) or word in words:
        return
    longer = [other for other in words if len(word) > 2 and other.startswith(word.lower())]
    meant = longer[0] if len(longer) == 1 else nearest(word, words)
    if meant is not None:
        yield Fix("value", path, word, meant, f"the {path[-1]} that is meant")


def _numbers(document: Any, path: Path) -> Fixes:
    """Texts that are meant as numbers, and those in a list."""
    value = _at(document, path)
    if isinstance(value, list):
        for index in range(len(value)):
            yield from _numbers(document, (*path, index))
    number = parse_number(value)
    if number is not None:
        yield Fix("value", path, value, number, "YAML reads it as a string")


def _early_terminate(document: Mapping[str, Any]) -> Fixes:
    config, path = document.get("early_terminate"), ("early_terminate",)
    if not isinstance(config, Mapping) or not config:
        return
    yield from _keys(path, config, EarlyTerminate.model_fields)
    for key in ("min_iter", "max_iter", "s", "eta"):
        yield from _numbers(document, (*path, key))
    yield from _word(document, (*path, "type"), ("hyperband",))
    if "type" not in config and not any(isinstance(v, list | dict) for v in config.values()):
        reason = "W&B needs it, and has no other"
        yield Fix("add", (*path, "type"), next(iter(config)), "hyperband", reason)


def _metric(document: Mapping[str, Any]) -> Fixes:
    config, path = document.get("metric"), ("metric",)
    if isinstance(config, Mapping):
        yield from _keys(path, config, MetricConfig.model_fields)
        yield from _word(document, (*path, "goal"), GOALS)
        yield from _numbers(document, (*path, "target"))
        name, goal = config.get("name"), config.get("goal", "minimize")
        if not isinstance(name, str):
            return
        is_ours = not is_external(document)
        if is_ours and name not in LOGGED_METRICS and (meant := same_letters(name, LOGGED_METRICS)):
            reason = "its name in this trainer"
            yield Fix("value", (*path, "name"), name, meant, reason)
        elif is_ours and name not in LOGGED_METRICS:
            return
        elif goal in GOALS and (usual := usual_goal(name)) not in (None, goal):
            reason = f"{name} is better when {'larger' if usual == 'maximize' else 'smaller'}"
            if "goal" in config:
                yield Fix("value", (*path, "goal"), goal, usual, reason, is_needed=False)
            else:
                yield Fix("add", (*path, "goal"), "name", usual, reason, is_needed=False)
    elif is_external(document):
        return
    elif config is None and (document.get("method") == "bayes" or "early_terminate" in document):
        new = {"name": DEFAULT_OBJECTIVE.metric, "goal": DEFAULT_OBJECTIVE.goal}
        if "metric" in document:
            yield Fix("value", path, None, new, "decides which run is better")
        elif "method" in document:
            yield Fix("add", path, "method", new, "decides which run is better")


def _entry(document: Any, path: Path, entry: Mapping[str, Any]) -> Fixes:
    """What is wrong with one parameter's distribution."""
    yield from _keys(path, entry, Entry.model_fields.keys() - {"parameters"})
    fixes = [*_word(document, (*path, "distribution"), DISTRIBUTIONS)]
    for key in entry:
        fixes += _numbers(document, (*path, key))
    yield from fixes
    low, high = entry.get("min"), entry.get("max")
    if fixes or not isinstance(low, int | float) or not isinstance(high, int | float):
        return
    distribution = str(entry.get("distribution", ""))
    if plainly_values(distribution, low, high):
        reason = f"its bounds are exponents; {low!r} and {high!r} are values"
        new = f"{distribution}_values"
        yield Fix("value", (*path, "distribution"), distribution, new, reason)
    if not distribution and {type(low), type(high)} == {int, float}:
        setting = HYPERPARAMETERS.get(str(path[-1]))
        is_whole = setting and isinstance(setting.default, int) and low % 1 == high % 1 == 0
        kind = int if is_whole else float
        key = "max" if type(low) is kind else "min"
        reason = "min and max have to be of one kind"
        yield Fix("value", (*path, key), entry[key], kind(entry[key]), reason)


def _hyperparameters(parameters: Mapping[Path, Any]) -> Fixes:
    """Names, and the optimizers' spelling."""
    names = {path[-1] for path in parameters}
    for path, entry in parameters.items():
        name = path[-1]
        if name not in HYPERPARAMETERS:
            meant = hyperparameter_meant(str(name))
            if meant is not None and meant not in names:
                names.add(meant)
                yield Fix("key", path, name, meant, "its name in this trainer")
        if name == "optimizer" and isinstance(entry, Mapping):
            values = entry.get("values")
            for index, word in enumerate(values if isinstance(values, list) else ()):
                if isinstance(word, str) and word not in OPTIMIZERS and word.lower() in OPTIMIZERS:
                    item = (*path, "values", index)
                    yield Fix("value", item, word, word.lower(), "its name here")


# How it is fixed: the characters of a key or a value are replaced in the text.


def apply_fixes(text: str, where: str) -> tuple[str, Any, list[Fix]]:
    """The text and its document with all that has one right answer put right, and what that was.

    Raises UserError: it is no YAML, or the text cannot be changed at these paths alone.
    """
    # The parser counts no byte order mark.
    text, mark = text.removeprefix(BOM), BOM if text.startswith(BOM) else ""
    document, fixes = load_yaml(text, where), list[Fix]()
    while more := _without_conflicts(proposed_fixes(document)):
        fixes += more
        changes = "; ".join(fix.describe() for fix in fixes[:MAX_SHOWN])
        if len(fixes) > MAX_FIXES:
            raise UserError(f"{where}: over {MAX_FIXES} fixes, such as {changes}; rewrite the file")
        for fix in more:
            _apply(document, fix)
        try:
            text = _changed(text, more)
            is_right = _are_same(load_yaml(text, where), document)
        except (LookupError, UserError):
            is_right = False
        if not is_right:
            raise UserError(f"{where}: an anchor serves several values; change manually: {changes}")
    return mark + text, document, fixes


def _without_conflicts(fixes: Fixes) -> list[Fix]:
    """The fixes without second keys of one name; keys last, since they move paths."""
    first: dict[Path, Fix] = {}
    for fix in fixes:
        first.setdefault((*fix.path[:-1], fix.new) if fix.change == "key" else fix.path, fix)
    return sorted(first.values(), key=lambda fix: (fix.change == "key", -len(fix.path)))


def _apply(document: Any, fix: Fix) -> None:
    *above, last = fix.path
    block = _at(document, tuple(above))
    if fix.change == "key":
        block[fix.new] = block.pop(last)
    else:
        block[last] = dict(fix.new) if isinstance(fix.new, dict) else fix.new


def _are_same(one: Any, other: Any) -> bool:
    """Whether two documents are equal, their types too: 0 == 0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return repr(one) == repr(other)


def _changed(text: str, fixes: list[Fix]) -> str:
    """The text with these fixes; all other characters stay.

    Raises LookupError: a key is not in the text at its path, but merged from an anchor.
    """
    root = yaml.compose(text, Loader=LOADER)
    edits: dict[tuple[int, int], str] = {}
    for fix in fixes:
        last = fix.old if fix.change == "add" else fix.path[-1]
        block, key, value = _nodes_at(root, (*fix.path[:-1], last))
        if fix.change == "add":
            span, new = _addition(text, fix, block, key, value)
        else:
            span, new = _replacement(text, key if fix.change == "key" else value, fix.new)
        if edits.setdefault(span, new) != new:
            raise LookupError(fix.path)
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _nodes_at(root: Any, path: Path) -> tuple[Any, yaml.Node, yaml.Node]:
    """The mapping or list that holds the last part of a path, its key, and its value."""
    block = key = value = root
    for part in path:
        block = value
        if isinstance(block, yaml.SequenceNode):
            key = value = block.value[part]
        else:
            pairs = {pair[0].value: pair for pair in block.value}
            key, value = pairs[str(part)]
    return block, key, value


def _replacement(text: str, node: yaml.Node, new: Any) -> tuple[tuple[int, int], str]:
    """Where a key or value stands, behind its anchor, and what takes its place, in its quotes."""
    start, end = node.start_mark.index, node.end_mark.index
    if properties := re.match(r"([&!]\S*\s+)+", text[start:end]):
        start += properties.end()
    old = text[start:end]
    gap = " " if not old and text[start - 1] == ":" else ""
    line_end = "\n" if old[:1] in ("|", ">") else ""
    return (start, end), gap + _written(new, old) + line_end


def _addition(
    text: str, fix: Fix, block: Any, key: yaml.Node, value: yaml.Node
) -> tuple[tuple[int, int], str]:
    """Where a new key stands, after another one, and its text."""
    at, old = value.end_mark.index, text[key.start_mark.index]
    new = f"{_written(fix.path[-1], old)}: {_written(fix.new, old)}"
    if block.flow_style:
        return (at, at), f", {new}"
    line_end = "\r\n" if "\r\n" in text else "\n"
    line = text[at - 1 :].partition("\n")[0].rstrip("\r")
    at += len(line) - 1
    return (at, at), f"{line_end}{' ' * key.start_mark.column}{new}"


def _written(new: Any, old: str) -> str:
    """A new value as YAML, texts in the quotes of an old one."""
    quote = old[:1] if old[:1] in ("'", '"') else ""
    if isinstance(new, dict):
        pairs = (f"{_written(key, old)}: {_written(value, old)}" for key, value in new.items())
        return f"{{{', '.join(pairs)}}}"
    return f"{quote}{new}{quote}" if isinstance(new, str) else number_text(new)
