"""Guesses what the columns of a table are: targets of a layout, `toolhead.Ax [m/s^2]` or `line`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings.inspection.sniffing import (
    MAX_BACKWARD_SHARE,
    block_share,
    unit_by_gravity,
)
from gcodefp.recordings.laboratory.program_file import number_lines
from gcodefp.recordings.laboratory.quantities import parse_target

AXES = "xyz"
COMMANDED = re.compile(r"set|cmd|command|target|desired", re.IGNORECASE)
"""What the controller commands, not what is measured."""
REPORTED = re.compile(r"actual|set|cmd|command", re.IGNORECASE)
"""What the controller computes; an acceleration of such a name is no sensor's."""
TRIPLES = (
    ("A", re.compile(r"acc|beschl|imu|adxl|^a[_ .]?\?$|\.a\?$|^\?$", re.IGNORECASE)),
    ("G", re.compile(r"gyr|rot|omega|^g[_ .]?\?$|\.g\?$", re.IGNORECASE)),
    ("M", re.compile(r"mag|^m[_ .]?\?$|\.m\?$", re.IGNORECASE)),
    ("F", re.compile(r"forc|^f[_ .]?\?$", re.IGNORECASE)),
)
"""Quantity -> names of its three columns, with `?` for the axis."""
SENSED = ("node.Ax", "node.Gx", "node.Mx", "node.Fx")
DEFAULT_UNITS = {"A": "g", "G": "deg/s", "M": "uT", "F": "N"}
SINGLES = (
    (
        "Current [A]",
        re.compile(
            r"strom|current(?!_|\w*(program|feed|line))|currentfeedback|(?<!st)amps?$|_i$", re.I
        ),
    ),
    ("Voltage [V]", re.compile(r"volt|spannung", re.I)),
    ("Power [W]", re.compile(r"power|watt|leistung", re.I)),
    ("Temperature [degC]", re.compile(r"temp", re.I)),
    ("RMS", re.compile(r"rms|mic|sound|audio", re.I)),
    ("raw", re.compile(r"load|level|tension|adc|raw|sensor|vibr", re.I)),
)
ROLES = (
    (
        "line",
        re.compile(
            r"(gcode_?)?line(_?(no|nr|num|number))?|l?n|.*sequence_?num.*|program_?line"
            r"|.*act_?line_?(no|number)|satz_?(nr|nummer)",
            re.I,
        ),
    ),
    ("block", re.compile(r"g_?code|gcode_string|block|command", re.I)),
    ("feed [mm/min]", re.compile(r".*feed_?rate|feed|vorschub|f", re.I)),
    ("state", re.compile(r"state|status|stat|machining_process|mode", re.I)),
)
DEGREES = {"C": "degC", "F": "degF"}
"""What temperatures are headed with -> their unit; C is coulomb elsewhere."""
BY_NAME, CHECK_UNIT, CHECK = "by its name", "CHECK the unit", "CHECK what it is"
ACCELEROMETER = "CHECK that it is an accelerometer"
MIN_LINES = 3
"""Of a program that a log reports."""
MAX_TEXTS, MIN_BLOCKS_SHARE = 200, 0.5
_UNIT = re.compile(r"[\[({]\s*([^\])}]+)\s*[\])}]")
_POSITION = re.compile(r"pos|^\?$|act$", re.IGNORECASE)


class Guess(NamedTuple):
    """A column's target, and why."""

    target: str
    reason: str


