import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recording_files import (
    ROWS,
    SPLITS,
    preprocess,
    read_dataset,
    recording_table,
    write_recording,
    write_recordings,
)

from gcodefp.dataset.store import LEAKY_NOTE, Description, read_description
from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.files import sha256
from gcodefp.programs.table import UNKNOWN
from gcodefp.recordings.columns import PLAIN_COLUMNS
from gcodefp.recordings.gcode import format_block, parse_block

REAL = Path(__file__).resolve().parents[3] / "shared" / "recordings"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of each of two programs."""
    return write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / f"{name}.npz") for name in SPLITS}


def fitted(description: Description) -> tuple[object, ...]:
    """Whatever is learnt from recordings."""
    document = description.document
    return description.scaler, description.vocabulary, document["programs"], document["position_mm"]


# The dataset


def test_the_dataset_says_what_the_recordings_say(recordings: Path, tmp_path: Path) -> None:
    assert preprocess(recordings, tmp_path / "dataset") == 0
    description, splits = read_dataset(tmp_path / "dataset")
    channels = description.scaler.channels
    nodes = [[f"{node}.{q}" for q in ("Ax", "Mx", "RMS")] for node in ("frame_r2", "spindle2")]
    assert list(channels) == [*nodes[0], "spindle", *nodes[1]]
    assert [len(splits[name].recordings) for name in SPLITS] == [4, 2, 2]
    for split in splits.values():
        for index, name in enumerate(split.recordings):
            rows = split.recording == index
            # What is seen was reported in the same recording.
            assert (split.recording[split.lag_corrected_row[rows]] == index).all()
            table = pd.read_csv(recordings / f"{name}_aligned.csv.gz")
            blocks = [format_block(parse_block(text)) for text in table["gcode_string"]]
            assert split.row[rows].tolist() == list(range(ROWS))
            assert split.blocks[split.block[rows]].tolist() == blocks
            operation = description.vocabulary.operations[split.operation[rows][0]]
            assert name.startswith(operation + "_")
            scaler = description.scaler
            scaled = (table[list(channels)] - np.array(scaler.mean)) / np.array(scaler.std)
            np.testing.assert_allclose(split.signals[rows], scaled, atol=1e-5)
            np.testing.assert_allclose(split.position_mm[rows, 0], table["posx"] * 25.4, rtol=1e-6)
            assert split.valid[rows].all()
            for column, quantity in enumerate(("Pressure", "Temperature")):
                nodes = table.filter(regex=rf"\.{quantity}$")
                np.testing.assert_allclose(
                    split.environment[rows, column], nodes.mean(axis=1), rtol=1e-6
                )
    np.testing.assert_allclose(splits["train"].signals.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(splits["train"].signals.std(axis=0), 1.0, atol=1e-5)


def test_the_description_counts_and_names_everything(recordings: Path, tmp_path: Path) -> None:
    short = write_recording(recordings / "face_009.csv", recording_table(rows=5))
    log, output = tmp_path / "log" / "preprocess.txt", tmp_path / "dataset"
    assert preprocess(recordings, output, exclude="pocket_002", log=log) == 0
    assert {path.stem for path in output.iterdir()} == {"dataset", "programs", *SPLITS}
    document = read_description(output / "dataset.json").document
    reason = "5 rows are left, one window needs 8"
    assert document["left_out"] == [{"recording": "face_009", "reason": reason}]
    assert f"face_009: {reason}" in log.read_text()
    assert document["counts"]["rows_in_file"] == 7 * ROWS
    assert document["counts"]["frozen_samples"] == 0
    assert document["provenance"]["inputs"][str(short)] == sha256(short)
    used = [name for split in SPLITS for name in document["splits"][split]["recordings"]]
    assert sorted(used) == sorted(document["recordings"])
    assert len(used) == 7
    assert "pocket_002" not in used
    train = [
        parse_block(text)
        for name in document["splits"]["train"]["recordings"]
        for text in pd.read_csv(next(recordings.glob(f"{name}_*")))["gcode_string"]
    ]
    executed = Counter(str(word) for block in train for word in block)
    assert document["words"] == {"train": executed}
    assert (document["leaky"], document["controller_is_input"]) == (False, False)


def test_the_same_input_gives_the_same_bytes(recordings: Path, tmp_path: Path) -> None:
    assert preprocess(recordings, tmp_path / "first", workers=1) == 0
    assert preprocess(recordings, tmp_path / "second", workers=2) == 0
    assert preprocess(recordings, tmp_path / "third", seed=1) == 0
    assert hashes(tmp_path / "first") == hashes(tmp_path / "second")
    programs = [sha256(tmp_path / name / "programs.npz") for name in ("first", "second", "third")]
    assert programs[0] == programs[1] != programs[2]
    assert hashes(tmp_path / "first")["test"] != hashes(tmp_path / "third")["test"]
    documents = [
        json.loads((tmp_path / name / "dataset.json").read_text()) for name in ("first", "second")
    ]
    for document in documents:
        del document["provenance"]
    assert documents[0] == documents[1]


# Leakage


def spoil(path: Path) -> None:
    """Other signals, another channel, other labels; the clock and the operation stay."""
    table = recording_table("unheard_of", seed=99)
    table[["spindle", "frame_r2.Ax"]] *= 1e4
    write_recording(path, table.assign(**{"new.Ax": table["spindle"], "y_motor": table["posx"]}))


@pytest.mark.parametrize("split", SPLITS)
def test_only_train_recordings_touch_what_is_learnt_from(
    recordings: Path, tmp_path: Path, split: str
) -> None:
    preprocess(recordings, tmp_path / "before")
    before, _ = read_dataset(tmp_path / "before")
    for name in before.document["splits"][split]["recordings"]:
        spoil(recordings / f"{name}_aligned.csv.gz")
    preprocess(recordings, tmp_path / "after")
    after, splits = read_dataset(tmp_path / "after")
    old, new = hashes(tmp_path / "before"), hashes(tmp_path / "after")
    if split == "train":
        # The control: what must not show through does so where it may.
        assert fitted(after) != fitted(before)
        assert all(new[name] != old[name] for name in SPLITS)
        return
    assert fitted(after) == fitted(before)
    assert [name for name in SPLITS if new[name] != old[name]] == [split]
    assert (after.learning_digest() == before.learning_digest()) == (split == "test")
    codes = after.vocabulary.encode(splits[split].blocks.tolist())
    assert (codes[..., 3] == UNSEEN).any()


def test_what_the_controller_says_is_no_input_unless_asked(
    recordings: Path, tmp_path: Path
) -> None:
    controller = set(PLAIN_COLUMNS["controller"])
    preprocess(recordings, tmp_path / "before")
    assert preprocess(recordings, tmp_path / "asked", groups=["imu", "controller"]) == 0
    for path in recordings.iterdir():
        table = pd.read_csv(path)
        wander = np.arange(len(table)) ** 2
        write_recording(path, table.assign(posx=wander, posy=wander, posz=0, feed=wander, stat=1))
    preprocess(recordings, tmp_path / "after")
    (before, old), (after, new) = (read_dataset(tmp_path / name) for name in ("before", "after"))
    assert fitted(after)[:2] == fitted(before)[:2]
    assert not controller & set(before.scaler.channels)
    for name in SPLITS:
        np.testing.assert_array_equal(old[name].signals, new[name].signals)
        np.testing.assert_array_equal(old[name].state, new[name].state)
        assert not np.array_equal(old[name].position_mm, new[name].position_mm)
    asked = read_description(tmp_path / "asked" / "dataset.json")
    assert asked.document["controller_is_input"]
    assert set(asked.scaler.channels) == {"frame_r2.Ax", "spindle2.Ax", "posx"}


# Ways to split


@pytest.mark.parametrize(("by", "test_operations"), [("session", 1), ("program", 2)])
def test_two_names_of_one_program_are_on_one_side_of_a_program_split(
    recordings: Path, tmp_path: Path, by: str, test_operations: int
) -> None:
    for number in (1, 2):
        table = recording_table("face", seed=50 + number)
        write_recording(recordings / f"damageface_00{number}.csv", table)
    assert preprocess(recordings, tmp_path, split=by, held_out="damage*") == 0
    description, splits = read_dataset(tmp_path)
    names = {split: {n.split("_")[0] for n in splits[split].recordings} for split in SPLITS}
    assert names["test"] == set(["damageface", "face"][:test_operations])
    assert not names["test"] & (names["train"] | names["val"])
    assert description.vocabulary.operations == tuple(sorted(names["train"]))
    assert (splits["test"].operation == UNSEEN).all()
    blocks = {split: set(splits[split].blocks) for split in SPLITS}
    assert bool(blocks["test"] & blocks["train"]) == (by == "session")
    # The other name's recordings run a program that is known; those of no known one have no place.
    of_test = [description.document["recordings"][name] for name in splits["test"].recordings]
    assert {of["program"] for of in of_test} == {"face" if by == "session" else None}
    assert {of["lag_seconds"] is None for of in of_test} == {by == "program"}
    for of in (splits["test"].state, splits["test"].lag_seconds):
        assert np.isnan(of).all() == np.isnan(of).any() == (by == "program")
    assert ((splits["test"].program == UNKNOWN) == (by == "program")).all()
    assert np.isfinite(splits["val"].state).all()


def test_a_split_of_windows_says_that_it_is_leaky(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preprocess(recordings, tmp_path, split="window") == 0
    assert LEAKY_NOTE in capsys.readouterr().err
    description, splits = read_dataset(tmp_path)
    assert description.leaky
    starts = [splits[name].window_start for name in SPLITS]
    assert len(np.unique(np.concatenate(starts))) == sum(map(len, starts)) == 8 * 12
    assert [len(part) for part in starts] == [48, 24, 24]


# The recordings of the real machine


def test_broken_real_recordings_are_found(tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip(f"{REAL} is not there")
    folder = tmp_path / "recordings"
    folder.mkdir()
    good = ["pocket150025_001", "pocket150025_002", "pocket150025_003"]
    for name in [*good, "face150025_001", "pocket150025_006"]:
        (folder / f"{name}_aligned.csv.gz").symlink_to(REAL / f"{name}_aligned.csv.gz")
    assert preprocess(folder, tmp_path / "dataset", window=64, stride=16) == 0
    description, splits = read_dataset(tmp_path / "dataset")
    reasons = {entry["recording"]: entry["reason"] for entry in description.document["left_out"]}
    assert list(reasons) == ["face150025_001", "pocket150025_006"]
    assert "no clock or G-code block" in reasons["face150025_001"]
    assert "several logs in one file" in reasons["pocket150025_006"]
    assert sorted(name for split in splits.values() for name in split.recordings) == good
    assert description.vocabulary.commands == ("G0", "G1", "G2", "G3", "G53")
    for name in good:
        # Nine or so rows of look-ahead, as RECORDINGS.md tells.
        assert 5 <= description.document["recordings"][name]["preamble_rows"] <= 15
    for split in splits.values():
        assert np.isfinite(split.signals).all()
