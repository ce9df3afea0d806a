"""The tables of all answers: a row for each, grouped by what they are told, a column a metric."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gcodefp.errors import UserError
from gcodefp.evaluation.controls import not_failed
from gcodefp.evaluation.names import PREDICTORS
from gcodefp.reporting.executed_paths import Toolpath
from gcodefp.reporting.protocols_table import (
    NOTE,
    PROTOCOLS_REBUILD,
    Line,
    ProtocolTable,
    cells,
    head,
    read_protocols,
    warnings,
)
from gcodefp.reporting.results import Document, Results
from gcodefp.reporting.sweep_data import run_columns
from gcodefp.reporting.sweep_runs import (
    WorkInterval,
    process_spans,
    repeated_epochs,
    work_intervals,
)
from gcodefp.reporting.wording import DETAIL_METRICS, KINDS, MAIN_METRICS, METRICS, RULES, interval
from gcodefp.sweeps.ranking import FACTS

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


class MetricTable(NamedTuple):
    """`head` names the columns after the first."""

    head: list[str]
    sections: list[Section]


def main_table(models: Document) -> MetricTable:
    """What a reader needs first."""
    return _table(models, MAIN_METRICS, with_counts=False)


def detail_table(models: Document) -> MetricTable:
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


def _table(models: Document, metrics: Sequence[str], with_counts: bool) -> MetricTable:
    sections = []
    for kind, group in KINDS.items():
        names = [name for name in PREDICTORS if name in models and PREDICTORS[name].kind == kind]
        rows = [Row(n, [_cell(m, models[n][m], with_counts) for m in metrics]) for n in names]
        if rows:
            sections.append(Section(group.title, "" if with_counts else group.note, rows))
    return MetricTable([_title(metric) for metric in metrics], sections)


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


Table = dict[str, list[Any]]
"""`head`: names of the columns; `rows`: lists of cells."""


def sample_table(path: Toolpath) -> list[tuple[str, str, str, int, bool]]:
    """Second, true and read block, rows and whether it is right, for each stretch of rows."""
    rows = zip(path.seconds, path.true_blocks, path.predicted_blocks, strict=True)
    segments = [list(same) for _, same in groupby(rows, key=lambda row: row[1:])]
    return [
        (f"{s[0][0]:.1f}", str(s[0][1]), str(s[0][2]), len(s), bool(s[0][1] == s[0][2]))
        for s in segments
    ]


def winner_tables(results: Results) -> dict[str, Table]:
    """Hyperparameter, the winner's value, and what the sweep drew it from; `others` are fixed."""
    tables: dict[str, Table] = {
        key: {"head": ["hyperparameter", "value", "from"], "rows": []}
        for key in ("searched", "others")
    }
    for name, value in results.winner["hyperparameters"].items():
        drawn = results.searched.get(name)
        is_fixed = drawn is None or drawn["distribution"] == "constant"
        row = [name, _tables_cell(value), _searched(drawn)]
        tables["others" if is_fixed else "searched"]["rows"].append(row)
    return tables


def _searched(parameter: Document | None) -> str:
    if parameter is None:
        return "default"
    if parameter["distribution"] == "constant":
        return "fixed by the sweep"
    rest = {key: value for key, value in parameter.items() if key != "distribution"}
    if "values" in rest:
        return "one of " + ", ".join(_tables_cell(value) for value in rest["values"])
    if "min" in rest:
        step = f", step {_tables_cell(rest['q'])}" if "q" in rest else ""
        low, high = _tables_cell(rest["min"]), _tables_cell(rest["max"])
        return f"{parameter['distribution']} {low} to {high}{step}"
    return f"{parameter['distribution']} " + ", ".join(
        f"{k} {_tables_cell(v)}" for k, v in rest.items()
    )


def runs_table(results: Results) -> Table:
    """All runs, winner first; columns and rows are those of `sweep_data`."""
    names = run_columns(results)
    rows = [[_tables_cell(value) for value in row] for row in results.runs[names].to_numpy(object)]
    return {"head": [name.replace("_", " ") if name in FACTS else name for name in names],
            "rows": rows}  # fmt: skip


def _tables_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    # Whole numbers that stand beside a missing one are floats in the table.
    return f"{int(value):,}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"


