"""The engine that searches on the W&B service: the real SDK, its agents and a loopback server."""

import csv
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
import yaml
from service_commands import Service
from tiny_sweep import TINY, TinySweep
from waiting import PATIENCE_SECONDS, wait_for
from wandb_server import API_KEY, WandbServer

import gcodefp
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.lease import LeaseState, LeaseWatch
from gcodefp.sweeps.run_folder import run_folders
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

DEFAULTS = asdict(Hyperparameters())
RATES = {"learning_rate": {"values": [0.01, 1e30]}, "optimizer": {"value": "sgd"}}
LONG = {"max_epochs": {"value": 400}}
ALWAYS_SENT = {"config.yaml", "wandb-summary.json"}
KEPT_BACK = {
    "WANDB_CONSOLE": "off",
    "WANDB_X_SAVE_REQUIREMENTS": "false",
    "WANDB_X_DISABLE_STATS": "true",
    "WANDB_X_DISABLE_META": "true",
}


@pytest.fixture(scope="module")
def done(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A sweep of two runs, one of which diverges, with trouble on the way."""
    with WandbServer() as server:
        service = Service(server, TinySweep(dataset, tmp_path_factory.mktemp("done") / "sweep"))
        assert service.create(RATES) == 0
        server.faults.add("Heartbeat", status=500, times=2)
        server.faults.add("file_stream", status=500, times=2)
        server.faults.add("UpsertBucket", drops_response=True, times=1)
        assert service.agent().wait(PATIENCE_SECONDS) == 0, service.log
        yield service


def finite(row: Mapping[str, float]) -> dict[str, float]:
    """What W&B keeps of an epoch: finite values without its seconds."""
    return {n: value for n, value in row.items() if math.isfinite(value) and n != "seconds"}


@pytest.mark.parametrize(
    ("owner", "entity"), [([], "workshop"), (["--entity", "ada"], "ada")], ids=["default", "named"]
)
def test_sweep_is_created_once(service: Service, owner: list[str], entity: str) -> None:
    for _ in range(2):
        assert service.create(RATES, *owner) == 0
    (record,) = service.runs.glob("wandb-*.json")
    record.unlink()  # As after a kill before the record was written.
    assert service.create(RATES, *owner) == 0
    (sweep,) = service.server.sweeps.values()
    assert sweep.project.entity == entity
    assert read_sweep(service.folder / "sweep.json").address == sweep.path
    others = ({**RATES, "optimizer": {"value": "adam"}}, []), (RATES, ["--run-cap", 1])
    for number, (parameters, flags) in enumerate([*others, (RATES, ["--project", "lathe"])]):
        assert service.create(parameters, *owner, *flags) == 0
        assert len(service.server.sweeps) == number + 2


def test_runs_are_kept_here_and_there(done: Service) -> None:
    runs = {folder.read_outcome()["wandb_run"]: folder for folder in done.folders()}
    assert set(runs) == set(done.server.runs)
    states = []
    for name, folder in runs.items():
        there, content = done.server.runs[name], folder.read_outcome()
        states.append((content["state"], there.state))
        assert there.sweep == folder.sweep_id
        epochs = read_metrics(folder.path / "metrics.csv")
        logged = [{k: v for k, v in row.items() if not k.startswith("_")} for row in there.history]
        assert [row["val/loss"] for row in logged] == [row["val/loss"] for row in epochs]
        assert json.loads(there.summary["run_json"])["best_value"] == content["best_value"]
        assert there.config == DEFAULTS | content["hyperparameters"]
    assert sorted(states) == [("failed", "failed"), ("finished", "finished")]
    assert json.loads(done.marker.read_text())["format"] == "gcodefp-agent-1"


def runs_table(path: Path) -> list[dict[str, str]]:
    """runs.csv without what only the host of a run has measured."""
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return [{name: row[name] for name in row if name not in SYSTEM_FIELDS} for row in rows]


def test_the_best_is_selected_and_runs_from_elsewhere_are_fetched(done: Service) -> None:
    assert done.select(done.folder / "best") == 0
    best = runs_table(done.folder / "best" / "runs.csv")
    weights = (done.folder / "best" / "checkpoint.pt").read_bytes()
    kept = done.folder / "kept"
    shutil.move(done.folders()[0].path.parent, kept)
    assert done.select(done.folder / "again") == 0
    assert (done.folder / "again" / "checkpoint.pt").read_bytes() == weights
    assert runs_table(done.folder / "again" / "runs.csv") == best
    for folder in done.folders():
        there = read_metrics(kept / folder.path.name / "metrics.csv")
        here = read_metrics(folder.path / "metrics.csv")
        assert [finite(row) for row in here] == [finite(row) for row in there]
    (sweep,) = done.server.sweeps.values()
    assert done.run("export", "--sweep", sweep.path, "--output", done.folder / "runs.csv") == 0
    rows = list(csv.DictReader((done.folder / "runs.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["finished", "failed"]


def test_no_key_is_written_anywhere(done: Service) -> None:
    for path in done.folder.rglob("*"):
        if path.is_file():
            assert API_KEY.encode() not in path.read_bytes(), path


def test_run_sends_what_the_guide_names_and_less_on_request(
    done: Service, service: Service
) -> None:
    for there in done.server.runs.values():
        more = {"output.log", "requirements.txt", "wandb-metadata.json"}
        assert set(there.files) == ALWAYS_SENT | more
        assert "train: " in there.log
    assert any(there.event_lines for there in done.server.runs.values())
    assert service.create({"learning_rate": {"values": [0.01]}}) == 0
    assert service.agent(**KEPT_BACK, SLURM_JOB_ID="17").wait(PATIENCE_SECONDS) == 0, service.log
    (run,) = service.server.runs.values()
    assert set(run.files) == ALWAYS_SENT
    assert (run.log, run.event_lines) == ("", [])
    assert "e" not in run.settings["_wandb"]["value"], "the SDK's facts about the machine"
    facts = json.loads(run.summary["run_json"])
    assert (facts["slurm_job"], facts["host"]) == ("17", run.about["host"])


def test_run_with_a_stop_request_keeps_its_best_weights(service: Service) -> None:
    assert service.create({**LONG, "learning_rate": {"values": [0.01]}}) == 0
    agent = service.agent()
    wait_for(lambda: any(len(run.history) > 2 for run in service.server.runs.values()))
    (name,) = service.server.runs
    service.server.stop_run(name)
    assert agent.wait(PATIENCE_SECONDS) == 0, service.log
    check_stopped(service)
    assert 2 < service.outcomes()[0]["epochs"] < 400


def check_stopped(service: Service) -> None:
    """The only run was stopped, here and there, and its best weights are kept."""
    (folder,), (run,) = service.folders(), service.server.runs.values()
    assert (folder.read_outcome() or {}).get("state") == "stopped", service.log
    assert (folder.path / "checkpoint.pt").exists()
    assert run.state == "finished"
    assert json.loads(run.summary["run_json"])["state"] == "stopped"


def trainer_with_handler(agent: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The trainer that an agent has started, once it handles SIGTERM."""
    for process in psutil.Process(agent.pid).children(recursive=True):
        command: list[str] = []
        with suppress(psutil.NoSuchProcess):  # Other children come and go.
            command = process.cmdline()
        if "gcodefp.train" in command:
            status = Path(f"/proc/{process.pid}/status").read_text()
            (caught,) = re.findall(r"SigCgt:\s*(\w+)", status)
            return process if int(caught, 16) & 1 << signal.SIGTERM - 1 else None
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stop_request_may_arrive_at_any_time_and_repeatedly(service: Service) -> None:
    assert service.create({**LONG, "learning_rate": {"values": [0.01]}}) == 0
    agent = service.agent()
    trainer = wait_for(lambda: trainer_with_handler(agent))
    assert "libtorch" not in Path(f"/proc/{trainer.pid}/maps").read_text(), "before the imports"
    service.server.stop_run(*service.server.runs)
    while trainer.is_running() and trainer.status() != psutil.STATUS_ZOMBIE:
        trainer.terminate()
        time.sleep(0.02)
    assert agent.wait(PATIENCE_SECONDS) == 0, service.log
    check_stopped(service)
    assert service.outcomes()[0]["epochs"] == 1


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
def test_run_of_a_cancelled_sweep_is_stopped(service: Service, killed: bool) -> None:
    assert service.create({**LONG, "learning_rate": {"values": [0.01, 0.02]}}) == 0
    agent = service.agent()
    wait_for(lambda: any(len(run.history) > 2 for run in service.server.runs.values()))
    (folder,) = service.folders()
    if killed:
        agent.kill()
        agent.wait(PATIENCE_SECONDS)
        epochs = folder.history("epoch")
    (sweep,) = service.server.sweeps.values()
    service.wandb("sweep", "--cancel", sweep.path)
    if killed:
        agent = service.agent()
    assert agent.wait(PATIENCE_SECONDS) == 0, service.log
    check_stopped(service)
    assert len(folder.history("epoch")) < 400
    if killed:  # A kill may cost the last epoch; none is added.
        assert folder.history("epoch") in (epochs, epochs[:-1])


def test_invalid_combinations_are_no_failures_of_an_agent(service: Service) -> None:
    combinations = {"d_model": {"values": [8, 30]}, "nhead": {"values": [3, 5, 6, 2]}}
    assert service.create(combinations, run_cap=4) == 0
    assert service.agent().wait(PATIENCE_SECONDS) == 0, service.log
    outcomes = service.outcomes()
    assert [run["failure"] for run in outcomes] == ["invalid"] * 3 + [None]
    assert "d_model 8 cannot be divided among nhead 3 heads" in outcomes[0]["reason"]
    assert [run.state for run in service.server.runs.values()] == ["failed"] * 3 + ["finished"]
    (sweep,) = service.server.sweeps.values()
    assert (sweep.config["run_cap"], sweep.state) == (4, "FINISHED")
    assert service.marker.exists()


def test_paused_sweep_waits_and_a_deleted_one_ends_its_agents(service: Service) -> None:
    rates = {"learning_rate": {"values": [0.01, 0.02]}}
    assert service.create({**rates, "max_epochs": {"value": 60}}) == 0
    (sweep,) = service.server.sweeps.values()
    agent = service.agent()
    wait_for(lambda: any(run.history for run in service.server.runs.values()))
    service.wandb("sweep", "--pause", sweep.path)
    wait_for(lambda: all(run.is_over for run in service.server.runs.values()))
    beats = service.server.requests.count("Heartbeat")
    wait_for(lambda: service.server.requests.count("Heartbeat") > beats + 1)
    assert len(service.server.runs) == 1
    service.wandb("sweep", "--resume", sweep.path)
    wait_for(lambda: len(service.server.runs) == 2)
    service.server.delete_sweep(sweep.name)
    assert agent.wait(PATIENCE_SECONDS) == 1
    errors = [line for line in service.log.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert sweep.path in errors[0]
    assert "engine: local" in errors[0]
    assert "Traceback" not in service.log


def test_ctrl_c_ends_an_agent_and_no_run(service: Service) -> None:
    assert service.create({**LONG, "learning_rate": {"values": [0.01]}}) == 0
    agent = service.agent()
    wait_for(lambda: service.folders() and len(service.folders()[0].history("epoch")) > 1)
    (folder,) = service.folders()
    agent.send_signal(signal.SIGINT)
    assert agent.wait(PATIENCE_SECONDS) != 0
    wait_for(lambda: LeaseWatch().state(folder.path) is LeaseState.FREE)
    assert not folder.has_ended()
    assert (folder.files / "last.pt").exists()
    assert not service.marker.exists()
    # select_best does not give the run up.
    service.server.runs[folder.assigned()["wandb_run"]].exit_code = 1
    assert service.select(service.folder / "best") == 1
    assert "skipped, since" in service.log
    assert not folder.has_ended()


def test_trainers_that_cannot_start_use_up_few_configurations(
    service: Service, dataset: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(dataset, tmp_path / "copy")
    service = service._replace(sweep=TinySweep(copy, service.folder))
    rates = [0.01 * number for number in range(1, 10)]
    assert service.create({"learning_rate": {"values": rates}}) == 0
    service.server.faults.add("Heartbeat", delay=5.0, times=1)
    agent = service.agent()
    wait_for(lambda: service.server.requests.count("CreateAgent"))
    (copy / "val.npz").unlink()
    assert agent.wait(PATIENCE_SECONDS) == 1
    assert len(service.server.runs) <= 3
    assert not service.marker.exists()
    errors = [line for line in service.log.splitlines() if "exit code" in line]
    assert len(errors) == 1


WRONG_KEY = {"WANDB_API_KEY": "x" * 40}
UNREACHABLE = {"WANDB_BASE_URL": "http://127.0.0.1:9"}
WRONG = {
    "server": (UNREACHABLE, [], ["cannot be reached", "engine: local"]),
    "id": ({}, ["--existing", "workshop/mill/none1"], ["workshop/mill/none1", "check entity"]),
    "address": ({}, ["--existing", "nothing1"], ["'nothing1'", "ENTITY/PROJECT/ID"]),
    "entity": ({}, ["--entity", "nobody"], ["nobody", "check entity"]),
    "rules": ({}, ["--width", 2, "--constraint", "nhead < 9"], ["remove sweep.constraints from"]),
}


def check_one_error(log: str, words: Sequence[str]) -> None:
    errors = [line for line in log.splitlines() if "error:" in line]
    assert len(errors) == 1, log
    assert all(word in errors[0] for word in words), errors
    assert "Traceback" not in log
    assert "x" * 40 not in log


@pytest.mark.parametrize("wrong", WRONG)
def test_error_is_one_line(service: Service, wrong: str) -> None:
    environment, flags, words = WRONG[wrong]
    service.folder.mkdir()
    document = service.folder / "sweep.yaml"
    document.write_text("method: grid\nparameters: {learning_rate: {values: [0.1, 0.2]}}\n")
    common = ["--sweep", document, *service.common()]
    assert service.run("create_sweep", *common, *flags, **environment) == 1
    check_one_error(service.log, words)


def test_wrong_key_ends_every_step_at_once(done: Service) -> None:
    (sweep,) = done.server.sweeps.values()
    parameters = done.folder / "parameters.yaml"
    parameters.write_text("learning_rate: {value: 0.01}\n")
    assigned = {
        "WANDB_SWEEP_ID": sweep.name,
        "WANDB_RUN_ID": "new1",
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        "WANDB_PROJECT": "mill",
    }
    data = done.sweep.flags()[4:]
    offline = done.folder / "other" / "0" / "0000"
    (offline / "wandb" / "offline-run-1").mkdir(parents=True)
    (offline / "run.json").touch()
    for module, flags in {
        "create_sweep": [*done.common(), "--existing", sweep.path],
        "agent": done.sweep.flags(),
        "train": [*data, "--runs", done.folder / "assigned", "--metric", "val/loss"],
        "select_best": done.sweep.flags("--output", done.folder / "none"),
        "export": ["--sweep", sweep.path],
        "sync": ["--runs", done.folder / "other"],
    }.items():
        before, environment = len(done.log), assigned if module == "train" else {}
        assert done.run(module, *flags, **WRONG_KEY, **environment) == 1, module
        check_one_error(done.log[before:], [f"{module}: error: W&B", "wandb login"])
    assert not list(done.folder.glob("assigned/*/*/run.json")), "nothing is trained without a log"


def test_key_that_is_revoked_ends_an_agent_at_once(service: Service) -> None:
    assert service.create({"learning_rate": {"values": [0.01]}}) == 0
    service.server.faults.add("Heartbeat", status=401)
    assert service.agent().wait(PATIENCE_SECONDS) == 1
    check_one_error(service.log, ["agent: error: W&B", "not logged in", "wandb login"])


def test_sweep_of_wandb_s_own_commands(service: Service, dataset: Path) -> None:
    """The sweep and its agents are W&B's own commands; the pipeline carries on from there."""
    service.folder.mkdir()
    (service.folder / "gcodefp").symlink_to(Path(gcodefp.__file__).parent)
    (service.folder / "results").mkdir()
    (service.folder / "results" / "dataset").symlink_to(dataset)
    document = {"program": "gcodefp/train.py", "method": "grid", "parameters": TINY}
    metric = {"metric": {"name": "val/token_acc", "goal": "maximize"}}
    (service.folder / "by_hand.yaml").write_text(yaml.safe_dump(document | metric))
    output = service.wandb("sweep", "--project", "mill", "by_hand.yaml")
    (sweep,) = service.server.sweeps.values()
    assert f"wandb agent {sweep.path}" in output
    service.wandb("agent", sweep.path)
    (run,) = service.server.runs.values()
    assert run.state == "finished"
    (folder,) = run_folders(service.folder / "results" / "runs" / sweep.name)
    assert folder.read_outcome()["best_value"] == max(folder.history("val/token_acc"))
    assert service.run("create_sweep", *service.common(), "--existing", sweep.path) == 0
    # What was trained elsewhere is fetched.
    assert service.agent().wait(PATIENCE_SECONDS) == 0, service.log
    assert service.select(service.folder / "best") == 0, service.log
    assert (service.folder / "best" / "checkpoint.pt").exists()
    got = service.wandb("artifact", "get", f"workshop/mill/model-{run.name}:best", "--root", "got")
    assert "checkpoint.pt" in str(list((service.folder / "got").iterdir())), got
