"""The error that a user can fix, and the wording that helps with it."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

MAX_SHOWN_LENGTH = 200
"""Characters of a value in a message."""


class UserError(Exception):
    """Bad input: the message names the file, the key, the value and the fix.

    A command that meets one prints the message without a traceback and exits with 1.
    """


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """The tail of an error message: the nearest valid word, or all of them."""
    words = sorted(valid)
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(words)}"


def shown(value: Any, text_of: Callable[[Any], str] = repr) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = text_of(value)
    except ValueError:  # Python writes no whole number of more than 4300 digits.
        text = f"a {type(value).__name__} with too many digits"
    return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"
