"""How figures and report call things that files call by short names."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gcodefp.evaluation.bootstrap import Estimate
from gcodefp.evaluation.metrics import METRICS as REGISTRY
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
from gcodefp.reporting.results import Document, Results

METRICS = {name: metric.title for name, metric in REGISTRY.items()}
"""Metric of metrics.json -> its name for readers."""

MAIN_METRICS = tuple(name for name, metric in REGISTRY.items() if metric.main)
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
    PRIVILEGED: Group(
        "told what no sensor says",
        "They know the operation; elapsed time also when the program started. No sensor is read.",
    ),
    LAG_ORACLE: Group(
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


METRIC = "gcode"
ENOUGH_RECORDINGS = 6
"""Of fewer, all may be better by chance more often than in 2.5 % of cases (sign test)."""
BEATS, UNDECIDED, FAILS = "beats", "undecided", "fails"


class Verdict(NamedTuple):
    """What the evaluation says.

    Attributes:
        kind: BEATS if the difference to the best baseline has an interval above 0 and is of enough
            recordings, FAILS if the difference is not above 0, UNDECIDED in between.
        headline: the answer in few words.
        sentence: the numbers that it rests on.
        context: what the same network and other readers reach, told more or less; a few sentences.
        caveat: what else has to be known; may be empty.
    """

    kind: str
    headline: str
    sentence: str
    context: str
    caveat: str


def verdict(results: Results) -> Verdict:
    """Compares exact lines of the network with those of the best baseline."""
    scores = results.evaluation["models"]
    wrote = f"It gets {interval(scores[MODEL][METRIC])} of the G-code lines exactly right"
    tested = _tested_on(results.evaluation)
    baseline = best_baseline(scores)
    if baseline is None:
        kind = UNDECIDED
        headline = "There is no baseline to compare the network with."
        sentence = f"{wrote}, on {tested}."
    else:
        gain = difference(results, baseline)
        kind = _kind(gain, results.evaluation["recordings"])
        headline = {
            BEATS: f"The network beats the best baseline, {baseline}.",
            UNDECIDED: f"The network does not beat the best baseline, {baseline}, beyond doubt: "
            "it is better here, but the difference may be chance.",
            FAILS: f"The network does not beat the best baseline, {baseline}.",
        }[kind]
        sentence = (
            f"{wrote}, the baseline {baseline} {interval(scores[baseline][METRIC])}, on {tested}. "
            f"The difference on the same rows is {_points(gain)}."
        )
    if results.marks:
        headline = f"No evidence of sensing, see the red marks. {headline}"
    return Verdict(kind, headline, sentence, _context(scores), _caveat(results))


def best_baseline(scores: Document) -> str | None:
    """The baseline that is told nothing and has the most exact lines; ties by name."""
    baselines = [name for name in scores if PREDICTORS[name].kind == BASELINE]
    return min(baselines, key=lambda n: (-(scores[n][METRIC]["value"] or 0.0), n), default=None)


def interval(score: Document) -> str:
    """`34.8 % [15.2, 55.1]`."""
    if score["value"] is None:
        return "nothing to measure"
    low, high = (100 * score[key] for key in ("low", "high"))
    return f"{percentage(score['value'])} [{low:.1f}, {high:.1f}]"


def percentage(share: float) -> str:
    """`34.8 %`."""
    return f"{100 * share:.1f} %"


def difference(results: Results, baseline: str) -> Estimate:
    """Network minus baseline on the same recordings: sharper than two intervals side by side."""
    return Estimate(**results.evaluation["differences"][baseline])


def _kind(difference: Estimate, recordings: int) -> str:
    if difference.value is None or difference.low is None or difference.value <= 0:
        return FAILS
    return BEATS if difference.low > 0 and recordings >= ENOUGH_RECORDINGS else UNDECIDED


def _points(difference: Estimate) -> str:
    value, low, high = (100 * (d or 0.0) for d in difference[:3])
    return f"{value:+.1f} percentage points [{low:+.1f}, {high:+.1f}]"


def _tested_on(evaluation: Document) -> str:
    count = f"{evaluation['rows']:,} rows of {evaluation['recordings']} recordings"
    if evaluation["leaky"]:
        return f"{count} that were also seen in training ({SPLIT_BY['window']})"
    by = evaluation["split"]["by"]
    return f"{count} never seen in training (split by {by}: {SPLIT_BY.get(by, by)})"


def _context(scores: Document) -> str:
    """One sentence for each answer that puts the number above into its place, if it is there."""
    texts = {
        WHOLE: "Read as one whole recording instead of short stretches, the network gets {}.",
        UPPER_BOUND: "The sensors' clock is off by an unknown time in each recording: even perfect "
        "sensing would get {} without knowing it.",
        ELAPSED: "Without any sensor, a lookup by elapsed time gets {}, if it is told the "
        "operation and when the program started.",
    }
    there = {name: scores[name][METRIC] for name in texts if name in scores}
    return " ".join(
        texts[name].format(percentage(score["value"]))
        for name, score in there.items()
        if score["value"] is not None
    )


def _caveat(results: Results) -> str:
    if results.evaluation["recordings"] < ENOUGH_RECORDINGS:
        return (
            f"With fewer than {ENOUGH_RECORDINGS} test recordings the intervals themselves are "
            "rough, and no difference is beyond doubt."
        )
    return ""


DIGITS = 6
MOST_DIGITS = 17
"""So many tell any two numbers of double precision apart."""


def value_key(value: Any) -> str:
    """What tells a value from others; 16 and 16.0 are the same, as a table holds either."""
    if not is_number(value):
        return str(value)
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def value_texts(values: Sequence[Any], digits: int = DIGITS) -> list[str]:
    """For readers: numbers of so many digits, or of as many as it takes to tell them apart."""
    different = len(set(map(value_key, values)))
    texts: list[str] = []
    for count in range(digits, MOST_DIGITS + 1):
        texts = [f"{of:.{count}g}" if is_number(of) else str(of) for of in values]
        if len(set(texts)) == different:
            return texts
    return texts


def is_number(value: Any) -> bool:
    """Whether it is one; True and False are none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
