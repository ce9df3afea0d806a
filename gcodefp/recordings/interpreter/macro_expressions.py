"""Parameters (variables) of programs, and expressions: `#1=[#2+2*SIN[30]]`, `X#1`, `#<depth>`.

RS-274/NGC, sections 3.3.2.2 to 3.3.2.3. Angles are in degrees.
"""

import math
import operator
import re
from collections.abc import Callable

from gcodefp.recordings.gcode import MAX_NUMBER, Word

MAX_DEPTH = 30
FIRST_SYSTEM_PARAMETER = 1000
"""From here on, parameters belong to the controller: reading one that is unset is an error."""
LOCAL_PARAMETERS = range(1, 31)

Key = int | str

_TOKEN = re.compile(
    r"\s*(#\s*<[^>]*>|\d+\.?\d*|\.\d+|\*\*|[-+*/\[\]=#]|EXISTS|MOD|AND|XOR|OR|EQ|NE|GE|GT|LE|LT"
    r"|ATAN|ACOS|ASIN|SIN|COS|TAN|SQRT|ABS|EXP|LN|ROUND|FIX|FUP|[A-Z])",
    re.I | re.A,
)
_PRECEDENCE = {
    **dict.fromkeys(("AND", "OR", "XOR"), 1),
    **dict.fromkeys(("EQ", "NE", "GT", "GE", "LT", "LE"), 2),
    **dict.fromkeys(("+", "-"), 3),
    **dict.fromkeys(("*", "/", "MOD"), 4),
    "**": 5,
}
_BINARY: dict[str, Callable[[float, float], float]] = {
    "AND": lambda a, b: float(bool(a) and bool(b)),
    "OR": lambda a, b: float(bool(a) or bool(b)),
    "XOR": lambda a, b: float(bool(a) != bool(b)),
    "EQ": operator.eq,
    "NE": operator.ne,
    "GT": operator.gt,
    "GE": operator.ge,
    "LT": operator.lt,
    "LE": operator.le,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "MOD": operator.mod,
    "**": math.pow,
}
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "SIN": lambda a: math.sin(math.radians(a)),
    "COS": lambda a: math.cos(math.radians(a)),
    "TAN": lambda a: math.tan(math.radians(a)),
    "ASIN": lambda a: math.degrees(math.asin(a)),
    "ACOS": lambda a: math.degrees(math.acos(a)),
    "SQRT": math.sqrt,
    "ABS": abs,
    "EXP": math.exp,
    "LN": math.log,
    "ROUND": lambda a: math.copysign(math.floor(abs(a) + 0.5), a),
    "FIX": math.floor,
    "FUP": math.ceil,
}


class Parameters:
    """The values of parameters: global ones, and local ones of each call; unset numbers are 0.

    Args:
        system: the values that the controller gives, such as #5420, or None.
    """

    def __init__(self, system: Callable[[Key], float | None]) -> None:
        self._system = system
        self._globals: dict[Key, float] = {}
        self._locals: list[dict[Key, float]] = [{}]

    def enter(self, arguments: dict[Key, float]) -> None:
        """Begins a call with its own local parameters."""
        self._locals.append(dict(arguments))

    def leave(self) -> None:
        """Ends the call."""
        self._locals.pop()

    def _scope(self, key: Key) -> dict[Key, float]:
        is_local = key in LOCAL_PARAMETERS if isinstance(key, int) else not key.startswith("_")
        return self._locals[-1] if is_local else self._globals

    def is_set(self, key: Key) -> bool:
        return key in self._scope(key) or self._system(key) is not None

    def read(self, key: Key) -> float:
        """A parameter's value. Raises ValueError if it is not known."""
        value = self._scope(key).get(key)
        if value is None:
            value = self._system(key)
        if value is None and (isinstance(key, str) or key >= FIRST_SYSTEM_PARAMETER):
            raise ValueError(f"#{key if isinstance(key, int) else f'<{key}>'} is not set")
        return value or 0.0

    def write(self, key: Key, value: float) -> None:
        self._scope(key)[key] = value


