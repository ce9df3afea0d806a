"""Several evaluations, one for each fold of each protocol, collected into one row a protocol."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gcodefp.documents import Count, Document, Finite, Provenance, read_document
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.documents import with_keys
from gcodefp.evaluation.names import BASELINE, ELAPSED, MODEL, PREDICTORS, UPPER_BOUND, WHOLE
from gcodefp.reporting.predictions import read_predictions
from gcodefp.reporting.results import read_result
from gcodefp.reporting.wording import (
    INTERVAL,
    METRIC_TITLES,
    SPLIT_BY,
    interval_text,
    unit_format,
)

PROTOCOLS_FORMAT = "gcodefp-protocols-2"
PROTOCOLS_REBUILD = "snakemake --cores all protocols"
Protocol = Literal["recording", "chronological", "session", "program", "window"]
PROTOCOLS = get_args(Protocol)
"""In the order of the table: the primary one first, the leaky one last."""
MEASURED = ("token", "gcode_error_rate", "position_error_mm")
"""Metrics of MODEL and WHOLE, besides exact lines."""
SHORT = {MODEL: "windows", WHOLE: "whole recordings"}
NOTE = """\
Exact lines are pooled over all folds; their 95 % intervals are from a bootstrap over recordings, in
which a recording that is tested in several folds is drawn as one. Other metrics are the mean of the
folds with the lowest and the highest one, or of a single fold its bootstrap interval. The
hyperparameters are the winner's, chosen once on the val split of the pipeline's own dataset, whose
recordings are also in these splits; weights, scale, vocabulary and programs are of each fold's own
train split."""

Interval = dict[str, float | None]
"""`value`, `low` and `high`; all None if there is nothing to measure."""


class _Interval(Document):
    value: Finite | None
    low: Finite | None
    high: Finite | None


class _Row(Document):
    protocol: Protocol
    leaky: bool
    controller_is_input: bool
    folds: Count
    recordings: list[str]
    exact: Annotated[dict[str, _Interval], with_keys([MODEL])]
    baseline: str | None
    measured: Annotated[
        dict[str, Annotated[dict[str, _Interval], with_keys(SHORT)]], with_keys(MEASURED)
    ]

    @model_validator(mode="after")
    def _has_its_baseline(self) -> Self:
        if self.baseline is not None and self.baseline not in self.exact:
            raise ValueError(f"exact has no key {self.baseline!r}")
        return self


class _Winner(Document):
    sweeps: list[str]
    hyperparameters: dict[str, bool | Finite | str | None]


class ProtocolsDocument(Document):
    """protocols.json, format gcodefp-protocols-2."""

    provenance: Provenance
    winner: _Winner
    left_out: list[str]
    protocols: list[_Row] = Field(min_length=1)


Row = Mapping[str, Any]
"""A protocol, as in protocols.json."""


def read_protocols(path: Path) -> dict[str, Any]:
    """Reads protocols.json. Raises UserError: it is missing or damaged."""
    return read_document(path, PROTOCOLS_FORMAT, ProtocolsDocument, PROTOCOLS_REBUILD)


class Fold(NamedTuple):
    """One evaluation.

    Attributes:
        document: its metrics.json.
        recording: (N,) name of each row's recording.
        correct: predictor -> (N,) whether each row's whole block is correct.
    """

    document: dict[str, Any]
    recording: NDArray[np.str_]
    correct: dict[str, NDArray[np.bool_]]


def read_fold(folder: Path) -> Fold:
    """Reads what `evaluate` wrote into a folder."""
    document = read_result(folder / "metrics.json")
    predictions = read_predictions(folder / "predictions.npz", document)
    names = predictions.recordings[predictions.recording]
    return Fold(
        document, names, {name: predictions.is_correct(name) for name in predictions.blocks}
    )


def protocol_rows(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """One row for each way of splitting that any of the folds was made by."""
    groups: dict[str, list[Fold]] = {}
    for fold in folds:
        groups.setdefault(fold.document["split"]["by"], []).append(fold)
    return [_row(name, groups[name]) for name in PROTOCOLS if name in groups]


def _row(protocol: str, folds: Sequence[Fold]) -> dict[str, Any]:
    documents, names = [fold.document for fold in folds], [fold.recording for fold in folds]
    common = [name for name in PREDICTORS if all(name in fold.correct for fold in folds)]
    baselines = [name for name in common if PREDICTORS[name].kind == BASELINE]
    shown = [n for n in common if n in (MODEL, WHOLE, UPPER_BOUND, ELAPSED, *baselines)]
    recordings, recording = np.unique(np.concatenate(names), return_inverse=True)
    exact = {name: _pooled([fold.correct[name] for fold in folds], recording) for name in shown}
    return {
        "protocol": protocol,
        "leaky": any(document["leaky"] for document in documents),
        "controller_is_input": any(document["controller_is_input"] for document in documents),
        "folds": len(folds),
        "recordings": recordings.tolist(),
        "rows": len(recording),
        "exact": exact,
        "baseline": max(baselines, key=lambda name: exact[name]["value"] or 0.0, default=None),
        "measured": {
            metric: {
                name: _over_folds([document["models"][name][metric] for document in documents])
                for name in SHORT
            }
            for metric in MEASURED
        },
    }


def _pooled(correct: Sequence[NDArray[np.bool_]], recording: NDArray[np.intp]) -> Interval:
    rows = np.concatenate(correct).astype(int)
    return dict(zip(INTERVAL, estimate(rows, np.ones(len(rows)), recording), strict=False))


def _over_folds(estimates: Sequence[Mapping[str, float | None]]) -> Interval:
    if len(estimates) == 1:
        return {key: estimates[0][key] for key in INTERVAL}
    values = [value for fold in estimates if (value := fold["value"]) is not None]
    numbers = (fmean(values), min(values), max(values)) if values else (None, None, None)
    return dict(zip(INTERVAL, numbers, strict=True))


def warnings(row: Row) -> list[str]:
    """Why a protocol is not evidence of sensing."""
    return [
        *(["NO SENSING, position is an input"] if row["controller_is_input"] else []),
        *(["LEAKY, an upper bound"] if row["leaky"] else []),
    ]


def columns(row: Row) -> dict[str, str]:
    """Heading -> a protocol's cell, for readers."""
    exact, baseline = row["exact"], row["baseline"]
    whole, bound, elapsed = (
        interval_text(exact[name]) if name in exact else "-"
        for name in (WHOLE, UPPER_BOUND, ELAPSED)
    )
    cells = {
        "protocol": f"{row['protocol']}: {SPLIT_BY[row['protocol']]}",
        "folds": str(row["folds"]),
        "recordings": str(len(row["recordings"])),
        "exact line, %: windows": interval_text(exact[MODEL]),
        "whole recordings": whole,
        "best baseline": f"{baseline} {interval_text(exact[baseline])}" if baseline else "-",
        UPPER_BOUND: bound,
        ELAPSED: elapsed,
    }
    for metric in MEASURED:
        unit = unit_format(metric)
        title = f"{METRIC_TITLES[metric]}, {unit.unit}"
        for name, short in SHORT.items():
            interval = row["measured"][metric][name]
            cells[f"{title}: {short}"] = interval_text(interval, factor=unit.factor)
    return cells


