"""The server in wandb_server against wandb's SDK and CLI as they are installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import wait_for
from wandb_clients import Client, ask, wandb_cli
from wandb_scripts import (
    LOG_ALL,
    LONG,
    OFFLINE,
    PREEMPTED,
    PROGRAM,
    READ_ALL,
    RESUME,
    STATES,
    SWEEP,
)
from wandb_server import WandbServer

Scene = tuple[WandbServer, Client]
FAST = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}


@contextmanager
def scene(folder: Path, command: str | list[str], **environment: str) -> Iterator[Scene]:
    """A client that has begun, and its server."""
    with WandbServer() as server:
        client = Client(server, command, folder, **environment)
        try:
            yield server, client
        finally:
            client.end()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def command_line_agent(place: Path) -> Iterator[Scene]:
    folder = place / "agent"
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    (folder / "sweep.yaml").write_text(SWEEP.replace("PYTHON", sys.executable))
    with scene(folder, wandb_cli("sweep", "sweep.yaml")) as (server, client):
        assert client.answer().code == 0
        (sweep,) = server.sweeps.values()
        agent = Client(server, wandb_cli("agent", sweep.path), folder, **FAST)
        yield server, agent
        agent.end()


@pytest.fixture(scope="module")
def python_agent(place: Path) -> Iterator[Scene]:
    with scene(place / "python", PREEMPTED) as both:
        yield both


@pytest.fixture(scope="module")
def long_run(place: Path) -> Iterator[Scene]:
    with scene(place / "long", LONG, **FAST) as both:
        yield both


@pytest.fixture(scope="module")
def unlucky_run(place: Path) -> Iterator[Scene]:
    with WandbServer() as server:
        server.faults.add("UpsertBucket", status=500, times=1)
        server.faults.add("file_stream", drop="response", times=1)
        server.faults.add("upload", status=429, times=1)
        server.faults.add("CommitArtifact", drop="request", times=1)
        client = Client(server, LOG_ALL, place / "unlucky")
        yield server, client
        client.end()


@pytest.fixture(scope="module")
def finished(place: Path) -> Iterator[WandbServer]:
    with scene(place / "finished", LOG_ALL) as (server, client):
        assert client.answer().code == 0
        yield server


def test_many_clients_are_served_at_once(
    command_line_agent: Scene, python_agent: Scene, long_run: Scene, unlucky_run: Scene
) -> None:
    for server, _ in (command_line_agent, python_agent, long_run, unlucky_run):
        wait_for(lambda asked=server.requests: asked)


def test_all_that_a_run_logs_arrives(finished: WandbServer) -> None:
    run = finished.runs["first"]
    assert (run.state, run.exit_code, run.display_name) == ("failed", 3, "nice")
    assert (run.group, run.job_type, run.tags) == ("crew", "train", ["wood"])
    assert run.config == {"lr": 0.5, "net": {"layers": 2}}
    assert run.values("loss") == [1, 1 / 2, 1 / 3, 1 / 4]
    assert len(run.history) == 5
    assert run.summary["best"] == 0.25
    assert "said aloud" in run.log
    assert run.files["wandb-metadata.json"].content
    assert run.upserts >= 1
    assert run.heartbeats == sorted(run.heartbeats)
    (model,) = finished.artifacts.values()
    assert (model.path, model.run) == ("workshop/mill/model:v0", run.path)
    assert sorted(model.aliases) == ["best", "latest"]
    assert model.files == {"weights.bin": b"w" * 1000}
    assert all("authorization" not in request.headers for request in finished.requests)
    assert finished.asked("UpsertBucket")[0].headers["user-agent"].startswith("wandb-core")


def test_the_api_reads_it_back_and_reports_what_is_missing(
    finished: WandbServer, place: Path
) -> None:
    told = Client(finished, READ_ALL, place / "api").answer().told
    assert (told["state"], told["group"], told["best"]) == ("failed", "crew", 0.25)
    assert told["config"] == {"lr": 0.5, "net": {"layers": 2}}
    assert told["history"] == told["scan"] == [1, 1 / 2, 1 / 3, 1 / 4, "NaN"]
    assert "config.yaml" in told["files"]
    assert "said aloud" in told["console"]
    assert (told["logged"], told["creator"]) == (["model:v0"], "first")
    assert told["users"] == ["user"]
    assert told["weights"] == "w" * 1000
    assert (told["metadata"], sorted(told["aliases"])) == ({"epoch": 3}, ["best", "latest"])
    assert told["failed"] == ["first"]
    assert told["no_run"] == "CommError: Could not find run <Run workshop/mill/none (not found)>"
    assert told["no_sweep"].startswith("CommError: Could not find sweep <Sweep workshop/mill/none")
    assert told["no_project"] == "ValueError: Could not find project none"
    assert told["no_artifact"].endswith("'model:none' not found in 'workshop/mill'")
    assert told["no_entity"] == "CommError: entity nobody not found during upsertSweep"
    gone = "could not find sweep workshop/mill/none during createAgent"
    assert told["no_agent"] == f"CommError: {gone}"


def test_the_command_line_gets_an_artifact(finished: WandbServer, place: Path) -> None:
    command = wandb_cli("artifact", "get", "--root", "here", "workshop/mill/model:best")
    assert Client(finished, command, place / "get").answer().code == 0
    assert (place / "get" / "here" / "weights.bin").read_bytes() == b"w" * 1000


def test_a_wrong_key_is_refused(finished: WandbServer, place: Path) -> None:
    script = 'tell(error=error(lambda: wandb.init(project="mill")), api=error(wandb.Api))'
    told = Client(finished, script, place / "key", WANDB_API_KEY="f" * 40).answer().told
    assert told["error"] == "CommError: user is not logged in"
    assert told["api"].startswith("AuthenticationError: Failed to verify credentials")


def test_a_run_is_resumed(finished: WandbServer, place: Path) -> None:
    told = Client(finished, RESUME, place / "resume").answer().told
    assert "does not exist" in told["missing"]
    assert "already exists" in told["exists"]
    assert (told["allow starts at"], told["allow resumed"]) == (0, False)
    assert (told["must starts at"], told["must resumed"]) == (3, True)
    rows = [(row["_step"], row["loss"]) for row in finished.runs["long"].history]
    assert rows == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert finished.runs["long"].state == "finished"


def test_an_offline_run_is_synced(place: Path) -> None:
    with scene(place / "offline", OFFLINE, WANDB_MODE="offline") as (server, client):
        assert client.answer().code == 0
        assert server.requests == []
        (folder,) = (place / "offline" / "wandb").glob("offline-run-*")
        assert Client(server, wandb_cli("sync", str(folder)), place / "sync").answer().code == 0
        run = server.runs["first"]
        assert (run.state, run.exit_code, run.group) == ("failed", 3, "crew")
        assert run.config == {"lr": 0.5, "net": {"layers": 2}}
        assert (len(run.history), run.summary["best"]) == (5, 0.25)
        assert server.artifacts["workshop/mill/model:v0"].files == {"weights.bin": b"w" * 1000}


def test_sweeps_are_paused_stopped_and_canceled(place: Path) -> None:
    query = "mutation { upsertSweep(input: {config: $c, projectName: $p}) { sweep { name } } }"
    config = "{method: random, parameters: {lr: {min: 0.1, max: 0.2}}}"
    with WandbServer() as server:
        ask(server, query, c=config, p="search")
        (sweep,) = server.sweeps.values()
        told = Client(server, STATES, place / "states", sweep.path).answer().told
        assert [told[flag] for flag in ("pause", "stop")] == ["PAUSED", "FINISHED"]
        assert [told[flag] for flag in ("resume", "cancel")] == ["RUNNING", "CANCELED"]
        assert told["again"].endswith("Cannot pause canceled sweep.")
        assert told["agent"] == f"CommError: Sweep {sweep.path} is not running"


def test_all_arrives_once_in_spite_of_faults(unlucky_run: Scene) -> None:
    server, client = unlucky_run
    assert client.answer().code == 0
    assert (server.runs["first"].state, len(server.runs["first"].history)) == ("failed", 5)
    assert server.artifacts["workshop/mill/model:v0"].files == {"weights.bin": b"w" * 1000}
    assert [request.status for request in server.asked("UpsertBucket")][:2] == [500, 200]
    assert [request.status for request in server.asked("CommitArtifact")] == [0, 200]
    assert 429 in [request.status for request in server.asked("upload")]


def test_a_preempted_run_of_a_sweep_is_resumed(python_agent: Scene) -> None:
    server, client = python_agent
    told = client.answer().told
    (sweep,) = server.sweeps.values()
    (run,) = server.runs.values()
    assert told["config 0"] == told["config 1"] == {"lr": 0.5, "net": {"layers": 7}}
    assert (told["sweep"], told["best"], told["method"]) == (sweep.name, run.name, "grid")
    history = [{"_step": 0, "loss": 1}, {"_step": 1, "loss": 1}]
    assert told["runs"] == [[run.name, run.config, 1, history]]
    assert (told["state"], run.state, len(run.history)) == ("FINISHED", "finished", 2)
    (agent,) = sweep.agents.values()
    assert [command["type"] for command in agent.commands] == ["run", "resume"]


def test_hyperband_stops_the_worse_run_of_an_agent(command_line_agent: Scene) -> None:
    server, client = command_line_agent
    assert client.answer().code == 0
    (sweep,) = server.sweeps.values()
    good, bad = (server.runs[name] for name in sweep.runs)
    assert (good.config, good.state, good.exit_code) == ({"loss": 1.5}, "finished", 0)
    assert (bad.config, bad.state, bad.exit_code) == ({"loss": 2.5}, "killed", 143)
    assert sweep.state == "FINISHED"
    (agent,) = sweep.agents.values()
    assert [c["type"] for c in agent.commands] == ["run", "run", "stop", "exit"]
    assert any(request.answer["stopped"] for request in server.asked("file_stream"))


def test_the_stop_button_interrupts_a_run(long_run: Scene, place: Path) -> None:
    server, client = long_run
    wait_for(lambda: "stopped" in server.runs and server.runs["stopped"].history)
    script = 'wandb.Api().run("workshop/mill/stopped").stop()'
    assert Client(server, script, place / "stop").answer().code == 0
    assert client.answer().told["interrupted"]
    run = server.runs["stopped"]
    assert (run.state, run.exit_code) == ("killed", 255)
