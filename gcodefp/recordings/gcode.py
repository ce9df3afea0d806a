"""G-code blocks as words.

A block is one line of a program, such as `G1 X1.4132 Y-0.5 F7.3`; a word is a letter and a number
(RS-274/NGC, section 3.3). G and M words are commands, all others are parameters.
"""

import re
from typing import NamedTuple

COMMAND_LETTERS = "GM"
PROGRAM_END = ("M2", "M30")
MAX_DECIMALS = 4

_WORD = re.compile(r"\s*([A-Z])\s*([+-]?(?:\d+\.?\d*|\.\d+))")
_COMMENT = re.compile(r"\([^)]*\)|;.*")


class Word(NamedTuple):
    """One letter and its number, as `G1` or `X-0.125`."""

    letter: str
    number: float

    @property
    def is_command(self) -> bool:
        return self.letter in COMMAND_LETTERS

    def __str__(self) -> str:
        return f"{self.letter}{format_number(self.number)}"


Block = tuple[Word, ...]


def format_number(number: float) -> str:
    """The shortest text with at most four decimals: 1.0 is `1`, -0.0 is `0`, 0.05 is `0.05`."""
    text = f"{number:.{MAX_DECIMALS}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def parse_block(text: str) -> Block:
    """Parses a block, without its comments and white space.

    Numbers are rounded to four decimals, so that `Z0.`, `Z0` and `Z-0.0` are the same word.

    Raises:
        ValueError: the text is not a sequence of words.
    """
    code = _COMMENT.sub("", text).upper()
    words, offset = [], 0
    while code[offset:].strip():
        match = _WORD.match(code, offset)
        if match is None:
            raise ValueError(f"no G-code word at {code[offset:].strip()!r} in {text!r}")
        words.append(Word(match[1], float(format_number(float(match[2])))))
        offset = match.end()
    return tuple(words)


def format_block(block: Block) -> str:
    """Writes a block in canonical form; `parse_block` is the inverse."""
    return " ".join(str(word) for word in block)
