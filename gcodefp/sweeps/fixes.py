"""What `check_sweep --fix` changes in a sweep YAML: what has one right answer, and nothing else.

Names that are misspelt or another trainer's, exponents that are meant as values, numbers that YAML
reads as text. Comments, order and layout of the file stay.
"""

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum
from io import StringIO
from typing import Any, get_args

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString
from ruamel.yaml.tokens import CommentToken
from ruamel.yaml.util import load_yaml_guess_indent

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, HYPERPARAMETERS, METRICS, OPTIMIZERS
from gcodefp.sweeps.check import Path, entries
from gcodefp.sweeps.distributions import DISTRIBUTIONS, Parameter
from gcodefp.sweeps.hyperband import EarlyTerminate
from gcodefp.sweeps.parameters import Entry, plainly_values, read_parameter
from gcodefp.sweeps.specification import CAP_NAMES, METHODS, Goal, Metric, Sweep
from gcodefp.sweeps.trainable import hyperparameter_meant, metric_meant, misfits, nearest
from gcodefp.sweeps.values import SEPARATOR, leaf, number_in, number_text
from gcodefp.sweeps.yaml_input import load_yaml

GOALS = get_args(Goal)
QUOTED = (DoubleQuotedScalarString, SingleQuotedScalarString)


MOST_FIXES = 1000


class Change(Enum):
    """What a fix does at its path."""

    VALUE = "value"
    KEY = "key"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True)
