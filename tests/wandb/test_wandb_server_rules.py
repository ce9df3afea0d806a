"""What the server in wandb_server decides by itself: its search, its agents, its faults."""

import http.client
import json
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from wandb_clients import ask, post
from wandb_server import WandbServer
from wandb_server.search import choose

UPSERT = """mutation UpsertSweep($config: String, $project: String, $state: String, $id: ID) {
  upsertSweep(input: {config: $config, projectName: $project, state: $state, id: $id}) {
    sweep { name } configValidationWarnings } }"""
CREATE = """mutation CreateAgent($project: String, $sweep: String!) {
  createAgent(input: {host: "here", projectName: $project, sweep: $sweep}) { agent { id } } }"""
BEAT = """mutation Heartbeat($id: ID!, $runs: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $runs}) { commands } }"""
UPSERT_RUN = """mutation UpsertBucket($name: String, $sweep: String, $project: String) {
  upsertBucket(input: {name: $name, modelName: $project, sweep: $sweep}) { inserted } }"""
GRID = {"method": "grid", "parameters": {"b": {"values": [1, 2]}, "a": {"min": 3, "max": 4}}}
DISTRIBUTIONS = (
    {"distribution": "int_uniform", "min": 1, "max": 4},
    {"min": 1.0, "max": 4.0},
    {"distribution": "q_uniform", "min": 1, "max": 4, "q": 1},
    {"distribution": "log_uniform", "min": 0.0, "max": 1.3},
    {"distribution": "log_uniform_values", "min": 1.0, "max": 4.0},
    {"distribution": "inv_log_uniform_values", "min": 1.0, "max": 4.0},
    {"distribution": "inv_log_uniform", "min": -1.3, "max": -0.1},
    {"values": [1, 2, 4], "probabilities": [0.5, 0.25, 0.25]},
    {"parameters": {"deep": {"value": 2}}},
)


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as made:
        yield made


class Agent:
    """An agent without wandb.

    Args:
        server: where it works.
        config: of the new sweep that it belongs to.
    """

    def __init__(self, server: WandbServer, config: dict[str, Any]) -> None:
        self.server = server
        ask(server, UPSERT, config=yaml.safe_dump(config), project="search")
        self.sweep = list(server.sweeps.values())[-1]
        answer = ask(server, CREATE, project="search", sweep=self.sweep.name)
        self.id = answer["data"]["createAgent"]["agent"]["id"]

    def beat(self, *runs: str) -> list[tuple[str, str | None]]:
        """What it is told when it runs these."""
        states = json.dumps(dict.fromkeys(runs, True))
        answer = ask(self.server, BEAT, id=self.id, runs=states)
        commands = json.loads(answer["data"]["agentHeartbeat"]["commands"])
        return [(command["type"], command.get("run_id")) for command in commands]

    def new_run(self) -> str:
        """The name of a run that it is told to run, which then begins."""
        ((kind, name),) = self.beat()
        assert kind == "run"
        assert name is not None
        ask(self.server, UPSERT_RUN, name=name, project="search", sweep=self.sweep.name)
        return name

    def log(self, run: str, *losses: float) -> Any:
        """Appends rows to a run's history."""
        offset = len(self.server.runs[run].history)
        rows = [json.dumps({"_step": offset + n, "loss": loss}) for n, loss in enumerate(losses)]
        return self.post(run, files={"wandb-history.jsonl": {"offset": offset, "content": rows}})

    def finish(self, run: str, code: int = 0) -> None:
        """Ends a run."""
        self.post(run, complete=True, exitcode=code)

    def post(self, run: str, **body: Any) -> Any:
        path = f"/files/{self.server.runs[run].path}/file_stream"
        return post(self.server, path, json.dumps(body).encode())


def test_a_grid_sorts_its_keys_and_ends(server: WandbServer) -> None:
    agent = Agent(server, GRID)
    for _ in range(4):
        agent.finish(agent.new_run())
    found = [(run.config["a"], run.config["b"]) for run in server.runs.values()]
    assert found == [(3, 1), (3, 2), (4, 1), (4, 2)]
    assert agent.sweep.state == "FINISHED"
    assert agent.beat() == [("exit", None)]


def test_grids_may_nest_and_leave_out_the_end_of_quantised_ranges() -> None:
    inner = {"parameters": {"x": {"values": [5, 6]}}}
    steps = {"distribution": "q_uniform", "min": 0, "max": 4, "q": 2}
    config = {"method": "grid", "parameters": {"b": steps, "a": inner}}
    points = [choose(config, number, "0") for number in range(5)]
    drawn = [(point["a"]["x"], point["b"]) for point in points[:4] if point]
    assert drawn == [(5, 0), (5, 2), (6, 0), (6, 2)]
    assert points[4] is None


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize("parameter", DISTRIBUTIONS)
def test_draws_keep_to_their_bounds_and_seeds(method: str, parameter: dict[str, Any]) -> None:
    config = {"method": method, "parameters": {"p": parameter}}
    drawn = [choose(config, number, "seed") for number in range(50)]
    assert drawn == [choose(config, number, "seed") for number in range(50)]
    values = [point["p"] for point in drawn if point]
    numbers = [value["deep"] if isinstance(value, dict) else value for value in values]
    assert all(1 <= number <= 4 for number in numbers)
    if "parameters" not in parameter:
        assert drawn != [choose(config, number, "other") for number in range(50)]


