"""Several evaluations, one for each fold of each protocol, collected into one row a protocol.

The folds by recording, each with its own training, also support the conclusions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gcodefp.documents import Count, Document, Finite, Provenance, Share, read_document
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.documents import PositiveCount, with_keys
from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    GCODEFP,
    MODEL,
    PREDICTORS,
    PRIMARY,
    STATE_ORACLE,
    WHOLE,
    compared_baselines,
)
from gcodefp.evaluation.significance import FoldValues
from gcodefp.reporting.conclusions import GCODEFP_TITLES, conclude
from gcodefp.reporting.results import PROTOCOLS_REBUILD, read_predictions, read_result
from gcodefp.reporting.wording import INTERVAL, METRIC_TITLES, SPLIT_BY, interval_text, unit_format

PROTOCOLS_FORMAT = "gcodefp-protocols-3"
Protocol = Literal["recording", "chronological", "session", "program", "window"]
PROTOCOLS = get_args(Protocol)
"""In the order of the table: the primary one first, the leaky one last."""
REPEATED: Protocol = "recording"
"""The protocol of random folds, which supports the conclusions."""
MEASURED = (PRIMARY, "gcode_error_rate", "position_error_mm")
"""Metrics besides block accuracy."""
NOTE = """\
Conclusions are from the folds by recording. Their 95 % interval is that of the mean difference over
the folds by Nadeau and Bengio's corrected variance, which counts new recordings and new trainings;
the best baseline is the one with the highest mean over the folds, which favours the baselines.
gcodefp beats it only if the interval is above 0, no fold reverses the sign, and there are five
folds or more. In the table block accuracy is pooled over all folds; its 95 % intervals are from a
bootstrap over recordings, in which a recording that is tested in several folds is drawn as one.
Other metrics are the mean of the folds with the lowest and the highest one, or of a single fold its
bootstrap interval. The hyperparameters are the best run's, chosen once on the val split of the
pipeline's own dataset, whose recordings are also in these folds; weights, scale, vocabulary and
programs are of each fold's own train split."""

Interval = dict[str, float | None]
"""`value`, `low` and `high`; all None if there is nothing to measure."""


class _Interval(Document):
    value: Finite | None
    low: Finite | None
    high: Finite | None


class _Fold(Document):
    seed: Count
    pipeline: Share
    baseline: Share
    test_recordings: PositiveCount
    train_recordings: PositiveCount


class _Conclusion(Document):
    """What a conclusion follows from; the rest of it is made anew from that."""

    baseline: str | None
    folds: list[_Fold]


class _Row(Document):
    protocol: Protocol
    leaky: bool
    controller_is_input: bool
    folds: Count
    recordings: list[str]
    exact: Annotated[dict[str, _Interval], with_keys([MODEL])]
    baseline: str | None
    measured: Annotated[
        dict[str, Annotated[dict[str, _Interval], with_keys(GCODEFP)]], with_keys(MEASURED)
    ]
    verdicts: dict[str, _Conclusion]

    @model_validator(mode="after")
    def _has_its_baseline(self) -> Self:
        if self.baseline is not None and self.baseline not in self.measured[PRIMARY]:
            raise ValueError(f"measured.{PRIMARY} has no key {self.baseline!r}")
        return self


class _Winner(Document):
    sweeps: list[str]
    hyperparameters: dict[str, bool | Finite | str | None]


class ProtocolsDocument(Document):
    """protocols.json, format gcodefp-protocols-3."""

    provenance: Provenance
    winner: _Winner
    left_out: list[str]
    protocols: list[_Row] = Field(min_length=1)


Row = Mapping[str, Any]
"""A protocol, as in protocols.json."""


def read_protocols(path: Path) -> dict[str, Any]:
    """Reads protocols.json; conclusions are those of its folds, whatever else is written there.

    Raises UserError: it is missing or damaged.
    """
    document = read_document(path, PROTOCOLS_FORMAT, ProtocolsDocument, PROTOCOLS_REBUILD)
    for row in document["protocols"]:
        for name in filter(row["verdicts"].__contains__, GCODEFP):
            entry = row["verdicts"][name]
            folds = [FoldValues(*map(fold.get, FoldValues._fields)) for fold in entry["folds"]]
            baseline = entry["baseline"] if folds else None
            row["verdicts"][name] = conclude(name, baseline, folds, warnings(row))
    return document


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
    correct = {name: predictions.is_correct(name) for name in predictions.blocks}
    return Fold(document, names, correct)


def read_folds(folders: Sequence[Path]) -> list[Fold]:
    """Reads evaluations. Raises UserError: one cannot be read, or two are of the same split."""
    folds, paths = [], dict[str, Path]()
    for folder in folders:
        path = folder / "metrics.json"
        fold = read_fold(folder)
        split = str([fold.document["split"][key] for key in ("by", "seed", "held_out")])
        if split in paths:
            raise UserError(
                f"{path}: split: is that of {paths[split]}; name each fold once, as "
                "a conclusion is about different ones"
            )
        paths[split] = path
        folds.append(fold)
    return folds


