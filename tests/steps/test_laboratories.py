"""Files of three laboratories to a trained network and a prediction, by their shipped layouts."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laboratory_samples import write_laboratory
from recording_files import preprocess, read_dataset

from gcodefp import calibrate, predict, train

GROUPS = {"klipper": "imu", "grbl": "imu", "plc_mill": "electrical"}
FEATURES = ("mean", "rms", "peak", "band1", "band2", "band3", "band4")
RECORDINGS = 4
SPEED = 2.5
NEW = {"klipper": ["adxl345-zigzag_009.csv"], "grbl": ["zigzag_009-accelerometer.csv"],
       "plc_mill": ["zigzag_009.csv"]}  # fmt: skip
"""The files of a new recording that has sensors alone."""


def shuffle_packets(folder: Path) -> None:
    """Puts the packets of all files of plc_mill, in each of which the first line is 2, anywhere."""
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path)
        packet = (table["M_sequence_number"] == 2).cumsum()
        place = np.random.default_rng(len(table)).permutation(packet.max() + 1)
        table.iloc[np.argsort(place[packet], kind="stable")].to_csv(path, index=False)


@pytest.mark.parametrize(
    ("logger", "is_shuffled"), [*((name, False) for name in sorted(GROUPS)), ("plc_mill", True)]
)
def test_a_laboratory_predicts_its_new_recording(
    logger: str, is_shuffled: bool, tmp_path: Path
) -> None:
    runs = write_laboratory(logger, tmp_path / "files", RECORDINGS, SPEED, programs=2)
    data, run = tmp_path / "dataset", tmp_path / "run"
    if is_shuffled:
        shuffle_packets(tmp_path / "files")
    sizes = {"window": 8, "stride": 4} if is_shuffled else {"window": 16, "stride": 8}
    assert preprocess(
        tmp_path / "files", data, layout=logger, groups=[GROUPS[logger]], **sizes
    ) == 0  # fmt: skip
    description, splits = read_dataset(data)
    assert description.vocabulary.operations == ("square", "zigzag")
    assert sorted(str(n) for s in splits.values() for n in s.recordings) == sorted(runs)
    train_split = splits["train"]
    assert np.isfinite(train_split.signals[train_split.valid]).all()
    if logger != "plc_mill":
        node = {"klipper": "toolhead", "grbl": "spindle"}[logger]
        wanted = {f"{node}.A{axis}_{feature}" for axis in "xyz" for feature in FEATURES}
        assert {channel["name"] for channel in description.document["channels"]} == wanted

    flags = ["--train", str(data / "train.npz"), "--val", str(data / "val.npz")]
    flags += ["--dataset", str(data / "dataset.json"), "--device", "cpu"]
    network = ["--d_model", "16", "--nhead", "2", "--max_epochs", "2", "--batch_size", "16"]
    assert train.main(["--output", str(run), *flags, *network]) == 0
    checkpoint = ["--checkpoint", str(run / "checkpoint.pt"), "--device", "cpu"]
    assert calibrate.main([*checkpoint, *flags[:6], "--output", str(run / "decoder.npz")]) == 0

    write_laboratory(logger, tmp_path / "more", 1, SPEED, programs=2, first=9)
    new = [tmp_path / "more" / name for name in NEW[logger]]
    for path in (tmp_path / "more").iterdir():
        if path not in new:
            path.unlink()
    if is_shuffled:
        shuffle_packets(tmp_path / "more")
    output = tmp_path / "out"
    assert predict.main([*map(str, new), *checkpoint, "--output", str(output)]) == 0
    content = json.loads((output / "zigzag_009.json").read_text())
    recordings = description.document["recordings"].values()
    reordered = [entry.get("reordered_rows", 0) > 0 for entry in recordings]
    assert all(reordered) if is_shuffled else not any(reordered)
    assert any("each is decoded by itself" in doubt for doubt in content["doubts"]) == is_shuffled
    assert content["program"]["name"] == "zigzag"
    assert content["operation"]["name"] == "zigzag"
