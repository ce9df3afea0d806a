"""How figures and report call things that files call by short names."""

METRICS = {
    "gcode": "exact line",
    "token": "token",
    "token_type": "token type",
    "command": "command",
    "parameter_type": "parameter type",
    "parameter_value": "parameter value",
    "operation": "operation",
}
"""Metric of metrics.json -> its name for readers, in the order of importance."""

AXIS_ERRORS = {"x_error_mm": "X", "y_error_mm": "Y", "z_error_mm": "Z"}

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

SPLIT_BY = {
    "recording": "whole recordings, drawn at random",
    "session": "whole sessions, held out by name",
    "program": "whole programs, held out by name",
    "window": "shuffled windows of the same recordings",
}


def logged_metric(name: str) -> str:
    """`val/gcode_acc` for readers: `exact line on the val split`."""
    split, _, rest = name.partition("/")
    kind = "loss" if rest.endswith("loss") else "accuracy"
    what = rest.removesuffix("_acc").removesuffix("_loss")
    if what == "loss":
        return f"loss on the {split} split"
    return f"{METRICS.get(what, what)} {kind} on the {split} split"