def guess_targets(
    table: pd.DataFrame,
    has_header: bool,
    clock: str | None,
    node: str,
    programs: Sequence[Path] = (),
) -> dict[str, Guess]:
    """Column -> guess; columns that nothing is known of are skipped.

    Args:
        table: the first rows of a file.
        clock: the clock's column.
        node: name of a sensor node whose columns do not name one.
        programs: files whose lines a column may report.
    """
    columns = [str(c) for c in table.columns if c != clock]
    numeric = [c for c in columns if table[c].dtype.kind in "iuf" and table[c].notna().any()]
    if not has_header:
        return _by_samples(table, numeric, node, programs)
    guesses: dict[str, Guess] = {}
    for key, names in _triples(numeric):
        guesses |= {c: g for c, g in _guess_triple(table, key, names, node) if c not in guesses}
    for column in (c for c in columns if c not in guesses):
        bare = _UNIT.sub("", column).strip(" #")
        spellings = [bare, *(last for last in [bare.rpartition(".")[2]] if len(last) > 2)]
        role = next((r for r, pattern in ROLES if any(map(pattern.fullmatch, spellings))), None)
        single = next((q for q, pattern in SINGLES if pattern.search(bare)), None)
        if role and role.split()[0] not in {g.target.split()[0] for g in guesses.values()}:
            guesses[column] = _with_unit(role, column, BY_NAME, role)
        elif single and column in numeric and not COMMANDED.search(column):
            node_name = _single_node(bare)
            target, raw = f"{node_name}.{single}", f"{node_name}.raw"
            guesses[column] = _with_unit(target, column, CHECK_UNIT, raw)
    if "line" not in {guess.target for guess in guesses.values()}:
        for column in (c for c in columns if c not in guesses and c not in numeric):
            if len(table) and table[column].astype(str).str.fullmatch(r"N\d+").all():
                guesses[column] = Guess("line", "its texts are N words")
                break
    if "block" not in {guess.target for guess in guesses.values()}:
        for column in (c for c in columns if c not in guesses and c not in numeric):
            if block_share(table[column].dropna().astype(str).head(MAX_TEXTS)) > MIN_BLOCKS_SHARE:
                guesses[column] = Guess("block", "its texts are blocks")
                break
    if not any("." in guess.target for guess in guesses.values()):
        left = [c for c in numeric if c not in guesses and table[c].nunique() > 1]
        guesses |= {c: _raw(_single_node(c), table[c], programs) for c in left}
    return guesses


def _is_unit(text: str, *targets: str) -> bool:
    """Whether a text is a unit of one of these targets."""
    for target in targets:
        try:
            parse_target(f"{target} [{text}]")
        except ValueError:
            continue
        return True
    return False


