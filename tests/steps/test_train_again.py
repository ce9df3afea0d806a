"""The train step told by a file what to train, and trained for a control."""

import json
from pathlib import Path
from typing import Any

import pytest
from learning_data import CPU, TINY, dataset_flags, tiny_flags, write_dataset

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY
from gcodefp.files import write_json
from gcodefp.model.checkpoint import FORMAT, read_checkpoint, read_torch
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.sweep_file import BEST_FORMAT
from gcodefp.train import main


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def winner(tmp_path: Path) -> Path:
    """A best/run.json."""
    hyperparameters = {**TINY, "max_epochs": 2, "dropout": 0.3}
    content = {"hyperparameters": hyperparameters, "metric": "val/loss", "goal": "minimize"}
    write_json(tmp_path / "run.json", BEST_FORMAT, content)
    return tmp_path / "run.json"


def train(dataset: Path, output: Path, *more: str) -> int:
    return main([*dataset_flags(dataset, "train", "val"), "--output", str(output), *more])


def trained(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def test_a_run_is_trained_again_from_its_file(dataset: Path, winner: Path, tmp_path: Path) -> None:
    assert train(dataset, tmp_path / "again", "--hyperparameters", str(winner)) == 0
    run = trained(tmp_path / "again")
    asked = json.loads(winner.read_text())["hyperparameters"]
    assert run["hyperparameters"].items() >= asked.items()
    assert (run["metric"], run["goal"], run["control"]) == ("val/loss", "minimize", None)
    assert str(winner) in run["provenance"]["inputs"]
    assert train(dataset, tmp_path / "flags", *tiny_flags(max_epochs=2, dropout=0.3)) == 0
    one, other = (
        read_metrics(tmp_path / name / "metrics.csv")[-1]["val/loss"] for name in ("again", "flags")
    )
    assert one == other


def test_flags_beside_the_file_come_first(dataset: Path, winner: Path, tmp_path: Path) -> None:
    more = ["--max_epochs=1", "--metric=val/gcode_acc", "--goal=maximize"]
    assert train(dataset, tmp_path / "run", "--hyperparameters", str(winner), *more) == 0
    run = trained(tmp_path / "run")
    assert (run["hyperparameters"]["max_epochs"], run["hyperparameters"]["dropout"]) == (1, 0.3)
    assert (run["metric"], run["goal"]) == ("val/gcode_acc", "maximize")


def test_a_file_that_is_no_winner_is_told(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--hyperparameters", str(dataset / "dataset.json")]
    assert train(dataset, tmp_path / "run", *wrong) == 1
    assert f"this version of gcodefp reads '{BEST_FORMAT}'" in capsys.readouterr().err


def test_a_control_says_so_and_is_not_mixed_with_a_model(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = tiny_flags(max_epochs=1)
    for name, more in (
        ("model", []),
        (LABELS_SHUFFLED, ["--control", LABELS_SHUFFLED]),
        (PRESENCE_ONLY, ["--control", PRESENCE_ONLY]),
    ):
        assert train(dataset, tmp_path / name, *flags, *more) == 0
        control = None if name == "model" else name
        assert trained(tmp_path / name)["control"] == control
        path = tmp_path / name / "checkpoint.pt"
        assert read_torch(path, FORMAT, CPU)["dataset"].get("control") == control
        assert read_checkpoint(path, CPU).description.control == control
        assert ("a control, no model" in capsys.readouterr().err) == (control is not None)
    assert (
        len({trained(path.parent)["learning_digest"] for path in tmp_path.glob("*/run.json")}) == 3
    )
    assert train(dataset, tmp_path / "model", *flags, "--control", PRESENCE_ONLY) == 1
    told = "holds a run with control None, not 'presence_only'; choose another --output folder"
    assert told in capsys.readouterr().err


def test_the_folder_of_a_control_is_its_own(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--control", PRESENCE_ONLY]):
        flags = [*dataset_flags(dataset, "train", "val"), *tiny_flags(max_epochs=1), *more]
        assert main(flags) == 0
    assert len(list((tmp_path / "results/train").iterdir())) == 2


def test_an_unfinished_run_goes_on_or_is_replaced_by_another(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    assert train(dataset, folder, *tiny_flags(max_epochs=2)) == 0
    whole = read_metrics(folder / "metrics.csv")

    killed = tmp_path / "killed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gcodefp.train.write_json", _killed)
        with pytest.raises(SystemExit):
            train(dataset, killed, *tiny_flags(max_epochs=1))
    assert (killed / "last.pt").exists()
    assert train(dataset, killed, *tiny_flags(max_epochs=2)) == 1
    assert "belongs to a run with other hyperparameters" in capsys.readouterr().err
    assert train(dataset, killed, *tiny_flags(max_epochs=2), "--replace") == 0
    assert "it is replaced" in capsys.readouterr().err
    again = read_metrics(killed / "metrics.csv")
    assert [row["val/loss"] for row in again] == [row["val/loss"] for row in whole]
    assert not (killed / "last.pt").exists()


def _killed(*_: object) -> None:
    raise SystemExit(137)
