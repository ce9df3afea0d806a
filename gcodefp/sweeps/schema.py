"""What the models of a sweep's YAML share: their base, and messages with key, value and way out."""

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from gcodefp.errors import UserError, did_you_mean
from gcodefp.sweeps.values import json_value, number, shown


class Section(BaseModel):
    """A mapping with fixed keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def hint(cls, key: str, value: Any) -> str:
        """What to do about a key that does not belong here."""
        return f"no such key; {did_you_mean(key, cls.model_fields)}"


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value!r} must be above 0")
    return value


Number = Annotated[int | float, BeforeValidator(number)]
"""An int stays one: a sweep's id depends on it."""
Positive = Annotated[Number, AfterValidator(_positive)]
Plain = Annotated[Any, BeforeValidator(json_value)]
Model = TypeVar("Model", bound=Section)
Location = tuple[int | str, ...]

MESSAGES = {
    "bool_type": "{} must be true or false",
    "invalid_key": "{} is no key; keys are texts",
    "list_type": "{} is no list",
    "model_type": "{} is no mapping",
    "string_type": "{} is no text",
    "too_short": "{} is no list of values",
}
"""Type of a pydantic error -> message; the value takes the place of the braces."""


def validated(
    model: type[Model],
    config: Any,
    where: str,
    section_at: Callable[[Location], type[Section]] | None = None,
) -> Model:
    """The section that a mapping describes.

    Args:
        where: the file, or file and key, for the messages.
        section_at: the model of the section at a location; `model` where it has no other.

    Raises:
        UserError: with all that is wrong, a line each.
    """
    try:
        return model.model_validate(config)
    except ValidationError as error:
        lines = []
        for detail in error.errors(include_url=False):
            section = section_at(detail["loc"][:-1]) if section_at else model
            location, message = _problem(detail, section)
            keys = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
            lines.append(": ".join(filter(None, [where, "".join(keys).removeprefix("."), message])))
        raise UserError("\n".join(dict.fromkeys(lines))) from None


def _problem(detail: ErrorDetails, section: type[Section]) -> tuple[Location, str]:
    """Where one thing is wrong, and the message."""
    # "[key]" marks a key that is wrong itself.
    location = tuple(part for part in detail["loc"] if part != "[key]")
    value = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return location, section.hint(str(location[-1]), value)
        case "missing":
            name = str(location[-1])
            words = get_args(section.model_fields[name].annotation)
            hint = f"write one of {', '.join(words)}" if words else f"it has {shown(value)}"
            return location[:-1], f"{name!r} is missing; {hint}"
        case "literal_error":
            choices = re.findall(r"'(.*?)'", detail["ctx"]["expected"])
            return location, f"{shown(value)}; {did_you_mean(str(value), choices)}"
        case "value_error":
            return location, str(detail["ctx"]["error"])
    message = MESSAGES.get(detail["type"], f"{{}}: {detail['msg']}")
    return location, message.format(shown(value))
