"""What `check_sweep --fix` changes in a sweep YAML: what has one right answer, and nothing else.

Names that are misspelt or another trainer's, exponents that are meant as values, numbers that YAML
reads as text, the goal of a metric whose direction is known. A fix replaces the characters of one
key or value in the file, so comments, order and layout stay.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import (
    DEFAULT_OBJECTIVE,
    HYPERPARAMETERS,
    LOGGED_METRICS,
    OPTIMIZERS,
    usual_goal,
)
from gcodefp.schema import field_at
from gcodefp.sweeps.check import Keys, entries
from gcodefp.sweeps.parameters import Fixable, number_text
from gcodefp.sweeps.specification import CAP_NAMES, SweepYaml
from gcodefp.sweeps.trainable import hyperparameter_meant, nearest, same_letters
from gcodefp.sweeps.user_script.command import has_script
from gcodefp.yaml_input import LOADER, load_yaml

MAX_FIXES, MAX_SHOWN = 1000, 20
BOM = "\ufeff"


@dataclass(frozen=True)
class Fix:
    """One change to a sweep.

    Attributes:
        path: of the value that is changed, or whose key is renamed.
        new: the value or the key that replaces it.
        is_needed: whether the sweep does not run without it.
    """

    path: Keys
    old: Any
    new: Any
    reason: str
    is_key: bool = False
    is_needed: bool = True

    def describe(self) -> str:
        """One line for the user."""
        old, new = (
            number_text(v) if isinstance(v, float) else repr(v) for v in (self.old, self.new)
        )
        change = f"renamed {self.new}" if self.is_key else f"{old} -> {new}"
        change = f"added, {_flow(self.new)}" if isinstance(self.new, dict) else change
        return f"{'.'.join(map(str, self.path))}: {change} ({self.reason})"


def proposed_fixes(document: Any) -> Iterator[Fix]:
    """What can be fixed next; some of it may show only after the rest is done."""
    if not isinstance(document, Mapping):
        return
    try:
        SweepYaml.model_validate(document)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            yield from _schema_fix(detail)
            is_needed = detail["loc"] == ("metric",) and "metric" not in document
            if is_needed and not has_script(document):
                yield Fix(
                    ("metric",),
                    None,
                    {"name": DEFAULT_OBJECTIVE.metric, "goal": DEFAULT_OBJECTIVE.goal},
                    "decides which run is best",
                )
    metric = document.get("metric")
    name = metric.get("name") if isinstance(metric, Mapping) else None
    if not has_script(document):
        yield from _trainer_fixes(dict(entries(document.get("parameters"))))
        if name not in LOGGED_METRICS:
            if meant := same_letters(str(name), LOGGED_METRICS):
                yield Fix(("metric", "name"), name, meant, "its name in this trainer")
            return
    goal = metric.get("goal") if isinstance(metric, Mapping) else None
    if isinstance(name, str) and goal in ("maximize", "minimize"):
        direction = usual_goal(name)
        if direction not in (None, goal):
            reason = f"{name} is better when {'larger' if direction == 'maximize' else 'smaller'}"
            yield Fix(("metric", "goal"), goal, direction, reason, is_needed=False)


def _schema_fix(detail: ErrorDetails) -> Iterator[Fix]:
    """The right answer to one error of the schema, if there is one."""
    path, value = detail["loc"], detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            names = [n for n in field_at(SweepYaml, path)[0].model_fields if n != "parameters"]
            is_cap = len(path) == 1 and path[0] in CAP_NAMES
            meant = "run_cap" if is_cap else nearest(str(path[-1]), names)
            if meant is not None:
                yield Fix(path, path[-1], meant, "W&B's key", is_key=True)
        case "literal_error" if isinstance(value, str):
            words = re.findall(r"'(.*?)'", detail["ctx"]["expected"])
            longer = [word for word in words if len(value) > 2 and word.startswith(value.lower())]
            meant = longer[0] if len(longer) == 1 else nearest(value, words)
            if meant is not None:
                yield Fix(path, value, meant, f"the {path[-1]} that is meant")
        case "value_error":
            error = detail["ctx"]["error"]
            if isinstance(error, Fixable) and error.key:
                old = value[error.key]
                yield Fix((*path, error.key), old, error.new, error.reason)
            elif isinstance(error, Fixable) and isinstance(value, str):
                yield Fix(path, value, error.new, error.reason)


def _trainer_fixes(parameters: Mapping[Keys, Any]) -> Iterator[Fix]:
    """Names of hyperparameters, and the optimizers' spelling."""
    for path, entry in parameters.items():
        meant = None if path[-1] in HYPERPARAMETERS else hyperparameter_meant(str(path[-1]))
        if meant:
            yield Fix(path, path[-1], meant, "its name in this trainer", is_key=True)
        values = entry.get("values") if isinstance(entry, Mapping) else None
        for index, word in enumerate(values if isinstance(values, list) else ()):
            is_misspelt = isinstance(word, str) and word not in OPTIMIZERS
            if path[-1] == "optimizer" and is_misspelt and word.lower() in OPTIMIZERS:
                yield Fix((*path, "values", index), word, word.lower(), "its name here")


