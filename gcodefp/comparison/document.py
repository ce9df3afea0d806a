"""compare.json and compare.csv: all that the tables say, and the answers that they leave out."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from gcodefp.comparison.compared import Comparison
from gcodefp.comparison.run_tables import FACTS, differing, val_metrics
from gcodefp.comparison.scored import Score
from gcodefp.comparison.sweep_tables import differing_ranges, sweep_facts

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
