"""The stage `python -m gcodefp.agent`: what a run writes, kills, deadlines, workers."""

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from same_runs import check_same_run
from tiny_sweep import TinySweep
from waiting import PATIENCE_SECONDS, ended, wait_for

from gcodefp.agent import main
from gcodefp.files import sha256
from gcodefp.model.hyperparameters import (
    LOGGED_METRICS,
    Hyperparameters,
    Objective,
    parse_hyperparameters,
)
from gcodefp.model.run_files import read_metrics, read_work
from gcodefp.model.trainer import load_training_data, train
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, lease_holder
from gcodefp.sweeps.system_metrics import system_summary
from gcodefp.sweeps.user_script.transaction_log import TransactionLog

EPOCHS = 12
GCODE = Objective("val/gcode_acc", "maximize")
LONG = {
    "max_epochs": {"value": EPOCHS},
    "optimizer": {"value": "sgd"},
    "learning_rate": {"values": [0.01, 1e30, 0.02]},
}
ENDLESS = {"max_epochs": {"value": 10**6}}


def epochs(sweep: TinySweep, number: int) -> int:
    return len(sweep.run(number).metrics())


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
    with ended(sweep.start("--wandb-project", "tests")) as process:
        wait_for(lambda: epochs(sweep, 0) >= 2)
        assert process.poll() is None
    assert not sweep.run(0).has_ended()
    with ended(sweep.start("--wandb-project", "tests")) as process:
        assert process.wait(PATIENCE_SECONDS) == 0
    return sweep


def test_runs_of_killed_agents_end_bit_by_bit_like_undisturbed_ones(
    undisturbed: TinySweep, killed: TinySweep
) -> None:
    for number in (0, 2):
        assert undisturbed.run(number).sweep_id == killed.run(number).sweep_id
        assert epochs(killed, number) == EPOCHS
        check_same_run(undisturbed.run(number), killed.run(number))
    log = (killed.folder / "agent.log").read_text(encoding="utf-8")
    assert log.count(f"run {killed.run(0).path.name} resumes: ") == log.count(" resumes: ") == 1


def test_unfinished_run_of_an_earlier_version_goes_on(
    undisturbed: TinySweep, tmp_path: Path
) -> None:
    """Its files lie in the run's own folder, and its lease is an empty file."""
    sweep = TinySweep(undisturbed.dataset, tmp_path)
    assert sweep.create(parameters=LONG) == 0
    run, assigned = sweep.run(0), undisturbed.run(0).assigned() or {}
    run.path.mkdir(parents=True)
    run.assign(assigned["hyperparameters"], assigned["latent"])
    hyperparameters = parse_hyperparameters({"seed": 1} | assigned["hyperparameters"], "run")
    paths = [undisturbed.dataset / name for name in ("dataset.json", "train.npz", "val.npz")]
    data = load_training_data(*paths, torch.device("cpu"))

    def kill(epoch: int, metrics: Mapping[str, float]) -> bool:
        if epoch == 2:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        train(hyperparameters, data, GCODE, run.path, kill)
    (run.path / "lease.3").touch()
    (run.path / ".last.pt.17.tmp").write_bytes(b"half")
    assert run.history("epoch") == [1, 2]
    assert sweep.work() == 0
    assert [moment["epoch"] for moment in read_work(run.path / "work.csv")][:5] == [0, 1, 2, 2, 3]
    assert len(list(run.path.iterdir())) == len(list(undisturbed.run(0).path.iterdir()))
    check_same_run(undisturbed.run(0), run)


def test_files_of_a_run(undisturbed: TinySweep) -> None:
    run = undisturbed.run(2)
    content = run.read_outcome() or {}
    rows = read_metrics(run.path / "metrics.csv")
    assert list(rows[0]) == ["epoch", *LOGGED_METRICS, "seconds"]
    values = [row["val/gcode_acc"] for row in rows]
    assigned = {"learning_rate": 0.02, "optimizer": "sgd", "max_epochs": EPOCHS, "d_model": 8}
    others = {"seed": 1, "dropout": Hyperparameters().dropout}
    assert content["hyperparameters"].items() >= (assigned | others).items()
    expected = {"state": "finished", "failure": None, "reason": "all epochs done"}
    expected |= {"epochs": EPOCHS, "best_value": max(values), "sweep": run.sweep_id}
    expected |= {"best_epoch": values.index(max(values)) + 1, "device": "cpu"}
    assert content.items() >= expected.items()
    assert content["seconds"] == rows[-1]["seconds"] > 0
    assert content["parameters"] > 0
    path = undisturbed.folder / "sweep.json"
    assert content["provenance"]["inputs"][str(path)] == sha256(path)
    names = {"checkpoint.pt", "hyperparameters.json", "metrics.csv", "run.json"}
    names |= {"system.csv", "work.csv"}
    assert {path.name for path in run.path.iterdir()} == names
    used = system_summary(run.path)
    assert (used["peak_memory_mb"] or 0) > 50
    assert (used["cpu_share"] or 0) > 0


def test_diverged_run_is_kept_and_the_sweep_goes_on(undisturbed: TinySweep) -> None:
    content = undisturbed.run(1).read_outcome() or {}
    assert (content["state"], content["failure"]) == ("failed", "diverged")
    assert "loss" in content["reason"]
    assert content["hyperparameters"]["learning_rate"] == 1e30
    assert content["best_value"] is None
    marker = json.loads((undisturbed.folder / "marker.json").read_text(encoding="utf-8"))
    assert marker["runs_ended"] == 3
    log = (undisturbed.folder / "log").read_text(encoding="utf-8")
    for part in ("0001 failed (diverged)", "3 of 3 runs are over; best so far", "nothing is left"):
        assert part in log


