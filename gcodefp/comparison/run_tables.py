"""What runs were given, how they ended and what they score, as tables of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from gcodefp.comparison.scored import Score, Scores
from gcodefp.comparison.selection import ComparedRun
from gcodefp.comparison.text_table import number, text_table
from gcodefp.evaluation.files import ANSWERS, SENSORS
from gcodefp.findings.verdict import ENOUGH_RECORDINGS
from gcodefp.findings.words import METRICS

FACTS = ("state", "best_value", "best_epoch", "epochs", "seconds", "parameters", "device")
LESS_IS_BETTER = ("_rate", "_mm")
BEYOND_CHANCE = "*"


def differing(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """Hyperparameter -> its value in each run, for those that are not the same in all."""
    given = [run.content["hyperparameters"] for run in runs]
    names = dict.fromkeys(name for of in given for name in of)
    table = {name: [of.get(name) for of in given] for name in names}
    return {name: of for name, of in table.items() if any(value != of[0] for value in of)}


def val_metrics(runs: Sequence[ComparedRun]) -> dict[str, list[float | None]]:
    """Metric of the val split -> its value at the best epoch of each run."""
    names = dict.fromkeys(name for run in runs for name in run.best if name.startswith("val/"))
    return {name: [run.best.get(name) for run in runs] for name in names}


def facts_table(runs: Sequence[ComparedRun]) -> str:
    """How the runs ended, and the hyperparameters that differ."""
    rows = [[fact, *(number(run.content.get(fact)) for run in runs)] for fact in FACTS]
    rows += [[name, *map(number, of)] for name, of in differing(runs).items()]
    return text_table([_head("run", runs), *rows])


def val_table(runs: Sequence[ComparedRun]) -> str:
    """What the training measured at each run's best epoch."""
    rows = [[name, *map(number, of)] for name, of in val_metrics(runs).items()]
    return text_table([_head("at the best epoch", runs), *rows])


def score_tables(runs: Sequence[ComparedRun], scores: Scores) -> str:
    """What is read from sensors alone, a table for each way of reading."""
    return "\n\n".join(
        text_table([_score_head(answer, runs), *_score_rows(of)])
        for answer, of in scores.items()
        if ANSWERS[answer].kind == SENSORS
    )


def _head(title: str, runs: Sequence[ComparedRun]) -> list[str]:
    return [title, *(run.name for run in runs)]


def _score_head(answer: str, runs: Sequence[ComparedRun]) -> list[str]:
    first, *others = (run.name for run in runs)
    return [answer, first, *(part for name in others for part in (name, "difference  "))]


def _score_rows(metrics: Mapping[str, Sequence[Score]]) -> list[list[str]]:
    rows = []
    for metric in METRICS:
        first, *others = metrics[metric]
        if all(score.estimate.value is None for score in (first, *others)):
            continue
        less = metric.endswith(LESS_IS_BETTER)
        unit = ", mm" if metric.endswith("_mm") else ""
        name = f"{METRICS[metric]}{unit}{' (less is better)' if less else ''}"
        cells = [part for of in others for part in (_value(of), _difference(of))]
        rows.append([name, _value(first), *cells])
    return rows


def _value(score: Score) -> str:
    value, low, high = score.estimate[:3]
    if value is None:
        return "-"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _difference(score: Score) -> str:
    assert score.difference is not None, "only the first run has none"
    value, low, high, recordings = score.difference
    if value is None or low is None or high is None:
        return "-  "
    beyond = recordings >= ENOUGH_RECORDINGS and (low > 0 or high < 0)
    mark = BEYOND_CHANCE if beyond else " "
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}] {mark}"
