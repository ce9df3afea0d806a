"""What the models of sweeps, configuration and layouts share: sections, messages with a fix."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from inspect import getdoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gcodefp.errors import UserError, did_you_mean, shown
from gcodefp.yaml_input import load_yaml

MAX_PROBLEMS = 50
"""Lines of a message."""
MIN_SIMILARITY = 0.7
"""How alike a word and a choice have to be for a hint; the word nearest to gpu is cpu."""


class Section(BaseModel):
    """A mapping with fixed keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def suggest_fix(cls, key: str, value: Any) -> str:
        """What to do about a key that does not belong here."""
        return f"no such key; {did_you_mean(key, cls.model_fields)}"


class Documented(Section):
    """A section whose keys are described by the docstrings below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        # A docstring may have several lines; in a message and in a cell a description has one.
        for field in cls.model_fields.values():
            field.description = field.description and " ".join(field.description.split())
        cls.model_rebuild(force=True)


Model = TypeVar("Model", bound=Section)
Location = tuple[int | str, ...]

MESSAGES = {
    "bool_type": "{} must be true or false",
    "invalid_key": "{} is not a valid key; keys are strings",
    "list_type": "{} is not a list",
    "model_type": "{} is not a mapping",
    "dict_type": "{} is not a mapping",
    "string_type": "{} is not a string",
}
"""Type of a pydantic error -> message; the value takes the place of the braces."""

TEXT, SECTION = "<text>", "<section>"
KEY = "[key]"
"""Marks that pydantic puts into locations: which kind of a union is meant, and that a key of a
mapping is wrong itself."""
TEXT_OR_SECTION = Discriminator(lambda value: TEXT if isinstance(value, str) else SECTION)
"""Of a union whose kinds have the tags TEXT and SECTION."""


def validated(model: type[Model], content: Any, where: str | Callable[[Location], str]) -> Model:
    """The section that a mapping describes.

    Args:
        where: the file, or file and key, for the messages; or which it is for each location.

    Raises UserError: with all that is wrong, a line each.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False):
            location, message = _problem(detail, model)
            keys = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
            origin = where if isinstance(where, str) else where(detail["loc"])
            lines.append(
                ": ".join(filter(None, [origin, "".join(keys).removeprefix("."), message]))
            )
        lines = list(dict.fromkeys(lines))
        if more := len(lines[MAX_PROBLEMS:]):
            lines[MAX_PROBLEMS:] = [f"and {more} problems more"]
        raise UserError("\n".join(lines)) from None


def from_texts(kind: Any, value: Any) -> Any:
    """A value with the types of the schema, where Snakemake has passed its parts as texts.

    Of a `--config` value that is a list or a mapping, it reads every number as a text.

    Args:
        kind: the section or type that the value has to have.
    """
    kinds = _kinds(kind)
    section = next(filter(is_section, kinds), None)
    item = next(reversed(get_args(kinds[0])), Any)
    if isinstance(value, Mapping):
        fields = section.model_fields if section else {}
        inner = {k: fields[k].annotation if k in fields else item for k in value}
        return {key: from_texts(inner[key], part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_texts(item, part) for part in value]
    is_text = any(each is str or get_origin(each) is Literal for each in kinds)
    if not isinstance(value, str) or (is_text and value != "null"):
        return value
    try:
        typed = load_yaml(value, "--config")
    except UserError:
        return value
    return value if is_text and NoneType not in get_args(kind) else typed


def field_at(model: type[Section], location: Location) -> tuple[type[Section], FieldInfo | None]:
    """The section that has a location's last key, and the key's field if it is one of its own."""
    section, field = model, None
    kind: Any = model
    for part in location:
        if is_section(kind):
            section, field = kind, kind.model_fields.get(str(part))
            kind = _kind(field.annotation) if field else None
        else:  # An item of a list or a mapping keeps the field's meaning.
            kind = _kind(get_args(kind)[-1]) if get_args(kind) else None
    return section, field


def is_section(kind: Any) -> bool:
    """Whether a type is a section."""
    return isinstance(kind, type) and issubclass(kind, Section)


def _kind(annotation: Any) -> Any:
    """The type behind `Annotated` and `| None`; of a text or a section, the section."""
    kinds = _kinds(annotation)
    return next(filter(is_section, kinds), kinds[0])


def _kinds(annotation: Any) -> list[Any]:
    """The types of a union, or the only one, behind `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return [kind for part in kinds for kind in _kinds(part)]
    return [annotation]


def meaning(field: FieldInfo | None) -> str:
    """What a key means; of a section, its docstring."""
    kind = _kind(field.annotation) if field else None
    return (field and field.description) or (is_section(kind) and getdoc(kind)) or ""


def _problem(detail: ErrorDetails, model: type[Section]) -> tuple[Location, str]:
    """Where one thing is wrong, and the message."""
    location = tuple(part for part in detail["loc"] if part not in (TEXT, SECTION, KEY))
    section, field = field_at(model, location)
    value, end = detail["input"], f". {field.description}" if field and field.description else ""
    match detail["type"]:
        case "extra_forbidden":
            return location, section.suggest_fix(str(location[-1]), value)
        case "missing":
            hint = f"add it: {meaning(field)}" if meaning(field) else f"it has {shown(value)}"
            if field and not meaning(field) and get_origin(field.annotation) is Literal:
                hint = f"write one of {', '.join(get_args(field.annotation))}"
            return location[:-1], f"{location[-1]!r} is missing; {hint}"
        case "literal_error":
            words = re.findall(r"'(.*?)'", detail["ctx"]["expected"])
            similar = get_close_matches(str(value), words, n=1, cutoff=MIN_SIMILARITY)
            hint = f"; did you mean {similar[0]!r}?" if similar else ""
            return location, f"{shown(value)} is none of {', '.join(words)}{hint}"
        case "value_error":
            return location, f"{detail['ctx']['error']}{'' if isinstance(value, Mapping) else end}"
    message = MESSAGES.get(detail["type"], "{}: " + re.sub(r"^\w+ should", "has to", detail["msg"]))
    return location, message.format(shown(value)) + end