def protocol_rows(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """One row for each protocol that any of the folds is of."""
    groups: dict[str, list[Fold]] = {}
    for fold in folds:
        groups.setdefault(fold.document["split"]["by"], []).append(fold)
    return [_row(name, groups[name]) for name in PROTOCOLS if name in groups]


def _row(protocol: str, folds: Sequence[Fold]) -> dict[str, Any]:
    documents, names = [fold.document for fold in folds], [fold.recording for fold in folds]
    common = [name for name in PREDICTORS if all(name in fold.correct for fold in folds)]
    baselines = [name for name in common if PREDICTORS[name].kind == BASELINE]
    shown = [n for n in common if n in (*GCODEFP, STATE_ORACLE, ELAPSED, *baselines)]
    recordings, recording = np.unique(np.concatenate(names), return_inverse=True)
    measured = {
        metric: {
            name: _over_folds([document["models"][name][metric] for document in documents])
            for name in (*GCODEFP, *baselines)
        }
        for metric in MEASURED
    }
    row = {
        "protocol": protocol,
        "leaky": any(document["leaky"] for document in documents),
        "controller_is_input": any(document["controller_is_input"] for document in documents),
        "folds": len(folds),
        "recordings": recordings.tolist(),
        "rows": len(recording),
        "exact": {n: _pooled([fold.correct[n] for fold in folds], recording) for n in shown},
        "baseline": _best(baselines, documents),
        "measured": measured,
        "verdicts": {},
    }
    for name in GCODEFP if protocol == REPEATED else ():
        baseline = _best(compared_baselines(name, common), documents)
        scores = _fold_scores(name, baseline, documents)
        row["verdicts"][name] = conclude(name, baseline, scores, warnings(row))
    return row


def _best(baselines: Sequence[str], documents: Sequence[Mapping[str, Any]]) -> str | None:
    """The baseline with the highest mean of PRIMARY over folds; None if none has it in all."""
    shares = {
        name: [document["models"][name][PRIMARY]["value"] for document in documents]
        for name in baselines
    }
    having = {name: fmean(values) for name, values in shares.items() if None not in values}
    return max(having, key=lambda name: having[name], default=None)


def _fold_scores(
    name: str, baseline: str | None, documents: Sequence[Mapping[str, Any]]
) -> list[FoldValues]:
    folds = []
    for document in documents if baseline else ():
        own, other = (document["models"][each][PRIMARY]["value"] for each in (name, baseline))
        counts = document["recordings"], document["train_recordings"]
        folds.append(FoldValues(document["split"]["seed"], own, other, *counts))
    return folds


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
    """Why a protocol is no evidence that the sensors suffice."""
    return [
        *(["NO SENSING, position is an input"] if row["controller_is_input"] else []),
        *(["LEAKY, too optimistic"] if row["leaky"] else []),
    ]


def columns(row: Row) -> dict[str, str]:
    """Heading -> a protocol's cell, for readers."""
    exact, baseline, measured = row["exact"], row["baseline"], row["measured"]
    cells = {
        "protocol": f"{row['protocol']}: {SPLIT_BY[row['protocol']]}",
        "folds": str(row["folds"]),
        "recordings": str(len(row["recordings"])),
    }
    for metric in MEASURED:
        unit = unit_format(metric)
        title = f"{METRIC_TITLES[metric]}, {unit.unit}"
        for name, short in GCODEFP_TITLES.items():
            interval = measured[metric][name]
            cells[f"{title}: {short}"] = interval_text(interval, factor=unit.factor)
        if metric == PRIMARY:
            text = f"{baseline} {interval_text(measured[PRIMARY][baseline])}" if baseline else "-"
            cells["best baseline"] = text
    titles = {MODEL: "block accuracy, %: windows", WHOLE: "block accuracy, %: whole recordings",
              STATE_ORACLE: "state oracle", ELAPSED: ELAPSED}  # fmt: skip
    return cells | {
        title: interval_text(exact[name]) if name in exact else "-"
        for name, title in titles.items()
    }


def conclusions(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    """The conclusions that the protocols support, in the order of GCODEFP."""
    return [row["verdicts"][name] for row in rows for name in GCODEFP if name in row["verdicts"]]


def markdown(rows: Sequence[Row], excluded: Sequence[str]) -> str:
    """One row a protocol, the conclusions, and how to read them."""
    lines: list[Sequence[str]] = []
    for row in rows:
        cells = columns(row)
        lines = lines or [[*cells], ["---"] * len(cells)]
        bold = "".join(f"**{text}** " for text in warnings(row))
        first, *others = cells.values()
        lines.append([bold + first, *others])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    texts = [f"**{each['conclusion']}** {each['evidence']}" for each in conclusions(rows)]
    return "\n\n".join([table, *texts, NOTE, *(f"Excluded: {text}." for text in excluded)]) + "\n"


def table_csv(rows: Sequence[Row]) -> str:
    """The same numbers, each with low and high beside it."""
    return str(pd.DataFrame(map(_flat, rows)).to_csv(index=False, lineterminator="\n"))


def _flat(row: Row) -> dict[str, object]:
    names = {MODEL: "windows", WHOLE: "whole", STATE_ORACLE: "perfect_sensing",
             ELAPSED: "elapsed_time"}  # fmt: skip
    counts = ("protocol", "leaky", "controller_is_input", "folds", "recordings", "rows")
    flat: dict[str, object] = {key: row[key] for key in counts}
    flat |= {"recordings": len(row["recordings"]), "best_baseline": row["baseline"]}
    numbers = {f"gcode_{short}": row["exact"].get(name) for name, short in names.items()}
    for metric, measured in row["measured"].items():
        numbers |= {f"{metric}_{names[name]}": measured[name] for name in GCODEFP}
        numbers[f"{metric}_best_baseline"] = measured.get(row["baseline"])
    for name in GCODEFP:
        entry = row["verdicts"].get(name, {})
        flat |= {f"{key}_{names[name]}": entry.get(key) for key in ("kind", "baseline")}
        numbers[f"difference_{names[name]}"] = entry.get("difference")
    for name, interval in numbers.items():
        value, low, high = interval.values() if interval else (None, None, None)
        flat |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return flat
