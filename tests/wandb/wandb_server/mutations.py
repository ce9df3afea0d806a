"""What the graph does on mutations."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import artifacts, scheduler
from .execution import ApiError, Node
from .model import Run, StoredFile
from .queries import agent_node, sweep_node
from .run_nodes import file_node, run_node
from .world import World

Assignment = Mapping[str, Any]
ABOUT = ("groupName", "jobType", "notes", "description", "host", "commit", "jobProgram", "jobRepo")


def mutation_root(world: World) -> Node:
    """The entry to all mutations: each takes one `input`."""
    handlers: dict[str, Callable[[World, Assignment], Node]] = {
        "upsertSweep": upsert_sweep,
        "createAgent": create_agent,
        "agentHeartbeat": agent_heartbeat,
        "upsertBucket": upsert_bucket,
        "createRunFiles": create_run_files,
        "markRunFilesUploaded": lambda world, given: Node("Payload", {"success": True}),
        "createArtifact": artifacts.create,
        "createArtifactManifest": artifacts.create_manifest,
        "createArtifactFiles": artifacts.create_files,
        "commitArtifact": lambda world, given: artifacts.commit(world, given["artifactID"]),
    }
    return Node("Mutation", {name: _field(world, act) for name, act in handlers.items()})


def _field(world: World, act: Callable[[World, Assignment], Node]) -> Callable[..., Node]:
    def field(input: Assignment) -> Node:
        return act(world, {name: value for name, value in input.items() if value is not None})

    return field


def upsert_sweep(world: World, given: Assignment) -> Node:
    """Makes or changes a sweep."""
    sweep, warnings = scheduler.upsert(world, dict(given))
    fields = {"sweep": sweep_node(world, sweep), "configValidationWarnings": warnings}
    return Node("UpsertSweepPayload", fields)


def create_agent(world: World, given: Assignment) -> Node:
    """Registers an agent."""
    entity, name = given.get("entityName"), given.get("projectName")
    project = world.find_project(entity, name)
    path = f"{entity}/{name}/{given['sweep']}"
    sweep = world.find_sweep(project, given["sweep"])
    agent = scheduler.register(world, sweep, path, given["host"])
    return Node("CreateAgentPayload", {"agent": agent_node(agent)})


def agent_heartbeat(world: World, given: Assignment) -> Node:
    """Tells an agent what to do."""
    agent, commands = scheduler.heartbeat(world, given["id"], given.get("runState"))
    fields = {"agent": agent_node(agent), "commands": json.dumps(commands)}
    return Node("AgentHeartbeatPayload", fields)


def upsert_bucket(world: World, given: Assignment) -> Node:
    """Makes or changes a run; what is not given stays."""
    run = world.run_by_id(given["id"]) if "id" in given else None
    inserted = False
    if run is None:
        entity, name = given.get("entityName"), given.get("modelName")
        project = world.make_project(entity, name, "upsertBucket")
        name = given.get("name") or world.new_name()
        run = world.find_run(project, name)
        inserted = run is None
        if run is None:
            run = world.make_run(project, name, given.get("displayName"))
    if run.is_over and "id" not in given:  # a client has begun again
        run.exit_code, run.lost, run.stopped = None, False, False
        run.heartbeats.append(time.time())
    run.upserts += 1
    _change(run, given)
    sweep = world.find_sweep(run.project, run.sweep or "")
    if sweep is not None and run.name not in sweep.runs:
        sweep.runs.append(run.name)
    fields = {"bucket": run_node(world, run), "inserted": inserted}
    return Node("UpsertBucketPayload", fields)


def _change(run: Run, given: Assignment) -> None:
    run.display_name = given.get("displayName") or run.display_name
    run.sweep = given.get("sweep") or run.sweep
    run.tags = given.get("tags", run.tags)
    run.about.update({key: given[key] for key in ABOUT if given.get(key)})
    if "config" in given:
        run.settings = json.loads(given["config"])
    if "summaryMetrics" in given:
        run.summary = json.loads(given["summaryMetrics"])


def create_run_files(world: World, given: Assignment) -> Node:
    """Where files of a run are uploaded to."""
    project = world.find_project(given.get("entityName"), given.get("projectName"))
    run = world.find_run(project, given["runName"])
    if run is None:
        raise ApiError(f"run {given['runName']} not found during createRunFiles", status=404)
    files = [run.files.setdefault(name, StoredFile(name)) for name in given["files"]]
    nodes = [file_node(world, run, file) for file in files]
    return Node("CreateRunFilesPayload", {"runID": run.id, "uploadHeaders": [], "files": nodes})
