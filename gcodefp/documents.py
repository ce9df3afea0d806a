"""Documents and arrays that commands read: keys, types, shapes and ranges, checked before use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gcodefp.errors import UserError, shown
from gcodefp.files import read_json

Count = Annotated[int, Field(ge=0, le=10**15)]
Share = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(ge=-1e300, le=1e300)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """A mapping of a JSON document; keys that its model does not name may have any value."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Git(Document):
    commit: str
    dirty: bool


class Provenance(Document):
    """As `gcodefp.provenance` writes it."""

    utc: str
    argv: list[str] = Field(min_length=1)
    git: Git | None
    python: str
    packages: dict[str, str | None]
    host: str
    machine: str
    inputs: dict[str, Sha256]


def read_document(
    path: Path, format_name: str, model: type[Document], rebuild: str
) -> dict[str, Any]:
    """Reads a JSON document and checks it.

    Args:
        rebuild: the command that rebuilds the file, for the error message.

    Raises:
        UserError: the file is missing, is not JSON, has another format, or a key is wrong.
    """
    document = read_json(path, format_name, rebuild)
    check_document(document, model, path, rebuild)
    return document


def check_document(
    document: Mapping[str, Any], model: type[Document], path: Path, rebuild: str
) -> None:
    """Raises UserError, with the first wrong key, unless a document of `path` fits a model."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        problem = "is missing"
        if first["type"] != "missing":
            text = first["msg"].removeprefix("Value error, ")
            problem = f"{shown(first['input'])}: " * bool(key) + text[:1].lower() + text[1:]
        where = f"{path}: {key}" if key else path  # Without a key the document as a whole is wrong.
        raise UserError(f"{where}: {problem}; rebuild it with: {rebuild}") from None


class ArraySpec(NamedTuple):
    """What an array has to be.

    Attributes:
        kinds: its dtype's kind: `f` floats, `i` integers, `b` booleans, `U` texts.
        shape: a length, or a letter that stands for the same length in all arrays of a file.
        low, high: bounds of all values; `high` may be a letter, of which all values are below.
        nan: whether NaN is allowed.
    """

    kinds: str
    shape: tuple[str | int, ...]
    low: float | None = None
    high: float | str | None = None
    nan: bool = False


def check_arrays(
    arrays: Mapping[str, NDArray[Any]],
    specs: Mapping[str, ArraySpec],
    path: Path,
    rebuild: str,
    lengths: Mapping[str, int] | None = None,
) -> None:
    """Raises UserError, with the first wrong array, unless all arrays of `path` fit their specs.

    Args:
        lengths: letter of a shape -> its length, for those that other files decide.
    """
    lengths = dict(lengths or {})
    for name, spec in specs.items():
        array = arrays[name]
        expected = tuple(
            lengths.setdefault(part, length) if isinstance(part, str) else part
            for part, length in zip(spec.shape, array.shape, strict=False)
        )
        problem = None
        if array.dtype.kind not in spec.kinds:
            problem = f"has dtype {array.dtype}"
        elif array.ndim != len(spec.shape) or array.shape != expected:
            problem = f"has shape {array.shape}, not {spec.shape} with {lengths}"
        else:
            problem = _wrong_value(array, spec, lengths)
        if problem:
            raise UserError(f"{path}: {name} {problem}; rebuild it with: {rebuild}")


def _wrong_value(array: NDArray[Any], spec: ArraySpec, lengths: Mapping[str, int]) -> str | None:
    high = lengths[spec.high] - 1 if isinstance(spec.high, str) else spec.high
    wrong = np.zeros(array.shape, bool)
    if array.dtype.kind == "f":
        wrong = ~np.isfinite(array) & ~(spec.nan & np.isnan(array))
    with np.errstate(invalid="ignore"):
        if spec.low is not None:
            wrong |= array < spec.low
        if high is not None:
            wrong |= array > high
    if not wrong.any():
        return None
    index = tuple(np.argwhere(wrong)[0].tolist())
    return f"has {array[index]} at {list(index)}"
