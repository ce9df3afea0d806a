"""The command `predict`: what it writes for a recording, must not use, and refuses."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from learning_data import OPERATIONS, ROWS, SENSORS, WINDOW, dataset_flags
from new_recordings import CONTROLLER, FACE, POCKET, executed, learnt, new_recording
from new_recordings import predict as run
from recording_files import clock_text, write_recording

from gcodefp import fit_decoder
from gcodefp.evaluation.prediction import (
    PREDICTION_FORMAT,
    TABLE_COLUMNS,
    Candidate,
    RecordingPrediction,
)
from gcodefp.evaluation.toolpaths import SAFETY_WARNING
from gcodefp.files import sha256
from gcodefp.recordings.gcode import format_block, parse_block
from gcodefp.reporting.figures.predicted import draw_predicted

NAME = "job 7 (new)"
COMMENT = re.compile(r"\(confidence (\d\.\d\d), rows (\d+)-(\d+), line (\d+), with median lag \d")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("learnt"))


@pytest.fixture(scope="module")
def output(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prediction")
    path = folder / "mill" / f"{NAME}_aligned.csv.gz"
    recording = write_recording(path, new_recording("pocket_008"))
    assert run(checkpoint, folder / "out", recording, flags=["--greedy"]) == 0
    return folder / "out"


def table(output: Path, name: str = NAME) -> list[dict[str, Any]]:
    with (output / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def document(output: Path, name: str = NAME) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / f"{name}.json").read_text())
    return content


def test_program_of_the_train_split_is_reconstructed(output: Path, checkpoint: Path) -> None:
    content, rows = document(output), table(output)
    assert (content["format"], content["doubts"]) == (PREDICTION_FORMAT, [])
    assert (content["program"]["name"], content["operation"]["name"]) == ("pocket", "pocket")
    assert content["program"]["probability"] > 0.9
    assert content["confidence"] > 0.7
    # The rows of a block are alike, so one by itself may be decoded as its neighbour.
    assert content["agreement"] > 0.8
    assert content["provenance"]["inputs"][str(checkpoint)] == sha256(checkpoint)
    assert (content["rows"], content["rows_evenly_spaced"]) == (ROWS, True)
    assert (content["channels"], content["missing_channels"]) == (len(SENSORS), [])
    for candidates in (content["programs"], content["operations"]):
        assert {candidate["name"] for candidate in candidates} == set(OPERATIONS)
        probabilities = [candidate["probability"] for candidate in candidates]
        assert sum(probabilities) == pytest.approx(1, abs=1e-4)
        assert probabilities == sorted(probabilities, reverse=True)
    assert tuple(rows[0]) == TABLE_COLUMNS
    assert [row["block"] for row in rows] == POCKET
    covered = [
        (index, row["block"])
        for row in rows
        for index in range(int(row["first_row"]), int(row["last_row"]) + 1)
    ]
    assert [index for index, _ in covered] == list(range(ROWS))
    pairs = zip(covered, executed(POCKET), strict=True)
    assert np.mean([block == true for (_, block), true in pairs]) > 0.9
    for row in rows:
        assert all(0 <= float(row[f"confidence{kind}"]) <= 1 for kind in ("", "_clock_known"))
        assert (row["y_mm"], row["z_mm"]) == ("-5.000", "-1.000")


def test_gcode_parses_and_agrees_with_the_table(output: Path, checkpoint: Path) -> None:
    lines = (output / f"{NAME}.nc").read_text().splitlines()
    assert all(re.fullmatch(r"[^()]*\([ -'*-~]*\)", line) for line in lines)
    head = [line for line in lines if line.startswith("(")]
    assert lines[: len(head)] == head
    assert head[0] == f"({SAFETY_WARNING})"
    assert "(recording job 7 _new_, 32 rows)" in head
    assert f"(checkpoint sha256 {sha256(checkpoint)})" in head
    blocks = lines[len(head) :]
    for line, row in zip(blocks, table(output), strict=True):
        assert format_block(parse_block(line)) == row["block"]
        comment = COMMENT.search(line)
        assert comment is not None
        assert float(comment[1]) == pytest.approx(float(row["confidence"]), abs=0.0051)
        assert comment.groups()[1:] == (row["first_row"], row["last_row"], row["line"])
    assert blocks[0].endswith(", at 12:00:00.000)")
    greedy = (output / f"{NAME}.greedy.nc").read_text().splitlines()
    assert greedy[0] == f"({SAFETY_WARNING})"
    assert {format_block(parse_block(line)) for line in greedy} - {""} <= {*FACE, *POCKET, "G1 X2"}
    assert (output / f"{NAME}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (output / f"{NAME}.svg").read_text()
    names = {f"{NAME}.{suffix}" for suffix in ("nc", "greedy.nc", "csv", "json", "svg", "png")}
    assert {path.name for path in output.iterdir()} == names


def test_controller_columns_do_not_reach_the_prediction_and_sensors_do(
    output: Path, checkpoint: Path, tmp_path: Path
) -> None:
    sensors = new_recording("pocket_008").drop(columns=list(CONTROLLER))
    for folder, columns in (("bare", list(sensors)), ("shuffled", sorted(sensors, reverse=True))):
        recording = write_recording(tmp_path / f"{NAME}.csv", sensors[columns])
        assert run(checkpoint, tmp_path / folder, recording) == 0
        assert table(tmp_path / folder) == table(output)
        bare, full = document(tmp_path / folder), document(output)
        for key in ("programs", "operations", "confidence", "confidence_clock_known"):
            assert bare[key] == full[key]
        assert "at 12:" not in (tmp_path / folder / f"{NAME}.nc").read_text()
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    assert run(checkpoint, tmp_path / "out", recording) == 0
    assert [row["block"] for row in table(tmp_path / "out", "x")] == FACE
    assert not (tmp_path / "out" / "x.greedy.nc").exists()


def test_a_recording_that_matches_no_program_is_marked(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).normal(size=(2 * ROWS + 1, len(SENSORS)))
    recording = write_recording(tmp_path / "x.csv", pd.DataFrame(noise, columns=SENSORS))
    assert run(checkpoint, tmp_path / "out", recording) == 0
    content = document(tmp_path / "out", "x")
    assert content["agreement"] < content["doubtful_below"]
    assert content["refusal"] is None
    unknown, long = content["doubts"]
    assert "few rows agree on the program" in unknown
    assert "65 rows, the program has 32" in long
    assert capsys.readouterr().err.count("x: CAVEAT") == 2
    assert "(CAVEAT" in (tmp_path / "out" / "x.nc").read_text()


def test_with_a_decoder_the_match_with_the_programs_decides(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copy(checkpoint, tmp_path))
    data = dataset_flags(checkpoint.parent.parent / "dataset", "train", "val")
    decoder = str(tmp_path / "decoder.npz")
    assert fit_decoder.main(["--checkpoint", str(own), *data, "--output", decoder]) == 0
    noise = np.random.default_rng(0).normal(size=(ROWS, len(SENSORS)))
    paths = [
        write_recording(tmp_path / f"{name}.csv", content)
        for name, content in (
            ("noise", pd.DataFrame(noise, columns=SENSORS)),
            ("usual", new_recording("pocket_008", noise=0.1)),
            # Without a clock, so many rows are a lower feed.
            ("slow", at_rate(new_recording("pocket_008", noise=0.1), 2)[SENSORS]),
        )
    ]
    assert run(own, tmp_path / "out", *paths) == 0
    refused, frame, slow = (document(tmp_path / "out", path.stem) for path in paths)
    (doubt,) = refused["doubts"]
    assert "matches none of the programs" in doubt
    assert refused["refusal"]["p_value"] <= refused["refusal"]["false_alarm_rate"]
    assert (frame["doubts"], frame["doubtful_below"]) == ([], None)
    assert frame["refusal"]["fit"] > refused["refusal"]["fit"]
    assert [row["block"] for row in table(tmp_path / "out", "usual")] == POCKET
    assert (refused["speed"], frame["speed"]) == (1, 1)
    assert slow["speed"] in (0.5, 0.63)
    assert slow["refusal"]["p_value"] > slow["refusal"]["false_alarm_rate"]
    (note,) = slow["doubts"]
    assert f"at about {slow['speed']:g} times the speed of the train recordings" in note
    assert [row["block"] for row in table(tmp_path / "out", "slow")] == POCKET
    assert frame["provenance"]["inputs"][decoder] == sha256(Path(decoder))
    assert "no decoder.npz" not in capsys.readouterr().err


def test_missing_channels_are_filled_and_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node that is not there is filled; a node that lost a channel is an error."""
    lacking = new_recording("face_009", rows=WINDOW).drop(columns=SENSORS[:2])
    lacking[SENSORS[2]] = float("nan")
    assert run(checkpoint, tmp_path / "out", write_recording(tmp_path / "x.csv", lacking)) == 0
    assert document(tmp_path / "out", "x")["missing_channels"] == SENSORS[:3]
    assert f"x: 3 channels are missing: {', '.join(SENSORS[:3])}" in capsys.readouterr().err
    lacking_channel = write_recording(tmp_path / "y.csv", lacking.drop(columns=SENSORS[2]))
    assert run(checkpoint, tmp_path / "out", lacking_channel) == 1
    error = capsys.readouterr().err
    assert "1 of the 4 imu channels are missing, though their nodes are there: n1.Ax" in error
    assert "--allow-missing" in error
    assert run(checkpoint, tmp_path / "out", lacking_channel, flags=["--allow-missing"]) == 0
    assert document(tmp_path / "out", "y")["missing_channels"] == SENSORS[:3]


