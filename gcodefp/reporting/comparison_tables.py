"""Runs side by side, with all that was found out about them."""

import csv
import io
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from gcodefp.evaluation.names import PREDICTORS, SENSORS
from gcodefp.model.hyperparameters import Objective
from gcodefp.reporting.comparison import ComparedRun, ComparedSweep, Score, Scores
from gcodefp.reporting.wording import ENOUGH_RECORDINGS, METRICS
from gcodefp.sweeps.run_folder import COUNTED, WINS
from gcodefp.sweeps.values import leaf


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned lines; the first column is aligned to the left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def number(value: object) -> str:
    """A value for a table; `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
        if PREDICTORS[answer].kind == SENSORS
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


UNKNOWN = "?"


def sweep_facts(sweep: ComparedSweep) -> dict[str, Any]:
    """Numbers of one sweep, best and median over the runs that have a value."""
    states = [run.content["state"] for run in sweep.runs]
    values = [run.content["best_value"] for run in sweep.runs if run.content["state"] in COUNTED]
    return {
        "method": sweep.file.specification.method if sweep.file else None,
        "runs_wanted": sweep.file.total if sweep.file else None,
        "runs_over": len(states),
        "finished": states.count(WINS),
        "stopped": states.count("stopped"),
        "failed": states.count("failed"),
        "best_run": sweep.runs[0].folder.path.name,
        "best": sweep.runs[0].content["best_value"],
        "median": median(values),
    }


def differing_ranges(sweeps: Sequence[ComparedSweep]) -> dict[str, list[str]]:
    """Hyperparameter -> what each sweep draws it from, for those that are not drawn the same."""
    # What was tried cannot be set beside what was searched: it names constants and defaults too.
    known = all(sweep.file for sweep in sweeps)
    ranges = [_searched(sweep) if known else _tried(sweep) for sweep in sweeps]
    names = sorted({name for of in ranges for name in of})
    table = {name: [of.get(name, "default") for of in ranges] for name in names}
    return {name: of for name, of in table.items() if any(text != of[0] for text in of)}


def sweeps_table(sweeps: Sequence[ComparedSweep]) -> str:
    """One column a sweep."""
    facts = [sweep_facts(sweep) for sweep in sweeps]
    rows = []
    for name in facts[0]:
        values = (of[name] for of in facts)
        told = [UNKNOWN if value is None else number(value) for value in values]
        rows.append([name.replace("_", " "), *told])
    rows += [[name, *of] for name, of in differing_ranges(sweeps).items()]
    return text_table([["sweep", *(sweep.folder.name for sweep in sweeps)], *rows])


def _searched(sweep: ComparedSweep) -> dict[str, str]:
    assert sweep.file is not None, "the caller looks"
    parameters = sweep.file.specification.parameters
    return {leaf(path): _range(of.describe()) for path, of in parameters.items()}


def _range(entry: Mapping[str, Any]) -> str:
    """`log_uniform_values, min 0.001, max 0.1`, or the values."""
    if "values" in entry:
        return ", ".join(map(number, entry["values"]))
    arguments = (f"{k} {number(v)}" for k, v in entry.items() if k != "distribution")
    return ", ".join([entry["distribution"], *arguments])


def _tried(sweep: ComparedSweep) -> dict[str, str]:
    """What the runs were given, where the sweep.json of a sweep is gone."""
    counted = [run.content for run in sweep.runs if run.content["state"] in COUNTED]
    given = [content["hyperparameters"] for content in counted]
    return {name: _span([of[name] for of in given if name in of]) for name in given[0]}


def _span(values: Sequence[Any]) -> str:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return number(distinct[0])
    if all(isinstance(value, int | float) for value in distinct):
        return f"{number(min(distinct))} to {number(max(distinct))} tried"
    return f"{', '.join(sorted(map(str, distinct)))} tried"


class Comparison(NamedTuple):
    """What is shown and written.

    Attributes:
        sweeps: those that the runs are the best of; none if runs were named.
        objective: what the runs were ranked by.
        split: the scored one, val or test.
        notes: what has to be said wherever numbers are shown.
    """

    runs: Sequence[ComparedRun]
    sweeps: Sequence[ComparedSweep]
    objective: Objective
    split: str
    scores: Scores
    notes: Sequence[str]


def paragraphs(comparison: Comparison) -> list[str]:
    """What the terminal shows; the notes come last, where they are seen."""
    runs, sweeps = comparison.runs, comparison.sweeps
    parts = [sweeps_table(sweeps), "The best finished run of each:"] if sweeps else []
    parts += [facts_table(runs), val_table(runs), _how_scored(comparison)]
    return [*parts, score_tables(runs, comparison.scores), *comparison.notes]


def _how_scored(comparison: Comparison) -> str:
    first = next(iter(comparison.scores.values()))["gcode"][0].estimate
    told = [
        f"Scored on the {comparison.split} split, {first.recordings} recordings, {first.n} rows, "
        "by what the controller reports, its clock unknown.",
        "In brackets 95 % intervals over recordings; differences are to the first run, paired "
        f"({BEYOND_CHANCE}: without 0).",
    ]
    if first.recordings < ENOUGH_RECORDINGS:
        told.append(f"Of fewer than {ENOUGH_RECORDINGS} recordings no difference is beyond doubt.")
    if comparison.split == "val":
        told.append(
            f"The val/... above are with the clock known. {comparison.objective.metric} chose the "
            "best epochs, so it flatters them, and so do, a little, the numbers below."
        )
    return "\n".join(told)


COMPARISON_FORMAT = "gcodefp-comparison-1"


def describe_comparison(of: Comparison) -> dict[str, Any]:
    """What compare.json says; lists have an entry for each run, or sweep, in their order."""
    return {
        "notes": list(of.notes),
        "metric": of.objective.metric,
        "goal": of.objective.goal,
        "split": of.split,
        "sweeps": [{"sweep": s.folder.name, **sweep_facts(s)} for s in of.sweeps],
        "ranges": differing_ranges(of.sweeps) if of.sweeps else {},
        "runs": [{"run": r.name, **{fact: r.content.get(fact) for fact in FACTS}} for r in of.runs],
        "hyperparameters": differing(of.runs),
        "at_best_epoch": val_metrics(of.runs),
        "scores": {answer: _each(metrics) for answer, metrics in of.scores.items()},
    }


def _each(metrics: Mapping[str, Sequence[Score]]) -> dict[str, list[dict[str, Any]]]:
    return {metric: [_described(score) for score in of] for metric, of in metrics.items()}


def _described(score: Score) -> dict[str, Any]:
    difference = score.difference._asdict() if score.difference else None
    return {**score.estimate._asdict(), "difference": difference}


def scores_csv(comparison: Comparison) -> str:
    """One line for each metric of each answer of each run, differences to the first run beside."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["value", "low", "high", "difference", "difference_low", "difference_high"]
    writer.writerow(["answer", "metric", "run", *columns])
    for answer, metrics in comparison.scores.items():
        for metric, of in metrics.items():
            for run, score in zip(comparison.runs, of, strict=True):
                difference = score.difference[:3] if score.difference else (None, None, None)
                writer.writerow([answer, metric, run.name, *score.estimate[:3], *difference])
    return text.getvalue()