def test_a_run_cap_ends_a_sweep(server: WandbServer) -> None:
    agent = Agent(server, {**GRID, "method": "random", "run_cap": 2})
    first, second = agent.new_run(), agent.new_run()
    assert agent.beat(second) == []
    agent.finish(first)
    agent.finish(second)
    assert agent.beat() == [("exit", None)]
    assert agent.sweep.state == "FINISHED"


def test_states_of_a_sweep_reach_its_agents(server: WandbServer) -> None:
    agent = Agent(server, GRID)
    run = agent.new_run()
    ask(server, UPSERT, id=agent.sweep.id, state="PAUSED")
    assert agent.beat(run) == []
    agent.finish(run)
    assert agent.beat() == []
    ask(server, UPSERT, id=agent.sweep.id, state="RUNNING")
    run = agent.new_run()
    ask(server, UPSERT, id=agent.sweep.id, state="FINISHED")
    assert agent.beat(run) == []
    ask(server, UPSERT, id=agent.sweep.id, state="CANCELED")
    assert agent.beat(run) == [("stop", run)]
    assert agent.log(run, 1.0)["stopped"]
    assert agent.beat() == [("exit", None)]
    server.delete_sweep(agent.sweep.name)
    answer = ask(server, BEAT, id=agent.id, runs="{}")
    assert answer["errors"] == [{"message": "agent not found", "path": ["agentHeartbeat"]}]


@pytest.mark.parametrize(
    ("goal", "rule", "stops"),
    [
        ("minimize", {"min_iter": 2, "eta": 3}, True),
        ("maximize", {"min_iter": 2, "eta": 3}, False),
        ("minimize", {"min_iter": 3, "eta": 3}, False),
        ("minimize", {"min_iter": 2, "eta": 2}, False),
        ("minimize", {"max_iter": 8, "s": 2, "eta": 3}, True),
        ("minimize", {"min_iter": 2, "eta": 3, "strict": False}, False),
    ],
)
def test_hyperband_compares_at_the_newest_band(
    server: WandbServer, goal: str, rule: dict[str, Any], stops: bool
) -> None:
    metric = {"name": "loss", "goal": goal}
    hyperband = {"type": "hyperband", **rule}
    agent = Agent(server, {**GRID, "metric": metric, "early_terminate": hyperband})
    first, second = agent.new_run(), agent.new_run()
    agent.log(first, 1.0, 0.5)
    assert agent.log(second, 0.4, 0.6)["stopped"] is stops
    assert agent.beat(second) == ([("stop", second)] if stops else [])


def test_runs_that_their_agent_lost_have_crashed(server: WandbServer) -> None:
    agent = Agent(server, GRID)
    silent = agent.beat()[0][1] or ""
    assert server.runs[silent].state == "pending"
    run = agent.new_run()
    assert server.runs[silent].state == "crashed"
    agent.beat(run)
    assert server.runs[run].state == "running"
    server.resume_run(silent)
    assert agent.beat() == [("resume", silent)]
    assert server.runs[run].state == "crashed"


def test_exit_codes_and_silence_name_the_state(server: WandbServer) -> None:
    agent = Agent(server, GRID)
    run = agent.new_run()
    for code, state in ((0, "finished"), (1, "failed"), (254, "crashed")):
        agent.finish(run, code)
        assert server.runs[run].state == state
    agent.log(run, 1.0)
    assert server.runs[run].state == "running"
    server.runs[run].crash_after = 0.0
    assert server.runs[run].state == "crashed"


def test_faults_meet_the_requests_they_are_for(server: WandbServer) -> None:
    refused = server.faults.add("Up*", status=429, times=1)
    assert "errors" in ask(server, UPSERT, config="{}", project="search")
    assert (refused.met, server.sweeps) == (1, {})
    agent = Agent(server, GRID)
    server.faults.add("Heartbeat", drop="request", times=1)
    server.faults.add("Heartbeat", drop="response", times=1)
    for drawn in (0, 1):
        with pytest.raises((http.client.RemoteDisconnected, urllib.error.URLError)):
            agent.beat()
        assert agent.sweep.drawn == drawn
    outage = server.faults.add("*", status=500, seconds=3600)
    assert "errors" in ask(server, "query Viewer { viewer { id } }")
    outage.until = 0.0
    late = server.faults.add("Viewer", delay=0.01)
    assert ask(server, "query Viewer { viewer { username } }")["data"]["viewer"]
    assert (outage.met, late.met) == (1, 1)


def test_gaps_in_the_graph_are_errors(server: WandbServer) -> None:
    answer = ask(server, "query Odd { viewer { secret } }")
    message = 'Cannot query field "secret" on type "User".'
    assert answer["errors"] == [{"message": message, "path": ["viewer"]}]
    assert "Syntax Error" in ask(server, "query { viewer { id ")["errors"][0]["message"]
