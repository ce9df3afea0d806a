"""programs.npz: the programs of the train split."""

import zipfile
from pathlib import Path

import numpy as np

from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.programs.table import Programs


def write_programs(path: Path, programs: Programs) -> None:
    """Writes the NPZ; the same programs give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **vars(programs))


def read_programs(path: Path, rebuild: str) -> Programs:
    """Reads the NPZ.

    Raises:
        UserError: the file is missing or torn; `rebuild` makes it anew.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            return Programs(**{field: arrays[field] for field in Programs.__dataclass_fields__})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {rebuild}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it anew: {rebuild}") from None
