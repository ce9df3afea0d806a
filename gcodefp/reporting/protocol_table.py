"""The table of protocols, for readers (Markdown) and for programs (CSV)."""

import csv
import io
from collections.abc import Sequence

from gcodefp.evaluation.files import CEILING, ELAPSED, MODEL, WHOLE
from gcodefp.findings.protocols import MEASURED, Line, Value
from gcodefp.findings.words import SPLIT_BY

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
    names += ["best baseline", "perfect sensing, clock unknown", "elapsed time, told operation"]
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
    found += [_shown(line.exact.get(name), 100) for name in (CEILING, ELAPSED)]
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
        "gcode_perfect_sensing": line.exact.get(CEILING),
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
