"""What may be concluded, as sentences: the numbers of one fold, and the conclusion from several.

A fold is one division of the recordings into train, val and test. One fold supports no conclusion:
its intervals are over its recordings, with one training.
"""

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from gcodefp.evaluation.metrics import METRICS
from gcodefp.evaluation.names import (
    MODEL,
    NETWORK_ALONE,
    NETWORK_AND_TEMPLATES,
    PRIMARY,
    TEMPLATES_ALONE,
    WHOLE,
    compared_baselines,
)
from gcodefp.evaluation.significance import (
    BEATS,
    MIN_FOLDS,
    MIN_RECORDINGS,
    NOT_BETTER,
    UNDECIDED,
    FoldValues,
    decide,
    difference_over_folds,
    reversed_folds,
    side_of_zero,
    significant_sign,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent
from gcodefp.reporting.wording import PRIMARY_ROWS, SPLIT_BY, interval, interval_text
from gcodefp.terminal import plural

GCODEFP_TITLES = {MODEL: "windows", WHOLE: "whole recordings"}
"""Predictor of GCODEFP -> what it decodes."""
ONE_FOLD_NOTE = (
    "One fold (one division of the recordings into train, val and test) supports no conclusion: {} "
    "repeats division and training, and supports one."
)
DECODED = {
    NETWORK_ALONE: "The network alone decodes: templates of the programs did not help on val.",
    TEMPLATES_ALONE: "Templates of the programs alone decode: no gain from the network on val.",
    NETWORK_AND_TEMPLATES: "The network and templates of the programs decode together; "
    "val chose their emission weights.",
}
ONE_CHOICE = (
    "The hyperparameters were chosen once, on the val split of the pipeline's own dataset, whose "
    "recordings are also in these folds."
)


class OneFold(NamedTuple):
    """What one fold shows.

    Attributes:
        answers: question -> a short sentence.
        conclusion: that one fold supports none.
        evidence: the best baselines, and what decodes.
        tested_on: how many rows and recordings, and whether they are new.
    """

    answers: dict[str, str]
    conclusion: str
    evidence: str
    tested_on: str


def one_fold(results: Results) -> OneFold:
    """The numbers of the pipeline's own test split, as sentences."""
    scores, sentences = results.evaluation["models"], []
    for name, title in GCODEFP_TITLES.items():
        if baseline := best_baseline(scores, name):
            gain = results.evaluation["differences"][name][baseline]
            points = interval_text(gain, "+.1f", unit=" percentage points")
            sentences.append(
                f"The best baseline for {title} is {baseline} with "
                f"{interval(scores[baseline][PRIMARY])} {METRICS[PRIMARY].title}; the difference "
                f"is {points}."
            )
    evidence = " ".join([*sentences, DECODED[results.evaluation["decoder"]["emissions"]]])
    no_evidence = "No evidence that the sensors suffice, see the warnings in red. "
    tested_on = _tested_on(results.evaluation)
    one_fold_note = ONE_FOLD_NOTE.format(results.protocols_command)
    conclusion = (no_evidence if results.warnings else "") + one_fold_note
    return OneFold(_answers(results), conclusion, evidence, tested_on)


def _answers(results: Results) -> dict[str, str]:
    """Which program, where in it, what was executed, and its caveats."""
    evaluation, rows = results.evaluation, results.dataset["window"]["rows"]
    windows, whole = (evaluation["models"][name] for name in GCODEFP_TITLES)
    count, program = evaluation["recordings"], whole["program"]
    recordings = plural(count, "test recording")
    correct = f"{interval(program)} of the time in {recordings}"
    if program["value"] == 1:
        correct = f"{count} of {recordings}"
    seconds = rows * results.dataset["programs"]["step_seconds"]
    caveats = [f"{recordings} of one fold and one training; others may give other numbers"]
    if count < MIN_RECORDINGS:
        caveats.append(f"with fewer than {MIN_RECORDINGS} the intervals themselves are rough")
    caveats += _not_better(results)
    if doubtful := len(evaluation["doubtful_lags"]):
        caveats.append(f"the lag, and so the true time, is doubtful in {doubtful}")
    return {
        "Which program": f"Correct in {correct}.",
        "Where in it": f"{METRICS[PRIMARY].title.capitalize()} in {interval(windows[PRIMARY])} of "
        f"the time from windows of {seconds:.3g} s ({rows} rows), and in "
        f"{interval(whole[PRIMARY])} with whole recordings. Windows overlap: each row is decoded "
        "once, from the window whose centre is nearest to it. (The scores by window length "
        "below are of the row at each window's centre.)",
        "What was executed": f"{METRICS['gcode_error_rate'].title.capitalize()} "
        f"{interval(whole['gcode_error_rate'])}, {METRICS['segment_f1'].title} "
        f"{interval(whole['segment_f1'])}, with whole recordings.",
        "Caveats": f"{'; '.join(caveats)}.",
    }


def _not_better(results: Results) -> Iterator[str]:
    """What is not better than its best baseline, beyond the interval of this fold."""
    for name, title in GCODEFP_TITLES.items():
        if baseline := best_baseline(results.evaluation["models"], name):
            gain = results.evaluation["differences"][name][baseline]
            recordings = results.evaluation["recordings"]
            side = significant_sign({**gain, "recordings": recordings})
            if side <= 0:
                points = interval_text(gain, "+.1f", unit=" percentage points")
                text = "worse than" if side else "not shown to be better than"
                few = f"; fewer than {MIN_RECORDINGS} recordings" * (recordings < MIN_RECORDINGS)
                yield f"with {title} gcodefp is {text} {baseline} ({points}{few})"


def best_baseline(scores: JsonContent, name: str = MODEL) -> str | None:
    """The baseline with the best PRIMARY, for a predictor of GCODEFP; None: none has it.

    Ties by name.

    Args:
        scores: predictor -> metric -> estimate.
        name: the predictor, one of GCODEFP.
    """
    names = compared_baselines(name, scores)
    values = {baseline: scores[baseline][PRIMARY]["value"] for baseline in names}
    having = {baseline: value for baseline, value in values.items() if value is not None}
    return min(having, key=lambda baseline: (-having[baseline], baseline), default=None)


def _tested_on(evaluation: JsonContent) -> str:
    count = f"{evaluation['rows']:,} rows of {evaluation['recordings']} recordings"
    if evaluation["leaky"]:
        return f"{count} that were also seen in training ({SPLIT_BY['window']})"
    by = evaluation["split"]["by"]
    return f"{count} never seen in training (split by {by}: {SPLIT_BY.get(by, by)})"


def conclude(
    name: str, baseline: str | None, folds: Sequence[FoldValues], problems: Sequence[str]
) -> dict[str, Any]:
    """The conclusion on a predictor of GCODEFP, from folds by recording, each trained anew.

    Args:
        baseline: the best one; None if none has PRIMARY, and then there are no folds.
        problems: why the folds are no evidence that the sensors suffice.
    """
    gain = difference_over_folds(folds)
    entry: dict[str, Any] = {
        "kind": UNDECIDED if problems else decide(folds),
        "baseline": baseline,
        "difference": gain._asdict(),
        "folds": [{**fold._asdict(), "difference": fold.difference} for fold in folds],
        "evidence": ONE_CHOICE,
    }
    best = f"the best baseline, {baseline}"
    if baseline is None:
        conclusion = "there is no conclusion: no baseline predicts the time in the program"
    elif problems:
        conclusion = f"there is no conclusion: {' and '.join(problems)}"
    elif len(folds) < MIN_FOLDS:
        conclusion = (
            f"there is no conclusion on {best}: it takes {MIN_FOLDS} folds by recording or more "
            f"(protocols.seeds), and these are {len(folds)}"
        )
    elif entry["kind"] == BEATS:
        conclusion = f"gcodefp beats {best}, on new recordings and in new trainings"
    else:
        conclusion = f"gcodefp does not beat {best}: {_reason(folds, entry['kind'])}"
    if baseline is not None:
        own, other = (
            f"{100 * fmean(getattr(fold, side) for fold in folds):.1f} %"
            for side in ("pipeline", "baseline")
        )
        points = f"{100 * (gain.value or 0.0):+.1f} percentage points"
        if gain.low is not None:
            points = interval_text(gain, "+.1f", unit=" percentage points")
        each = ", ".join(f"{100 * fold.difference:+.1f} (seed {fold.seed})" for fold in folds)
        count = f"means over {len(folds)} folds" if len(folds) > 1 else "of one fold"
        entry["evidence"] = (
            f"{PRIMARY_ROWS.capitalize()}: gcodefp {own}, baseline {other}, {count} by recording, "
            f"each with a training of its own. The difference is {points}; fold by fold {each}. "
            f"{ONE_CHOICE}"
        )
    return entry | {"conclusion": f"From {GCODEFP_TITLES[name]} {conclusion}."}


def _reason(folds: Sequence[FoldValues], kind: str) -> str:
    """Why gcodefp is not shown to be better."""
    gain = difference_over_folds(folds)
    side = side_of_zero(gain.low, gain.high)
    against = reversed_folds(folds)
    if kind == NOT_BETTER:
        return "it is worse" if side and not against else "on average it is not better"
    reasons = [] if side else ["the interval contains 0"]
    if against:
        seeds = ", ".join(str(fold.seed) for fold in against)
        reasons.append(f"the sign is reversed in the fold of seed {seeds}")
    return f"it is better on average, but {' and '.join(reasons)}"
