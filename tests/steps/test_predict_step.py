"""The predict step: what it writes of a new recording, and what it must not look at."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from learning_data import OPERATIONS, ROWS
from new_recordings import CONTROLLER, FACE, POCKET, SENSORS, executed, learnt, new_recording
from new_recordings import predict as run
from recording_files import write_recording

from gcodefp.evaluation.prediction import PREDICTION_FORMAT, TABLE_COLUMNS
from gcodefp.evaluation.toolpaths import DANGER
from gcodefp.files import sha256
from gcodefp.recordings.gcode import format_block, parse_block

COMMENT = re.compile(r"\(confidence (\d\.\d\d), rows (\d+)-(\d+), line (\d+), clock known \d\.\d\d")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("learnt"))


@pytest.fixture(scope="module")
def output(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prediction")
    recording = write_recording(
        folder / "mill" / "job 7 (new)_aligned.csv.gz", new_recording("pocket_008")
    )
    assert run(checkpoint, folder / "out", recording, flags=["--free"]) == 0
    return folder / "out"


NAME = "job 7 (new)"


def table(output: Path, name: str = NAME) -> list[dict[str, Any]]:
    with (output / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def document(output: Path, name: str = NAME) -> dict[str, Any]:
    return json.loads((output / f"{name}.json").read_text())


# What is written


def test_a_program_that_was_learnt_is_reconstructed_in_order(output: Path) -> None:
    blocks = [row["block"] for row in table(output)]
    assert blocks == POCKET
    found = document(output)
    assert (found["program"]["name"], found["operation"]["name"]) == ("pocket", "pocket")
    assert found["program"]["probability"] > 0.9
    assert found["confidence"] > 0.7


def test_the_table_covers_all_rows_once(output: Path) -> None:
    rows = table(output)
    assert tuple(rows[0]) == TABLE_COLUMNS
    covered = [r for row in rows for r in range(int(row["first_row"]), int(row["last_row"]) + 1)]
    assert covered == list(range(ROWS))
    spelt = [
        row["block"] for row in rows for _ in range(int(row["first_row"]), int(row["last_row"]) + 1)
    ]
    right = np.mean([a == b for a, b in zip(spelt, executed(POCKET), strict=True)])
    assert right > 0.9
    for row in rows:
        for sure in ("confidence", "confidence_clock_known"):
            assert 0 <= float(row[sure]) <= 1
        assert (row["y_mm"], row["z_mm"]) == ("-5.000", "-1.000")


def test_the_gcode_parses_and_says_what_the_table_says(output: Path) -> None:
    lines = (output / f"{NAME}.nc").read_text().splitlines()
    assert all(re.fullmatch(r"[^()]*\([ -'*-~]*\)", line) for line in lines)
    head = [line for line in lines if line.startswith("(")]
    assert head[0] == f"({DANGER})"
    assert "(recording job 7 _new_, 32 rows)" in head
    assert lines[: len(head)] == head
    blocks = [line for line in lines if not line.startswith("(")]
    rows = table(output)
    assert [format_block(parse_block(line)) for line in blocks] == [row["block"] for row in rows]
    for line, row in zip(blocks, rows, strict=True):
        told = COMMENT.search(line)
        assert told is not None
        assert float(told[1]) == pytest.approx(float(row["confidence"]), abs=0.0051)
        assert told.groups()[1:] == (row["first_row"], row["last_row"], row["line"])
    assert blocks[0].endswith(", at 12:00:00.000)")


def test_the_document_says_how_it_came_about(output: Path, checkpoint: Path) -> None:
    found = document(output)
    assert found["format"] == PREDICTION_FORMAT
    assert found["provenance"]["inputs"][str(checkpoint)] == sha256(checkpoint)
    assert sha256(checkpoint) in (output / f"{NAME}.nc").read_text()
    assert (found["rows"], found["rows_evenly_spaced"]) == (ROWS, True)
    assert (found["channels"], found["missing_channels"]) == (len(SENSORS), [])
    for candidates in (found["programs"], found["operations"]):
        assert {c["name"] for c in candidates} == set(OPERATIONS)
        assert sum(c["probability"] for c in candidates) == pytest.approx(1, abs=1e-4)
        assert candidates[0] == max(candidates, key=lambda c: c["probability"])


def test_there_are_pictures_and_free_blocks(output: Path) -> None:
    assert (output / f"{NAME}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (output / f"{NAME}.svg").read_text()
    free = (output / f"{NAME}.free.nc").read_text().splitlines()
    assert free[0] == f"({DANGER})"
    assert {format_block(parse_block(line)) for line in free} - {""} <= {*FACE, *POCKET, "G1 X2"}
    names = {f"{NAME}.{suffix}" for suffix in ("nc", "free.nc", "csv", "json", "svg", "png")}
    assert {path.name for path in output.iterdir()} == names


# What reaches the prediction


def test_no_controller_column_reaches_it(output: Path, checkpoint: Path, tmp_path: Path) -> None:
    sensors = new_recording("pocket_008").drop(columns=list(CONTROLLER))
    shuffled = sensors[sorted(sensors, reverse=True)]
    for folder, content in (("bare", sensors), ("shuffled", shuffled)):
        recording = write_recording(tmp_path / folder / f"{NAME}.csv", content)
        assert run(checkpoint, tmp_path / folder, recording.rename(tmp_path / f"{NAME}.csv")) == 0
        assert (tmp_path / folder / f"{NAME}.csv").read_bytes() == (
            output / f"{NAME}.csv"
        ).read_bytes()
        bare, full = document(tmp_path / folder), document(output)
        for key in ("programs", "operations", "confidence", "confidence_clock_known"):
            assert bare[key] == full[key]
        assert "at 12:" not in (tmp_path / folder / f"{NAME}.nc").read_text()


def test_the_sensors_do_reach_it(checkpoint: Path, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    assert run(checkpoint, tmp_path / "out", recording) == 0
    assert [row["block"] for row in table(tmp_path / "out", "x")] == FACE
    assert not (tmp_path / "out" / "x.free.nc").exists()


def test_repeated_rows_are_dropped_and_rows_stay_those_of_the_file(
    checkpoint: Path, tmp_path: Path
) -> None:
    usual = new_recording("pocket_008")
    twice = usual.loc[[*range(10), 9, *range(10, ROWS)]]
    one = write_recording(tmp_path / "one.csv", usual)
    two = write_recording(tmp_path / "two.csv", twice)
    assert run(checkpoint, tmp_path / "out", one, two) == 0
    of_one, of_two = table(tmp_path / "out", "one"), table(tmp_path / "out", "two")
    assert [row["confidence"] for row in of_one] == [row["confidence"] for row in of_two]
    assert of_two[-1]["last_row"] == str(ROWS)
    assert document(tmp_path / "out", "two")["counts"]["duplicate_rows"] == 1


def test_a_recording_that_fits_no_program_is_marked(
    output: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert document(output)["doubts"] == []
    # The rows of a block look alike, so one by itself may be read at its neighbour's place.
    assert document(output)["agreement"] > 0.8
    noise = np.random.default_rng(0).normal(size=(2 * ROWS + 1, len(SENSORS)))
    recording = write_recording(tmp_path / "x.csv", pd.DataFrame(noise, columns=SENSORS))
    assert run(checkpoint, tmp_path / "out", recording) == 0
    found = document(tmp_path / "out", "x")
    assert found["agreement"] < found["doubtful_below"]
    unknown, long = found["doubts"]
    assert "few rows agree on the program" in unknown
    assert "65 rows, the program has 32" in long
    assert capsys.readouterr().err.count("x: DOUBTFUL") == 2
    assert "(DOUBTFUL" in (tmp_path / "out" / "x.nc").read_text()
