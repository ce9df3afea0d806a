"""Which line of a program is executed after which: subprograms, loops and branches.

The O words of LinuxCNC (`o100 while [#1 LT 5]`, `o<name> call [1]`), and `M98 P1000 L3` with `M99`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gcodefp.errors import UserError
from gcodefp.recordings.gcode import Word, split_words
from gcodefp.recordings.interpreter.dialects import EXTENDED_COMMAND, O_KEYWORDS, Dialect, Line
from gcodefp.recordings.interpreter.macro_expressions import (
    Key,
    Parameters,
    evaluate,
    read_macro_words,
)

MAX_REPEATED_LINES = 500_000
"""Executions beyond the number of lines: more mean a loop that does not end."""
MAX_CALLS = 100

_O_WORD = re.compile(rf"O\s*(?:<([^>]*)>|(\d+))\s*({O_KEYWORDS})\b(.*)", re.I | re.A)
_PROGRAM = re.compile(r"(?:[O:]\s*(\d{1,9}))?\s*(<[^>]*>)?", re.I | re.A)
_FANUC_MACRO = re.compile(r"(?:IF|WHILE|GOTO|DO|END)\s*[\[#\d]|[^(]*G6[56](?!\d)", re.I | re.A)
_EXTENDED = re.compile(EXTENDED_COMMAND, re.A)
_BARE_LETTERS = re.compile(r"(?<![A-Z])([A-Z])(?=\s|$)", re.I | re.A)
_FILE_OR_TEXT = re.compile(r"(M(?:16|23|28|30|32|36|117|118|486|928|5[58]\d))(?:\s|$)(.*)", re.I)
_TEXT_COMMAND = re.compile(r"([GM]\d+(?:\.\d)?)\b", re.I | re.A)


class ExecutedLine(NamedTuple):
    """One executed line.

    Attributes:
        words: with their exact numbers; none on lines that are no words.
        text: of a line that is no words, else empty.
        is_flow: it decides what is executed, or calculates, and moves nothing.
        error_text: why it is not understood.
    """

    line: int
    words: tuple[Word, ...] = ()
    text: str = ""
    is_flow: bool = False
    error_text: str = ""


class _Statement(NamedTuple):
    """A line as it is read once: its words, or the keyword, label and arguments of flow."""

    line: Line
    entry: ExecutedLine | None = None
    keyword: str = ""
    label: str = ""
    rest: str = ""


class _Call(NamedTuple):
    back: int
    first: int
    times_left: int
    has_locals: bool


class ProgramFlow:
    """Executes a program's lines in order, as far as jumps, calls and parameters go.

    Args:
        lines: of the whole file.
        parameters: assignments write to it, expressions read it.
    """

    def __init__(self, lines: Sequence[Line], dialect: Dialect, parameters: Parameters) -> None:
        self._dialect, self._parameters = dialect, parameters
        self._statements = [_read_statement(line, dialect) for line in lines]
        self._calls: list[_Call] = []
        # A return out of `repeat` leaves its count for the next call, as in LinuxCNC 2.9.
        self._loops: dict[int, float] = {}
        self._next = 0
        self._marks: dict[str, list[int]] = {}
        self._programs: dict[float, int] = {}
        for index, statement in enumerate(self._statements):
            if statement.keyword == "program":
                self._programs.setdefault(float(statement.label or -1), index)
            elif statement.label:
                self._marks.setdefault(statement.label, []).append(index)

    def executed_lines(self) -> Iterator[ExecutedLine]:
        """The executed lines; the next one is decided after the caller has used the last one.

        Raises:
            UserError: the program does not end.
        """
        executed, most = 0, len(self._statements) + MAX_REPEATED_LINES
        while 0 <= self._next < len(self._statements):
            statement, index = self._statements[self._next], self._next
            self._next += 1
            executed += 1
            if executed > most:
                raise UserError(
                    f"line {statement.line.number}: {statement.line.code[:60]!r} is executed again "
                    f"and again, {executed} lines so far: an endless loop; correct its condition"
                )
            entry = statement.entry or self._execute(index, statement)
            if entry.words and not self._dialect.is_printer:
                entry = self._after_words(entry)
            if entry.words or entry.text:
                yield entry

    def _execute(self, index: int, statement: _Statement) -> ExecutedLine:
        line, text = statement.line, statement.line.code.upper()
        try:
            if not statement.keyword:
                words = read_macro_words(line.code, self._parameters)
                return ExecutedLine(line.number, words, "" if words else text, is_flow=not words)
            getattr(self, f"_{statement.keyword}")(index, statement)
        except (ValueError, ArithmeticError) as error:
            return ExecutedLine(line.number, text=text, is_flow=True, error_text=str(error))
        return ExecutedLine(line.number, text=text, is_flow=True)

    def _is_true(self, code: str) -> bool:
        return evaluate(code, self._parameters)[0] != 0

    # O words

    def _mark_after(self, index: int, label: str, *keywords: str) -> int:
        for mark in self._marks[label]:
            if mark > index and self._statements[mark].keyword in keywords:
                return mark
        raise ValueError(f"no {' or '.join(keywords)} with this label follows")

    def _o_sub(self, index: int, statement: _Statement) -> None:
        self._next = self._mark_after(index, statement.label, "o_endsub") + 1

    def _o_endsub(self, _: int, statement: _Statement) -> None:
        value = evaluate(statement.rest, self._parameters)[0] if statement.rest else 0.0
        self._return()
        self._parameters.write("_value", value)

    _o_return = _o_endsub

    def _o_call(self, _: int, statement: _Statement) -> None:
        arguments: dict[Key, float] = dict.fromkeys(range(1, 31), 0.0)
        rest = statement.rest
        for key in range(1, 31):
            if not rest:
                break
            arguments[key], rest = evaluate(rest, self._parameters)
            rest = rest.strip()
        for mark in self._marks[statement.label]:
            if self._statements[mark].keyword == "o_sub":
                self._call(mark + 1, 1, arguments)
                return
        raise ValueError("this subprogram is not in the file")

    def _o_if(self, index: int, statement: _Statement) -> None:
        while not self._is_true(statement.rest):
            index = self._mark_after(index, statement.label, "o_elseif", "o_else", "o_endif")
            statement = self._statements[index]
            if statement.keyword != "o_elseif":
                break
        self._next = index + 1

    def _o_else(self, index: int, statement: _Statement) -> None:
        self._next = self._mark_after(index, statement.label, "o_endif") + 1

    _o_elseif = _o_else

    def _o_endif(self, index: int, statement: _Statement) -> None:
        """Only a mark, as `do`."""

    _o_do = _o_endif

    def _start_of_loop(self, index: int, label: str) -> int:
        """The `while`, `do` or `repeat` that the line at index belongs to."""
        for mark in reversed(self._marks[label]):
            keyword = self._statements[mark].keyword
            if mark < index and keyword in ("o_do", "o_repeat", "o_while"):
                return mark
        raise ValueError("no loop with this label begins before")

    def _closes_do(self, index: int, label: str) -> bool:
        before = [self._statements[mark].keyword for mark in self._marks[label] if mark < index]
        return bool(before) and before[-1] in ("o_do", "o_break", "o_continue")

    def _o_while(self, index: int, statement: _Statement) -> None:
        if self._closes_do(index, statement.label):
            if self._is_true(statement.rest):
                self._next = self._start_of_loop(index, statement.label) + 1
        elif not self._is_true(statement.rest):
            self._next = self._mark_after(index, statement.label, "o_endwhile") + 1

    def _o_endwhile(self, index: int, statement: _Statement) -> None:
        self._next = self._start_of_loop(index, statement.label)

    def _o_repeat(self, index: int, statement: _Statement) -> None:
        left = self._loops.pop(index, None)
        if left is None:
            left = evaluate(statement.rest, self._parameters)[0]
        if left >= 1:
            self._loops[index] = left - 1
        else:
            self._next = self._mark_after(index, statement.label, "o_endrepeat") + 1

    _o_endrepeat = _o_endwhile

    def _o_continue(self, index: int, statement: _Statement) -> None:
        end = self._mark_after(index, statement.label, "o_endwhile", "o_endrepeat", "o_while")
        self._next = end

    def _o_break(self, index: int, statement: _Statement) -> None:
        end = self._mark_after(index, statement.label, "o_endwhile", "o_endrepeat", "o_while")
        self._loops.pop(self._start_of_loop(index, statement.label), None)
        self._next = end + 1

    # Calls and ends by words

    def _program(self, index: int, _: _Statement) -> None:
        """A program's number; the main program ends where the next one begins."""
        if not self._calls and index > min(self._programs.values()):
            self._next = len(self._statements)

    def _after_words(self, entry: ExecutedLine) -> ExecutedLine:
        numbers = {word.number for word in entry.words if word.letter == "M"}
        values = {word.letter: word.number for word in entry.words}
        try:
            if numbers & {2.0, 30.0}:
                self._next = len(self._statements)
            elif 99.0 in numbers:
                is_jump = bool(self._calls) and "P" in values
                self._return()
                if is_jump:
                    raise ValueError("the jump of M99 P is not executed")
            elif 98.0 in numbers:
                number, times = values.get("P", -1.0), values.get("L", values.get("K", 1.0))
                if number not in self._programs:
                    raise ValueError(f"subprogram O{number:g} is not in this file")
                self._call(self._programs[number] + 1, int(times), None)
            elif 97.0 in numbers:
                raise ValueError("calls of a line (M97) are not executed; write them as M98")
            else:
                return entry
        except ValueError as error:
            entry = entry._replace(error_text=str(error))
        return entry._replace(is_flow=values.keys().isdisjoint("XYZABCUVW"))

    def _call(self, first: int, times: int, arguments: dict[Key, float] | None) -> None:
        if len(self._calls) >= MAX_CALLS:
            raise UserError(
                f"line {self._statements[self._next - 1].line.number}: more than {MAX_CALLS} calls "
                "of subprograms within each other; correct the call"
            )
        if times < 1:
            return
        if arguments is not None:
            self._parameters.enter(arguments)
        self._calls.append(_Call(self._next, first, times - 1, arguments is not None))
        self._next = first

    def _return(self) -> None:
        """Ends a call; of the main program, which would begin again, ends the program."""
        if not self._calls:
            self._next = len(self._statements)
            return
        call = self._calls.pop()
        if call.times_left:
            self._calls.append(call._replace(times_left=call.times_left - 1))
            self._next = call.first
            return
        if call.has_locals:
            self._parameters.leave()
        self._next = call.back


