"""Titles of metrics, predictors, cleaning rules and sensors, and numbers as texts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcodefp.evaluation.bootstrap import Difference, Estimate
from gcodefp.evaluation.metrics import METRICS, MILLIMETRES, SECONDS, SHARE
from gcodefp.evaluation.names import BASELINE, ORACLE, PRIMARY, PRIVILEGED, SENSORS
from gcodefp.evaluation.significance import FoldsDifference
from gcodefp.model.hyperparameters import LOGGED_METRICS
from gcodefp.reporting.sweep_results import JsonContent

METRIC_TITLES = {name: metric.title for name, metric in METRICS.items()}
"""Metric of metrics.json -> its title."""


class UnitFormat(NamedTuple):
    """How a metric is written: its factor, its digits and the unit."""

    unit: str
    factor: float
    form: str


UNIT_FORMATS = {
    SHARE: UnitFormat("%", 100.0, ".1f"),
    MILLIMETRES: UnitFormat("mm", 1.0, ".2f"),
    SECONDS: UnitFormat("s", 1.0, ".2f"),
}
"""Unit of a metric -> its format."""


def unit_format(metric: str) -> UnitFormat:
    """The format of a metric of METRICS."""
    return UNIT_FORMATS[METRICS[metric].unit]


MAIN_METRICS = tuple(name for name, metric in METRICS.items() if metric.main)
"""The metrics of the first table; the others are in the table of details."""

DETAIL_METRICS = tuple(name for name in METRIC_TITLES if name not in MAIN_METRICS)


class PredictorKind(NamedTuple):
    """A kind of predictors: its title, and a note on what they have as input."""

    title: str
    note: str


PREDICTOR_KINDS = {
    SENSORS: PredictorKind(
        "gcodefp, from sensors alone",
        "No true word, lag or position as input. Predicted in windows, each aligned "
        "with the known programs; in whole recordings; and row by row by greedy decoding, without "
        "the programs.",
    ),
    BASELINE: PredictorKind(
        "baselines, from the same data",
        "Simple methods that gcodefp has to beat. Pressure and temperature depend on the day, "
        "not on the motion.",
    ),
    PRIVILEGED: PredictorKind(
        "privileged baselines",
        "They are provided with the operation; elapsed time also with the program's start. They "
        "use no sensor.",
    ),
    ORACLE: PredictorKind(
        "state oracle",
        "The true state of each row is provided, the lag is not: no decoder without the lag can "
        "expect a higher block accuracy by the controller's clock. At the sensors' time it is "
        "correct by construction.",
    ),
}
"""Kind of a predictor -> its title and note, in the order of the tables."""

RULES = {
    "not_running_rows": "rows while no program runs: dropped",
    "duplicate_rows": "rows that repeat the one before: dropped",
    "unlabelled_rows": "rows without a time stamp or a readable block: dropped",
    "preamble_rows": "look-ahead rows before the program starts: dropped",
    "outside_program_rows": "rows before or after the program's motion: dropped",
    "uncertain_rows": "rows at an uncertain time of the program: dropped",
    "tail_rows": "rows from the end of the program on: dropped",
    "interpolated_samples": "samples in short gaps: interpolated",
    "frozen_samples": "samples of sensor nodes that froze: removed",
    "missing_samples": "samples that were missing: excluded",
}
"""Count of dataset.json -> what the rule does."""

SENSED_METRICS = {
    "aligned_acc": "block accuracy of windows, sensors' time",
    "gcode_acc": "block accuracy by row, sensors' time",
    "token_acc": "token accuracy by row, sensors' time",
}
"""Logged metric -> its title; the lag is removed from train and val labels."""
DETECTOR_TITLES = {"row count": "duration"}
"""Baseline of detection.json whose name is another one there."""
HEAD_TITLES = METRIC_TITLES | {"place": "state"}
"""Of the network's heads; `place` is the name that is stored."""

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


def group_title(name: str | None) -> str:
    """What a channel group measures; of groups without a title the name."""
    return SENSOR_GROUPS.get(name or "", name or "other channels")


SPLIT_BY = {
    "recording": "whole recordings, drawn at random",
    "chronological": "whole recordings, the last ones of each operation",
    "session": "whole sessions, held out by name",
    "program": "whole programs, held out by name",
    "window": "shuffled windows of the same recordings",
}


def logged_metric(name: str) -> str:
    """`val/operation_acc` for readers: `operation accuracy on the val split`."""
    if name not in LOGGED_METRICS:
        return name
    return f"{short_metric(name)} on the {name.partition('/')[0]} split"


def short_metric(name: str) -> str:
    """`val/operation_acc` where the split is named elsewhere: `operation accuracy`."""
    if name not in LOGGED_METRICS:
        return name
    metric = name.partition("/")[2]
    if metric in SENSED_METRICS:
        return SENSED_METRICS[metric]
    kind = "loss" if metric.endswith("loss") else "accuracy"
    head = metric.removesuffix("_acc").removesuffix("_loss")
    return kind if head == "loss" else f"{HEAD_TITLES.get(head, head)} {kind}"


INTERVAL = ("value", "low", "high")
PRIMARY_ROWS = f"rows {METRICS[PRIMARY].title}"


def interval_text(
    score: JsonContent | Estimate | Difference | FoldsDifference,
    form: str = ".1f",
    factor: float = 100.0,
    unit: str = "",
) -> str:
    """`34.8 [15.2, 55.1]`, with the unit behind the value; `-` if there is none."""
    numbers = score if isinstance(score, Mapping) else score._asdict()
    if numbers["value"] is None:
        return NOTHING
    value, low, high = (f"{factor * (numbers[key] or 0.0):{form}}" for key in INTERVAL)
    return f"{value}{unit} [{low}, {high}]"


def interval(score: JsonContent) -> str:
    """`34.8 % [15.2, 55.1]`."""
    return "nothing to measure" if score["value"] is None else interval_text(score, unit=" %")


NOTHING = "-"


def cell_text(value: Any) -> str:
    """A value in a table, `-` where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    # Whole numbers beside a missing one are floats in the table.
    return f"{int(value):,}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"


DIGITS = 6
MAX_DIGITS = 17
"""Enough to distinguish any two numbers of double precision."""


def value_key(value: Any) -> str:
    """A key by which values are compared; 16 and 16.0 are the same, as a table holds either."""
    if not is_number(value):
        return str(value)
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def value_texts(values: Sequence[Any], digits: int = DIGITS) -> list[str]:
    """Values as texts; numbers have at least these digits, or as many as distinguish them."""
    different = len(set(map(value_key, values)))
    texts: list[str] = []
    for count in range(digits, MAX_DIGITS + 1):
        texts = [f"{value:.{count}g}" if is_number(value) else str(value) for value in values]
        if len(set(texts)) == different:
            return texts
    return texts


def is_number(value: Any) -> bool:
    """Whether it is a number; booleans are not."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
