"""The error that a user can fix, and the wording that helps with it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """Bad input: the message names the file, the key, the value and the fix.

    A step that meets one prints the message without a traceback and exits with 1.
    """


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """The tail of an error message: the nearest valid word, or all of them."""
    words = sorted(valid)
    close = get_close_matches(word, words, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(words)}"
