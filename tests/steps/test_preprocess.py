"""The command `preprocess`: the dataset, its leakage, its ways to split, and its errors."""

import json
import shutil
import zlib
from collections import Counter
from collections.abc import Callable
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

from gcodefp.dataset.store import LEAKY_NOTE, DatasetDescription, read_description
from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.files import sha256
from gcodefp.programs.table import UNKNOWN
from gcodefp.recordings.columns import MACHINE_COLUMNS
from gcodefp.recordings.gcode import format_block, parse_block
from gcodefp.recordings.loading import read_unlabelled

REAL = Path(__file__).resolve().parents[3] / "shared" / "recordings"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of each of two programs."""
    return write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256(folder / f"{name}.npz") for name in (*SPLITS, "programs")}


def fitted(description: DatasetDescription) -> tuple[object, ...]:
    """All that is fitted to recordings."""
    document = description.document
    return description.scaler, description.vocabulary, document["programs"], document["position_mm"]


def test_the_dataset_holds_the_rows_of_the_recordings(recordings: Path, tmp_path: Path) -> None:
    assert preprocess(recordings, tmp_path / "dataset") == 0
    description, splits = read_dataset(tmp_path / "dataset")
    scaler = description.scaler
    nodes = [[f"{node}.{q}" for q in ("Ax", "Mx", "RMS")] for node in ("frame_r2", "spindle2")]
    assert list(scaler.channels) == [*nodes[0], "spindle", *nodes[1]]
    assert [len(splits[name].recordings) for name in SPLITS] == [4, 2, 2]
    for split in splits.values():
        for index, name in enumerate(split.recordings):
            rows = split.recording == index
            assert (split.recording[split.lag_corrected_row[rows]] == index).all()
            table = pd.read_csv(recordings / f"{name}_aligned.csv.gz")
            blocks = [format_block(parse_block(text)) for text in table["gcode_string"]]
            assert split.row[rows].tolist() == list(range(ROWS))
            assert split.blocks[split.block[rows]].tolist() == blocks
            operation = description.vocabulary.operations[split.operation[rows][0]]
            assert name.startswith(operation + "_")
            scaled = (table[list(scaler.channels)] - np.array(scaler.mean)) / np.array(scaler.std)
            np.testing.assert_allclose(split.signals[rows], scaled, atol=1e-5)
            np.testing.assert_allclose(split.position_mm[rows, 0], table["posx"] * 25.4, rtol=1e-6)
            assert split.valid[rows].all()
            for column, quantity in enumerate(("Pressure", "Temperature")):
                mean = table.filter(regex=rf"\.{quantity}$").mean(axis=1)
                np.testing.assert_allclose(split.environment[rows, column], mean, rtol=1e-6)
    np.testing.assert_allclose(splits["train"].signals.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(splits["train"].signals.std(axis=0), 1.0, atol=1e-5)


def test_the_description_counts_rows_and_words(recordings: Path, tmp_path: Path) -> None:
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
    names = [name for split in SPLITS for name in document["splits"][split]["recordings"]]
    assert sorted(names) == sorted(document["recordings"])
    assert len(names) == 7
    assert "pocket_002" not in names
    blocks = [
        parse_block(text)
        for name in document["splits"]["train"]["recordings"]
        for text in pd.read_csv(next(recordings.glob(f"{name}_*")))["gcode_string"]
    ]
    assert document["words"] == {"train": Counter(str(w) for block in blocks for w in block)}
    assert not any(document[key] for key in ("leaky", "controller_is_input", "simulated"))


def test_the_same_input_gives_the_same_bytes(recordings: Path, tmp_path: Path) -> None:
    documents = []
    for name, workers in (("first", 1), ("second", 2)):
        assert preprocess(recordings, tmp_path / name, workers=workers) == 0
        documents.append(json.loads((tmp_path / name / "dataset.json").read_text()))
        del documents[-1]["provenance"]
    assert documents[0] == documents[1]
    assert hashes(tmp_path / "first") == hashes(tmp_path / "second")
    assert preprocess(recordings, tmp_path / "third", seed=1) == 0
    third = hashes(tmp_path / "third")
    assert all(third[name] != digest for name, digest in hashes(tmp_path / "first").items())


@pytest.mark.parametrize("zscored", [False, True])
def test_predict_scales_signals_as_preprocess_does(
    recordings: Path, tmp_path: Path, zscored: bool
) -> None:
    flags = {"center": [], "zscore": []} if zscored else {}
    assert preprocess(recordings, tmp_path / "dataset", **flags) == 0
    description, splits = read_dataset(tmp_path / "dataset")
    assert description.document["zscored"] is description.scaler.zscored is zscored
    for split in splits.values():
        for index, name in enumerate(split.recordings):
            path, rows = recordings / f"{name}_aligned.csv.gz", split.recording == index
            unlabelled = read_unlabelled(path, description.scaler.channels, 8, 0.25)
            signals = description.scaler.apply(unlabelled.recording)
            np.testing.assert_array_equal(signals, split.signals[rows])
            deviation = signals.std(axis=0)
            assert (np.abs(signals.mean(axis=0)) < 1e-5).all() == zscored
            assert (deviation < 1).all() or not zscored


def spoil(path: Path) -> None:
    """Other signals, another channel, other labels; the clock and the operation stay."""
    table = recording_table("unheard_of", seed=zlib.crc32(path.name.encode()))
    table[["spindle", "frame_r2.Ax"]] *= 1e4
    write_recording(path, table.assign(**{"new.Ax": table["spindle"], "y_motor": table["posx"]}))


@pytest.mark.parametrize("split", SPLITS)
def test_only_train_recordings_decide_what_is_fitted(
    recordings: Path, tmp_path: Path, split: str
) -> None:
    preprocess(recordings, tmp_path / "before")
    before, _ = read_dataset(tmp_path / "before")
    for name in before.document["splits"][split]["recordings"]:
        spoil(recordings / f"{name}_aligned.csv.gz")
    preprocess(recordings, tmp_path / "after")
    after, splits = read_dataset(tmp_path / "after")
    old, new = hashes(tmp_path / "before"), hashes(tmp_path / "after")
    changed = [name for name in old if new[name] != old[name]]
    if split == "train":
        # The negative control: changes show where they may.
        assert fitted(after) != fitted(before)
        assert changed == [*SPLITS, "programs"]
        return
    assert fitted(after) == fitted(before)
    assert changed == [split]
    assert (after.training_data_digest() == before.training_data_digest()) == (split == "test")
    tokens = after.vocabulary.encode(splits[split].blocks.tolist())
    assert (tokens[..., 3] == UNSEEN).any()


def test_controller_columns_are_no_input_unless_configured(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preprocess(recordings, tmp_path / "before")
    assert preprocess(recordings, tmp_path / "with", groups=["imu", "controller", "optical"]) == 0
    assert "no train recording has a channel of the group optical" in capsys.readouterr().err
    for path in recordings.iterdir():
        table = pd.read_csv(path)
        drift = np.arange(len(table)) ** 2
        write_recording(path, table.assign(posx=drift, posy=drift, posz=0, feed=drift, stat=1))
    preprocess(recordings, tmp_path / "after")
    (before, old), (after, new) = (read_dataset(tmp_path / name) for name in ("before", "after"))
    assert fitted(after)[:2] == fitted(before)[:2]
    assert not set(MACHINE_COLUMNS["controller"]) & set(before.scaler.channels)
    for name in SPLITS:
        np.testing.assert_array_equal(old[name].signals, new[name].signals)
        np.testing.assert_array_equal(old[name].state, new[name].state)
        assert not np.array_equal(old[name].position_mm, new[name].position_mm)
    description = read_description(tmp_path / "with" / "dataset.json")
    assert description.document["controller_is_input"]
    assert set(description.scaler.channels) == {"frame_r2.Ax", "spindle2.Ax", "posx"}


# Copies, and what else is understood or listed


def test_copies_are_in_the_split_of_their_original(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preprocess(recordings, tmp_path / "before")
    before = read_dataset(tmp_path / "before")[0].document["splits"]
    originals = {split: before[split]["recordings"][0] for split in SPLITS}
    for split, name in originals.items():
        table = pd.read_csv(recordings / f"{name}_aligned.csv.gz").round(3)[8:]
        write_recording(recordings / f"{name} ({split}).csv", table[sorted(table)])
    # Under the name of another operation too.
    copied = pd.read_csv(recordings / f"{originals['test']}_aligned.csv.gz")
    write_recording(recordings / "zzz_001.CSV", copied)
    assert preprocess(recordings, tmp_path / "after") == 0
    document = read_dataset(tmp_path / "after")[0].document
    error = capsys.readouterr().err
    for split, name in originals.items():
        added = [f"{name} ({split})", *(["zzz_001"] if split == "test" else [])]
        assert document["splits"][split]["recordings"] == sorted(
            [*before[split]["recordings"], *added]
        )
        for copy in added:
            assert f"{copy} is a copy of {name}, by its samples" in error
            assert document["recordings"][copy]["copy_of"] == name
            operation = document["recordings"][name]["operation"]
            assert document["recordings"][copy]["operation"] == operation
    assert document["vocabulary"]["operations"] == ["face", "pocket"]
    assert document["recordings"][originals["train"]]["copy_of"] is None
    # A copy that is held out takes its original along.
    assert preprocess(recordings, tmp_path / "s", split="session", held_out="zzz*") == 0
    assert set(read_dataset(tmp_path / "s")[0].document["splits"]["test"]["recordings"]) == {
        originals["test"], f"{originals['test']} (test)", "zzz_001"
    }  # fmt: skip


def test_channels_rates_and_clocks_that_differ_are_understood_or_listed(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(name: str, changed: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        path = recordings / f"{name}_aligned.csv.gz"
        write_recording(path, changed(pd.read_csv(path)))

    change("face_001", lambda t: t.rename(columns=lambda c: f" {c.replace('spin', 'Spin')} "))
    change("face_002", lambda table: table.drop(columns=["spindle2.Ax", *table.filter(like="_r2")]))
    change("face_003", lambda table: table.assign(t_console=[f"12:00:{i}" for i in range(ROWS)]))
    change("pocket_001", lambda table: table.assign(t_console=table["t_console"].str[:8]))
    change("pocket_002", lambda table: table.assign(
        posx=-1e308, **{"spindle2.Ax": table["spindle2.Ax"].mask(table.index == 5, 1e308)}
    ))  # fmt: skip
    for name in ("face_004", "pocket_003"):
        change(name, lambda table: table.assign(**{"new.Ax": table["spindle"] + 0.5}))
    assert preprocess(recordings, tmp_path / "d", min_coverage=0.6) == 0
    description, splits = read_dataset(tmp_path / "d")
    assert "spindle2.Ax" in description.scaler.channels
    assert np.isfinite(np.concatenate([s.signals for s in splits.values()])).all()
    error = capsys.readouterr().err
    for text in (
        "face_001: taken as the same channels: {'Spindle2.Ax': 'spindle2.Ax'",
        "recordings that lack channels (missing_channels in dataset.json): 1, such as face_002: "
        "frame_r2.* (3), spindle2.Ax",
        "face_003: a row every 1.000 s, in the other recordings every 0.250 s",
        "pocket_001: the clock has 10 times for 40 rows",
        "pocket_002: 1 samples are above 1e+09",
        "no inputs, since not valid in enough train recordings: new.Ax",
    ):
        assert text in error
    described = description.document["recordings"]
    assert described["face_002"]["missing_channels"] == [
        *(f"frame_r2.{q}" for q in ("Ax", "Mx", "RMS")), "spindle2.Ax"
    ]  # fmt: skip
    assert described["pocket_001"]["notes"][0].startswith("the clock has 10 times")
    assert float(description.programs.step_seconds) == 0.25


def test_a_lag_at_the_limit_of_the_search_is_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "recordings"
    motion = np.cumsum(np.random.default_rng(0).normal(size=600))
    for name, lag_rows in {**{f"a_00{n}": 0 for n in range(1, 7)}, "a_007": 55}.items():
        table = recording_table("a", seed=int(name[-1]), rows=400)
        signals = {channel: table[channel] / 10 for channel in table.filter(regex="Ax|Mx|RMS")}
        moved = {c: s + motion[100 - lag_rows : 500 - lag_rows] for c, s in signals.items()}
        write_recording(folder / f"{name}.csv", table.assign(**moved))
    assert preprocess(folder, tmp_path / "d") == 0
    error = capsys.readouterr().err
    assert "a_007: its lag of 13.7 s is at the limit of the search, 14 s" in error
    assert error.count("at the limit") == 1


# Ways to split


@pytest.mark.parametrize("by", ["session", "program"])
def test_a_program_split_holds_out_all_names_of_a_program(
    recordings: Path, tmp_path: Path, by: str
) -> None:
    for number in (1, 2):
        table = recording_table("face", seed=50 + number)
        write_recording(recordings / f"damageface_00{number}.csv", table)
    assert preprocess(recordings, tmp_path, split=by, held_out="damage*") == 0
    description, splits = read_dataset(tmp_path)
    names = {split: {n.split("_")[0] for n in splits[split].recordings} for split in SPLITS}
    is_seen = by == "session"
    assert names["test"] == ({"damageface"} if is_seen else {"damageface", "face"})
    assert not names["test"] & (names["train"] | names["val"])
    assert description.vocabulary.operations == tuple(sorted(names["train"]))
    test = splits["test"]
    assert (test.operation == UNSEEN).all()
    assert bool(set(test.blocks) & set(splits["train"].blocks)) == is_seen
    described = [description.document["recordings"][name] for name in test.recordings]
    assert {entry["program"] for entry in described} == {"face" if is_seen else None}
    assert {entry["lag_seconds"] is None for entry in described} == {not is_seen}
    for array in (test.state, test.lag_seconds):
        assert np.isnan(array).all() == np.isnan(array).any() == (not is_seen)
    assert ((test.program == UNKNOWN) == (not is_seen)).all()
    assert np.isfinite(splits["val"].state).all()


def test_a_chronological_split_tests_on_the_last_recordings(
    recordings: Path, tmp_path: Path
) -> None:
    assert preprocess(recordings, tmp_path / "d", split="chronological") == 0
    description, splits = read_dataset(tmp_path / "d")
    assert not description.leaky
    assert splits["test"].recordings.tolist() == ["face_004", "pocket_004"]
    assert splits["val"].recordings.tolist() == ["face_003", "pocket_003"]


def test_a_split_of_windows_is_marked_as_leaky(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preprocess(recordings, tmp_path, split="window") == 0
    assert LEAKY_NOTE in capsys.readouterr().err
    description, splits = read_dataset(tmp_path)
    assert description.leaky
    starts = [splits[name].window_start for name in SPLITS]
    assert len(np.unique(np.concatenate(starts))) == sum(map(len, starts)) == 8 * 12
    assert [len(part) for part in starts] == [48, 24, 24]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_broken_real_recordings_are_excluded(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    good = ["pocket150025_001", "pocket150025_002", "pocket150025_003"]
    for name in [*good, "face150025_001", "pocket150025_006"]:
        (folder / f"{name}_aligned.csv.gz").symlink_to(REAL / f"{name}_aligned.csv.gz")
    assert preprocess(folder, tmp_path / "dataset", window=64, stride=16) == 0
    description, splits = read_dataset(tmp_path / "dataset")
    reasons = {entry["recording"]: entry["reason"] for entry in description.document["left_out"]}
    assert list(reasons) == ["face150025_001", "pocket150025_006"]
    assert "gcode_line in 2773 rows, such as nothing in data row 732" in reasons["face150025_001"]
    assert "several logs in one file" in reasons["pocket150025_006"]
    assert sorted(name for split in splits.values() for name in split.recordings) == good
    assert description.vocabulary.commands == ("G0", "G1", "G2", "G3", "G53")
    for name in good:
        # Nine or so rows of look-ahead, as RECORDINGS.md states.
        assert 5 <= description.document["recordings"][name]["preamble_rows"] <= 15
    assert all(np.isfinite(split.signals).all() for split in splits.values())


# Errors


def with_text(path: Path, column: str, text: str) -> None:
    table = pd.read_csv(path).astype({column: object})
    table.loc[6, column] = text
    write_recording(path, table)


def test_a_bad_file_is_named_and_can_be_excluded(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recordings / "face_002_aligned.csv.gz"
    with_text(path, "spindle2.Ax", "1,25")
    assert preprocess(recordings, tmp_path / "dataset") == 1
    message = capsys.readouterr().err
    complaint = "'spindle2.Ax', data row 7: '1,25' is not a number"
    for part in (str(path), complaint, "recordings.exclude"):
        assert part in message
    assert "Traceback" not in message
    assert not (tmp_path / "dataset").exists()
    assert preprocess(recordings, tmp_path / "dataset", exclude="face_002") == 0


def test_a_pressure_that_is_no_number_matters_only_as_an_input(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_text(recordings / "face_002_aligned.csv.gz", "spindle2.Pressure", "off")
    assert preprocess(recordings, tmp_path / "dataset") == 0
    assert preprocess(recordings, tmp_path / "read", groups=["imu", "environment"]) == 1
    assert "column 'spindle2.Pressure', data row 7: 'off'" in capsys.readouterr().err


def unreadable(folder: Path) -> None:
    (folder / "face_002_aligned.csv.gz").write_bytes(b"no gzip")


@pytest.mark.parametrize(
    ("damage", "options", "complaint"),
    [
        (shutil.rmtree, {}, "no such folder; set recordings.folder"),
        (lambda f: write_recording(f / "face_001.csv"), {}, "two files for the recording 'face_"),
        (None, {"exclude": "face_001_aligned.csv.gz"}, "exclude: 'face_001_aligned.csv.gz' is no"),
        (None, {"exclude": [f"{o}_00{i}" for o in ("face", "pocket") for i in range(1, 5)]},
         "leaves none"),
        (None, {"window": ROWS + 1}, "no recording is left; the reasons are above"),
        (None, {"test_fraction": 0.0}, "no recording is left for test"),
        # Before any file is read.
        (unreadable, {"split": "session", "held_out": "nose*"}, "held_out: 'nose*' matches no rec"),
        (None, {"split": "program"}, "split.held_out is empty: split.by 'program'"),
        (unreadable, {"val_held_out": "nose*"}, "split.val_held_out: 'nose*' matches no rec"),
        (None, {"max_gap_seconds": 0.1}, "no window of 8 rows fits"),
        (None, {"groups": "optical"}, "none is in 50% of the 4 train recordings"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_an_error_with_key_and_value(
    recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object] | None,
    options: dict[str, object],
    complaint: str,
) -> None:
    if damage is not None:
        damage(recordings)
    assert preprocess(recordings, tmp_path / "dataset", **options) == 1
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message
    assert not (tmp_path / "dataset").exists()