def test_a_bad_file_does_not_keep_the_others_from_being_predicted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = new_recording("face_009")
    good = [write_recording(tmp_path / f"{name}.csv", frame) for name in ("a", "d")]
    header = write_recording(tmp_path / "b.csv", frame[:0])
    shifted = tmp_path / "c.csv"
    shifted.write_text(str(frame.to_csv(index=False)).replace(",100.0,", ",100.0,,", 1))
    paths = [good[0], header, shifted, tmp_path / "none.csv", good[1]]
    assert run(checkpoint, tmp_path / "out", *paths) == 1
    error = capsys.readouterr().err
    assert f"{header}: 0 rows" in error
    assert f"{shifted}: cannot be read as CSV: data row 1 has" in error
    assert f"failed: {header}, {shifted}, {tmp_path / 'none.csv'}; the reasons" in error
    assert "Traceback" not in error
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"a", "d"}
    assert len(list((tmp_path / "out").iterdir())) == 10


def at_rate(table: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """The same time with `ratio` times as many rows, each sample between its neighbours."""
    row = np.arange(round(len(table) * ratio)) / ratio
    seconds = 12 * 3600 + row / 4
    samples = {s: np.interp(row, np.arange(len(table)), table[s]) for s in SENSORS}
    return pd.DataFrame({"t_console": [clock_text(second) for second in seconds], **samples})


@pytest.mark.parametrize("ratio", [2, 2.5, 4])
def test_rows_of_a_higher_rate_are_resampled(
    checkpoint: Path, tmp_path: Path, ratio: float
) -> None:
    frame = new_recording("face_009", noise=0.05)
    fast = at_rate(frame, ratio)
    paths = [write_recording(tmp_path / f"{n}.csv", t) for n, t in (("a", frame), ("b", fast))]
    assert run(checkpoint, tmp_path / "out", *paths) == 0
    expected, resampled = (document(tmp_path / "out", name) for name in ("a", "b"))
    (note,) = resampled["doubts"]
    assert f"every 0.250 s: resampled to means of {ratio:.1f} rows" in note
    assert resampled["rows"] == expected["rows"]
    assert resampled["program"]["name"] == expected["program"]["name"] == "face"
    tables = [pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("a", "b")]
    lines = [
        np.repeat(t["line"], np.diff([*(t["first_row"] / r).round().astype(int), ROWS]))
        for t, r in zip(tables, (1, ratio), strict=True)
    ]
    assert (lines[0].to_numpy() == lines[1].to_numpy()).mean() > 0.85


def test_rows_of_a_lower_rate_are_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = at_rate(new_recording("face_009", 2 * ROWS), 0.5)
    path = write_recording(tmp_path / "slow.csv", slow)
    assert run(checkpoint, tmp_path / "out", path) == 1
    error = capsys.readouterr().err
    assert f"{path}: by its clock the recording has a row every 0.500 s, the train" in error
    # A machine that stands still, at half the rate, for most of the time.
    frame = new_recording("face_009")
    seconds = np.cumsum(np.where(np.arange(ROWS) < 0.7 * ROWS, 0.5, 0.25))
    standing = frame.assign(t_console=[clock_text(43200 + second) for second in seconds])
    path = write_recording(tmp_path / "standing.csv", standing)
    assert run(checkpoint, tmp_path / "out", path) == 0
    assert document(tmp_path / "out", "standing")["doubts"] == []


def wrong_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Case -> content of a recording and the error that it causes."""
    half = write_recording(folder / "content.csv.gz", new_recording("face_009")).read_bytes()
    count, unreadable = len(SENSORS), "x.csv.gz: cannot be read as CSV"
    return {
        "no channels": (b"name,price\nmill,7\n", f"{count} of the {count} channels"),
        "empty gz": (b"", unreadable),
        "cut gz": (b"\x1f\x8b\x08\x00cut", unreadable),
        "zip gz": (b"PK\x03\x04", unreadable),
        "half gz": (half[: len(half) // 2], "x.csv.gz: cannot be read"),
    }


def test_wrong_recordings_are_refused_and_nothing_is_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case, (content, message) in wrong_files(tmp_path).items():
        path = tmp_path / ("x.csv.gz" if case.endswith("gz") else "x.csv")
        path.write_bytes(content)
        assert run(checkpoint, tmp_path / "out", path) == 1, case
        assert message in capsys.readouterr().err
    assert run(checkpoint, tmp_path / "out", tmp_path / "none.csv") == 1
    assert "none.csv: no such recording" in capsys.readouterr().err
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    assert run(checkpoint, tmp_path / "out", tmp_path / "loop.csv") == 1
    assert "loop.csv: no such recording" in capsys.readouterr().err
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    assert run(tmp_path / "none.pt", tmp_path / "out", recording) == 1
    assert "no such checkpoint" in capsys.readouterr().err
    for content in (checkpoint.read_bytes()[:1000], b'{"format": "gcodefp-best-1"}', b""):
        (tmp_path / "cut.pt").write_bytes(content)
        assert run(tmp_path / "cut.pt", tmp_path / "out", recording) == 1
        assert "cut.pt: is not a gcodefp checkpoint, or is truncated" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_recording_is_overwritten_and_no_name_is_predicted_twice(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    before = recording.read_bytes()
    assert run(checkpoint, tmp_path, recording) == 1
    assert "x.csv: would be overwritten; choose another --output" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {recording: before}
    other = write_recording(tmp_path / "other" / "x_aligned.csv.gz", new_recording("face_009"))
    assert run(checkpoint, tmp_path / "out", recording, other) == 1
    assert "two recordings are called 'x'" in capsys.readouterr().err


def test_a_path_without_heights_is_drawn() -> None:
    """As of a laser, whose program has no Z."""
    count = 20
    position_mm = np.stack([np.arange(count), np.arange(count) % 3, np.full(count, np.nan)], axis=1)
    share, text = np.full(count, 0.9), np.full(count, "G1 X1")
    of_rows = {"row": np.arange(count, dtype=np.int32), "line": np.arange(count), "block": text,
               "position_mm": position_mm.astype(float), "confidence": share,
               "median_lag_confidence": share, "greedy_block": text}  # fmt: skip
    one = (Candidate("laser", 1.0),)
    predicted = RecordingPrediction(
        "laser_1", **of_rows, agreement=1.0, rejection=None, speed=1.0, program_rows=count,
        programs=one, operations=one, notes=(),
    )  # fmt: skip
    figure = draw_predicted(predicted, [])
    assert "X (mm)" in [axes.get_xlabel() for axes in figure.axes]