def split_table(dataset: Document) -> list[dict[str, Any]]:
    """Each split with its counts and the names of its recordings."""
    return [
        {"name": name, "count": len(split["recordings"]), **split}
        for name, split in dataset["splits"].items()
    ]


def cleaning_table(dataset: Document) -> list[tuple[str, str, int]]:
    """What each rule does, how much it touched, and in how many recordings."""
    recordings = dataset["recordings"].values()
    return [
        (
            text,
            f"{dataset['counts'].get(rule, 0):,}",
            sum(recording.get(rule, 0) > 0 for recording in recordings),
        )
        for rule, text in RULES.items()
    ]


UNKNOWN = "not told"
"""The device of a run that failed before it had one."""


class Part(NamedTuple):
    """Some of the runs: how many, the epochs they trained, and the seconds that this took."""

    name: str
    runs: int
    epochs: int
    seconds: float


class Process(NamedTuple):
    """One process that trained.

    Attributes:
        runs: how many it began or went on with.
        epochs: how many it trained to their end.
        seconds: from its first note to its last one.
        trained_seconds: those of them that passed in epochs which it trained to their end.
    """

    host: str
    pid: int
    runs: int
    epochs: int
    seconds: float
    trained_seconds: float


class Spending(NamedTuple):
    """The cost of all runs.

    Attributes:
        states, devices: the same runs, by how they ended and by what they were trained on.
        repeats: those of the best configurations with other seeds; None if there are none.
        processes: in the order in which they began; empty for runs trained elsewhere.
        span_seconds: from the first line of any process to the last one; None without any.
        trained_twice: epochs that were trained though the run had had them.
    """

    total: Part
    states: list[Part]
    devices: list[Part]
    repeats: Part | None
    processes: list[Process]
    span_seconds: float | None
    trained_twice: int


def spending(results: Results) -> Spending:
    """Adds up runs and the work on them."""
    runs = results.runs
    names = [name for group in results.winner["seeds"] for name in group["runs"]]
    intervals = work_intervals(results.work)
    known = results.work["utc_seconds"]
    return Spending(
        total=_part("all", runs),
        states=_parts(runs, runs["state"]),
        devices=_parts(runs, runs["device"].fillna(UNKNOWN)),
        repeats=_part("repeats", runs[runs["run"].isin(names)]) if names else None,
        processes=_processes(intervals),
        span_seconds=float(known.max() - known.min()) if len(known) else None,
        trained_twice=repeated_epochs(intervals),
    )


def _parts(runs: pd.DataFrame, names: pd.Series) -> list[Part]:
    return [_part(str(name), runs[names == name]) for name in names.unique()]


def _part(name: str, runs: pd.DataFrame) -> Part:
    # A run that failed early has no epochs and no seconds in the table.
    return Part(name, len(runs), int(runs["epochs"].sum()), float(runs["seconds"].sum()))


def _processes(intervals: Sequence[WorkInterval]) -> list[Process]:
    """By their first entry; an interval ends with a whole epoch, so all of it was training."""
    processes = []
    for (host, pid), (begin, end) in process_spans(intervals).items():
        own = [interval for interval in intervals if interval.process == (host, pid)]
        processes.append(
            Process(
                host=host,
                pid=pid,
                runs=len({interval.run for interval in own}),
                epochs=sum(interval.last_epoch - interval.first_epoch for interval in own),
                seconds=end - begin,
                trained_seconds=sum(interval.end - interval.begin for interval in own),
            )
        )
    return processes


PROCESS_HEAD = [
    "host", "process", "runs", "epochs", "at work", "of it in epochs", "of the span",
]  # fmt: skip


def cost_tables(results: Results) -> dict[str, Any]:
    """`total` in one sentence, `winner`, and tables of runs by state and device, of processes."""
    spent = spending(results)
    return {
        "total": _total(spent),
        "winner": _winner(results.winner),
        "parts": {"head": ["", "runs", "epochs", "trained"], "rows": _cost_tables_parts(spent)},
        "processes": {
            "head": PROCESS_HEAD,
            "rows": [_process(of, spent.span_seconds) for of in spent.processes],
        },
        "trained_twice": spent.trained_twice,
    }


