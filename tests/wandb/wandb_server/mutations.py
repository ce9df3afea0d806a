"""What the graph does on mutations."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from . import artifacts, scheduler
from .execution import ApiError, Node
from .model import Agent, Run, StoredFile, Sweep
from .queries import sweep_node
from .run_nodes import file_node, run_node
from .world import World

Payload = Mapping[str, Any]
ABOUT = ("groupName", "jobType", "notes", "description", "host", "commit", "jobProgram", "jobRepo")


def mutation_root(world: World) -> Node:
    """The entry to all mutations: each takes one `input`."""
    handlers: dict[str, Callable[[World, Payload], Node]] = {
        "upsertSweep": upsert_sweep,
        "createAgent": create_agent,
        "agentHeartbeat": agent_heartbeat,
        "upsertBucket": upsert_bucket,
        "createRunFiles": create_run_files,
        "createArtifact": artifacts.create,
        "createArtifactManifest": artifacts.create_manifest,
        "createArtifactFiles": artifacts.create_files,
        "commitArtifact": lambda world, payload: artifacts.commit(world, payload["artifactID"]),
    }
    return Node("Mutation", {name: _field(world, act) for name, act in handlers.items()})


def _field(world: World, act: Callable[[World, Payload], Node]) -> Callable[..., Node]:
    def field(input: Payload) -> Node:
        return act(world, {name: value for name, value in input.items() if value is not None})

    return field


def upsert_sweep(world: World, payload: Payload) -> Node:
    """Makes a sweep, or changes the configuration or the state of one."""
    text, sweep = payload.get("config"), world.sweep_by_id(payload.get("id"))
    if sweep is None:
        entity, name = payload.get("entityName"), payload.get("projectName")
        project = world.make_project(entity, name, "upsertSweep")
        sweep = Sweep(project, world.new_name(), world.number(), "", {})
        world.sweeps[sweep.name] = sweep
    if text:
        sweep.text, sweep.config = text, yaml.safe_load(text)
        sweep.description = payload.get("description")
    # As `wandb sweep --stop`, `--cancel`, `--pause` and `--resume` ask for.
    sweep.state = payload.get("state", sweep.state)
    for run in world.runs_of(sweep) if sweep.state == "CANCELED" else ():
        run.stopped = run.stopped or not run.is_over
    fields = {"sweep": sweep_node(world, sweep), "configValidationWarnings": []}
    return Node("UpsertSweepPayload", fields)


def create_agent(world: World, payload: Payload) -> Node:
    """A new agent of a sweep that is not over."""
    entity, name = payload.get("entityName"), payload.get("projectName")
    sweep = world.find_sweep(world.find_project(entity, name), payload["sweep"])
    if sweep is None:
        path = f"{entity}/{name}/{payload['sweep']}"
        raise ApiError(f"could not find sweep {path} during createAgent", status=404)
    if sweep.state in scheduler.OVER:
        raise ApiError(f"Sweep {sweep.path} is not running", status=400)
    agent = Agent(f"Agent:{world.number()}")
    sweep.agents[agent.id] = agent
    return Node("CreateAgentPayload", {"agent": Node("Agent", {"id": agent.id})})


def agent_heartbeat(world: World, payload: Payload) -> Node:
    """Notes what an agent runs, and tells it what to do."""
    if (entry := world.find_agent(payload["id"])) is None:
        raise ApiError("agent not found", status=404)
    sweep, agent = entry
    states = json.loads(payload.get("runState") or "{}")
    now = {name for name, alive in states.items() if alive}
    for run in world.runs_of(sweep):
        if run.agent == agent.id and run.name not in now and not run.is_over:
            run.disconnected = not run.upserts or run.name in agent.running
    agent.running = now
    scheduler.review(world, sweep)
    commands = json.dumps(scheduler.commands(world, sweep, agent))
    fields = {"agent": Node("Agent", {"id": agent.id}), "commands": commands}
    return Node("AgentHeartbeatPayload", fields)


def upsert_bucket(world: World, payload: Payload) -> Node:
    """Makes or changes a run; values that the payload lacks stay."""
    run = world.run_by_id(payload["id"]) if "id" in payload else None
    inserted = False
    if run is None:
        entity, name = payload.get("entityName"), payload.get("modelName")
        project = world.make_project(entity, name, "upsertBucket")
        name = payload.get("name") or world.new_name()
        run = world.find_run(project, name)
        inserted = run is None
        if run is None:
            run = world.make_run(project, name, payload.get("displayName"))
    if run.is_over and "id" not in payload:  # a client has started it again
        run.exit_code, run.disconnected, run.stopped = None, False, False
        run.heartbeats.append(time.time())
    run.upserts += 1
    _change(run, payload)
    sweep = world.find_sweep(run.project, run.sweep or "")
    if sweep is not None and run.name not in sweep.runs:
        sweep.runs.append(run.name)
    fields = {"bucket": run_node(world, run), "inserted": inserted}
    return Node("UpsertBucketPayload", fields)


def _change(run: Run, payload: Payload) -> None:
    run.display_name = payload.get("displayName") or run.display_name
    run.sweep = payload.get("sweep") or run.sweep
    run.tags = payload.get("tags", run.tags)
    run.about.update({key: payload[key] for key in ABOUT if payload.get(key)})
    if "config" in payload:
        run.settings = json.loads(payload["config"])
    if "summaryMetrics" in payload:
        run.summary = json.loads(payload["summaryMetrics"])


def create_run_files(world: World, payload: Payload) -> Node:
    """Where files of a run are uploaded to."""
    project = world.find_project(payload.get("entityName"), payload.get("projectName"))
    run = world.find_run(project, payload["runName"])
    if run is None:
        raise ApiError(f"run {payload['runName']} not found during createRunFiles", status=404)
    files = [run.files.setdefault(name, StoredFile(name)) for name in payload["files"]]
    nodes = [file_node(world, run, file) for file in files]
    return Node("CreateRunFilesPayload", {"runID": run.id, "uploadHeaders": [], "files": nodes})
