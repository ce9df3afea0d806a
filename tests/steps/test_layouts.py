"""A laboratory's files from preprocess to predict, with its layout alone."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from evaluation_commands import learn, results
from layout_files import LINES, ROWS, blocks, content, write_laboratory
from new_recordings import predict
from recording_files import preprocess, read_dataset

from gcodefp import evaluate
from gcodefp.recordings.laboratory.lab_files import list_recordings
from gcodefp.recordings.laboratory.layout import describe_layout, parse_layout, stored_layout

ROOT = Path(__file__).resolve().parents[2]
MILL_PLC = ROOT.parent / "shared/others/mill_plc"
MILL_PLC_LAYOUT = """\
sources:
  plc:
    files: "experiment_*.csv"
    clock: {format: sample, rate_hz: 10}
    columns:
      M_sequence_number: {as: line, missing: [2], fill: hold}
      X_ActualPosition: x [mm]
      Y_ActualPosition: y [mm]
      Z_ActualPosition: z [mm]
      "{axis}_CurrentFeedback": "{axis}_feedback.Current [A]"
      "{axis}_DCBusVoltage": "{axis}_bus.Voltage [V]"
      "{axis}_OutputCurrent": "{axis}.Current [A]"
      "{axis}_OutputVoltage": "{axis}.Voltage [V]"
      "{axis}_OutputPower": "{axis}.Power [kW]"
    ignore: ["*"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a laboratory, its dataset, and a run trained on it."""
    folder = tmp_path_factory.mktemp("laboratory")
    write_laboratory(folder / "lab", {"face": 4, "pocket": 4})
    (folder / "lab.yaml").write_text(yaml.safe_dump(content()))
    flags = {"layout": folder / "lab.yaml", "canonical": folder / "d/recordings"}
    assert preprocess(folder / "lab", folder / "d", groups=["imu"], max_lag_seconds=1, **flags) == 0
    learn(folder / "d", folder / "run", max_epochs=30)
    return folder


def test_the_dataset_knows_its_layout_and_keeps_the_recordings(made: Path, tmp_path: Path) -> None:
    description, splits = read_dataset(made / "d")
    stored = stored_layout(description.document)
    assert stored is not None
    assert describe_layout(stored) == describe_layout(parse_layout(content(), "lab.yaml"))
    assert len(description.scaler.channels) == 14
    assert {c["unit"] for c in description.document["channels"]} == {"g", "log10 of (g)^2"}
    assert splits["train"].position_mm[0, 0] == pytest.approx(12.7)
    assert str(made / "lab/face.nc") in description.document["provenance"]["inputs"]
    names = {path.stem for path in (made / "d/recordings").iterdir()}
    assert names == set(description.document["recordings"])
    # The Parquet files are recordings by themselves.
    assert preprocess(made / "d/recordings", tmp_path, groups=["imu"], max_lag_seconds=1) == 0
    for name in splits:
        assert (tmp_path / f"{name}.npz").read_bytes() == (made / f"d/{name}.npz").read_bytes()


def test_new_files_are_predicted_and_scored_without_a_flag(made: Path, tmp_path: Path) -> None:
    new = write_laboratory(tmp_path / "new", {"pocket": 9})
    for path in new.iterdir():
        if not path.stem.startswith("pocket_009"):
            path.unlink()
    sensor = new / "pocket_009_accel.csv"
    (new / "pocket_009.csv").rename(tmp_path / "labels.csv")
    assert predict(made / "run/checkpoint.pt", tmp_path / "out", sensor) == 0
    predicted = json.loads((tmp_path / "out/pocket_009.json").read_text())
    assert predicted["program"]["name"] == "pocket"
    assert (predicted["missing_channels"], predicted["counts"]["rows_in_file"]) == ([], ROWS + 5)
    table = pd.read_csv(tmp_path / "out/pocket_009.csv")
    assert set(blocks("pocket")[2:6]) <= set(table["block"])
    (tmp_path / "labels.csv").rename(new / "pocket_009.csv")
    (new / "pocket.nc").write_text("\n".join(blocks("pocket")))
    flags = ["--checkpoint", made / "run/checkpoint.pt", "--recordings", new]
    assert evaluate.main([*map(str, flags), "--output", str(tmp_path / "scores")]) == 0
    assert results(tmp_path / "scores")[1]["recordings"].tolist() == ["pocket_009"]


def test_columns_that_no_layout_maps_are_named_once(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = content()
    layout["sources"]["toolhead"]["columns"] = {"a_x": "toolhead.Ax [m/s^2]"}
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(layout))
    flags = {"groups": ["imu"], "max_lag_seconds": 0, "layout": tmp_path / "lab.yaml"}
    assert preprocess(made / "lab", tmp_path / "d", **flags) == 0
    log = capsys.readouterr().err
    assert log.count("toolhead: not read, since the layout neither maps nor ignores them: a_y") == 1
    assert "controller: not read" not in log


def test_sessions_of_a_layout_split_the_recordings(made: Path, tmp_path: Path) -> None:
    rows = [f"{p}_{n:03d},{'monday' if n < 4 else 'friday'}" for p in ("face", "pocket")
            for n in range(1, 5)]  # fmt: skip
    (made / "lab/list.csv").write_text("\n".join(["recording,session", *rows]))
    layout = content(table="list.csv")
    (tmp_path / "lab.yaml").write_text(yaml.safe_dump(layout))
    flags = {"split": "session", "held_out": ["fri*"], "layout": tmp_path / "lab.yaml"}
    try:
        assert preprocess(made / "lab", tmp_path / "d", groups=["imu"], **flags) == 0
    finally:
        (made / "lab/list.csv").unlink()
    document = read_dataset(tmp_path / "d")[0].document
    assert document["splits"]["test"]["recordings"] == ["face_004", "pocket_004"]
    assert document["recordings"]["face_001"]["session"] == "monday"


@pytest.mark.skipif(not MILL_PLC.is_dir(), reason="needs ../shared")
def test_other_peoples_recordings_with_fifteen_lines(tmp_path: Path) -> None:
    assert len(MILL_PLC_LAYOUT.splitlines()) <= 15
    (tmp_path / "mill_plc.yaml").write_text(MILL_PLC_LAYOUT)
    flags = {"layout": tmp_path / "mill_plc.yaml", "groups": ["electrical"], "max_lag_seconds": 0}
    assert preprocess(MILL_PLC, tmp_path / "d", **flags) == 0
    description, splits = read_dataset(tmp_path / "d")
    layout = stored_layout(description.document)
    assert {
        len(list_recordings(MILL_PLC, (), layout)),
        len(description.document["recordings"]),
    } == {10}
    assert len(description.scaler.channels) >= 15
    for split in splits.values():
        for index, name in enumerate(split.recordings):
            rows = split.recording == index
            table = pd.read_csv(MILL_PLC / f"{name}.csv.gz").iloc[split.row[rows]]
            reported = table["M_sequence_number"].to_numpy()
            right = reported != 2
            assert (split.line[rows][right] == reported[right]).all()
            assert not (split.line[rows] == 2).any()
            assert right.mean() < 0.95, "every tenth sample is wrong"
            assert (split.position_mm[rows, 0] == table["X_ActualPosition"].astype("float32")).all()
            texts = split.blocks[split.block[rows]]
            assert (texts == [f"L{line}" for line in split.line[rows]]).all()
            assert len(set(texts)) > LINES
