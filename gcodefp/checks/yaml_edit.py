"""Changes a YAML text at single places; comments, order and layout stay as they are."""

import copy
import re
from typing import Any

import yaml

from gcodefp.checks.repair import Change, Path, Repair
from gcodefp.checks.repairs import repairs
from gcodefp.search.scalars import number_text

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
