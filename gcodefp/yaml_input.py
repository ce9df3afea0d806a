"""YAML from users: no key twice, and nothing that a few lines can blow up."""

import logging
import re
from pathlib import Path
from typing import Any

import yaml

from gcodefp.errors import UserError, shown

logger = logging.getLogger("gcodefp.yaml")

# libyaml's parser is ten times as fast; not every PyYAML has it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_DEPTH = 50
MAX_VALUES = 100_000
"""Values, with those of each alias counted at every key that it serves."""
MAX_BYTES = 20_000_000
MAX_NUMBER_LENGTH = 400
"""Characters; reading a number of a million digits takes minutes."""
OTHER_BASE = re.compile(r"[-+]?0\d+|[-+]?\d+(:[0-5]?\d)+")
"""Numbers that YAML 1.1 reads to another base: 016 is 14, and 1:30 is 90."""


def read_text(path: Path) -> str:
    """The text of a YAML file, with its line ends.

    Raises UserError: there is no such file, or it is no text.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; write the path of a YAML file")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES} bytes; write fewer values")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None


def load_yaml(text: str, where: str, warn: bool = False) -> Any:
    """The content of a YAML text.

    Args:
        where: the text's origin, for messages.
        warn: log numbers that YAML reads to another base than 10.

    Raises UserError: it is not YAML, has a key twice, or is too deep or too large.
    """
    try:
        _check_events(text)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            nodes = _Nodes(loader)
            nodes.size(node, "")
            document = loader.construct_document(node)
        finally:
            loader.dispose()
    except _Refused as error:
        raise UserError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML ({error})") from None
    for line in nodes.warnings if warn else ():
        logger.warning("%s: %s", where, line)
    return document


class _Refused(Exception):
    """YAML, but not for us."""


def _check_events(text: str) -> None:
    """Composing is recursive and keeps every node, so this comes first."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Refused(f"nested more than {MAX_DEPTH} levels deep; make it flatter")
        if count > 2 * MAX_VALUES:
            raise _Refused(
                f"more than {MAX_VALUES} values; write fewer, or a range with min and max"
            )


class _Nodes:
    """Checks the nodes of a document; those of an alias are visited once."""

    def __init__(self, loader: Any) -> None:
        self.warnings: list[str] = []
        self._loader = loader
        self._done: dict[int, tuple[int, int] | None] = {}

    def size(self, node: yaml.Node, path: str) -> tuple[int, int]:
        """How many values there are, and how many levels."""
        if id(node) in self._done:
            if (done := self._done[id(node)]) is None:
                raise _Refused(f"{path}: its alias refers to itself; write it out")
            return done
        self._done[id(node)] = None
        count, depth = 1, 0
        for key, child in self._children(node, path):
            size, levels = self.size(child, key)
            count, depth = count + size, max(depth, levels + 1)
        if count > MAX_VALUES or depth > MAX_DEPTH:
            raise _Refused(
                f"{path or 'it'} has more than {MAX_VALUES} values or {MAX_DEPTH} levels once its "
                "aliases are written out; write fewer"
            )
        self._done[id(node)] = count, depth
        return count, depth

    def _children(self, node: yaml.Node, path: str) -> list[tuple[str, yaml.Node]]:
        if isinstance(node, yaml.SequenceNode):
            return [(f"{path}[{index}]", child) for index, child in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            self._scalar(node, path)
            return []
        children: list[tuple[str, yaml.Node]] = []
        lines: dict[Any, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(f"{path or 'it'} has a list or a mapping as a key in line {line}")
            name, value = (
                f"{path}.{shown(key.value, str)}".removeprefix("."),
                self._scalar(key, path),
            )
            if value in lines:
                raise _Refused(
                    f"{name} appears twice, in lines {lines[value]} and {line}; keep one of them"
                )
            lines[value] = line
            children.append((name, child))
        return children

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        """Its value; refuses a date such as 2001-99-99 and a number of 5000 digits."""
        if node.tag == "tag:yaml.org,2002:merge":
            return node.tag
        is_number = node.tag.endswith((":int", ":float"))
        if is_number and len(node.value) > MAX_NUMBER_LENGTH:
            raise _Refused(f"{path}: {shown(node.value)} is too long a number; write it in quotes")
        try:
            value = self._loader.construct_object(node)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            kind = node.tag.rpartition(":")[2]
            raise _Refused(
                f"{path}: {shown(node.value)} is not a valid {kind} ({error}); write it in "
                "quotes for a string"
            ) from None
        if is_number and OTHER_BASE.fullmatch(node.value):
            self.warnings.append(
                f"{path}: YAML reads {node.value} as {value}; write {value}, or a number without "
                "leading zeros and colons"
            )
        return value
