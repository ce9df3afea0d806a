"""What a script logs: W&B's offline log as the SDK writes it, and the rows of several attempts."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gcodefp.sweeps.user_script.metrics import MetricsReader, MetricsTable, json_lines_files
from gcodefp.sweeps.user_script.transaction_log import BLOCK, OfflineRuns, TransactionLog

SCRIPT = """
import sys
import wandb
with wandb.init() as run:
    for epoch in range(int(sys.argv[1])):
        nested = {"loss": float("nan"), "deep": {"count": epoch}}
        run.log({"val-acc.1": epoch / 3, "train": nested, "text": "x" * int(sys.argv[2])})
    run.log({"last": float("-inf")}, step=50, commit=False)
    run.log({"with, comma": 10**30, "is_good": True}, step=50)
    run.log({"only": "text"})
    run.summary["final"] = 0.25
    run.summary["group"] = {"inner": 3}
"""


def logged(folder: Path, rows: int, letters: int) -> Path:
    """The log of a run that the SDK has written."""
    offline = {"WANDB_MODE": "offline", "WANDB_DIR": str(folder), "WANDB_SILENT": "true"}
    command = [sys.executable, "-c", SCRIPT, str(rows), str(letters)]
    subprocess.run(command, env=os.environ | offline, cwd=folder, check=True, timeout=300)
    [path] = folder.glob("wandb/offline-run-*/run-*.wandb")
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return logged(tmp_path_factory.mktemp("small"), rows=2, letters=1)


def test_rows_and_summary_are_those_that_were_logged(small: Path) -> None:
    runs = OfflineRuns(small.parents[1])
    first, second, last = (row for _, row in runs.new_rows())
    assert math.isnan(first.pop("train.loss"))
    assert first == {"_step": 0, "val-acc.1": 0, "train.deep.count": 0}
    assert second["val-acc.1"] == 1 / 3
    assert last == {"_step": 50, "last": -math.inf, "with, comma": 1e30, "is_good": 1}
    assert runs.summary["final"] == 0.25
    assert runs.summary["group.inner"] == 3
    assert runs.new_rows() == []


def test_log_cut_at_any_byte_gives_whole_records_and_goes_on(small: Path, tmp_path: Path) -> None:
    content, path = small.read_bytes(), tmp_path / "run-x.wandb"
    path.touch()
    log, whole = TransactionLog(path), list(TransactionLog(small).records())
    read = []
    for byte in content:
        with path.open("ab") as handle:
            handle.write(bytes([byte]))
        read += list(log.records())
        assert read == whole[: len(read)]
    assert read == whole
    assert log.unread_bytes == 0
    # A reader that starts with a cut file reads as many.
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert list(TransactionLog(path).records()) == whole[: _complete(content, length)]


def _complete(content: bytes, length: int) -> int:
    """Records that end within the first bytes, by the lengths alone; the file is one block."""
    assert len(content) < BLOCK
    at = count = 0
    at = 7
    while at + 7 <= length and (at := at + 7 + int.from_bytes(content[at + 4 : at + 6], "little")):
        count += at <= length
    return count


def test_records_that_cross_blocks_are_read(tmp_path: Path) -> None:
    path = logged(tmp_path, rows=5, letters=40_000)
    assert path.stat().st_size > 8 * BLOCK
    rows = OfflineRuns(path.parents[1]).new_rows()
    assert [row.get("train.deep.count") for _, row in rows] == [0, 1, 2, 3, 4, None]


def test_damage_ends_the_reading_and_is_reported(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = OfflineRuns(tmp_path)
    folder = tmp_path / "offline-run-1-x"
    folder.mkdir()
    content = bytearray(small.read_bytes())
    at = content.rindex(b"val-acc.1")
    content[at] ^= 1
    (folder / "run-x.wandb").write_bytes(content)
    assert 0 < len(runs.new_rows()) < 3
    runs.warn_unread()
    assert "bytes cannot be read" in caplog.text


# Rows of several attempts at a run


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
