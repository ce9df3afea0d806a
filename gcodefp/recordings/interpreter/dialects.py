"""G-code dialects: which one a program is written in, and its lines without comments.

The dialects differ where the same words move the machine differently: `G28`, `G4 P`, `G92`, E.
What no rule recognises is RS274, the common core of grbl, Mach3 and others.
"""

import re
from enum import StrEnum
from typing import NamedTuple


class Dialect(StrEnum):
    """The controllers that are distinguished."""

    RS274 = "rs274"
    LINUXCNC = "linuxcnc"
    MARLIN = "marlin"
    KLIPPER = "klipper"

    @property
    def is_printer(self) -> bool:
        return self in (Dialect.MARLIN, Dialect.KLIPPER)


O_KEYWORDS = (
    "sub|endsub|call|return|do|while|endwhile|if|elseif|else|endif|repeat|endrepeat|break|continue"
)
EXTENDED_COMMAND = r"[A-Za-z0-9]*_\w+|(?:RESPOND|PAUSE|RESUME|STATUS|HELP|ECHO)\b"
"""The name of a command of Klipper that is no G-code: `SET_VELOCITY_LIMIT`."""

_BEFORE = r"^[ \t]*(?:N\d+[ \t]*)?"
_SIGNS: tuple[tuple[Dialect, str], ...] = (
    (
        Dialect.LINUXCNC,
        _BEFORE + rf"/?[ \t]*O[ \t]*(?:<[^>\n]+>|\d+)[ \t]*(?:{O_KEYWORDS})\b|^[^;(\n]*#[ \t]*<",
    ),
    (Dialect.KLIPPER, rf"^[ \t]*(?:{EXTENDED_COMMAND})|^;.*\bgcode_flavor[ \t]*=[ \t]*klipper"),
    (
        Dialect.MARLIN,
        r"^;[ \t]*(?:FLAVOR[ \t]*:|gcode_flavor[ \t]*=)|"
        + _BEFORE
        + r"(?:M(?:8[23]|10[4-79]|1[49]0(?=[ \t]*[SR])|117|20[1345]|22[01]|900)(?!\d)|G92[ \t]*E"
        r"|G0*[0-3][ \t]*(?:[XYZF][ \t]*[\d.+-]+[ \t]*)*E[ \t]*[\d.+-])",
    ),
)  # fmt: skip
_PATTERNS = tuple((dialect, re.compile(sign, re.I | re.M | re.A)) for dialect, sign in _SIGNS)


def detect_dialect(text: str) -> Dialect:
    """The dialect that the first sign in a program's text belongs to, in the order of _SIGNS."""
    text = "\n".join(line[:200] for line in split_lines(text))
    for dialect, pattern in _PATTERNS:
        if pattern.search(text):
            return dialect
    return Dialect.RS274


def split_lines(text: str) -> list[str]:
    """Lines as an editor counts them: they end at LF, CR LF or CR alone."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


class Line(NamedTuple):
    """One line of a program.

    Attributes:
        number: in the file, from 1.
        code: without comments, line number, checksum, block delete and tape mark; white space is
            single. Empty lines are none.
        error_text: why it cannot be read.
    """

    number: int
    code: str
    error_text: str = ""


MAX_CHARACTERS = 1000
_PREFIX = re.compile(r"\s*%?\s*(?:/\d?\s*)?(?:N\s*\d+(?:\.\d*)?\s*)?(?:/\d?\s*)?", re.I | re.A)
_CHECKSUM = re.compile(r"\s*\*\s*\d+\s*$", re.A)


def read_lines(text: str, dialect: Dialect) -> list[Line]:
    """The lines that are not empty without their comments."""
    lines: list[Line] = []
    for number, raw in enumerate(split_lines(text), 1):
        if not raw or raw[0] == ";" or raw.isspace():
            continue
        if raw.startswith("%"):
            if lines:
                break  # The tape's end
            raw = raw[1:]
        line = _read_line(number, raw, dialect)
        if line.code:
            lines.append(line)
    return lines


def _read_line(number: int, raw: str, dialect: Dialect) -> Line:
    code, is_open = (raw, False) if "(" not in raw and ";" not in raw else _strip_comments(raw)
    prefix = _PREFIX.match(code)
    assert prefix is not None  # Every part is optional
    if prefix.end():
        code = code[prefix.end() :]
    if "*" in code and not ("[" in code or "=" in code):
        code = _CHECKSUM.sub("", code)
    code = " ".join(code.split())
    error_text = ""
    if is_open and not dialect.is_printer:
        error_text = "a comment that does not end"
    elif len(code) > MAX_CHARACTERS:
        code, error_text = code[:MAX_CHARACTERS], "the line is too long"
    return Line(number, code, error_text)


def _strip_comments(raw: str) -> tuple[str, bool]:
    """Code outside parentheses, which may be nested, and before `;`; whether one stays open."""
    kept, depth = [], 0
    for character in raw:
        if character == "(":
            depth += 1
        elif character == ")" and depth:
            depth -= 1
            kept.append(" ")
        elif depth == 0:
            if character == ";":
                break
            kept.append(character)
    return "".join(kept), depth > 0
