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

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_operation_ast,
    value_from_ast_untyped,
)


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


def operation_of(document: DocumentNode) -> OperationDefinitionNode:
    """The only operation of a document."""
    operation = get_operation_ast(document)
    assert operation is not None
    return operation


def alias_of(field: FieldNode) -> str:
    """The key of a field in the answer."""
    return (field.alias or field.name).value


def execute(document: DocumentNode, variables: Mapping[str, Any], root: Node) -> dict[str, Any]:
    """The `data` of the answer."""
    return _Execution(document, variables).select(operation_of(document).selection_set, root)


def snake(name: str) -> str:
    """artifactTypeName -> artifact_type_name, artifactID -> artifact_id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class _Execution:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        fragments = (d for d in document.definitions if isinstance(d, FragmentDefinitionNode))
        self._fragments = {fragment.name.value: fragment for fragment in fragments}
        self._variables: dict[str, Any] = {}
        for definition in operation_of(document).variable_definitions or ():
            name, default = definition.variable.name.value, definition.default_value
            value = variables.get(name)
            is_default = value is None and default is not None
            self._variables[name] = value_from_ast_untyped(default) if is_default else value

    def select(self, selections: SelectionSetNode, node: Node) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for selection in selections.selections:
            if not self._is_included(selection):
                continue
            if isinstance(selection, FieldNode):
                answer = {alias_of(selection): self._field(selection, node)}
            else:
                is_named = isinstance(selection, FragmentSpreadNode)
                spread: Any = self._fragments[selection.name.value] if is_named else selection
                type_name = spread.type_condition and spread.type_condition.name.value
                applies = type_name in (None, node.typename, *node.interfaces)
                answer = self.select(spread.selection_set, node) if applies else {}
            for name, value in answer.items():
                data[name] = _merged(data.get(name), value)
        return data

    def _is_included(self, selection: Any) -> bool:
        conditions = {"include": True, "skip": False} | {
            directive.name.value: self._arguments(directive).get("if")
            for directive in selection.directives or ()
        }
        return bool(conditions["include"] and not conditions["skip"])

    def _arguments(self, node: Any) -> dict[str, Any]:
        arguments = {
            snake(argument.name.value): value_from_ast_untyped(argument.value, self._variables)
            for argument in node.arguments or ()
        }
        return {name: value for name, value in arguments.items() if value is not None}

    def _field(self, selection: FieldNode, node: Node) -> Any:
        name = selection.name.value
        if name == "__typename":
            return node.typename
        if name not in node.fields:
            raise ApiError(f'Cannot query field "{name}" on type "{node.typename}".')
        value = node.fields[name]
        if callable(value):
            arguments = self._arguments(selection)
            try:
                inspect.signature(value).bind(**arguments)
            except TypeError as error:
                raise ApiError(f'Field "{name}": {error}.') from error
            value = value(**arguments)
        return self._completed(selection, value)

    def _completed(self, selection: FieldNode, value: Any) -> Any:
        if selection.selection_set is None or value is None:
            return value
        if isinstance(value, list):
            return [self._completed(selection, item) for item in value]
        if not isinstance(value, Node):
            raise ApiError(f'Field "{selection.name.value}" must not have a selection.')
        return self.select(selection.selection_set, value)


def _merged(old: Any, new: Any) -> Any:
    """The same field may be selected twice, by a fragment and beside it."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
    return new
