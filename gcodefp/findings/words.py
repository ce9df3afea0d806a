"""How figures and report call things that files call by short names."""

from typing import NamedTuple

from gcodefp.evaluation.files import BASELINE, CLOCK_KNOWN, SENSORS, TOLD

METRICS = {
    "gcode": "exact line",
    "token": "token",
    "command_balanced": "command, balanced",
    "operation": "operation",
    "program": "program",
    "gcode_error_rate": "G-code error rate",
    "position_error_mm": "tool position error",
    "toolpath_distance_mm": "toolpath distance",
    "token_type": "token type",
    "command": "command",
    "parameter_type": "parameter type",
    "parameter_value": "parameter value",
    "x_error_mm": "X words",
    "y_error_mm": "Y words",
    "z_error_mm": "Z words",
}
"""Metric of metrics.json -> its name for readers."""

MAIN_METRICS = (
    "gcode",
    "token",
    "command_balanced",
    "operation",
    "program",
    "gcode_error_rate",
    "position_error_mm",
    "toolpath_distance_mm",
)
"""Those that a reader needs first; the others are details."""

DETAIL_METRICS = tuple(name for name in METRICS if name not in MAIN_METRICS)


class Group(NamedTuple):
    """What a kind of answers is called, and what it is."""

    title: str
    note: str


KINDS = {
    SENSORS: Group(
        "gcodefp, from sensors alone",
        "No true word, clock or position as input. Read in stretches of one window, each laid to "
        "its likeliest place in the known programs; over whole recordings; and row by row, "
        "written word by word without such places.",
    ),
    BASELINE: Group(
        "baselines, from the same data",
        "Simple methods that the network has to beat. Pressure and temperature tell the day, not "
        "the motion.",
    ),
    TOLD: Group(
        "told what no sensor says",
        "They know the operation; elapsed time also when the program started. No sensor is read.",
    ),
    CLOCK_KNOWN: Group(
        "told by the controller's log",
        "What the same readings are worth once each test recording's clock is set right, and what "
        "a reader gets who always knows the place in the program, but not the clock.",
    ),
}
"""Kind of an answer -> how readers are told of it, in the order of the tables."""

RULES = {
    "duplicate_rows": "rows that repeat the one before: dropped",
    "unlabelled_rows": "rows without a clock or a readable block: dropped",
    "preamble_rows": "look-ahead rows before the program starts: dropped",
    "tail_rows": "rows from the end of the program on: dropped",
    "interpolated_samples": "samples in short gaps: interpolated",
    "frozen_samples": "samples of sensor nodes that froze: taken out",
    "missing_samples": "samples that were missing: left out",
}
"""Count of dataset.json -> what the rule does."""

EXACT_LINES = {
    "aligned_acc": "exact line of windows, clock known,",
    "gcode_acc": "exact line, row by row, clock known,",
}
"""Logged metric -> its name for readers; train and val labels are of what the sensors see."""

SENSOR_GROUPS = {
    "imu": "accelerometers and gyroscopes",
    "mag": "magnetometers",
    "mic": "microphones",
    "environment": "pressure and temperature",
    "optical": "optical sensors",
    "motor": "motor currents",
    "controller": "the controller's reports",
}
"""Channel group -> what it measures."""

SPLIT_BY = {
    "recording": "whole recordings, drawn at random",
    "chronological": "whole recordings, the last ones of each operation",
    "session": "whole sessions, held out by name",
    "program": "whole programs, held out by name",
    "window": "shuffled windows of the same recordings",
}


def logged_metric(name: str) -> str:
    """`val/token_acc` for readers: `token accuracy on the val split`."""
    split, _, rest = name.partition("/")
    return f"{EXACT_LINES.get(rest) or short_metric(name)} on the {split} split"


def short_metric(name: str) -> str:
    """`val/token_acc` where the split is told elsewhere: `token accuracy`."""
    rest = name.partition("/")[2]
    if rest in EXACT_LINES:
        return EXACT_LINES[rest].rstrip(",")
    kind = "loss" if rest.endswith("loss") else "accuracy"
    what = rest.removesuffix("_acc").removesuffix("_loss")
    return kind if what == "loss" else f"{METRICS.get(what, what)} {kind}"
