"""The metrics that a script logs, read while it runs, and written as the run's metrics.csv.

They come from one of: a file of JSON lines that GCODEFP_METRICS names, W&B's offline log, or lines
of the output that are JSON objects with the metric. Each attempt has a file of its own, as it may
append to it or write it anew. Each row of the log is a row of metrics.csv, whose column `epoch` is
its number from 1; what the script calls `epoch` is in `_epoch`. A value that is missing in a row
is nan.
"""

import csv
import io
import json
import os
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

from gcodefp.files import write_text
from gcodefp.model.run_files import Row, read_metrics
from gcodefp.sweeps.lease import JSON_LINES, OUTPUT
from gcodefp.sweeps.user_script.transaction_log import STEP, OfflineRuns, numbers_of

Rows = list[tuple[int, Row]]
"""The attempt that has logged a row, from 0, and the row."""
MAX_VALUE = 1e300
"""What lies beyond is not finite, as in run.json."""
OWN_EPOCH = "_epoch"
NEW_ATTEMPT = "--- gcodefp: the program starts again ---"
"""A line of output.log; earlier versions wrote the same."""


class JsonLines:
    """Lines of a growing text file that are JSON objects; each is read once."""

    def __init__(self, path: Path, attempt: int = 0, needed: str | None = None) -> None:
        """Args: needed: only rows that have this key are read."""
        self.path = path
        self._attempt = attempt
        self._needed = needed
        self._offset = 0

    def new_rows(self, is_last: bool) -> Rows:
        """The rows of complete lines since the last call; the last line ends if `is_last`."""
        if not self.path.exists():
            return []
        if self.path.stat().st_size < self._offset:  # The script has written it anew.
            self._offset, self._attempt = 0, self._attempt + 1
        with self.path.open("rb") as handle:
            handle.seek(self._offset)
            text = handle.read()
        if not is_last:
            text = text[: text.rfind(b"\n") + 1]
        self._offset += len(text)
        rows = []
        for line in text.decode("utf-8", errors="replace").splitlines():
            self._attempt += line == NEW_ATTEMPT
            row = _json_row(line)
            if row and (self._needed is None or self._needed in row):
                rows.append((self._attempt, row))
        return rows


def _json_row(line: str) -> Row:
    """The numbers of a JSON object; none if the line is something else."""
    try:
        content = json.loads(line) if line.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return numbers_of(content)


def json_lines_files(files: Path) -> list[Path]:
    """The files of JSON lines that earlier attempts have written, and the one of the next."""
    folder = files / JSON_LINES
    folder.mkdir(exist_ok=True)
    written = sorted(folder.glob("*.jsonl"))
    return [*written, folder / f"{len(written):04d}.jsonl"]


class MetricsReader:
    """Where a script's rows come from: the first source that has one."""

    def __init__(self, files: Path, metric: str) -> None:
        self.offline_runs = OfflineRuns(files / "wandb")
        *self._earlier, path = json_lines_files(files)
        self._file = JsonLines(path, len(self._earlier))
        self._output = JsonLines(files / OUTPUT, needed=metric)
        self._source: JsonLines | OfflineRuns | None = self._file if self._earlier else None

    def start_attempt(self) -> Rows:
        """The rows of earlier attempts; the output gets a line that separates them."""
        if self._output.path.exists():
            with self._output.path.open("a", encoding="utf-8") as handle:
                handle.write(f"\n{NEW_ATTEMPT}\n")
        if not self._earlier:
            return self.new_rows()
        logs = [JsonLines(path).new_rows(is_last=True) for path in self._earlier]
        return [(attempt, row) for attempt, log in enumerate(logs) for _, row in log]

    def new_rows(self, is_last: bool = False) -> Rows:
        """The rows that were logged since the last call.

        Args:
            is_last: the script has ended; its output counts if no log has a row.
        """
        if self._source is None and self._file.path.exists():
            self._source = self._file
        if self._source is self._file:
            return self._file.new_rows(is_last)
        if self._source is not self._output and (rows := self.offline_runs.new_rows()):
            self._source = self.offline_runs
            return rows
        if self._source is self.offline_runs or (self.offline_runs.exist() and not is_last):
            return []
        if rows := self._output.new_rows(is_last):
            self._source = self._output
        return rows


class MetricsTable:
    """metrics.csv of a run, in this process's folder.

    Attributes:
        finite: numbers of the rows, from 1, in which the metric is finite, and its values.
    """

    def __init__(self, path: Path, metric: str, logged: Iterable[tuple[int, Row]] = ()) -> None:
        """Begins with the rows that earlier attempts have logged.

        These have the last rows, too, that a killed agent did not come to read.
        """
        self._path = path
        self._metric = metric
        self._columns = [metric]
        self._attempt = -1
        self._steps = 0
        self.rows: list[Row] = []
        self.finite: list[tuple[int, float]] = []
        self._written: int | None = None
        """Rows that are in the file; None where it has to be written anew."""
        for attempt, row in logged:
            self.add(row, attempt)
        for row in read_metrics(self._path)[len(self.rows) :]:  # A log was damaged.
            self._append({name: x for name, x in row.items() if name != "epoch" and x == x})

    def add(self, row: Row, attempt: int) -> None:
        """Adds a row of this attempt, or of an earlier one while this one has none.

        Before the first row of an attempt, earlier rows from there on are dropped: by the script's
        own epoch if it logs one, or by W&B's step.
        """
        if attempt < self._attempt:
            return
        if "epoch" in row:
            row = row | {OWN_EPOCH: row["epoch"]}
            del row["epoch"]
        if attempt > self._attempt:
            self._attempt, self._steps = attempt, 0
        row = {STEP: float(self._steps)} | row
        if self._steps == 0 and self.rows:
            self.rows = list(takewhile(lambda earlier: _is_before(earlier, row), self.rows))
            self.finite = [entry for entry in self.finite if entry[0] <= len(self.rows)]
            self._written = None
        self._steps += 1
        self._append(row)

    def add_value(self, value: float) -> None:
        """Adds a row with the metric alone, unless it is not finite."""
        if abs(value) <= MAX_VALUE:
            step = self.rows[-1].get(STEP, 0.0) + 1 if self.rows else 0.0
            self._append({STEP: step, self._metric: value})

    def _append(self, row: Row) -> None:
        if new := row.keys() - set(self._columns):
            self._columns += sorted(new)
            self._written = None
        self.rows.append(row)
        if abs(value := row.get(self._metric, float("nan"))) <= MAX_VALUE:
            self.finite.append((len(self.rows), value))

    def write(self) -> None:
        """Appends new rows to the file, or replaces it where there are new columns."""
        if self._written is None or not self._path.exists():
            names = [" ".join(name.splitlines()) for name in self._columns]
            text = self._lines(0, ["epoch", *names]) if self.rows else "epoch\n"
            write_text(self._path, text)
        elif self._written < len(self.rows):
            with self._path.open("a", encoding="utf-8") as handle:
                handle.write(self._lines(self._written))
                handle.flush()
                os.fsync(handle.fileno())
        self._written = len(self.rows)

    def _lines(self, start: int, header: Iterable[str] = ()) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(header)
        for number, row in enumerate(self.rows[start:], start=start + 1):
            writer.writerow([number, *(row.get(name, "nan") for name in self._columns)])
        return text.getvalue()


def _is_before(earlier: Row, row: Row) -> bool:
    """Whether an earlier attempt's row comes before the first row of this one."""
    key = OWN_EPOCH if OWN_EPOCH in row and OWN_EPOCH in earlier else STEP
    return earlier.get(key, 0.0) < row[key]
