"""The columns of a recording: reports of the controller and channels of the sensor nodes."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache

CLOCK = "t_console"
LINE = "gcode_line"
BLOCK = "gcode_string"
UNIT = "unit"
ROW_RANGE = "segment"
"""Rows of a layout with packets: where it changes, a row does not follow the one before."""
POSITION = ("posx", "posy", "posz")
POSITION_MM = ("x_mm", "y_mm", "z_mm")
"""As layouts report it; POSITION is in the unit of the program."""
INCH_MM = 25.4
MM_PER_UNIT = {
    **dict.fromkeys(("0", "20", "g20", "in", "inch", "inches"), INCH_MM),
    **dict.fromkeys(("1", "21", "g21", "mm", "millimetre", "millimeter"), 1.0),
}
"""Text in the `unit` column, in lower case -> millimetres per length unit."""

REQUIRED = (CLOCK, LINE, BLOCK)
TEXTS = (CLOCK, BLOCK, UNIT)
"""Columns that are read as text; all others are numbers."""

NODE_QUANTITIES: dict[str, dict[str, str]] = {
    "imu": {"Ax": "g", "Ay": "g", "Az": "g", "Gx": "deg/s", "Gy": "deg/s", "Gz": "deg/s"},
    "mag": {"Mx": "uT", "My": "uT", "Mz": "uT"},
    "mic": {"RMS": "level"},
    "environment": {"Pressure": "kPa", "Temperature": "degC"},
    "optical": dict.fromkeys(("Proximity", "ColorR", "ColorG", "ColorB", "ColorA"), "level"),
    "electrical": {"Current": "A", "Voltage": "V", "Power": "W"},
    "force": {"Fx": "N", "Fy": "N", "Fz": "N"},
    "raw": {"raw": "raw"},
}
"""Channel group -> quantity of a sensor node -> its unit; a column is named NODE.QUANTITY."""

ENVIRONMENT = tuple(NODE_QUANTITIES["environment"])

MACHINE_COLUMNS: dict[str, dict[str, str]] = {
    "motor": {"spindle": "A", "x_motor": "A", "y_motor": "A", "z_motor": "A"},
    "controller": {
        **dict.fromkeys(POSITION, "program units"),
        **dict.fromkeys(("mpox", "mpoy", "mpoz", *POSITION_MM), "mm"),
        "feed": "mm/min",
    },
}
"""Channel group -> column -> its unit, for machine signals, which no sensor node measures."""

GROUPS = (*NODE_QUANTITIES, *MACHINE_COLUMNS)
WITHOUT_NOISE = (*MACHINE_COLUMNS, "electrical", "raw")
"""Groups whose samples may stay constant: idle motors, unchanged reports, coarse converters."""
WITHOUT_UNIT = ("level", "raw")
"""Units of quantities whose samples are not converted."""
FEATURES = ("mean", "rms", "peak")
"""What `resampling` makes of a fast sensor besides its bands: the quantity Ax becomes Ax_mean."""

UNIT_SPELLINGS: dict[str, tuple[str, ...]] = {
    "deg/s": ("dps", "\N{DEGREE SIGN}/s", "deg/sec", "degrees/s"),
    "uT": ("microtesla",),
    "level": ("raw", "counts", "-"),
    "degC": ("\N{DEGREE SIGN}c", "c", "celsius"),
    "A": ("ampere", "amperes", "amps"),
}
"""Unit -> other texts in lower case that mean it."""

_FEATURE = re.compile(rf"(?P<quantity>.+)_(?P<feature>{'|'.join(FEATURES)}|band\d+)")
_QUANTITIES = {q.casefold(): q for names in NODE_QUANTITIES.values() for q in names}
_MACHINE_NAMES = {
    name.casefold(): name
    for name in (*REQUIRED, UNIT, *(n for names in MACHINE_COLUMNS.values() for n in names))
}
_HEADER = re.compile(r"(?P<name>.*?)\s*(?:[\[({<](?P<unit>[^])}>]*)[\])}>])?")
MAX_NAME_CHARACTERS = 200
_NAME = re.compile(r"(?P<operation>.+?)_\d+")


@lru_cache(4096)
def canonical_column(header: str) -> tuple[str, str]:
    """The column that a header's field names, and its unit: `Spindle2.ax [g]` is `Spindle2.Ax`.

    Blanks around it, invisible characters and the case of all but the node do not matter. A name
    that is not a recording's is only stripped, and its unit is empty.
    """
    header = "".join(c for c in header if unicodedata.category(c) != "Cf").strip()
    match = _HEADER.fullmatch(header) if len(header) <= MAX_NAME_CHARACTERS else None
    if match is None:
        return header, ""
    node, _, quantity = (part.strip() for part in match["name"].rpartition("."))
    if node and quantity.casefold() in _QUANTITIES:
        column = f"{node}.{_QUANTITIES[quantity.casefold()]}"
    elif match["name"].casefold() in _MACHINE_NAMES:
        column = _MACHINE_NAMES[match["name"].casefold()]
    else:
        return header, ""
    return column, match["unit"] or ""


def check_unit(column: str, text: str) -> None:
    """Raises ValueError if a text in the header is not the unit of the column's channel."""
    if not text or channel_group(column) is None:
        return
    unit = channel_unit(column)
    spelling = unicodedata.normalize("NFKC", text).strip().casefold()
    spelling = spelling.replace("\N{GREEK SMALL LETTER MU}", "u")
    if spelling not in (unit.casefold(), *UNIT_SPELLINGS.get(unit, ())):
        raise ValueError(f"column {column!r} is in {text.strip()}, it has to be in {unit}")


