"""What both engines promise, tested through the same commands."""

import csv
import os
import signal

import pytest
from service_commands import Service
from waiting import PATIENCE_SECONDS, wait_for

from gcodefp.files import read_json
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD

SHORT = 100
"""Epochs of a run that lasts some seconds, in which the service has to reach it."""
RATES = {"learning_rate": {"values": [1e30, 0.01, 0.02, 0.03]}, "optimizer": {"value": "sgd"}}
LOSS = {"name": "val/loss", "goal": "minimize"}
FINISHED = ("finished", None)


pytestmark = pytest.mark.parametrize("service", ["local", "wandb"], indirect=True)


def test_agents_train_until_run_cap_and_the_best_is_found(service: Service) -> None:
    assert service.create(RATES, run_cap=3, metric=LOSS) == 0
    agents = [service.agent(), service.agent()]
    assert [agent.wait(PATIENCE_SECONDS) for agent in agents] == [0, 0], service.log
    states = {
        content["hyperparameters"]["learning_rate"]: (content["state"], content["failure"])
        for content in service.outcomes()
    }
    # A run that fails counts, too.
    assert states == {1e30: ("failed", "diverged"), 0.01: FINISHED, 0.02: FINISHED}
    assert service.agent().wait(PATIENCE_SECONDS) == 0
    assert len(service.outcomes()) == 3
    if service.engine == "wandb":
        assert len(service.server.runs) == 3
    assert service.select(service.folder / "best") == 0, service.log
    rows = list(csv.DictReader((service.folder / "best" / "runs.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    values = [float(row["best_value"]) for row in rows if row["best_value"]]
    assert len(set(values)) == 2, "two that are equal have no order"
    assert values == sorted(values)
    best = read_json(service.folder / "best" / "run.json", BEST_FORMAT, BEST_REBUILD)
    assert best["best_value"] == min(values)


def test_run_of_a_killed_agent_goes_on_from_its_last_epoch(service: Service) -> None:
    assert service.create({"learning_rate": {"values": [0.01]}, "max_epochs": {"value": 60}}) == 0
    agent = service.agent()
    wait_for(lambda: service.folders() and len(service.folders()[0].history("epoch")) > 2)
    (folder,) = service.folders()
    # Except the last, which a kill may cost.
    kept = folder.metrics()[:-1]
    assert kept
    os.kill(agent.pid, signal.SIGKILL)
    agent.wait(PATIENCE_SECONDS)
    assert not folder.has_ended()
    assert service.agent().wait(PATIENCE_SECONDS) == 0, service.log
    assert read_metrics(folder.path / "metrics.csv")[: len(kept)] == kept, "not trained again"
    assert len(service.folders()) == 1
    assert folder.history("epoch") == list(range(1, 61))
    if service.engine == "wandb":
        (run,) = service.server.runs.values()
        assert run.state == "finished"
        assert [row["_step"] for row in run.history] == list(range(1, 61))


def test_early_termination_stops_worse_runs(service: Service) -> None:
    # The first run learns, the others hardly do.
    parameters = {
        "learning_rate": {"values": [0.02, 1e-7, 1e-8]},
        "max_epochs": {"value": SHORT},
        "seed": {"value": 0},
    }
    rule = {"early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 2}}
    assert service.create(parameters, **rule, metric=LOSS) == 0
    assert service.agent().wait(PATIENCE_SECONDS) == 0, service.log
    states = [content["state"] for content in service.outcomes()]
    assert states[0] == "finished"
    assert "stopped" in states
    assert all(
        content["epochs"] < SHORT for content in service.outcomes() if content["state"] == "stopped"
    )
