import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_sweep import TinySweep
from wandb_files import wandb_history, wandb_records

from gcodefp.agent import main
from gcodefp.files import sha256
from gcodefp.model.hyperparameters import METRICS, Hyperparameters
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps import local_engine
from gcodefp.sweeps.run_folder import RunFolder

EPOCHS = 12
LONG = {
    "max_epochs": {"value": EPOCHS},
    "optimizer": {"value": "sgd"},
    "learning_rate": {"values": [0.01, 1e30, 0.02]},
}


def kill_in_the_middle(sweep: TinySweep, *more: object) -> None:
    """Kills an agent as soon as the first run has two epochs."""
    process = sweep.start(*more)
    deadline = time.monotonic() + 60
    while len(read_metrics(sweep.run(0).path / "metrics.csv")) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not sweep.run(0).is_over()


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """Runs 0 and 2 train, run 1 diverges."""
    sweep = TinySweep(dataset, tmp_path_factory.mktemp("undisturbed"))
    assert sweep.create(parameters=LONG) == 0
    assert sweep.work("--output", sweep.folder / "marker.json", "--log", sweep.folder / "log") == 0
    return sweep


@pytest.fixture(scope="module")
def killed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """The same, logged to W&B, with an agent killed in run 0, and started again."""
    sweep = TinySweep(dataset, tmp_path_factory.mktemp("killed"))
    assert sweep.create(parameters=LONG) == 0
    kill_in_the_middle(sweep, "--wandb-project", "tests")
    assert sweep.start("--wandb-project", "tests").wait(60) == 0
    return sweep


def without_seconds(run: RunFolder) -> list[str]:
    lines = (run.path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",seconds")
    return [line.rpartition(",")[0] for line in lines]


def outcome(run: RunFolder) -> dict[str, Any]:
    content = run.ended() or {}
    return {k: v for k, v in content.items() if k not in ("provenance", "seconds", "host")}


@pytest.mark.parametrize("number", [0, 2])
def test_runs_of_killed_agents_end_bit_by_bit_like_undisturbed_ones(
    undisturbed: TinySweep, killed: TinySweep, number: int
) -> None:
    first, second = undisturbed.run(number), killed.run(number)
    assert first.sweep == second.sweep
    assert without_seconds(first) == without_seconds(second)
    assert len(without_seconds(first)) == EPOCHS + 1
    assert outcome(first) == outcome(second)
    weights, again = (
        torch.load(run.path / "checkpoint.pt", weights_only=True)["weights"]
        for run in (first, second)
    )
    assert weights.keys() == again.keys()
    for name, value in weights.items():
        assert torch.equal(value, again[name])


def test_what_a_run_writes(undisturbed: TinySweep) -> None:
    run = undisturbed.run(2)
    content = run.ended()
    assert content is not None
    rows = read_metrics(run.path / "metrics.csv")
    assert list(rows[0]) == ["epoch", *METRICS, "seconds"]
    values = [row["val/gcode_acc"] for row in rows]
    asked = {"learning_rate": 0.02, "optimizer": "sgd", "max_epochs": EPOCHS, "d_model": 8}
    others = {"seed": 1, "dropout": Hyperparameters().dropout}
    assert content["hyperparameters"].items() >= (asked | others).items()
    assert content["state"] == "finished"
    assert (content["failure"], content["reason"]) == (None, "all epochs done")
    assert content["epochs"] == EPOCHS
    assert content["best_value"] == max(values)
    assert content["best_epoch"] == values.index(max(values)) + 1
    assert content["device"] == "cpu"
    assert content["seconds"] == rows[-1]["seconds"] > 0
    weights = torch.load(run.path / "checkpoint.pt", weights_only=True)["weights"]
    assert 0 < content["parameters"] <= sum(value.numel() for value in weights.values())
    assert content["sweep"] == run.sweep
    inputs = content["provenance"]["inputs"]
    assert inputs[str(undisturbed.folder / "sweep.json")] == sha256(
        undisturbed.folder / "sweep.json"
    )
    assert sorted(path.name for path in run.path.iterdir()) == [
        "checkpoint.pt",
        "hyperparameters.json",
        "metrics.csv",
        "run.json",
        "work.csv",
    ]


