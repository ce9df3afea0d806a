"""Files of each shipped layout's laboratory to a trained network and a prediction."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from laboratory_samples import write_laboratory
from recording_files import preprocess, read_dataset

from gcodefp import fit_decoder, predict, train

FILES = {
    "mill": ("imu", "zigzag_009_aligned.csv.gz"),
    "plc_mill": ("electrical", "zigzag_009.csv"),
    "klipper": ("imu", "adxl345-zigzag_009.csv"),
    "grbl": ("imu", "zigzag_009-accelerometer.csv"),
    "grbl_without_lines": ("imu", "zigzag_009-accelerometer.csv"),
    "octoprint": ("imu", "zigzag_009-accelerometer.csv"),
    "duet": ("imu", "zigzag_009.csv"),
    "linuxcnc": ("motor", "zigzag_009.hal.txt"),
    "mtconnect": ("motor", "zigzag_009.shdr"),
    "two_accelerometers": ("imu", "zigzag_009.csv"),
}
"""Logger -> its group of sensors, and the file of a new recording that has sensors alone."""
FEATURES = ("mean", "rms", "peak", "band1", "band2", "band3", "band4")
RECORDINGS = 4
SPEED = 2.5


def shuffle_packets(folder: Path) -> None:
    """Puts the packets of all files of plc_mill, in each of which the first line is 2, anywhere."""
    for path in folder.glob("*.csv"):
        table = pd.read_csv(path)
        packet = (table["M_sequence_number"] == 2).cumsum()
        rank = np.random.default_rng(len(table)).permutation(packet.max() + 1)
        table.iloc[np.argsort(rank[packet], kind="stable")].to_csv(path, index=False)


@pytest.mark.parametrize(
    ("logger", "is_shuffled"), [*((name, False) for name in sorted(FILES)), ("plc_mill", True)]
)
def test_a_laboratory_predicts_its_new_recording(
    logger: str, is_shuffled: bool, tmp_path: Path
) -> None:
    group, new_file = FILES[logger]
    runs = write_laboratory(logger, tmp_path / "files", RECORDINGS, SPEED, programs=2)
    data, run = tmp_path / "dataset", tmp_path / "run"
    if is_shuffled:
        shuffle_packets(tmp_path / "files")
    sizes = {"window": 8, "stride": 4} if is_shuffled else {"window": 16, "stride": 8}
    assert preprocess(
        tmp_path / "files", data, layout=logger, groups=[group], **sizes
    ) == 0  # fmt: skip
    description, splits = read_dataset(data)
    assert description.vocabulary.operations == ("square", "zigzag")
    assert sorted(str(n) for s in splits.values() for n in s.recordings) == sorted(runs)
    train_split = splits["train"]
    assert np.isfinite(train_split.signals[train_split.valid]).all()
    if node := {"klipper": "toolhead", "grbl": "spindle"}.get(logger):
        expected = {f"{node}.A{axis}_{feature}" for axis in "xyz" for feature in FEATURES}
        assert {channel["name"] for channel in description.document["channels"]} == expected

    flags = ["--train", str(data / "train.npz"), "--val", str(data / "val.npz")]
    flags += ["--dataset", str(data / "dataset.json"), "--device", "cpu"]
    network = ["--d_model", "16", "--nhead", "2", "--max_epochs", "2", "--batch_size", "16"]
    assert train.main(["--output", str(run), *flags, *network]) == 0
    checkpoint = ["--checkpoint", str(run / "checkpoint.pt"), "--device", "cpu"]
    assert fit_decoder.main([*checkpoint, *flags[:6], "--output", str(run / "decoder.npz")]) == 0

    write_laboratory(logger, tmp_path / "more", 1, SPEED, programs=2, first=9)
    new = tmp_path / "more" / new_file
    for path in (tmp_path / "more").iterdir():
        if path != new:
            path.unlink()
    if is_shuffled:
        shuffle_packets(tmp_path / "more")
    output = tmp_path / "out"
    assert predict.main([str(new), *checkpoint, "--output", str(output)]) == 0
    content = json.loads((output / "zigzag_009.json").read_text())
    recordings = description.document["recordings"].values()
    reordered = [entry.get("reordered_rows", 0) > 0 for entry in recordings]
    assert all(reordered) if is_shuffled else not any(reordered)
    assert any("each is decoded by itself" in doubt for doubt in content["doubts"]) == is_shuffled
    if logger != "mill":  # Of the vibration it has a sample now and then, and no features.
        assert content["program"]["name"] == "zigzag"
        assert content["operation"]["name"] == "zigzag"