def _triples(columns: list[str]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Names that differ by the letter of the axis alone: `a?` and (ax, ay, az)."""
    keys: dict[str, dict[str, str]] = {}
    for column in columns:
        for match in re.finditer(f"[{AXES}]", column, re.IGNORECASE):
            key = f"{column[: match.start()]}?{column[match.end() :]}"
            keys.setdefault(key, {})[match[0].lower()] = column
    for key, axes in keys.items():
        if len(axes) == len(AXES):
            yield _UNIT.sub("", key).strip(" #"), (axes["x"], axes["y"], axes["z"])


def _guess_triple(
    table: pd.DataFrame, key: str, names: tuple[str, str, str], node: str
) -> Iterator[tuple[str, Guess]]:
    samples = table[list(names)].to_numpy(np.float64)
    written = _UNIT.search(names[0])
    unit = written[1] if written and _is_unit(written[1], *SENSED) else None
    is_length = written is not None and _is_unit(written[1], "x")
    by_gravity = _unit_by_gravity(samples)
    quantity = next((q for q, pattern in TRIPLES if pattern.search(key)), None)
    reason, of_node, target = BY_NAME if unit else CHECK_UNIT, "", ""
    if quantity and quantity != "A":
        target = f"{_node_of(key, node)}.{quantity}@ [{unit or DEFAULT_UNITS[quantity]}]"
    elif not (is_length or REPORTED.search(key)) and (by_gravity or (quantity and key != "?")):
        reason = "the unit in its name"
        if not (unit and quantity):
            reason = ACCELEROMETER if not quantity else "" if by_gravity else CHECK_UNIT
            of_node = _magnitude(_node_of(key, node), bool(by_gravity))
        unit = (unit if quantity else None) or by_gravity or DEFAULT_UNITS["A"]
        target = f"{_node_of(key, node)}.A@ [{unit}]"
    elif _POSITION.search(key) and not COMMANDED.search(key):
        position, reason = _with_unit("x [mm]", names[0], BY_NAME, "x [mm]")
        target = position.replace("x", "@", 1)
    if target:
        for axis, name in zip(AXES, names, strict=True):
            yield name, Guess(target.replace("@", axis), ": ".join(filter(None, (reason, of_node))))
            of_node = ""  # It is said once.


def _by_samples(
    table: pd.DataFrame, numeric: list[str], node: str, programs: Sequence[Path]
) -> dict[str, Guess]:
    """Three neighbours that measure gravity are an accelerometer; what else varies is raw.

    A column that counts rows is nothing.
    """
    guesses: dict[str, Guess] = {}
    left = [
        c
        for c in numeric
        if table[c].nunique() > 1 and not (table[c].diff()[1:] == 1).mean() > 0.99
    ]
    nodes = 0
    while left:
        three = left[:3]
        neighbours = [int(c) for c in three] == [int(left[0]) + i for i in range(3)]
        unit = _unit_by_gravity(table[three].to_numpy(np.float64)) if neighbours else None
        if unit:
            nodes += 1
            for axis, column in zip(AXES, three, strict=True):
                of_node = f": {_magnitude(f'{node}{nodes}', True)}" * (axis == "x")
                guesses[column] = Guess(f"{node}{nodes}.A{axis} [{unit}]", ACCELEROMETER + of_node)
            left = left[3:]
        else:
            guesses[left[0]] = _raw(f"column{left[0]}", table[left[0]], programs)
            left = left[1:]
    return guesses


def _raw(node: str, samples: pd.Series, programs: Sequence[Path]) -> Guess:
    """A column that nothing else is known of."""
    is_line = bool(programs) and _may_be_line(samples, programs)
    return Guess(f"{node}.raw", f"{CHECK}: perhaps `line`" if is_line else CHECK)


def _may_be_line(samples: pd.Series, programs: Sequence[Path]) -> bool:
    """Whether samples are whole numbers that rise, from 0 or more to a line of a program."""
    values = samples.dropna().to_numpy(np.float64)
    falls = np.diff(values) < 0
    is_whole = (values % 1 == 0).all() and (values >= 0).all()
    if not is_whole or np.unique(values).size < MIN_LINES or falls.mean() > MAX_BACKWARD_SHARE:
        return False
    highest = 0
    for program in programs:
        for numbering in ("file_line", "n_word"):
            with suppress(UserError):
                highest = max(highest, int(number_lines(program, numbering).number[-1]))
    return bool(values.max() <= highest)


def _magnitude(node: str, is_gravity: bool) -> str:
    """What all axes of a node together say of its unit."""
    return f"the mean of {node}'s x, y and z has a magnitude of {'' if is_gravity else 'not '}1 g"


def _unit_by_gravity(samples: NDArray[np.float64]) -> str | None:
    """The unit of (N, 3) samples of one accelerometer."""
    return unit_by_gravity(float(np.linalg.norm(np.nanmean(samples, axis=0))))


def _with_unit(target: str, column: str, otherwise: str, unknown: str) -> Guess:
    """A target in the unit that the header's field names.

    Args:
        otherwise: the reason where it names none.
        unknown: the target where it names one that is none of the quantity.
    """
    name, _, default = target.partition(" ")
    if (match := _UNIT.search(column)) is None:
        return Guess(target, otherwise)
    if not default:
        return Guess(target, BY_NAME)
    unit = DEGREES.get(match[1], match[1]) if name.endswith(".Temperature") else match[1]
    try:
        parse_target(f"{name} [{unit}]")
    except ValueError:
        return Guess(unknown, f"{CHECK}: its unit is {match[1]}")
    return Guess(f"{name} [{unit}]", BY_NAME)


def _node_of(name: str, node: str) -> str:
    """The node that the name of three columns tells: `bed` of `bed_acc_?`."""
    prefix = name.partition("?")[0]
    if "." in prefix:
        return prefix.rpartition(".")[0]
    prefix = prefix.strip(" _-")
    words = re.split(r"[_ -]+", prefix)
    return words[0] if len(words) > 1 and len(words[0]) > 1 else node


def _single_node(name: str) -> str:
    if "." in name:
        return name.rpartition(".")[0]
    return re.sub(r"\W+", "_", name).strip("_")
