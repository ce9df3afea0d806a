"""Several evaluations, one for each fold of each protocol, put together to one line a protocol."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    EVALUATION_FORMAT,
    EVALUATION_REBUILD,
    MODEL,
    PREDICTORS,
    UPPER_BOUND,
    WHOLE,
)
from gcodefp.files import read_json
from gcodefp.reporting.predictions import read_predictions
from gcodefp.reporting.wording import SPLIT_BY

PROTOCOLS = ("recording", "chronological", "session", "program", "window")
"""In the order of the table: the headline first, the leaky one last."""
PRIVILEGED = (MODEL, WHOLE, UPPER_BOUND, ELAPSED)
"""Whose exact lines are told besides those of the baselines."""
MEASURED = ("token", "gcode_error_rate", "position_error_mm")
"""What is told of MODEL and WHOLE besides exact lines."""


class Fold(NamedTuple):
    """One evaluation.

    Attributes:
        document: its metrics.json.
        recording: (N,) name of each row's recording.
        right: whose answer -> (N,) whether each row's whole block is right.
    """

    document: dict[str, Any]
    recording: NDArray[np.str_]
    right: dict[str, NDArray[np.bool_]]


class Value(NamedTuple):
    """A number and its interval; all None if there was nothing to measure."""

    value: float | None
    low: float | None
    high: float | None


class Line(NamedTuple):
    """What a protocol says.

    Attributes:
        leaky, controller_is_input: why it is no evidence of sensing.
        recordings: names of those tested in any fold.
        exact: whose answer -> exact lines, all folds pooled. A recording tested in several folds is
            drawn as one by the bootstrap.
        baseline: the one with the most exact lines; None if none was asked.
        measured: metric -> MODEL and WHOLE -> mean over folds, and the lowest and highest of them;
            of a single fold the bootstrap interval.
    """

    protocol: str
    leaky: bool
    controller_is_input: bool
    folds: int
    recordings: list[str]
    rows: int
    exact: dict[str, Value]
    baseline: str | None
    measured: dict[str, dict[str, Value]]


def read_fold(folder: Path) -> Fold:
    """Reads what `evaluate` wrote into a folder."""
    document = read_json(folder / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD)
    predictions = read_predictions(folder / "predictions.npz")
    names = predictions.recordings[predictions.recording]
    return Fold(document, names, {name: predictions.right(name) for name in predictions.blocks})


def protocol_lines(folds: Sequence[Fold]) -> list[Line]:
    """One line for each way of splitting that any of the folds was made by."""
    by = [fold.document["split"]["by"] for fold in folds]
    return [
        _line(protocol, [fold for fold, of in zip(folds, by, strict=True) if of == protocol])
        for protocol in PROTOCOLS
        if protocol in by
    ]


def _line(protocol: str, folds: Sequence[Fold]) -> Line:
    everywhere = [name for name in PREDICTORS if all(name in fold.right for fold in folds)]
    baselines = [name for name in everywhere if PREDICTORS[name].kind == BASELINE]
    told = [name for name in everywhere if name in (*PRIVILEGED, *baselines)]
    exact = {name: _pooled(folds, name) for name in told}
    names = np.concatenate([fold.recording for fold in folds])
    return Line(
        protocol=protocol,
        leaky=any(fold.document["leaky"] for fold in folds),
        controller_is_input=any(fold.document["controller_is_input"] for fold in folds),
        folds=len(folds),
        recordings=np.unique(names).tolist(),
        rows=len(names),
        exact=exact,
        baseline=max(baselines, key=lambda name: exact[name].value or 0.0, default=None),
        measured={
            metric: {name: _over_folds(folds, name, metric) for name in (MODEL, WHOLE)}
            for metric in MEASURED
        },
    )


def _pooled(folds: Sequence[Fold], name: str) -> Value:
    right = np.concatenate([fold.right[name] for fold in folds])
    names = np.concatenate([fold.recording for fold in folds])
    recording = np.unique(names, return_inverse=True)[1]
    return Value(*estimate(right, np.ones(len(right)), recording)[:3])


def _over_folds(folds: Sequence[Fold], name: str, metric: str) -> Value:
    found = [fold.document["models"][name][metric] for fold in folds]
    if len(found) == 1:
        return Value(found[0]["value"], found[0]["low"], found[0]["high"])
    values = [of["value"] for of in found if of["value"] is not None]
    if not values:
        return Value(None, None, None)
    return Value(fmean(values), min(values), max(values))


PROTOCOLS_FORMAT = "gcodefp-protocols-2"
PROTOCOLS_REBUILD = "snakemake --cores all protocols"


class ProtocolTable(NamedTuple):
    """What protocols.json says.

    Attributes:
        lines: one a protocol.
        left_out: protocols without a fold, and why.
        hyperparameters: of the winner, which every fold was trained with.
        sweeps: ids of those that the winner was chosen from; each is a hash of data and training
            code too.
        provenance: as in every document.
    """

    lines: list[Line]
    left_out: list[str]
    hyperparameters: Mapping[str, Any]
    sweeps: list[str]
    provenance: Mapping[str, Any]


def described(lines: Sequence[Line], left_out: Sequence[str], winner: Mapping[str, Any]) -> Any:
    """The content of protocols.json, without provenance.

    Args:
        winner: best/run.json.
    """
    return {
        "winner": {key: winner[key] for key in ("run", "sweeps", "hyperparameters")},
        "left_out": list(left_out),
        "protocols": [_described(line) for line in lines],
    }


def read_protocols(path: Path) -> ProtocolTable:
    """Reads protocols.json.

    Raises:
        UserError: it is missing or of another format.
    """
    document = read_json(path, PROTOCOLS_FORMAT, PROTOCOLS_REBUILD)
    return ProtocolTable(
        [_protocol_file_line(of) for of in document["protocols"]],
        document["left_out"],
        document["winner"]["hyperparameters"],
        document["winner"]["sweeps"],
        document["provenance"],
    )


def _described(line: Line) -> dict[str, Any]:
    exact = {name: of._asdict() for name, of in line.exact.items()}
    measured = {
        metric: {name: of._asdict() for name, of in names.items()}
        for metric, names in line.measured.items()
    }
    return {**line._asdict(), "exact": exact, "measured": measured}


def _protocol_file_line(content: Mapping[str, Any]) -> Line:
    exact = {name: Value(**of) for name, of in content["exact"].items()}
    measured = {
        metric: {name: Value(**of) for name, of in names.items()}
        for metric, names in content["measured"].items()
    }
    return Line(**{**content, "exact": exact, "measured": measured})


HEADS = {
    "token": ("token, %", 100.0),
    "gcode_error_rate": ("G-code error rate, %", 100.0),
    "position_error_mm": ("tool-position error, mm", 1.0),
}
"""Metric -> its name for readers, and what it is multiplied by."""
SHORT = {MODEL: "windows", WHOLE: "whole recordings"}

NOTE = """\
Exact lines are pooled over all folds; their 95 % intervals are from a bootstrap over recordings, in
which a recording that is tested in several folds is drawn as one. Of the other metrics of several
folds the mean stands with the lowest and the highest fold, of a single fold with the bootstrap's
interval. Windows are read one by one, whole recordings at once; where its program begins only the
elapsed time is told. The hyperparameters are the winner's, chosen once on the val split of the
pipeline's own dataset, whose recordings are also in these splits; weights, scale, vocabulary and
programs are of each fold's own train split."""