def test_each_run_is_one_run_in_wandb(killed: TinySweep) -> None:
    codes = []
    for number, rate in enumerate(LONG["learning_rate"]["values"]):
        run = killed.run(number)
        (file,) = run.path.glob("wandb/offline-run-*/*.wandb")
        written, logs = read_metrics(run.path / "metrics.csv"), list(TransactionLog(file).records())
        history = [
            {item.nested_key[0]: json.loads(item.value_json) for item in log.history.item}
            for log in logs
            if log.HasField("history")
        ]
        assert [row["epoch"] for row in history] == list(range(1, len(written) + 1))
        for logged, row in zip(history, written, strict=True):
            assert {name: logged[name] for name in LOGGED_METRICS} == {
                name: row[name] for name in LOGGED_METRICS
            }
        records = {log.WhichOneof("record_type"): log for log in logs}
        start = records["run"].run
        assert (start.run_id, start.project, start.run_group) == (run.run_id, "tests", run.sweep_id)
        config = {item.key: json.loads(item.value_json) for item in start.config.update}
        assert config["learning_rate"] == rate
        codes.append(records["exit"].exit.exit_code)
    assert codes == [0, 1, 0]


def test_agent_without_a_run_ends_and_writes_nothing(
    undisturbed: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (undisturbed.folder / "runs").rglob("*")}
    marker = undisturbed.folder / "again.json"
    assert undisturbed.work("--output", marker) == 0
    assert json.loads(marker.read_text(encoding="utf-8"))["runs_ended"] == 0
    assert "nothing is left" in capsys.readouterr().err
    after = {path: path.stat().st_mtime_ns for path in (undisturbed.folder / "runs").rglob("*")}
    assert before == after


def test_agent_never_opens_the_test_split(
    undisturbed: TinySweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--test" not in capsys.readouterr().out
    for path in undisturbed.dataset.iterdir():
        if path.name != "test.npz":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert TinySweep(tmp_path, undisturbed.folder).work() == 0


def test_sweep_over_another_dataset_is_refused(
    undisturbed: TinySweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = TinySweep(undisturbed.dataset, tmp_path)
    assert sweep.create(metric={"name": "val/loss", "goal": "maximize"}) == 0
    path = tmp_path / "sweep.json"
    capsys.readouterr()
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | {"learning_digest": "other"}), encoding="utf-8")
    assert sweep.work() == 1
    errors = capsys.readouterr().err
    assert "run create_sweep again" in errors
    assert errors.count("val/loss is better when smaller, but the run with the highest one") == 1
    assert not (tmp_path / "runs").exists()


# Deadlines and workers


def test_agent_out_of_time_leaves_a_run_that_others_go_on_with(
    dataset: Path, tmp_path: Path
) -> None:
    sweep = TinySweep(dataset, tmp_path / "sweep")
    assert sweep.create(parameters=ENDLESS) == 0
    marker = tmp_path / "marker.json"
    limits = ["--job-minutes", 2, "--margin-seconds", 90]
    with ended(sweep.start(*limits, "--output", marker)) as agent:
        assert agent.wait(PATIENCE_SECONDS) == 1
    log = (sweep.folder / "agent.log").read_text(encoding="utf-8")
    assert "with 90 s of margin" in log
    assert "an agent that is started again resumes" in log
    assert not marker.exists()
    run = sweep.run(0)
    assert (run.files / "last.pt").exists()
    assert not run.has_ended()
    assert LeaseWatch().state(run.path) is LeaseState.FREE, "it was given back"
    done = epochs(sweep, 0)
    with ended(sweep.start()):
        wait_for(lambda: epochs(sweep, 0) > done)
    assert run.history("epoch")[: done + 1] == list(range(1, done + 2))


def test_workers_train_several_runs_at_a_time(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create(parameters={"learning_rate": {"values": [0.01, 0.02, 0.03, 0.04]}}) == 0
    marker, log = tmp_path / "marker.json", tmp_path / "agent.log"
    assert sweep.work("--workers", 2, "--output", marker, "--log", log, "--stay") == 0
    assert [(sweep.run(number).read_outcome() or {})["gpu"] for number in range(4)] == ["7"] * 4
    assert '"runs_ended": 4' in marker.read_text(encoding="utf-8")
    text = log.read_text(encoding="utf-8")
    assert "agent.1: nothing is left" in text
    assert "agent.2: nothing is left" in text


@pytest.mark.parametrize("victim", ["parent", "worker"])
def test_workers_do_not_outlive_each_other(dataset: Path, tmp_path: Path, victim: str) -> None:
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create(parameters=ENDLESS) == 0
    folders = [sweep.run(number).path for number in (0, 1)]
    with ended(sweep.start("--workers", 2)) as agent:
        wait_for(lambda: epochs(sweep, 0) > 0 and epochs(sweep, 1) > 0)
        pids = [holder.pid for folder in folders if (holder := lease_holder(folder))]
        assert len({*pids, agent.pid}) == 3
        os.kill(agent.pid if victim == "parent" else pids[0], signal.SIGKILL)
        code = agent.wait(PATIENCE_SECONDS)
    wait_for(lambda: all(LeaseWatch().state(folder) is LeaseState.FREE for folder in folders))
    if victim == "worker":
        assert code == 1
        log = (sweep.folder / "agent.log").read_text(encoding="utf-8")
        assert "one of 2 workers was killed" in log
        assert "agents.per_gpu" in log
