"""Files that are either whole or absent: text, JSON and NPZ, with formats and hashes."""

import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError

UNREADABLE = (
    *(ValueError, LookupError, EOFError, TypeError, AttributeError, RuntimeError, OverflowError),
    *(MemoryError, zipfile.BadZipFile, zlib.error, struct.error, SyntaxError),
)
"""What NumPy and zipfile raise on damaged NPZ files."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that becomes `path` when the block ends well.

    The content is on the disk before the name is: a crash leaves the old file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, format_name: str, content: Mapping[str, Any]) -> None:
    """Writes a JSON document whose first key, `format`, names its schema and version.

    A NaN or an infinity is an error here, since JSON has none.
    """
    document = {"format": format_name, **content}
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, format_name: str, rebuild: str) -> dict[str, Any]:
    """Reads what `write_json` wrote.

    Args:
        format_name: the only schema that the caller understands.
        rebuild: the command that rebuilds the file, for the error message.

    Raises UserError: the file is missing, is not JSON or has another format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {rebuild}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); rebuild it with: {rebuild}") from None
    actual = document.get("format") if isinstance(document, dict) else None
    if actual != format_name:
        raise UserError(
            f"{path}: format is {actual!r}, this version of gcodefp reads {format_name!r}; "
            f"rebuild it with: {rebuild}"
        )
    return document


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes an NPZ file; the same arrays give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def read_arrays(
    path: Path,
    names: Sequence[str],
    rebuild: str,
    optional: Collection[str] = (),
) -> dict[str, NDArray[Any]]:
    """Reads arrays of an NPZ file by name.

    Args:
        rebuild: the command that rebuilds the file, for the error message.
        optional: those of the names that the file may lack.

    Raises:
        UserError: the file is missing or truncated, or lacks an array.
    """
    try:
        # NumPy leaves a file that it opens itself open when it is truncated.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            present = [name for name in names if name in arrays or name not in optional]
            return {name: arrays[name] for name in present}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {rebuild}") from None
    except (*UNREADABLE, OSError) as error:
        raise UserError(f"{path}: cannot be read ({error}); rebuild it with: {rebuild}") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(content: Any) -> str:
    """The SHA-256 of a JSON document in canonical form, in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
