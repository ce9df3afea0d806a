"""Titles of metrics, predictors, cleaning rules and sensors, and the verdict as sentences."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcodefp.evaluation.bootstrap import Difference, Estimate
from gcodefp.evaluation.metrics import METRICS, MILLIMETRES, SECONDS, SHARE
from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    LAG_ORACLE,
    MODEL,
    PREDICTORS,
    PRIVILEGED,
    SENSORS,
    UPPER_BOUND,
    WHOLE,
)
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results

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


LOWER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if not metric.higher_is_better)

MAIN_METRICS = tuple(name for name, metric in METRICS.items() if metric.main)
"""The metrics of the first table; the others are in the table of details."""

DETAIL_METRICS = tuple(name for name in METRIC_TITLES if name not in MAIN_METRICS)


class PredictorKind(NamedTuple):
    """A kind of predictors: its title, and a note on what they have as input."""

    title: str
    note: str


KINDS = {
    SENSORS: PredictorKind(
        "gcodefp, from sensors alone",
        "No true word, lag or position as input. Predicted in segments of one window, each aligned "
        "with the known programs; in whole recordings; and row by row by greedy decoding, without "
        "the programs.",
    ),
    BASELINE: PredictorKind(
        "baselines, from the same data",
        "Simple methods that the network has to beat. Pressure and temperature depend on the day, "
        "not on the motion.",
    ),
    PRIVILEGED: PredictorKind(
        "privileged baselines",
        "They are provided with the operation; elapsed time also with the program's start. They "
        "use no sensor.",
    ),
    LAG_ORACLE: PredictorKind(
        "upper bound",
        "Of exact lines by the controller's clock: the true program state is provided, the lag is "
        "not. At the sensors' time it is right by construction.",
    ),
}
"""Kind of a predictor -> its title and note, in the order of the tables."""

RULES = {
    "duplicate_rows": "rows that repeat the one before: dropped",
    "unlabelled_rows": "rows without a clock or a readable block: dropped",
    "preamble_rows": "look-ahead rows before the program starts: dropped",
    "tail_rows": "rows from the end of the program on: dropped",
    "interpolated_samples": "samples in short gaps: interpolated",
    "frozen_samples": "samples of sensor nodes that froze: removed",
    "missing_samples": "samples that were missing: excluded",
}
"""Count of dataset.json -> what the rule does."""

EXACT_LINES = {
    "aligned_acc": "exact line of windows, sensors' time",
    "gcode_acc": "exact line, row by row, sensors' time",
}
"""Logged metric -> its title; the lag is removed from train and val labels."""

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
    """`val/token_acc` for readers: `token accuracy on the val split`."""
    return f"{short_metric(name)} on the {name.partition('/')[0]} split"


def short_metric(name: str) -> str:
    """`val/token_acc` where the split is named elsewhere: `token accuracy`."""
    metric = name.partition("/")[2]
    if metric in EXACT_LINES:
        return EXACT_LINES[metric]
    kind = "loss" if metric.endswith("loss") else "accuracy"
    head = metric.removesuffix("_acc").removesuffix("_loss")
    return kind if head == "loss" else f"{METRIC_TITLES.get(head, head)} {kind}"


PRIMARY = "gcode"
"""The primary metric."""
INTERVAL = ("value", "low", "high")
MIN_RECORDINGS = 6
"""With fewer, all of them are better by chance in more than 2.5 % of cases (sign test)."""
BEATS, UNDECIDED, NOT_BETTER = "beats", "undecided", "not-better"


class Verdict(NamedTuple):
    """Whether the network beats the best baseline.

    Attributes:
        kind: BEATS if the difference to the best baseline has an interval above 0 and is of enough
            recordings, NOT_BETTER if the difference is not above 0, UNDECIDED in between.
        conclusion: a sentence without numbers.
        evidence: the numbers for it.
        context: scores of whole recordings, of the upper bound and of a lookup without sensors.
        caveat: a limitation of the verdict; may be empty.
    """

    kind: str
    conclusion: str
    evidence: str
    context: str
    caveat: str


def verdict(results: Results) -> Verdict:
    """Compares exact lines of the network with those of the best baseline."""
    scores = results.evaluation["models"]
    result = f"It gets {interval(scores[MODEL][PRIMARY])} of the G-code lines exactly right"
    tested = _tested_on(results.evaluation)
    baseline = best_baseline(scores)
    if baseline is None:
        kind = UNDECIDED
        conclusion = "There is no baseline to compare the network with."
        evidence = f"{result}, on {tested}."
    else:
        gain = difference(results, baseline)
        kind = _kind(gain, results.evaluation["recordings"])
        conclusion = {
            BEATS: f"The network beats the best baseline, {baseline}.",
            UNDECIDED: f"The network does not beat the best baseline, {baseline}, significantly: "
            "it is better here, but the difference may be chance.",
            NOT_BETTER: f"The network does not beat the best baseline, {baseline}.",
        }[kind]
        other = interval(scores[baseline][PRIMARY])
        points = interval_text(gain, "+.1f", unit=" percentage points")
        evidence = (
            f"{result}, the baseline {baseline} {other}, on {tested}. "
            f"The difference on the same rows is {points}."
        )
    if results.warnings:
        conclusion = f"No evidence of sensing, see the warnings in red. {conclusion}"
    caveat = (
        f"With fewer than {MIN_RECORDINGS} test recordings the intervals themselves are rough, and "
        "no difference is significant."
    )
    is_small = results.evaluation["recordings"] < MIN_RECORDINGS
    return Verdict(kind, conclusion, evidence, _context(scores), caveat if is_small else "")


def best_baseline(scores: JsonContent) -> str | None:
    """The baseline with the most exact lines, privileged ones excluded; ties by name."""
    baselines = [name for name in scores if PREDICTORS[name].kind == BASELINE]
    return min(baselines, key=lambda n: (-(scores[n][PRIMARY]["value"] or 0.0), n), default=None)


def interval_text(
    score: JsonContent | Estimate | Difference,
    form: str = ".1f",
    factor: float = 100.0,
    unit: str = "",
) -> str:
    """`34.8 [15.2, 55.1]`, with the unit behind the value; `-` if there is none."""
    numbers = score if isinstance(score, Mapping) else score._asdict()
    if numbers["value"] is None:
        return "-"
    value, low, high = (f"{factor * (numbers[key] or 0.0):{form}}" for key in INTERVAL)
    return f"{value}{unit} [{low}, {high}]"


def interval(score: JsonContent) -> str:
    """`34.8 % [15.2, 55.1]`."""
    return "nothing to measure" if score["value"] is None else interval_text(score, unit=" %")


def percentage(share: float) -> str:
    """`34.8 %`."""
    return f"{100 * share:.1f} %"


def difference(results: Results, baseline: str) -> Estimate:
    """Network minus baseline on the same recordings: sharper than two intervals side by side."""
    return Estimate(**results.evaluation["differences"][baseline])


def _kind(difference: Estimate, recordings: int) -> str:
    if difference.value is None or difference.low is None or difference.value <= 0:
        return NOT_BETTER
    return BEATS if difference.low > 0 and recordings >= MIN_RECORDINGS else UNDECIDED


def _tested_on(evaluation: JsonContent) -> str:
    count = f"{evaluation['rows']:,} rows of {evaluation['recordings']} recordings"
    if evaluation["leaky"]:
        return f"{count} that were also seen in training ({SPLIT_BY['window']})"
    by = evaluation["split"]["by"]
    return f"{count} never seen in training (split by {by}: {SPLIT_BY.get(by, by)})"


def _context(scores: JsonContent) -> str:
    """One sentence for each predictor that puts the result into context, if it was evaluated."""
    texts = {
        WHOLE: "In whole recordings instead of segments of one window, the network gets {}.",
        UPPER_BOUND: "The sensors lag by an unknown time in each recording: the upper bound "
        "without the lag is {}.",
        ELAPSED: "Without any sensor, a lookup by elapsed time gets {}, if it is provided with the "
        "operation and the program's start.",
    }
    return " ".join(
        text.format(percentage(scores[name][PRIMARY]["value"]))
        for name, text in texts.items()
        if name in scores and scores[name][PRIMARY]["value"] is not None
    )


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
