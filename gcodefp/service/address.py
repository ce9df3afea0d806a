"""Which sweep of the W&B service is meant."""

import re
from typing import NamedTuple

from gcodefp.errors import UserError

PART = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


class SweepAddress(NamedTuple):
    """A sweep as W&B's own commands name it."""

    entity: str
    project: str
    sweep_id: str

    def __str__(self) -> str:
        return "/".join(self)


def read_address(text: str) -> SweepAddress:
    """`ENTITY/PROJECT/ID`, as `wandb sweep` prints it.

    Raises:
        UserError: it is something else.
    """
    parts = text.strip().split("/")
    if len(parts) != len(SweepAddress._fields) or not all(re.fullmatch(PART, p) for p in parts):
        raise UserError(f"sweep {text!r}: write ENTITY/PROJECT/ID, as `wandb sweep` prints it")
    return SweepAddress(*parts)