# How it is fixed: the characters of a key or a value are replaced in the text.


def apply_fixes(text: str, where: str) -> tuple[str, Any, list[Fix]]:
    """The text and its document with all that has one right answer put right, and what that was.

    Raises UserError: it is no YAML, or the text cannot be changed at these paths alone.
    """
    # The parser counts no byte order mark.
    text, mark = text.removeprefix(BOM), BOM if text.startswith(BOM) else ""
    document, fixes = load_yaml(text, where), list[Fix]()
    while (fix := next(_without_conflicts(document), None)) is not None:
        fixes.append(fix)
        changes = "; ".join(fix.describe() for fix in fixes[-MAX_SHOWN:])
        if len(fixes) > MAX_FIXES:
            raise UserError(f"{where}: over {MAX_FIXES} fixes, such as {changes}; rewrite the file")
        block = _block(document, fix)
        block[fix.new if fix.is_key else fix.path[-1]] = (
            block.pop(fix.path[-1]) if fix.is_key else fix.new
        )
        try:
            text = _changed(text, fix)
            changed = load_yaml(text, where)
        except (LookupError, UserError):
            changed = None
        if _canonical(changed) != _canonical(document):
            raise UserError(f"{where}: an anchor serves several values; change manually: {changes}")
        document = changed
    return mark + text, document, fixes


def _block(document: Any, fix: Fix) -> Any:
    """The mapping or list that a fix changes."""
    return reduce(getitem, fix.path[:-1], document)


def _without_conflicts(document: Any) -> Iterator[Fix]:
    """The proposed fixes without keys that are there already."""
    parameters = document.get("parameters") if isinstance(document, Mapping) else None
    names = {path[-1] for path, _ in entries(parameters)}.intersection(HYPERPARAMETERS)
    for fix in proposed_fixes(document):
        if not (fix.is_key and (fix.new in _block(document, fix) or fix.new in names)):
            yield fix


def _canonical(value: Any) -> str:
    """Equal for equal documents, in any order of keys; 0 is not 0.0."""
    if isinstance(value, dict):
        return str(sorted((repr(key), _canonical(inner)) for key, inner in value.items()))
    return str([*map(_canonical, value)]) if isinstance(value, list) else repr(value)


def _changed(text: str, fix: Fix) -> str:
    """The text with this fix; all other characters stay.

    Raises LookupError: a key is not in the text at its path, but merged from an anchor.
    """
    root: Any = yaml.compose(text, Loader=LOADER)
    if isinstance(fix.new, dict):  # A key of the sweep itself: it becomes the first one.
        start = end = root.value[0][0].start_mark.index
        line_end = "\r\n" if "\r\n" in text else "\n"
        new = f"{fix.path[0]}: {_flow(fix.new)}{', ' if root.flow_style else line_end}"
    else:
        (start, end), new = _replacement(text, _node_at(root, fix), fix.new)
    return text[:start] + new + text[end:]


def _flow(new: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{key}: {value}' for key, value in new.items())}}}"


def _node_at(root: Any, fix: Fix) -> yaml.Node:
    """The key or the value that a fix replaces."""
    key = value = root
    for part in fix.path:
        if isinstance(value, yaml.SequenceNode):
            key = value = value.value[part]
        else:
            key, value = {pair[0].value: pair for pair in value.value}[str(part)]
    return key if fix.is_key else value


def _replacement(text: str, node: yaml.Node, new: Any) -> tuple[tuple[int, int], str]:
    """Where a key or value stands, behind its anchor, and what takes its place, in its quotes."""
    start, end = node.start_mark.index, node.end_mark.index
    if properties := re.match(r"([&!]\S*\s+)+", text[start:end]):
        start += properties.end()
    old = text[start:end]
    quote = old[:1] if old[:1] in ("'", '"') else ""
    written = f"{quote}{new}{quote}" if isinstance(new, str) else number_text(new)
    return (start, end), written + ("\n" if old[:1] in ("|", ">") else "")
