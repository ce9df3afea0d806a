"""One check: what is looked at, whether it holds, and why."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from gcodefp.errors import UserError

SHOWN = 5
"""So many of the things that are wrong are named; the rest is counted."""


class Check(NamedTuple):
    """What was found out.

    Attributes:
        holds: None if it was left out.
        why: what was compared, or what is wrong.
    """

    name: str
    holds: bool | None
    why: str

    def line(self) -> str:
        """As the terminal shows it."""
        verdict = {True: "ok", False: "NOT ok", None: "left out"}[self.holds]
        return f"{verdict:<8}  {self.name}: {self.why}"


def run_check(name: str, what: str, look: Callable[[], Iterable[str]]) -> Check:
    """Runs a check that tells all that is wrong.

    Args:
        what: what is compared, told where all is well.
        look: yields what is wrong. A file that is missing, or whose content makes no sense, is
            what a check is there to find, and no reason to leave out the others.
    """
    try:
        wrong = list(look())
    except Exception as error:
        wrong = [in_words(error)]
    return Check(name, not wrong, listed(wrong) if wrong else what)


def listed(things: list[str]) -> str:
    """The first few of them."""
    more = f"; and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return "; ".join(things[:SHOWN]) + more


def in_words(error: Exception) -> str:
    """What a check says of a file that could not be looked at."""
    if isinstance(error, UserError | OSError):
        return str(error)
    return f"its files make no sense ({type(error).__name__}: {error})"
