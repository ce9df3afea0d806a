"""Reads GraphQL documents, as far as W&B's clients write them, into plain trees."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(
    r"(?:[\s,\ufeff]|#[^\n]*)*"
    r"(?:(?P<mark>\.\.\.|[!$():=@\[\]{}|&])|(?P<name>[_A-Za-z]\w*)"
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<end>$))"
)
WORDS = {"true": True, "false": False, "null": None}


class SyntaxFault(Exception):
    """The document is no GraphQL, or a part of GraphQL that the clients do not use."""


@dataclass(frozen=True)
class Variable:
    """A variable, to which the request assigns a value."""

    name: str


@dataclass
class Field:
    """One field of a selection."""

    name: str
    alias: str
    arguments: dict[str, Any]
    directives: dict[str, dict[str, Any]]
    selections: list[Any]


@dataclass
class Spread:
    """`...Name`, or `... on Type { }` with its selections."""

    fragment: str | None
    type: str | None
    directives: dict[str, dict[str, Any]]
    selections: list[Any]


@dataclass
class Document:
    """The one operation of a document and its fragments."""

    kind: str = "query"
    name: str = ""
    defaults: dict[str, Any] = field(default_factory=dict)
    selections: list[Any] = field(default_factory=list)
    fragments: dict[str, Spread] = field(default_factory=dict)


def read_document(text: str) -> Document:
    """Reads a document of one operation and any number of fragments."""
    return _Reader(text).document()


class _Reader:
    """A recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while match := TOKEN.match(text, position):
            self._tokens.append((str(match.lastgroup), str(match.group(str(match.lastgroup)))))
            if match.lastgroup == "end":
                break
            position = match.end()
        else:
            raise SyntaxFault(f"Syntax Error: unexpected {text[position : position + 20]!r}")
        self._at = 0

    def document(self) -> Document:
        document = Document()
        while self._tokens[self._at][0] != "end":
            word = "query" if self._next_is("{") else self._name()
            if word == "fragment":
                name = self._name()
                self._expect("on")
                spread = Spread(name, self._name(), self._directives(), self._selections())
                document.fragments[name] = spread
            elif word in ("query", "mutation"):
                document.kind = word
                document.name = "" if self._next_is("{", "(") else self._name()
                document.defaults = self._variables()
                self._directives()
                document.selections = self._selections()
            else:
                raise SyntaxFault(f"Syntax Error: unexpected {word!r}")
        return document

    def _next_is(self, *marks: str) -> bool:
        return self._tokens[self._at][1] in marks

    def _take(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _took(self, mark: str) -> bool:
        if not self._next_is(mark):
            return False
        self._at += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._took(mark):
            token = self._tokens[self._at][1]
            raise SyntaxFault(f"Syntax Error: expected {mark!r}, got {token!r}")

    def _name(self) -> str:
        kind, text = self._take()
        if kind != "name":
            raise SyntaxFault(f"Syntax Error: expected a name, got {text!r}")
        return text

    def _variables(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {}
        if self._took("("):
            while not self._took(")"):
                self._expect("$")
                name = self._name()
                self._expect(":")
                while self._next_is("[", "]", "!") or self._tokens[self._at][0] == "name":
                    self._take()
                if self._took("="):
                    defaults[name] = self._value()
        return defaults

    def _directives(self) -> dict[str, dict[str, Any]]:
        directives: dict[str, dict[str, Any]] = {}
        while self._took("@"):
            name = self._name()
            directives[name] = self._arguments()
        return directives

    def _arguments(self) -> dict[str, Any]:
        return self._pairs(")") if self._took("(") else {}

    def _pairs(self, end: str) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while not self._took(end):
            name = self._name()
            self._expect(":")
            pairs[name] = self._value()
        return pairs

    def _value(self) -> Any:
        kind, text = self._take()
        if text == "$":
            return Variable(self._name())
        if text == "{":
            return self._pairs("}")
        if text == "[":
            values = []
            while not self._took("]"):
                values.append(self._value())
            return values
        if kind in ("number", "text"):
            return json.loads(text)
        return WORDS.get(text, text)

    def _selections(self) -> list[Any]:
        selections: list[Any] = []
        if self._took("{"):
            while not self._took("}"):
                selections.append(self._spread() if self._took("...") else self._field())
        return selections

    def _field(self) -> Field:
        alias = name = self._name()
        if self._took(":"):
            name = self._name()
        return Field(name, alias, self._arguments(), self._directives(), self._selections())

    def _spread(self) -> Spread:
        fragment, type_name = None, None
        if self._took("on"):
            type_name = self._name()
        elif self._tokens[self._at][0] == "name":
            fragment = self._name()
        return Spread(fragment, type_name, self._directives(), self._selections())
