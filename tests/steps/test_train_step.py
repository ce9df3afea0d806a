"""The train step as a user or a W&B agent starts it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from learning_data import (
    CPU,
    RECORDINGS,
    TINY,
    dataset_flags,
    shuffled,
    tiny_flags,
    tiny_split,
    write_dataset,
)
from recording_files import preprocess, write_recordings

from gcodefp.model.checkpoint import FORMAT, read_torch
from gcodefp.model.hyperparameters import KNOWN
from gcodefp.model.run_files import read_metrics
from gcodefp.train import main


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


def flags(dataset: Path, output: Path, **changed: Any) -> list[str]:
    files = dataset_flags(dataset, "train", "val")
    return [*files, "--output", str(output), *tiny_flags(**changed)]


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_same_weights(one: Path, other: Path) -> None:
    weights = [read_torch(f / "checkpoint.pt", FORMAT, CPU)["weights"] for f in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name


# A run


def test_a_run_writes_what_it_did(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The way in which a W&B agent passes hyperparameters.
    assert main(flags(dataset, tmp_path / "new" / "run", learning_rate=0.001, dropout=0.2)) == 0
    folder = tmp_path / "new" / "run"
    assert set(files_in(folder)) == {"run.json", "metrics.csv", "work.csv", "checkpoint.pt"}
    run = json.loads((folder / "run.json").read_text())
    rows = read_metrics(folder / "metrics.csv")
    values = [row["val/aligned_acc"] for row in rows]
    assert (run["state"], run["epochs"], len(rows)) == ("finished", 4, 4)
    assert run["best_value"] == max(values)
    assert run["best_epoch"] == values.index(max(values)) + 1
    assert set(run["hyperparameters"]) == set(KNOWN)
    assert run["hyperparameters"]["learning_rate"] == 0.001
    assert run["hyperparameters"]["dropout"] == 0.2
    assert (run["metric"], run["goal"]) == ("val/aligned_acc", "maximize")
    inputs = run["provenance"]["inputs"]
    assert {Path(path).name for path in inputs} == {"train.npz", "val.npz"}
    checkpoint = read_torch(folder / "checkpoint.pt", FORMAT, CPU)
    assert checkpoint["hyperparameters"] == run["hyperparameters"]
    log = capsys.readouterr().err
    assert "epoch 4 of 4: val/aligned_acc" in log
    assert f"in epoch {run['best_epoch']}" in log


def test_a_run_is_not_repeated_nor_mixed_with_another(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert main(flags(dataset, folder, max_epochs=1, dropout=0.1)) == 0
    before = files_in(folder)
    assert main(flags(dataset, folder, max_epochs=1, dropout=0.1)) == 0
    assert "this run is over already" in capsys.readouterr().err
    assert main(flags(dataset, folder, max_epochs=1, dropout=0.3)) == 1
    message = f"{folder}: holds a run with dropout 0.1, not 0.3; choose another --output folder"
    assert message in capsys.readouterr().err
    loss = ["--metric", "val/loss", "--goal", "minimize"]
    assert main([*flags(dataset, folder, max_epochs=1, dropout=0.1), *loss]) == 1
    assert "holds a run with metric 'val/aligned_acc', not 'val/loss'" in capsys.readouterr().err
    other = write_dataset(tmp_path / "other", train=shuffled(tiny_split(RECORDINGS["train"])))
    assert main(flags(other, folder, max_epochs=1, dropout=0.1)) == 1
    assert "holds a run with learning_digest" in capsys.readouterr().err
    assert files_in(folder) == before


def test_the_metric_and_its_goal_choose_the_epoch(dataset: Path, tmp_path: Path) -> None:
    for goal, best in (("maximize", max), ("minimize", min)):
        folder = tmp_path / goal
        assert main([*flags(dataset, folder), "--metric=val/loss", f"--goal={goal}"]) == 0
        values = [row["val/loss"] for row in read_metrics(folder / "metrics.csv")]
        assert json.loads((folder / "run.json").read_text())["best_value"] == best(values)


def test_without_output_the_folder_follows_from_the_hyperparameters(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1, 1):
        arguments = [*dataset_flags(dataset, "train", "val"), *tiny_flags(max_epochs=1, seed=seed)]
        assert main(arguments) == 0
    folders = list((tmp_path / "results" / "train").iterdir())
    assert len(folders) == 2
    seeds = {json.loads((f / "run.json").read_text())["hyperparameters"]["seed"] for f in folders}
    assert seeds == {0, 1}


def test_a_dataset_as_preprocess_makes_it_can_be_learnt(tmp_path: Path) -> None:
    write_recordings(tmp_path / "recordings", {"face": 3, "pocket": 3})
    assert preprocess(tmp_path / "recordings", tmp_path / "dataset") == 0
    assert main(flags(tmp_path / "dataset", tmp_path / "run", max_epochs=1)) == 0


# Help and mistakes


def test_help_tells_every_hyperparameter_and_its_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(["--help"])
    assert exit_code.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name, field in KNOWN.items():
        # The help of one flag ends where the next one begins.
        told = text.partition(f" --{name} {name.upper()} ")[2].partition(" --")[0]
        assert told.startswith(field.metadata["help"])
        assert f"(default: {field.default})" in told


@pytest.mark.parametrize(
    ("flag", "code", "message"),
    [
        (
            "--dropout=2.0",
            1,
            "command line.dropout: 2.0 is out of range; it must be at least 0 and",
        ),
        ("--nhead=3", 1, "d_model 8 cannot be divided among nhead 3 heads"),
        ("--optimizer=adamax", 1, "command line.optimizer: 'adamax'; did you mean 'adam"),
        ("--learning_rate=nan", 1, "command line.learning_rate: nan is no float"),
        ("--batch_size=1.5", 2, "argument --batch_size: invalid int value: '1.5'"),
        ("--learning_rat=0.1", 2, "unrecognized arguments: --learning_rat=0.1"),
        ("--metric=val/gcode", 2, "argument --metric: invalid choice: 'val/gcode'"),
        ("--train=no/train.npz", 1, "no/train.npz: no such file; it is made by: snakemake"),
        ("--dataset=no/dataset.json", 1, "no/dataset.json: no such file; it is made by: snake"),
        ("--learning_rate=1e30", 1, "a smaller learning_rate may help"),
    ],
)
def test_a_mistake_is_told_with_a_way_out(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    code: int,
    message: str,
) -> None:
    arguments = flags(dataset, tmp_path / "run", optimizer="sgd", grad_clip=1e30)
    try:
        found = main([*arguments, flag])
    except SystemExit as exit_code:
        found = int(str(exit_code.code))
    error = capsys.readouterr().err
    assert found == code
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_test_split_is_refused_as_another_split(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*flags(dataset, tmp_path / "run"), "--val", str(dataset / "test.npz")]
    assert main(arguments) == 1
    assert "test.npz: is not the val split that dataset.json describes" in capsys.readouterr().err


# SIGKILL


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    dataset: Path, tmp_path: Path
) -> None:
    settings = {"max_epochs": 14, "dropout": 0.3, "augmentation_prob": 0.5}
    assert TINY["max_epochs"] != settings["max_epochs"]
    killed = tmp_path / "killed"
    arguments = flags(dataset, killed, **settings)
    process = subprocess.Popen(
        [sys.executable, "-m", "gcodefp.train", *arguments], stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while len(read_metrics(killed / "metrics.csv")) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 2 <= len(read_metrics(killed / "metrics.csv")) < 14
    assert not (killed / "run.json").exists()
    assert main(arguments) == 0
    assert main(flags(dataset, tmp_path / "whole", **settings)) == 0
    assert_same_weights(killed, tmp_path / "whole")
    assert len(read_metrics(killed / "metrics.csv")) == 14
    assert set(files_in(killed)) == {"run.json", "metrics.csv", "work.csv", "checkpoint.pt"}