class Fix:
    """One change to a sweep.

    Attributes:
        path: of what is changed, added or removed.
        old: the value or the key as it stands; for an addition, the key that it comes after.
        new: the value or the key that takes its place.
        reason: for the user.
    """

    change: Change
    path: Path
    old: Any
    new: Any
    reason: str

    def describe(self) -> str:
        """One line for the user."""
        old, new = _text(self.old), _text(self.new)
        change = {
            Change.VALUE: f"{old} -> {new}",
            Change.KEY: f"renamed {self.new}",
            Change.ADD: f"added, {new}",
            Change.REMOVE: f"{old} removed",
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
            yield Fix(Change.KEY, (name,), name, "run_cap", "W&B's key")
    yield from _numbers(document, ("run_cap",))
    yield from _word(document, ("method",), METHODS)
    yield from _early_terminate(document)
    yield from _metric(document)
    parameters = dict(entries(document.get("parameters")))
    for path, entry in parameters.items():
        if isinstance(entry, Mapping):
            yield from _entry(document, path, entry)
    yield from _hyperparameters(parameters)
    yield from _heads(parameters)


def _keys(path: Path, block: Mapping[Any, Any], names: Collection[str]) -> Fixes:
    """Misspelt keys of a block."""
    for key in block:
        if key in names or (key in CAP_NAMES and not path):
            continue
        meant = nearest(str(key), names)
        if meant is not None and meant not in block:
            yield Fix(Change.KEY, (*path, key), key, meant, "W&B's key")


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
    begun = [other for other in words if len(word) > 2 and other.startswith(word.lower())]
    meant = begun[0] if len(begun) == 1 else nearest(word, words)
    if meant is not None:
        yield Fix(Change.VALUE, path, word, meant, f"the {path[-1]} that is meant")


def _numbers(document: Any, path: Path) -> Fixes:
    """Texts that are meant as numbers, and those in a list."""
    value = _at(document, path)
    if isinstance(value, list):
        for index in range(len(value)):
            yield from _numbers(document, (*path, index))
    number = number_in(value)
    if number is not None:
        yield Fix(Change.VALUE, path, value, number, "YAML reads it as text")


def _early_terminate(document: Mapping[str, Any]) -> Fixes:
    config, path = document.get("early_terminate"), ("early_terminate",)
    if not isinstance(config, Mapping) or not config:
        return
    yield from _keys(path, config, EarlyTerminate.model_fields)
    for key in ("min_iter", "max_iter", "s", "eta"):
        yield from _numbers(document, (*path, key))
    yield from _word(document, (*path, "type"), ("hyperband",))
    if "type" not in config:
        reason = "W&B needs it, and has no other"
        yield Fix(Change.ADD, (*path, "type"), next(iter(config)), "hyperband", reason)
    if "max_iter" in config and "s" not in config:
        reason = "max_iter needs the number of bands below it"
        yield Fix(Change.ADD, (*path, "s"), "max_iter", 2, reason)


def _metric(document: Mapping[str, Any]) -> Fixes:
    config, path = document.get("metric"), ("metric",)
    if isinstance(config, Mapping):
        yield from _keys(path, config, Metric.model_fields)
        yield from _word(document, (*path, "goal"), GOALS)
        yield from _numbers(document, (*path, "target"))
        name, goal = config.get("name"), config.get("goal", "minimize")
        if isinstance(name, str) and name not in METRICS and goal in GOALS:
            reason = "the trainer logs no such metric"
            yield Fix(Change.VALUE, (*path, "name"), name, metric_meant(name, goal), reason)
    elif config is None and (document.get("method") == "bayes" or "early_terminate" in document):
        new = {"name": DEFAULT_OBJECTIVE.metric, "goal": DEFAULT_OBJECTIVE.goal}
        change, old = (Change.VALUE, None) if "metric" in document else (Change.ADD, "method")
        if "method" in document:
            yield Fix(change, path, old, new, "decides which run is better")


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
        yield Fix(Change.VALUE, (*path, "distribution"), distribution, new, reason)
    if not distribution and {type(low), type(high)} == {int, float}:
        setting = HYPERPARAMETERS.get(str(path[-1]))
        is_whole = setting and isinstance(setting.default, int) and low % 1 == high % 1 == 0
        kind = int if is_whole else float
        key = "max" if type(low) is kind else "min"
        reason = "min and max have to be of one kind"
        yield Fix(Change.VALUE, (*path, key), entry[key], kind(entry[key]), reason)


def _hyperparameters(parameters: Mapping[Path, Any]) -> Fixes:
    """Names, and the optimizers' spelling."""
    names = {path[-1] for path in parameters}
    for path, entry in parameters.items():
        name = path[-1]
        if name not in HYPERPARAMETERS:
            meant = hyperparameter_meant(str(name))
            if meant is not None and meant not in names:
                names.add(meant)
                yield Fix(Change.KEY, path, name, meant, "its name in this trainer")
        if name == "optimizer" and isinstance(entry, Mapping):
            values = entry.get("values")
            for index, word in enumerate(values if isinstance(values, list) else ()):
                if isinstance(word, str) and word not in OPTIMIZERS and word.lower() in OPTIMIZERS:
                    place = (*path, "values", index)
                    yield Fix(Change.VALUE, place, word, word.lower(), "its name here")


def _heads(parameters: Mapping[Path, Any]) -> Fixes:
    """One listed value of nhead or d_model that fits none of the other, where others remain."""
    read: dict[str, Parameter] = {}
    paths: dict[str, Path] = {}
    try:
        for path, entry in parameters.items():
            if path[-1] in ("nhead", "d_model"):
                key = SEPARATOR.join(str(part) for part in path[1:] if part != "parameters")
                read[key], paths[key] = read_parameter(entry, ""), path
        unfit = misfits(read)
    except (UserError, TypeError, ValueError, ZeroDivisionError):
        return  # Another message names a value that is no number above 0.
    for key, value in unfit if len({leaf(key) for key in read}) == len(read) else ():
        values = read[key].choices
        if read[key].distribution == "categorical" and len(values) > 1:
            reason = "divides no d_model" if leaf(key) == "nhead" else "no nhead divides it"
            place = (*paths[key], "values", list(values).index(value))
            yield Fix(Change.REMOVE, place, value, None, reason)
            return


# How it is fixed: in the document, and in the text.


def fixed(text: str, where: str) -> tuple[str, Any, list[Fix]]:
    """The text and its document with all that has one right answer put right, and what that was.

    Raises:
        UserError: it is no YAML, or the text cannot be changed in these places alone.
    """
    document = load_yaml(text, where)
    fixes: list[Fix] = []
    while more := _apply(document, proposed_fixes(document)):
        fixes += more
        if len(fixes) > MOST_FIXES:
            first = fixes[0].describe()
            raise UserError(
                f"{where}: {len(fixes)} places to fix, such as {first}; rewrite the file"
            )
    if not fixes:
        return text, document, []
    changed = _changed(text, fixes)
    # As text, since 0 == 0.0.
    if repr(load_yaml(changed, where)) != repr(document):
        changes = "; ".join(fix.describe() for fix in fixes)
        raise UserError(f"{where}: an anchor serves several places; change manually: {changes}")
    return changed, document, fixes


def _changed(text: str, fixes: list[Fix]) -> str:
    """The text with these fixes; lines without one stay as they are, character by character."""
    yaml = _yaml()
    document, sequence, offset = load_yaml_guess_indent(text, yaml=yaml)
    indented = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    yaml.indent(len(indented[1]) if indented else 2, sequence, offset)

    def lines() -> list[str]:
        stream = StringIO()
        yaml.dump(document, stream)
        return stream.getvalue().splitlines()

    written, before = text.splitlines(keepends=True), lines()
    newline = "\r\n" if "\r\n" in text else "\n"
    for fix in fixes:
        _change(document, fix)
    after = lines()
    if len(before) != len(written):
        return newline.join([*after, ""])
    parts = []
    for kind, first, last, start, end in SequenceMatcher(None, before, after, False).get_opcodes():
        if kind == "equal":
            parts += written[first:last]
            continue
        old = [*written[first:last], *[""] * (end - start)]
        parts += [_with_gap(*pair) + newline for pair in zip(after[start:end], old, strict=False)]
    return "".join(parts)


def _with_gap(line: str, old: str) -> str:
    """The line with the old one's blanks before its comment; ruamel.yaml keeps the column."""
    comment = re.search(r"\s+(#.*)", old.rstrip())
    if comment is None or not line.endswith(comment[1]):
        return line
    return line.removesuffix(comment[1]).rstrip() + comment[0]


def _apply(document: Any, fixes: Fixes) -> list[Fix]:
    """Makes the fixes that do not move each other: values first, keys from the innermost."""
    order = list(Change)
    applied = []
    for fix in sorted(fixes, key=lambda fix: (order.index(fix.change), -len(fix.path))):
        block = _at(document, fix.path[:-1])
        if fix.change is Change.KEY and fix.new in block:
            continue
        _change(document, fix)
        applied.append(fix)
    return applied


def _change(document: Any, fix: Fix) -> None:
    """Makes one change in a document, be it plain or ruamel.yaml's."""
    *above, last = fix.path
    block, new = _at(document, tuple(above)), copy.deepcopy(fix.new)
    match fix.change:
        case Change.REMOVE:
            if isinstance(last, int) and last > 0:
                _move_comments(block, last, last - 1)
            del block[last]
        case Change.VALUE:
            block[last] = _styled(new, block[last])
        case Change.ADD:
            key = next(key for key in block if key == fix.old)
            _insert(block, list(block).index(key) + 1, _styled(last, key), _styled(new, key))
            _move_comments(block, fix.old, last)
        case Change.KEY:
            position = list(block).index(last)
            key = _styled(new, list(block)[position])
            _insert(block, position, key, block.pop(last))
            if comments := getattr(block, "ca", None) and block.ca.items.pop(last, None):
                block.ca.items[new] = comments


def _insert(block: Any, position: int, key: Any, value: Any) -> None:
    if isinstance(block, CommentedMap):
        block.insert(position, key, value)
        return
    following = list(block)[position:]
    block[key] = value
    for other in following:
        block[other] = block.pop(other)


def _styled(new: Any, old: Any) -> Any:
    """The new value in the quotes of the old one, and a mapping in one line."""
    if isinstance(new, dict):
        flow = CommentedMap({_styled(key, old): _styled(new[key], old) for key in new})
        flow.fa.set_flow_style()
        return flow
    if isinstance(new, str) and isinstance(
        old, DoubleQuotedScalarString | SingleQuotedScalarString
    ):
        return type(old)(new)
    return new


def _move_comments(block: Any, source: Any, target: Any) -> None:
    """Comment lines, which ruamel.yaml keeps with the line above them, go with another line."""
    items = block.ca.items if hasattr(block, "ca") else {}
    slot = 0 if isinstance(block, list) else 2
    if source not in items or (token := items[source][slot]) is None:
        return
    own, newline, below = token.value.partition("\n")
    if not below:
        return
    token.value = own + newline
    moved = items.setdefault(target, [None] * 4)
    if moved[slot] is None:
        moved[slot] = CommentToken("\n", token.start_mark, None)
    moved[slot].value += below


def _yaml() -> YAML:
    """Writes a new number so that YAML 1.1 reads it again, and null as a word."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6
    tag = "tag:yaml.org,2002:"
    represent = yaml.representer.add_representer
    represent(float, lambda r, v: r.represent_scalar(f"{tag}float", number_text(v)))
    represent(type(None), lambda r, v: r.represent_scalar(f"{tag}null", "null"))
    return yaml
