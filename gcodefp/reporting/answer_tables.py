"""The tables of all answers: a row for each, grouped by what they are told, a column a metric."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gcodefp.evaluation.controls import not_failed
from gcodefp.evaluation.files import ANSWERS
from gcodefp.findings.results import Document
from gcodefp.findings.verdict import interval
from gcodefp.findings.words import DETAIL_METRICS, KINDS, MAIN_METRICS, METRICS

NOTHING = "-"


class Cell(NamedTuple):
    """A value, and in small print how sure it is."""

    value: str
    small: str


class Row(NamedTuple):
    """One answer and its cells."""

    name: str
    cells: list[Cell]


class Section(NamedTuple):
    """The answers of one kind, under what the kind is."""

    title: str
    note: str
    rows: list[Row]


class AnswerTable(NamedTuple):
    """`head` names the columns after the first."""

    head: list[str]
    sections: list[Section]


def main_table(models: Document) -> AnswerTable:
    """What a reader needs first."""
    return _table(models, MAIN_METRICS, with_counts=False)


def detail_table(models: Document) -> AnswerTable:
    """The rest, with how many words each number rests on."""
    return _table(models, DETAIL_METRICS, with_counts=True)


def control_summary(evaluation: Document) -> dict[str, Any] | None:
    """What the controls are called, a sentence for each that did not fail, and their numbers."""
    controls = evaluation.get("controls")
    if not controls:
        return None
    rows = [
        [of["what"], name, interval(judged["score"]), judged["limit"],
         interval(judged["limit_score"]), "fails" if judged["fails"] else "DOES NOT FAIL"]
        for of in controls
        for name, judged in of["answers"].items()
    ]  # fmt: skip
    return {
        "names": [of["what"] for of in controls],
        "not_failed": [sentence for of in controls for sentence in not_failed(of)],
        "table": {
            "head": ["control", "answer", "exact line", "may not beat", "exact line", ""],
            "rows": rows,
        },
    }


def _table(models: Document, metrics: Sequence[str], with_counts: bool) -> AnswerTable:
    sections = []
    for kind, group in KINDS.items():
        names = [name for name in ANSWERS if name in models and ANSWERS[name].kind == kind]
        rows = [Row(n, [_cell(m, models[n][m], with_counts) for m in metrics]) for n in names]
        if rows:
            sections.append(Section(group.title, "" if with_counts else group.note, rows))
    return AnswerTable([_title(metric) for metric in metrics], sections)


def _title(metric: str) -> str:
    return f"{METRICS[metric]}, mm" if metric.endswith("_mm") else METRICS[metric]


def _cell(metric: str, score: dict[str, Any], with_counts: bool) -> Cell:
    if score["value"] is None:
        return Cell(NOTHING, "")
    if metric.endswith("_mm"):
        value, low, high = (f"{score[key]:.2f}" for key in ("value", "low", "high"))
    else:
        value, low, high = (f"{100 * score[key]:.1f}" for key in ("value", "low", "high"))
        value += " %"
    count = f", n={score['n']:,}" if with_counts else ""
    return Cell(value, f"[{low}, {high}]{count}")
