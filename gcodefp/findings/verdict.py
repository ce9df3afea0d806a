"""One sentence for those who read only one, made of the numbers and of nothing else."""

from typing import NamedTuple

import numpy as np

from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.files import ANSWERS, BASELINE, CEILING, ELAPSED, MODEL, WHOLE
from gcodefp.findings.results import Document, Results
from gcodefp.findings.words import SPLIT_BY

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
    baselines = [name for name in scores if ANSWERS[name].kind == BASELINE]
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
    predictions = results.predictions
    gain = predictions.right().astype(int) - predictions.right(baseline).astype(int)
    return estimate(gain, np.ones(len(gain)), predictions.recording)


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
        CEILING: "The sensors' clock is off by an unknown time in each recording: even perfect "
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