def duration(seconds: float) -> str:
    """`7 h 05 min`, `12 min 03 s`, `9.5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def _total(spent: Spending) -> str:
    total = spent.total
    text = f"{total.runs:,} runs, {total.epochs:,} epochs, {duration(total.seconds)} of training"
    if spent.span_seconds is None:
        return f"{text}. Who trained them and when is not in the files."
    count = len(spent.processes)
    return (
        f"{text}, by {count} {'process' if count == 1 else 'processes'} within "
        f"{duration(spent.span_seconds)}."
    )


def _winner(winner: Document) -> dict[str, str]:
    """A run that another program trained on the W&B service need not tell all of it."""
    parameters, seconds = winner["parameters"], winner["seconds"]
    return {
        "parameters": "-" if parameters is None else f"{parameters:,}",
        "seconds": "-" if seconds is None else f"{seconds:.0f}",
        "device": winner["device"] or "-",
    }


def _cost_tables_parts(spent: Spending) -> list[list[str]]:
    named = [(of.name, of) for of in spent.states]
    named += [(f"device {of.name}", of) for of in spent.devices]
    if spent.repeats:
        named.append(("repeats with other seeds", spent.repeats))
    return [_cost_tables_part(name, of) for name, of in named]


def _cost_tables_part(name: str, of: Part) -> list[str]:
    return [name, f"{of.runs:,}", f"{of.epochs:,}", duration(of.seconds)]


def _process(of: Process, span_seconds: float | None) -> list[str]:
    return [
        of.host, str(of.pid), f"{of.runs:,}", f"{of.epochs:,}", duration(of.seconds),
        _share(of.trained_seconds, of.seconds), _share(of.trained_seconds, span_seconds),
    ]  # fmt: skip


def _share(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


NONE, UNREADABLE, SHOWN = "none", "unreadable", "shown"


class ProtocolRow(NamedTuple):
    """One protocol; `warnings` say why it is no evidence of sensing."""

    name: str
    warnings: list[str]
    cells: list[Cell]


class ProtocolSection(NamedTuple):
    """What the page shows.

    Attributes:
        state: NONE, UNREADABLE or SHOWN; only the last one has rows.
        others: in what the table's winner is another one, sweeps or hyperparameters, as phrases.
        rebuild: the command that makes the table.
    """

    state: str
    rebuild: str
    head: list[str]
    rows: list[ProtocolRow]
    left_out: list[str]
    others: list[str]
    note: str
    provenance: Mapping[str, Any] | None


def protocol_section(results: Results, path: Path | None) -> ProtocolSection:
    """Reads protocols.json for the page, which is made whether or not it can be read."""
    if path is None or not path.is_file():
        return _without_table(NONE)
    try:
        table = read_protocols(path)
    except UserError:
        return _without_table(UNREADABLE)
    return ProtocolSection(
        SHOWN,
        PROTOCOLS_REBUILD,
        head(),
        [_row(line) for line in table.lines],
        table.left_out,
        _others(table, results.winner),
        NOTE,
        table.provenance,
    )


def _row(line: Line) -> ProtocolRow:
    name, *others = cells(line)
    parts = (text.partition(" [") for text in others)
    return ProtocolRow(
        name,
        warnings(line),
        [Cell(value, f"[{rest}" if rest else "") for value, _, rest in parts],
    )


def _without_table(state: str) -> ProtocolSection:
    return ProtocolSection(state, PROTOCOLS_REBUILD, [], [], [], [], NOTE, None)


def _others(table: ProtocolTable, winner: Mapping[str, Any]) -> list[str]:
    theirs, own = table.hyperparameters, winner["hyperparameters"]
    sweeps = [f"sweep {', '.join(of)}" for of in (table.sweeps, winner["sweeps"])]
    # A sweep's id is of data and training code too, with which the same values mean another run.
    found = [] if sweeps[0] == sweeps[1] else [f"{sweeps[0]} (the winner's: {sweeps[1]})"]
    return found + [
        f"{name} {theirs.get(name, 'not set')} (the winner's: {own.get(name, 'not set')})"
        for name in sorted({*theirs, *own})
        if theirs.get(name) != own.get(name)
    ]
