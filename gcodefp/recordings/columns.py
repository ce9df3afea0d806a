"""The columns of a recording: reports of the controller and channels of the sensor nodes."""

import re

CLOCK = "t_console"
LINE = "gcode_line"
BLOCK = "gcode_string"
UNIT = "unit"
POSITION = ("posx", "posy", "posz")
MM_PER_UNIT = {0: 25.4, 1: 1.0}
"""Millimetres per length unit of the `unit` column (0: inch, 1: mm)."""

REQUIRED = (CLOCK, LINE, BLOCK)

NODE_QUANTITIES: dict[str, dict[str, str]] = {
    "imu": {"Ax": "g", "Ay": "g", "Az": "g", "Gx": "deg/s", "Gy": "deg/s", "Gz": "deg/s"},
    "mag": {"Mx": "uT", "My": "uT", "Mz": "uT"},
    "mic": {"RMS": "level"},
    "environment": {"Pressure": "kPa", "Temperature": "degC"},
    "optical": {
        "Proximity": "level",
        "ColorR": "level",
        "ColorG": "level",
        "ColorB": "level",
        "ColorA": "level",
    },
}
"""Channel group -> quantity of a sensor node -> its unit; a column is named NODE.QUANTITY."""

ENVIRONMENT = tuple(NODE_QUANTITIES["environment"])

MACHINE_COLUMNS: dict[str, dict[str, str]] = {
    "motor": {"spindle": "A", "x_motor": "A", "y_motor": "A", "z_motor": "A"},
    "controller": {
        "posx": "program units",
        "posy": "program units",
        "posz": "program units",
        "mpox": "mm",
        "mpoy": "mm",
        "mpoz": "mm",
        "feed": "mm/min",
    },
}
"""Channel group -> column -> its unit, for machine signals, which no sensor node measures."""

GROUPS = (*NODE_QUANTITIES, *MACHINE_COLUMNS)

_NAME = re.compile(r"(?P<operation>.+?)_\d+")


def channel_group(column: str) -> str | None:
    """The group that a column belongs to; None if it is not a channel."""
    node, _, quantity = column.rpartition(".")
    for group, quantities in NODE_QUANTITIES.items():
        if node and quantity in quantities:
            return group
    return next((group for group, names in MACHINE_COLUMNS.items() if column in names), None)


def node_or_channel(channel: str) -> str:
    """The sensor node of a channel; of a machine channel the channel itself."""
    return channel.rpartition(".")[0] or channel


def channel_unit(column: str) -> str:
    """The unit of a channel's samples."""
    group = channel_group(column)
    if group is None:
        raise ValueError(f"{column!r} is not a channel")
    quantity = column.rpartition(".")[2]
    return {**NODE_QUANTITIES, **MACHINE_COLUMNS}[group][quantity]


def parse_operation(recording: str) -> str:
    """The operation in a recording's name: `pocket_001` is a `pocket`."""
    match = _NAME.fullmatch(recording)
    return match["operation"] if match else recording