def head() -> list[str]:
    """The names of the columns."""
    names = ["protocol", "folds", "recordings", "exact line, %: windows", "whole recordings"]
    names += ["best baseline", "upper bound, lag unknown", "elapsed time, told operation"]
    return names + [f"{HEADS[metric][0]}: {of}" for metric in MEASURED for of in SHORT.values()]


def warnings(line: Line) -> list[str]:
    """Why a protocol is no evidence of sensing."""
    known = ((line.controller_is_input, "NO SENSING, position is an input"),
             (line.leaky, "LEAKY, an upper bound"))  # fmt: skip
    return [text for holds, text in known if holds]


def cells(line: Line) -> list[str]:
    """What a protocol has in each column."""
    baseline = line.exact.get(line.baseline or "")
    best = "-" if baseline is None else f"{line.baseline} {_shown(baseline, 100)}"
    found = [f"{line.protocol}: {SPLIT_BY[line.protocol]}", str(line.folds)]
    found += [str(len(line.recordings))]
    found += [_shown(line.exact.get(MODEL), 100), _shown(line.exact.get(WHOLE), 100), best]
    found += [_shown(line.exact.get(name), 100) for name in (UPPER_BOUND, ELAPSED)]
    return found + [
        _shown(line.measured[metric][name], HEADS[metric][1])
        for metric in MEASURED
        for name in SHORT
    ]


def markdown(lines: Sequence[Line], left_out: Sequence[str]) -> str:
    """One row a protocol, and how to read it."""
    names = head()
    rows = [names, ["---"] * len(names)]
    for line in lines:
        first, *rest = cells(line)
        bold = "".join(f"**{text}** " for text in warnings(line))
        rows.append([bold + first, *rest])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    left = "".join(f"\n\nLeft out: {text}." for text in left_out)
    return f"{table}\n\n{NOTE}{left}\n"


def table_csv(lines: Sequence[Line]) -> str:
    """The same numbers, each with low and high beside it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [_plain(line) for line in lines]
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def _plain(line: Line) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": line.protocol,
        "leaky": line.leaky,
        "controller_is_input": line.controller_is_input,
        "folds": line.folds,
        "recordings": len(line.recordings),
        "rows": line.rows,
        "best_baseline": line.baseline,
    }
    columns = {
        "gcode_windows": line.exact.get(MODEL),
        "gcode_whole": line.exact.get(WHOLE),
        "gcode_best_baseline": line.exact.get(line.baseline or ""),
        "gcode_perfect_sensing": line.exact.get(UPPER_BOUND),
        "gcode_elapsed_time": line.exact.get(ELAPSED),
    }
    for metric in MEASURED:
        columns[f"{metric}_windows"] = line.measured[metric][MODEL]
        columns[f"{metric}_whole"] = line.measured[metric][WHOLE]
    for name, of in columns.items():
        value, low, high = of or (None, None, None)
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _shown(of: Value | None, factor: float) -> str:
    if of is None or of.value is None or of.low is None or of.high is None:
        return "-"
    return f"{factor * of.value:.1f} [{factor * of.low:.1f}, {factor * of.high:.1f}]"
