"""Answers a GraphQL document from a graph of nodes.

A node is one object: the name of its type and its fields. A field is a value, or a function that
takes the field's arguments in snake_case. A value that is requested without a selection goes out as
it is, so JSON scalars need no type of their own. Errors have the service's forms.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .language import Document, Field, Spread, Variable


class ApiError(Exception):
    """An error that the service reports.

    Attributes:
        status: of the HTTP response.
        code: goes into the error's extensions, where the service sends one.
    """

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass
class Node:
    """An object of the graph."""

    typename: str
    fields: Mapping[str, Any]
    interfaces: tuple[str, ...] = ()


def execute(document: Document, variables: Mapping[str, Any], root: Node) -> dict[str, Any]:
    """The `data` of the answer; an ApiError carries the path's first field in `path`."""
    values = {**document.defaults, **{k: v for k, v in variables.items() if v is not None}}
    return _Execution(document, values).select(document.selections, root)


def snake(name: str) -> str:
    """artifactTypeName -> artifact_type_name, artifactID -> artifact_id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class _Execution:
    def __init__(self, document: Document, variables: Mapping[str, Any]) -> None:
        self._document = document
        self._variables = variables

    def select(self, selections: list[Any], node: Node) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for selection in selections:
            if not self._included(selection.directives):
                continue
            if isinstance(selection, Field):
                value = self._field(selection, node)
                data[selection.alias] = _merged(data.get(selection.alias), value)
            elif self._applies(selection, node):
                for name, value in self.select(self._inside(selection), node).items():
                    data[name] = _merged(data.get(name), value)
        return data

    def _included(self, directives: Mapping[str, Mapping[str, Any]]) -> bool:
        include = self._value(directives.get("include", {}).get("if", True))
        skip = self._value(directives.get("skip", {}).get("if", False))
        return bool(include) and not skip

    def _fragment(self, spread: Spread) -> Spread:
        return spread if spread.fragment is None else self._document.fragments[spread.fragment]

    def _inside(self, spread: Spread) -> list[Any]:
        return self._fragment(spread).selections

    def _applies(self, spread: Spread, node: Node) -> bool:
        type_name = self._fragment(spread).type
        return type_name is None or type_name in (node.typename, *node.interfaces)

    def _field(self, selection: Field, node: Node) -> Any:
        if selection.name == "__typename":
            return node.typename
        if selection.name not in node.fields:
            raise ApiError(f'Cannot query field "{selection.name}" on type "{node.typename}".')
        value = node.fields[selection.name]
        if callable(value):
            value = value(**self._arguments(selection, value))
        return self._completed(selection, value)

    def _arguments(self, selection: Field, function: Any) -> dict[str, Any]:
        arguments = {snake(name): self._value(value) for name, value in selection.arguments.items()}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        try:
            inspect.signature(function).bind(**arguments)
        except TypeError as error:
            raise ApiError(f'Field "{selection.name}": {error}.') from error
        return arguments

    def _completed(self, selection: Field, value: Any) -> Any:
        if not selection.selections or value is None:
            return value
        if isinstance(value, list):
            return [self._completed(selection, item) for item in value]
        if not isinstance(value, Node):
            raise ApiError(f'Field "{selection.name}" must not have a selection.')
        return self.select(selection.selections, value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, Variable):
            return self._variables.get(value.name)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {name: self._value(item) for name, item in value.items()}
        return value


def _merged(old: Any, new: Any) -> Any:
    """The same field may be selected twice, by a fragment and beside it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
    return new
