"""The rows of a script's attempts, and the table that they make."""

import json
from pathlib import Path

from gcodefp.sweeps.user_script.metrics import MetricsReader, MetricsTable, json_lines_files


def write(path: Path, values: dict[int, float]) -> None:
    rows = [{"epoch": epoch, "score": value} for epoch, value in values.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def start(files: Path) -> tuple[MetricsReader, MetricsTable]:
    """As an agent does that takes a run up."""
    reader = MetricsReader(files, "score")
    return reader, MetricsTable(files / "metrics.csv", "score", reader.start_attempt())


def test_each_attempt_has_a_file_of_its_own_for_json_lines(tmp_path: Path) -> None:
    write(json_lines_files(tmp_path)[-1], {0: 0.1, 1: 0.2, 2: 0.3})  # Read by nobody: killed.
    reader, table = start(tmp_path)
    assert [row["score"] for row in table.rows] == [0.1, 0.2, 0.3]
    assert reader.new_rows() == []
    # It resumes, and writes its file anew: longer than what was read of the one before.
    write(json_lines_files(tmp_path)[-1], {2: 0.5, 3: 0.6, 4: 0.7, 5: 0.8})
    for attempt, row in reader.new_rows():
        table.add(row, attempt)
    rows = [0.1, 0.2, 0.5, 0.6, 0.7, 0.8]
    assert [row["score"] for row in table.rows] == rows
    table.write()
    reader, table = start(tmp_path)
    assert [row["score"] for row in table.rows] == rows
    assert reader.new_rows(is_last=True) == []
    write(json_lines_files(tmp_path)[-1], {0: 0.9})  # It starts again.
    for attempt, row in reader.new_rows():
        table.add(row, attempt)
    assert [row["score"] for row in table.rows] == [0.9]