def test_a_diverging_run_is_told_and_the_sweep_goes_on(undisturbed: TinySweep) -> None:
    content = undisturbed.run(1).ended()
    assert content is not None
    assert (content["state"], content["failure"]) == ("failed", "diverged")
    assert "loss" in content["reason"]
    assert content["hyperparameters"]["learning_rate"] == 1e30
    assert content["best_value"] is None
    assert (undisturbed.run(2).ended() or {})["state"] == "finished"
    marker = json.loads((undisturbed.folder / "marker.json").read_text(encoding="utf-8"))
    assert marker["runs_ended"] == 3
    log = (undisturbed.folder / "log").read_text(encoding="utf-8")
    for part in ("0001 failed (diverged)", "3 of 3 runs are over; best so far", "nothing is left"):
        assert part in log


@pytest.mark.parametrize("number", [0, 2])
def test_wandb_sees_one_run_with_all_epochs(killed: TinySweep, number: int) -> None:
    run = killed.run(number)
    (folder,) = (run.path / "wandb").glob("offline-run-*")
    (file,) = folder.glob("*.wandb")
    history = wandb_history(file)
    assert [row["epoch"] for row in history] == list(range(1, EPOCHS + 1))
    for logged, written in zip(history, read_metrics(run.path / "metrics.csv"), strict=True):
        assert {name: logged[name] for name in METRICS} == {name: written[name] for name in METRICS}
    records = {record.WhichOneof("record_type"): record for record in wandb_records(file)}
    assert records["run"].run.run_id == run.run_id
    assert records["run"].run.project == "tests"
    assert records["run"].run.run_group == run.sweep
    config = {item.key: json.loads(item.value_json) for item in records["run"].run.config.update}
    assert config["learning_rate"] == (0.01, None, 0.02)[number]
    assert records["exit"].exit.exit_code == 0


def test_a_failed_run_is_a_failed_run_in_wandb_too(killed: TinySweep) -> None:
    (file,) = killed.run(1).path.glob("wandb/offline-run-*/*.wandb")
    codes = [r.exit.exit_code for r in wandb_records(file) if r.WhichOneof("record_type") == "exit"]
    assert codes == [1]


def test_an_agent_that_finds_nothing_ends_at_once(
    undisturbed: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (undisturbed.folder / "runs").rglob("*")}
    marker = undisturbed.folder / "again.json"
    assert undisturbed.work("--output", marker) == 0
    assert json.loads(marker.read_text(encoding="utf-8"))["runs_ended"] == 0
    assert "nothing is left" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in (undisturbed.folder / "runs").rglob("*")}
    assert before == after


def test_the_test_split_has_no_way_in(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert "--train" in text
    assert "--test" not in text
    assert "test.npz" not in text


def test_an_agent_needs_no_test_split(undisturbed: TinySweep, tmp_path: Path) -> None:
    for path in undisturbed.dataset.iterdir():
        if path.name != "test.npz":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert TinySweep(tmp_path, undisturbed.folder).work() == 0


def test_a_sweep_over_another_dataset_is_refused(
    undisturbed: TinySweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = TinySweep(undisturbed.dataset, tmp_path)
    assert sweep.create() == 0
    path = tmp_path / "sweep.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"learning_digest": "other"}), encoding="utf-8")
    assert sweep.work() == 1
    assert "run create_sweep again" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_no_fault_of_the_run(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create() == 0
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(local_engine, "STORAGE_PATIENCE_SECONDS", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr("gcodefp.sweeps.training.train", fail)
        assert sweep.work() == 1
    message = capsys.readouterr().err
    for part in ("No space left on device; trying again", "for it to be fixed", "--forcerun"):
        assert part in message
    assert not sweep.run(0).is_over()
    assert sweep.work() == 0
    assert (sweep.run(1).ended() or {})["state"] == "finished"