def _read_statement(line: Line, dialect: Dialect) -> _Statement:
    code = line.code
    if line.error_text:
        return _Statement(line, ExecutedLine(line.number, text=code, error_text=line.error_text))
    if dialect.is_printer:
        return _Statement(line, _read_printer_line(line.number, code))
    first = code[0].upper()
    if first in "O:<":
        if word := _O_WORD.fullmatch(code):
            label = (word[1] or word[2]).replace(" ", "").lower()
            return _Statement(line, None, "o_" + word[3].lower(), label, word[4].strip())
        if program := _PROGRAM.fullmatch(code):
            return _Statement(line, None, "program", str(int(program[1])) if program[1] else "")
    if _FANUC_MACRO.match(code):
        raise UserError(
            f"line {line.number}: {code[:60]!r}: macros of Fanuc's are not executed; write the "
            "program without them (O words of LinuxCNC, M98 and M99 are)"
        )
    if "#" in code or "[" in code:
        return _Statement(line)
    try:
        words = tuple(word for word in split_words(code) if word.letter != "N")
    except ValueError as error:
        return _Statement(line, ExecutedLine(line.number, text=code, error_text=str(error)))
    return _Statement(line, ExecutedLine(line.number, words, "" if words else code))


def _read_printer_line(number: int, code: str) -> ExecutedLine:
    """Words, or the text of `M117 Hello` and of `SET_FAN_SPEED FAN=exhaust SPEED=1`."""
    if _EXTENDED.match(code):
        return ExecutedLine(number, text=code)
    if text := _FILE_OR_TEXT.fullmatch(code):
        return ExecutedLine(number, text=f"{text[1].upper()} {text[2]}".strip())
    try:
        return ExecutedLine(number, tuple(w for w in split_words(code, False) if w.letter != "N"))
    except ValueError as error:
        word = _TEXT_COMMAND.match(code)
        if word is None or word[1].upper() in ("G0", "G1", "G2", "G3", "G00", "G01", "G02", "G03"):
            return ExecutedLine(number, text=code, error_text=str(error))
    try:  # `G28 X Y`, `M84 E`
        return ExecutedLine(number, tuple(split_words(_BARE_LETTERS.sub(r"\g<1>0", code), False)))
    except ValueError as error:
        is_text = word[1].upper().startswith("M") and word[1].upper() != "M98"
        return ExecutedLine(number, text=code, error_text="" if is_text else str(error))
