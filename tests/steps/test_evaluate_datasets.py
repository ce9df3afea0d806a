"""The command `evaluate` over unusual datasets, and over folders of other labelled recordings."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_commands import evaluate, learn, results, with_test
from learning_data import (
    RECORDINGS,
    ROWS,
    STEP_SECONDS,
    WINDOW,
    of_no_program,
    tiny_split,
    with_blocks,
    write_dataset,
)
from recording_files import (
    preprocess,
    read_dataset,
    recording_table,
    write_recording,
    write_recordings,
)

from gcodefp.dataset.store import LEAKY_NOTE, Split
from gcodefp.evaluate import main
from gcodefp.evaluation.names import MODEL, PREDICTORS, STATE_ORACLE, WHOLE


def test_rows_outside_windows_are_not_scored(
    learnable: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    # The windows of the first recording's first half, and all of the last one's.
    inside = (test.window_start <= ROWS // 2 - WINDOW) | (test.window_start >= 2 * ROWS)
    few = replace(test, window_start=test.window_start[inside])
    assert evaluate(checkpoint, with_test(learnable, tmp_path / "d", few), tmp_path / "e") == 0
    document, arrays = results(tmp_path / "e")
    assert document["rows"] == ROWS + ROWS // 2
    assert arrays["row"].tolist() == [*range(ROWS // 2), *range(ROWS)]
    for name, estimates in document["models"].items():
        correct = arrays[f"{PREDICTORS[name].array}_block"] == arrays["true_block"]
        shares = sorted((correct[: ROWS // 2].mean(), correct[ROWS // 2 :].mean()))
        exact = estimates["gcode"]
        # Two recordings: half of the draws are one of them twice, which is the whole interval.
        assert [exact["low"], exact["high"]] == pytest.approx(shares)
        assert (exact["n"], exact["recordings"]) == (len(correct), 2)


def test_blocks_longer_than_in_train_are_wrong(
    learnable: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    longer = with_blocks(test, np.char.add(test.blocks[test.block], " X1 X1 X1 X1 X1"))
    assert evaluate(checkpoint, with_test(learnable, tmp_path / "d", longer), tmp_path / "e") == 0
    models = results(tmp_path / "e")[0]["models"]
    assert {estimates["gcode"]["value"] for estimates in models.values()} == {0}
    assert models[MODEL]["token"]["value"] > 0


def test_programs_outside_the_train_split_are_wrong_and_have_no_oracle(
    learnable: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    new = of_no_program(with_blocks(test, np.char.add(test.blocks[test.block], "9")))
    assert evaluate(checkpoint, with_test(learnable, tmp_path / "d", new), tmp_path / "e") == 0
    models = results(tmp_path / "e")[0]["models"]
    for name in (MODEL, WHOLE):
        for metric in ("gcode", "gcode_sensed", "program", "within_1s", "segment_f1"):
            assert models[name][metric]["value"] == 0
        assert models[name]["program_time_error_s"]["value"] is None
    assert STATE_ORACLE not in models


@pytest.mark.parametrize("blocks", [("X1", "X2", "Y2"), ("M3", "M5", "G0")])
def test_programs_without_commands_or_without_parameters(
    tmp_path: Path, blocks: tuple[str, ...]
) -> None:
    splits = {name: tiny_split(names) for name, names in RECORDINGS.items()}
    few = {n: with_blocks(s, np.array(blocks)[s.block % 3]) for n, s in splits.items()}
    dataset = write_dataset(tmp_path / "d", **few)
    for seed in (0, 1):  # Untrained networks decode any word that they have.
        settings = {"seed": seed, "max_epochs": 1, "learning_rate": 1e-9}
        checkpoint = learn(dataset, tmp_path / f"run{seed}", **settings)
        assert evaluate(checkpoint, dataset, tmp_path / "e") == 0


def test_a_lag_moves_the_labels_at_the_sensors_time_alone(
    learnable: Path, checkpoint: Path, tmp_path: Path
) -> None:
    lagging = with_test(learnable, tmp_path / "d", delayed(tiny_split(RECORDINGS["test"]), 2))
    assert evaluate(checkpoint, lagging, tmp_path / "late") == 0
    assert evaluate(checkpoint, learnable, tmp_path / "usual") == 0
    models, undelayed = (results(tmp_path / name)[0]["models"] for name in ("late", "usual"))

    exact, usual_exact = (m[WHOLE]["gcode"]["value"] for m in (models, undelayed))
    assert exact < usual_exact - 0.2
    for metric in ("gcode_sensed", "within_1s", "segment_f1"):
        now, before = (m[WHOLE][metric]["value"] for m in (models, undelayed))
        assert now == pytest.approx(before, abs=0.1)
        assert now > exact + 0.2
    # Two rows of four in each block.
    assert models[STATE_ORACLE]["gcode"]["value"] == pytest.approx(0.5, abs=0.1)
    assert models[STATE_ORACLE]["gcode_sensed"]["value"] == 1
    assert models[STATE_ORACLE]["program_time_error_90_s"]["value"] == 0
    # A lag spoils the sequence of blocks at its ends alone: one of eight.
    rate, usual_rate = (m[WHOLE]["gcode_error_rate"]["value"] for m in (models, undelayed))
    assert rate == pytest.approx(usual_rate, abs=0.13)


def delayed(split: Split, rows: int) -> Split:
    """The same recordings with sensors that are so many rows behind the controller."""
    signals = split.signals.reshape(len(split.recordings), ROWS, -1)
    first = signals[:, :1].repeat(rows, axis=1)
    moved = np.concatenate([first, signals[:, :-rows]], axis=1)
    corrected = np.maximum(np.tile(np.arange(ROWS), len(split.recordings)) - rows, 0)
    start = np.repeat(np.arange(len(split.recordings)) * ROWS, ROWS)
    return replace(
        split,
        signals=moved.reshape(split.signals.shape),
        lag_corrected_row=(start + corrected).astype(np.int32),
        state=split.state[start + corrected],
        lag_seconds=np.full_like(split.lag_seconds, rows * STEP_SECONDS),
    )


# Recordings, preprocessed or in a folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, the dataset made of them, and a run trained on it."""
    folder = tmp_path_factory.mktemp("made")
    write_recordings(folder / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(folder / "recordings", folder / "d") == 0
    learn(folder / "d", folder / "run", max_epochs=2)
    return folder


def score(made: Path, recordings: Path, output: Path, *more: str) -> int:
    flags = ["--checkpoint", str(made / "run" / "checkpoint.pt"), "--output", str(output)]
    return main([*flags, "--recordings", str(recordings), *more])


def test_a_leaky_split_is_marked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preprocess(made / "recordings", tmp_path / "d", split="window") == 0
    checkpoint = learn(tmp_path / "d", tmp_path / "run", max_epochs=1)
    for dataset, run, leaky in ((tmp_path / "d", checkpoint, True), (made / "d", None, False)):
        capsys.readouterr()
        checkpoint = run or made / "run" / "checkpoint.pt"
        assert evaluate(checkpoint, dataset, tmp_path / "e") == 0
        assert (LEAKY_NOTE in capsys.readouterr().err) == leaky
        document, arrays = results(tmp_path / "e")
        assert document["leaky"] is leaky
        assert document["split"]["by"] == ("window" if leaky else "recording")
        train = read_dataset(dataset)[1]["train"]
        expected = train.blocks[np.bincount(train.block).argmax()]
        assert set(arrays["majority_block"].tolist()) == {expected}
        for path in (tmp_path / "e" / "gcode").iterdir():
            if path.stem in arrays["recordings"]:
                assert (f"({LEAKY_NOTE})" in path.read_text()) == leaky


def test_a_folder_of_the_test_recordings_scores_as_the_test_split(
    made: Path, tmp_path: Path
) -> None:
    """The folder holds all recordings: those of the train and val splits are excluded."""
    dataset = made / "d"
    flags = ["--dataset", str(dataset / "dataset.json")]
    for name in ("train", "val"):
        flags += [f"--{name}", str(dataset / f"{name}.npz")]
    assert score(made, made / "recordings", tmp_path / "folder", *flags) == 0
    assert evaluate(made / "run" / "checkpoint.pt", dataset, tmp_path / "split") == 0
    (folder, arrays), (split, same) = (results(tmp_path / n) for n in ("folder", "split"))
    assert folder["models"] == split["models"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, same[name])
    splits = read_dataset(dataset)[0].document["splits"]
    excluded = {entry["recording"] for entry in folder["excluded"]}
    assert excluded == {*splits["train"]["recordings"], *splits["val"]["recordings"]}
    assert (folder["external"], split["external"]) == (str(made / "recordings"), None)


def test_copies_of_learnt_recordings_and_lost_channels_are_excluded(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = read_dataset(made / "d")[0].document["splits"]
    table = {s: pd.read_csv(made / "recordings" / f"{splits[s]['recordings'][0]}_aligned.csv.gz")
             for s in splits}  # fmt: skip
    folder = tmp_path / "new"
    write_recording(folder / "renamed_001.csv", table["train"])
    write_recording(folder / "rounded_001.csv.bz2", table["val"].round(3)[8:])
    # The test split is no part of the training, but nobody counts twice.
    write_recording(folder / "test_001.CSV", table["test"])
    write_recording(folder / "test_002.csv", table["test"][sorted(table["test"])])
    bare = recording_table("pocket", seed=77).drop(columns=["spindle2.Ax", "spindle"])
    write_recording(folder / "lost_001.csv", bare)
    padded = recording_table("pocket", seed=78).rename(columns={"spindle2.Ax": "Spindle2.ax [g] "})
    write_recording(folder / "padded_001.csv", padded)
    for flags, kept in (((), 2), (("--allow-missing",), 3)):
        assert score(made, folder, tmp_path / "e", *flags) == 0
        document, _ = results(tmp_path / "e")
        reasons = {entry["recording"]: entry["reason"] for entry in document["excluded"]}
        assert document["recordings"] == kept
        assert reasons["renamed_001"].startswith(f"a copy of {splits['train']['recordings'][0]} of")
        assert "of the val split, by its samples" in reasons["rounded_001"]
        assert reasons["test_002"] == "a copy of test_001, by its samples"
        reason = "1 of the 2 imu channels are missing, though their nodes are there: spindle2.Ax"
        assert reasons.get("lost_001", reason).startswith(reason)
    assert "lost_001: missing are spindle, spindle2.Ax" in capsys.readouterr().err


def test_folders_without_new_recordings_and_splits_without_a_dataset_are_refused(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = read_dataset(made / "d")[0].document["splits"]["train"]["recordings"][0]
    source = made / "recordings" / f"{name}_aligned.csv.gz"
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / source.name).write_bytes(source.read_bytes())
    assert score(made, tmp_path / "known", tmp_path / "e") == 1
    error = capsys.readouterr().err
    assert f"{name}: a recording of this name is in the train split" in error
    assert f"{tmp_path / 'known'}: no recording is left" in error
    flags = ["--checkpoint", str(made / "run" / "checkpoint.pt"), "--output", str(tmp_path)]
    assert main([*flags, "--test", str(made / "d" / "test.npz")]) == 1
    assert "--dataset is missing" in capsys.readouterr().err