def evaluate(code: str, parameters: Parameters) -> tuple[float, str]:
    """The value of the expression that code begins with, and the rest of the code.

    Raises:
        ValueError, ArithmeticError: it is no expression, or has no value.
    """
    reader = _Reader(code, parameters)
    return reader.expression(0), reader.rest()


def read_macro_words(code: str, parameters: Parameters) -> tuple[Word, ...]:
    """The words of a block with parameters or expressions; its assignments take effect behind it.

    Raises:
        ValueError, ArithmeticError: the block cannot be read.
    """
    reader = _Reader(code, parameters)
    words, assigned = [], list[tuple[Key, float]]()
    while reader.token:
        if reader.token[0] == "#":
            key = reader.parameter_key()
            reader.expect("=")
            assigned.append((key, reader.expression(0)))
            continue
        letter = reader.take()
        if len(letter) != 1 or not letter.isalpha():
            raise ValueError(f"no word at {letter!r}")
        value = reader.atom_with_sign()
        if not abs(value) <= MAX_NUMBER:
            raise ValueError(f"{letter}{value:g} is too large")
        words.append(Word(letter, value))
    for key, value in assigned:
        parameters.write(key, value)
    return tuple(word for word in words if word.letter != "N")


class _Reader:
    """Reads tokens from the left; `token` is the next one, in upper case, empty at the end."""

    def __init__(self, code: str, parameters: Parameters) -> None:
        self._code, self._parameters = code, parameters
        self._offset = self._end = self._depth = 0
        self.token = ""
        self.take()

    def take(self) -> str:
        taken, self._offset = self.token, self._end
        match = _TOKEN.match(self._code, self._offset)
        if match is None:
            if rest := self._code[self._offset :].strip():
                raise ValueError(f"not readable at {rest[:30]!r}")
            self.token = ""
        else:
            self.token, self._end = match[1].upper(), match.end()
        return taken

    def rest(self) -> str:
        return self._code[self._offset :]

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise ValueError(f"{token!r} is missing in {self._code[:40]!r}")

    def expression(self, lowest: int) -> float:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("too many brackets")
        left = self.atom_with_sign()
        while (precedence := _PRECEDENCE.get(self.token, 0)) > lowest:
            symbol = self.take()
            left = float(_BINARY[symbol](left, self.expression(precedence)))
        self._depth -= 1
        return left

    def atom_with_sign(self) -> float:
        sign = 1.0
        while self.token in ("+", "-"):
            sign *= -1.0 if self.take() == "-" else 1.0
        return sign * self._atom()

    def _atom(self) -> float:
        if self.token.startswith("#"):
            return self._parameters.read(self.parameter_key())
        token = self.take()
        if token == "[":
            return self._closed()
        if token == "ATAN":
            y = self._bracket()
            self.expect("/")
            return math.degrees(math.atan2(y, self._bracket()))
        if token == "EXISTS":
            self.expect("[")
            is_set = self._parameters.is_set(self.parameter_key())
            self.expect("]")
            return float(is_set)
        if token in _FUNCTIONS:
            return float(_FUNCTIONS[token](self._bracket()))
        if not token or not (token[0].isdigit() or token[0] == "."):
            raise ValueError(f"a number is missing in {self._code[:40]!r}")
        return float(token)

    def _bracket(self) -> float:
        self.expect("[")
        return self._closed()

    def _closed(self) -> float:
        value = self.expression(0)
        self.expect("]")
        return value

    def parameter_key(self) -> Key:
        token = self.take()
        if not token.startswith("#"):
            raise ValueError(f"a parameter is missing in {self._code[:40]!r}")
        if token != "#":
            return "".join(token[1:].split()).strip("<>").lower()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("too many signs #")
        value = self._atom()
        self._depth -= 1
        if value != int(value) or not 0 <= value <= MAX_NUMBER:
            raise ValueError(f"#{value} is no parameter")
        return int(value)