def markdown(rows: Sequence[Row], excluded: Sequence[str]) -> str:
    """One row a protocol, and how to read it."""
    lines: list[Sequence[str]] = []
    for row in rows:
        cells = columns(row)
        lines = lines or [[*cells], ["---"] * len(cells)]
        bold = "".join(f"**{text}** " for text in warnings(row))
        first, *others = cells.values()
        lines.append([bold + first, *others])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "".join(f"\n\nExcluded: {text}." for text in excluded)
    return f"{table}\n\n{NOTE}{notes}\n"


def table_csv(rows: Sequence[Row]) -> str:
    """The same numbers, each with low and high beside it."""
    return str(pd.DataFrame(map(_flat, rows)).to_csv(index=False, lineterminator="\n"))


def _flat(row: Row) -> dict[str, object]:
    exact = row["exact"]
    numbers = {
        "gcode_windows": exact.get(MODEL),
        "gcode_whole": exact.get(WHOLE),
        "gcode_best_baseline": exact.get(row["baseline"]),
        "gcode_perfect_sensing": exact.get(UPPER_BOUND),
        "gcode_elapsed_time": exact.get(ELAPSED),
    }
    for metric, measured in row["measured"].items():
        numbers |= {f"{metric}_windows": measured[MODEL], f"{metric}_whole": measured[WHOLE]}
    counts = ("protocol", "leaky", "controller_is_input", "folds", "recordings", "rows")
    flat: dict[str, object] = {key: row[key] for key in counts}
    flat |= {"recordings": len(row["recordings"]), "best_baseline": row["baseline"]}
    for name, interval in numbers.items():
        value, low, high = interval.values() if interval else (None, None, None)
        flat |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return flat
