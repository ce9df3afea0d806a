"""The offline log of the local engine: without a network, uploaded later, or not written."""

import re
import shutil
import subprocess
import sys
from dataclasses import asdict

import pytest
from service_commands import Service
from waiting import PATIENCE_SECONDS

from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.run_files import read_metrics

LOGGED = ["--wandb-project", "mill", "--wandb-checkpoints"]
ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
CALLS = "trace=connect,sendto,sendmsg,sendmmsg"
THREE_WAYS = """
import socket
there = ("127.0.0.2", 9)
sender = socket.socket(type=socket.SOCK_DGRAM)
sender.sendto(b"", there)
sender.sendmsg([b""], [], 0, there)
sender.connect(there)
"""
WITHOUT_WANDB = """
import sys
sys.modules["wandb"] = None
from importlib import import_module
module, *argv = sys.argv[1:]
sys.exit(import_module(f"gcodefp.{module}").main(argv))
"""


pytestmark = pytest.mark.parametrize("service", ["local"], indirect=True)


def test_runs_are_uploaded_once(service: Service) -> None:
    rates = {"learning_rate": {"values": [0.01, 1e30]}, "optimizer": {"value": "sgd"}}
    assert service.create(rates) == 0
    assert service.start("agent", *service.sweep.flags(*LOGGED)).wait(PATIENCE_SECONDS) == 0, (
        service.log
    )
    assert not service.server.requests
    sync = ("sync", "--runs", service.runs)
    assert service.run(*sync) == 0, service.log
    sent = service.server.requests.count("UpsertBucket")
    assert sent >= 2
    assert service.run(*sync) == 0, service.log
    assert service.server.requests.count("UpsertBucket") == sent
    assert "2 runs are on W&B already, 0 are not" in service.log
    for folder in service.folders():
        run = service.server.runs[folder.run_id]
        assert (run.project.name, run.group) == ("mill", folder.sweep_id)
        assert run.state == folder.read_outcome()["state"]
        assert run.config == asdict(Hyperparameters()) | folder.read_outcome()["hyperparameters"]
        epochs = read_metrics(folder.path / "metrics.csv")
        assert [row["val/loss"] for row in run.history] == [row["val/loss"] for row in epochs]
    (artifact,) = service.server.artifacts.values()
    weights = (service.folders()[0].path / "checkpoint.pt").read_bytes()
    assert weights in list(artifact.files.values())
    assert "best" in artifact.aliases


def contacted(service: Service, *command: str) -> list[str]:
    """The addresses that a command connects or sends to; it has to succeed."""
    # As on a machine with a service and a logged-in user; that the SDK reports no errors is up to
    # the agent.
    environment = service.environment()
    del environment["WANDB_ERROR_REPORTING"]
    trace = service.folder / "trace"
    traced = ["strace", "-f", "-e", CALLS, "-o", str(trace), sys.executable, *command]
    done = subprocess.run(
        traced,
        env=environment,
        cwd=service.folder,
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    text = trace.read_text(encoding="utf-8", errors="replace")
    assert "exited with 0" in text
    addresses = ADDRESS.findall(text)
    assert len(addresses) == text.count("sa_family=AF_INET"), "an address of another form"
    return addresses


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_connection_leaves_the_machine(service: Service) -> None:
    assert service.create({"learning_rate": {"values": [0.01]}}) == 0
    assert contacted(service, "-c", THREE_WAYS) == ["127.0.0.2"] * 3, "nothing is overlooked"
    command = ["-m", "gcodefp.agent", *service.sweep.flags(*LOGGED)]
    assert set(contacted(service, *command)) <= {"127.0.0.1", "::1"}
    assert not service.server.requests
    (offline,) = service.folders()[0].path.glob("wandb/offline-run-*/*.wandb")
    assert offline.stat().st_size > 0


def test_without_the_log_the_package_is_not_needed(service: Service) -> None:
    assert service.create({"learning_rate": {"values": [0.01]}}) == 0
    best = ["--output", service.folder / "best"]
    for module, flags in (("agent", []), ("select_best", best)):
        command = [sys.executable, "-c", WITHOUT_WANDB, module, *service.sweep.flags(*flags)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == 0, done.stderr
    assert not (service.folders()[0].path / "wandb").exists()


def test_nothing_to_upload_is_an_error(service: Service) -> None:
    service.folder.mkdir()
    assert service.run("sync", "--runs", service.runs) == 1
    service.runs.mkdir()
    assert service.run("sync", "--runs", service.runs) == 1
    assert "no such folder" in service.log
    assert "wandb.enabled makes them" in service.log
