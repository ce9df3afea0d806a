"""YAML from users: no key twice, and nothing that a few lines can blow up."""

from typing import Any

import yaml

from gcodefp.errors import UserError
from gcodefp.sweeps.values import shown

# libyaml's parser is ten times as fast; not every PyYAML has it.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 50
LARGEST = 1_000_000
"""Values, with those of each alias counted wherever it stands."""


def load_yaml(text: str, where: str) -> Any:
    """The content of a YAML text; `where` names its origin in messages.

    Raises:
        UserError: it is not YAML, has a key twice, or is too deep or too large.
    """
    try:
        _check_depth(text)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Nodes(loader).size(node, "")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except _Refused as error:
        raise UserError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML ({error})") from None


class _Refused(Exception):
    """YAML, but not for us."""


def _check_depth(text: str) -> None:
    """Composing is recursive, so this comes first."""
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise _Refused(f"nested more than {DEEPEST} levels deep; make it flatter")


class _Nodes:
    """Checks the nodes of a document; an alias's count wherever it stands, but are visited once."""

    def __init__(self, loader: Any) -> None:
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
        if count > LARGEST or depth > DEEPEST:
            raise _Refused(
                f"{path or 'it'} has more than {LARGEST} values or {DEEPEST} levels once its "
                "aliases are written out; write fewer"
            )
        self._done[id(node)] = count, depth
        return count, depth

    def _children(self, node: yaml.Node, path: str) -> list[tuple[str, yaml.Node]]:
        if isinstance(node, yaml.SequenceNode):
            return [(f"{path}[{index}]", child) for index, child in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            self._check_scalar(node, path)
            return []
        children: dict[str, yaml.Node] = {}
        lines: dict[str, int] = {}
        for key, child in node.value:
            name, line = f"{path}.{key.value}".removeprefix("."), key.start_mark.line + 1
            if name in children:
                raise _Refused(
                    f"{name} stands twice, in lines {lines[name]} and {line}; keep one of them"
                )
            children[name], lines[name] = child, line
        return list(children.items())

    def _check_scalar(self, node: yaml.Node, path: str) -> None:
        """Refuses a date such as 2001-99-99 and a number of 5000 digits."""
        try:
            self._loader.construct_object(node)
        except ValueError as error:
            raise _Refused(f"{path}: {shown(node.value)}: {error}; write it in quotes") from None
