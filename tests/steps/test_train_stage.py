"""The command `train`, started by a user, for a winner again, or for a control."""

import json
from pathlib import Path
from typing import Any

import pytest
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

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY
from gcodefp.files import write_json
from gcodefp.model.checkpoint import FORMAT, read_checkpoint, read_torch
from gcodefp.model.hyperparameters import HYPERPARAMETERS
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.sweep_file import BEST_FORMAT
from gcodefp.train import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def winner(tmp_path: Path) -> Path:
    """A best/run.json."""
    hyperparameters = {**TINY, "max_epochs": 2, "dropout": 0.3}
    content = {"hyperparameters": hyperparameters, "metric": "val/loss", "goal": "minimize"}
    write_json(tmp_path / "best.json", BEST_FORMAT, content)
    return tmp_path / "best.json"


def train(dataset: Path, output: Path | None, *more: str) -> int:
    folder = ["--output", str(output)] if output else []
    return main([*dataset_flags(dataset, "train", "val"), *folder, *more])


def train_tiny(dataset: Path, output: Path | None, *more: str, **changed: Any) -> int:
    return train(dataset, output, *tiny_flags(**changed), *more)


def run_json(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def losses(folder: Path) -> list[float]:
    return [row["val/loss"] for row in read_metrics(folder / "metrics.csv")]


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_writes_its_files(dataset: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "new" / "run"
    assert train_tiny(dataset, folder, learning_rate=0.001, dropout=0.2) == 0
    assert set(files_in(folder)) == {"run.json", "metrics.csv", "work.csv", "checkpoint.pt"}
    run = run_json(folder)
    values = [row["val/aligned_acc"] for row in read_metrics(folder / "metrics.csv")]
    assert (run["state"], run["epochs"], len(values)) == ("finished", 4, 4)
    assert run["best_value"] == max(values)
    assert run["best_epoch"] == values.index(max(values)) + 1
    assert set(run["hyperparameters"]) == set(HYPERPARAMETERS)
    assert run["hyperparameters"].items() >= {"learning_rate": 0.001, "dropout": 0.2}.items()
    assert (run["metric"], run["goal"]) == ("val/aligned_acc", "maximize")
    assert {Path(path).name for path in run["provenance"]["inputs"]} == {"train.npz", "val.npz"}
    checkpoint = read_torch(folder / "checkpoint.pt", FORMAT, CPU)
    assert checkpoint["hyperparameters"] == run["hyperparameters"]
    log = capsys.readouterr().err
    assert "epoch 4 of 4: val/aligned_acc" in log
    assert f"in epoch {run['best_epoch']}" in log


def test_a_finished_run_is_neither_repeated_nor_overwritten(
    dataset: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "run"
    short = {"max_epochs": 1, "dropout": 0.1}
    assert train_tiny(dataset, folder, **short) == 0
    before = files_in(folder)
    assert train_tiny(dataset, folder, **short) == 0
    assert "this run has already ended" in capsys.readouterr().err
    other = write_dataset(tmp_path / "other", train=shuffled(tiny_split(RECORDINGS["train"])))
    loss = ("--metric=val/loss", "--goal=minimize")
    for data, flags, complaint in (
        (dataset, ("--dropout=0.3",), "dropout 0.1, not 0.3; choose another --output folder"),
        (dataset, loss, "metric 'val/aligned_acc', not 'val/loss'"),
        (dataset, ("--control", PRESENCE_ONLY), "control None, not 'presence_only'"),
        (other, (), "learning_digest"),
    ):
        assert train_tiny(data, folder, *flags, **short) == 1
        assert f"{folder}: holds a run with {complaint}" in capsys.readouterr().err
    assert files_in(folder) == before


def test_without_output_the_folder_follows_from_the_hyperparameters(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, more in ((0, ()), (1, ()), (1, ()), (1, ("--control", PRESENCE_ONLY))):
        assert train_tiny(dataset, None, *more, max_epochs=1, seed=seed) == 0
    runs = [run_json(folder) for folder in (tmp_path / "results/train").iterdir()]
    described = {(run["hyperparameters"]["seed"], run["control"]) for run in runs}
    assert described == {(0, None), (1, None), (1, PRESENCE_ONLY)}
    assert len(runs) == 3


def test_a_winner_is_trained_again_from_its_file(
    dataset: Path, winner: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = ["--hyperparameters", str(winner)]
    assert train(dataset, tmp_path / "again", *file) == 0
    run = run_json(tmp_path / "again")
    expected = json.loads(winner.read_text())["hyperparameters"]
    assert run["hyperparameters"].items() >= expected.items()
    assert (run["metric"], run["goal"], run["control"]) == ("val/loss", "minimize", None)
    assert str(winner) in run["provenance"]["inputs"]
    assert run["best_value"] == min(losses(tmp_path / "again"))
    assert train_tiny(dataset, tmp_path / "flags", max_epochs=2, dropout=0.3) == 0
    assert losses(tmp_path / "again") == losses(tmp_path / "flags")
    # Flags override the file.
    flags = ["--max_epochs=1", "--metric=val/gcode_acc", "--goal=maximize"]
    assert train(dataset, tmp_path / "run", *file, *flags) == 0
    run = run_json(tmp_path / "run")
    assert (run["hyperparameters"]["max_epochs"], run["hyperparameters"]["dropout"]) == (1, 0.3)
    assert (run["metric"], run["goal"]) == ("val/gcode_acc", "maximize")
    assert train(dataset, tmp_path / "x", "--hyperparameters", str(dataset / "dataset.json")) == 1
    assert f"this version of gcodefp reads '{BEST_FORMAT}'" in capsys.readouterr().err


def test_a_control_is_marked_everywhere(dataset: Path, tmp_path: Path, capsys: Capture) -> None:
    digests = set()
    for control in (None, LABELS_SHUFFLED, PRESENCE_ONLY):
        folder = tmp_path / str(control)
        more = ("--control", control) if control else ()
        assert train_tiny(dataset, folder, *more, max_epochs=1) == 0
        assert run_json(folder)["control"] == control
        assert read_checkpoint(folder / "checkpoint.pt", CPU).description.control == control
        assert ("a control, not a model" in capsys.readouterr().err) == (control is not None)
        digests.add(run_json(folder)["learning_digest"])
    assert len(digests) == 3


def test_an_unfinished_run_is_replaced_only_on_demand(
    dataset: Path, tmp_path: Path, capsys: Capture
) -> None:
    def killed(*_: object) -> None:
        raise SystemExit(137)

    assert train_tiny(dataset, tmp_path / "whole", max_epochs=2) == 0
    folder = tmp_path / "killed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gcodefp.train.write_json", killed)
        with pytest.raises(SystemExit):
            train_tiny(dataset, folder, max_epochs=1)
    assert (folder / "last.pt").exists()
    assert train_tiny(dataset, folder, max_epochs=2) == 1
    assert "belongs to a run with other hyperparameters" in capsys.readouterr().err
    assert train_tiny(dataset, folder, "--replace", max_epochs=2) == 0
    assert "it is replaced" in capsys.readouterr().err
    assert losses(folder) == losses(tmp_path / "whole")
    assert not (folder / "last.pt").exists()


@pytest.mark.parametrize(
    ("flag", "code", "message"),
    [
        ("--dropout=2.0", 1, "command line.dropout: 2.0 is out of range; it must be at least 0"),
        ("--nhead=3", 1, "d_model 8 cannot be divided among nhead 3 heads"),
        ("--batch_size=1.5", 2, "argument --batch_size: invalid int value: '1.5'"),
        ("--learning_rat=0.1", 2, "--learning_rat: no such flag; did you mean '--learning_rate'?"),
        ("--metric=val/gcode", 2, "argument --metric: invalid choice: 'val/gcode'"),
        ("--train=no/train.npz", 1, "no/train.npz: no such file; it is made by: snakemake"),
        ("--dataset=no/dataset.json", 1, "no/dataset.json: no such file; it is made by: snake"),
        ("--learning_rate=1e30", 1, "a smaller learning_rate may help"),
        ("--val={dataset}/test.npz", 1, "test.npz: is not the val split that dataset.json"),
    ],
)
def test_a_wrong_flag_is_an_error_with_a_fix(
    dataset: Path, tmp_path: Path, capsys: Capture, flag: str, code: int, message: str
) -> None:
    flag = flag.format(dataset=dataset)
    try:
        status = train_tiny(dataset, tmp_path / "run", flag, optimizer="sgd", grad_clip=1e30)
    except SystemExit as exit_code:
        status = int(str(exit_code.code))
    error = capsys.readouterr().err
    assert status == code
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "run.json").exists()