def is_recording_column(column: str) -> bool:
    """Whether a canonical name is a column of a recording."""
    return column.casefold() in _MACHINE_NAMES or channel_group(column) is not None


def channel_group(column: str) -> str | None:
    """The group that a column, or a feature of it, belongs to; None if it is not a channel."""
    node, _, quantity = column.rpartition(".")
    if match := _FEATURE.fullmatch(quantity):
        quantity = match["quantity"]
    for group, quantities in NODE_QUANTITIES.items():
        if node and quantity in quantities:
            return group
    name = column if node else quantity
    return next((group for group, names in MACHINE_COLUMNS.items() if name in names), None)


def node_or_channel(channel: str) -> str:
    """The sensor node of a channel; of a machine channel the channel itself."""
    return channel.rpartition(".")[0] or channel


def describe_channels(channels: Collection[str], expected: Collection[str]) -> str:
    """Channels for a message; a node of which all expected channels are meant is named once."""
    nodes: dict[str, list[str]] = {}
    for channel in channels:
        nodes.setdefault(node_or_channel(channel), []).append(channel)
    sizes = Counter(node_or_channel(channel) for channel in expected)
    return ", ".join(
        f"{node}.* ({len(names)})" if len(names) == sizes[node] > 1 else ", ".join(names)
        for node, names in nodes.items()
    )


MAX_MISSING_SHARE = 0.1
"""Of a group's channels, at nodes that a file has: above it, columns have lost their names.

A node that is absent as a whole was not mounted, as in a quarter of the real recordings.
"""


def missing_channels_problem(channels: Sequence[str], present: Collection[str]) -> str | None:
    """What is wrong if a file lacks more than MAX_MISSING_SHARE of a group; None if it does not.

    Args:
        channels: those that are expected.
        present: those that the file has.
    """
    nodes = {channel.rpartition(".")[0] for channel in present}
    totals = Counter(channel_group(channel) for channel in channels)
    unnamed = [c for c in channels if c not in present and c.rpartition(".")[0] in nodes]
    for group, count in Counter(channel_group(channel) for channel in unnamed).items():
        if count > MAX_MISSING_SHARE * totals[group]:
            names = [channel for channel in unnamed if channel_group(channel) == group]
            return (
                f"{count} of the {totals[group]} {group} channels are missing, though their nodes "
                f"are there: {', '.join(names)}; rename the columns, or add --allow-missing"
            )
    return None


def channel_unit(column: str) -> str:
    """The unit of a channel's samples; of a band, of the logarithm of its power."""
    group = channel_group(column)
    if group is None:
        raise ValueError(f"{column!r} is not a channel")
    quantity = column.rpartition(".")[2]
    match = _FEATURE.fullmatch(quantity)
    unit = {**NODE_QUANTITIES, **MACHINE_COLUMNS}[group][match["quantity"] if match else quantity]
    return f"log10 of ({unit})^2" if match and match["feature"].startswith("band") else unit


def parse_operation(recording: str) -> str:
    """The operation in a recording's name: `pocket_001` is a `pocket`."""
    match = _NAME.fullmatch(recording)
    return match["operation"] if match else recording
