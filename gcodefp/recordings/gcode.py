"""G-code blocks as words.

A block is what a line of a program executes, such as `G1 X1.4132 Y-0.5 F7.3`; a word is a letter
and a number (RS-274/NGC, section 3.3). G and M words are commands, all others are parameters.
"""

import re
from typing import NamedTuple

COMMAND_LETTERS = "GM"
PROGRAM_END = ("M2", "M30")
MAX_DECIMALS = 4
MAX_NUMBER = 1e9

MAX_CHARACTERS = 1000
"""Of a block with its comments; RS-274 has 256."""

_WORD = re.compile(r"\s*([A-Z])\s*([+-]?(?:\d+\.?\d*|\.\d+))(E[+-]?\d+(?![.\d]))?", re.I | re.A)
_WORD_BEFORE_E = re.compile(r"\s*([A-Z])\s*([+-]?(?:\d+\.?\d*|\.\d+))()", re.I | re.A)
_COMMENT = re.compile(r"\([^)]*\)|;.*")
_HEAD = re.compile(r"^\s*%?\s*(?:N\s*\d+\s*(?=/))?(?:/\d?)?", re.I | re.A)
"""Tape mark, and block delete in front of a block or behind its line number."""
_CHECKSUM = re.compile(r"\*\s*\d+\s*$", re.A)


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
    """Parses a block, without its comments, white space, line number (N), checksum, `/` and `%`.

    Numbers are rounded to four decimals, so that `Z0.`, `Z0` and `Z-0.0` are the same word.
    `Z9.0e-02` is `Z0.09`. Where the E may be a word of its own, as in `X1E5` and `x1e5`, the block
    is not readable.

    Raises:
        ValueError: the text is not a sequence of words or too long, or a number is too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{text[:30]!r}… is too long")
    code = _CHECKSUM.sub("", _HEAD.sub("", _COMMENT.sub("", text)))
    words = split_words(code)
    return tuple(Word(w.letter, float(format_number(w.number))) for w in words if w.letter != "N")


def split_words(code: str, has_exponents: bool = True) -> list[Word]:
    """All words of a block that has no comment, line number or checksum; numbers are exact.

    Args:
        has_exponents: `e` may belong to a number; else it is the E word of a printer.

    Raises:
        ValueError: as `parse_block`.
    """
    pattern = _WORD if has_exponents else _WORD_BEFORE_E
    words, offset, end = [], 0, len(code.rstrip())
    while offset < end:
        match = pattern.match(code, offset)
        if match is None:
            raise ValueError(f"no G-code word at {code[offset:].strip()!r} in {code!r}")
        letter, mantissa, exponent = match.groups(default="")
        if exponent and not (letter.isupper() and exponent.startswith("e")):
            raise ValueError(f"exponent or E word? {code[offset:].strip()!r} in {code!r}")
        number = float(mantissa + exponent)
        if abs(number) > MAX_NUMBER:
            raise ValueError(f"{match[0].strip()!r} is too large in {code!r}")
        words.append(Word(letter.upper(), number))
        offset = match.end()
    return words


def format_block(block: Block) -> str:
    """Writes a block in canonical form; `parse_block` is the inverse."""
    return " ".join(str(word) for word in block)
