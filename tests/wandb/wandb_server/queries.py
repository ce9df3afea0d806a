"""What the graph answers to queries: the viewer, the server, projects and what is in them."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from .artifact_model import Artifact
from .artifact_nodes import (
    artifact_node,
    collection_node,
    find_version,
    membership_node,
    project_info,
    versions,
)
from .artifacts import by_id
from .execution import ApiError, Node
from .model import Agent, Project, Run, Sweep
from .pages import connection, optional, stamp
from .run_nodes import run_node, user_node
from .world import ENTITIES, USERNAME, World

FEATURES = (
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_DIGEST_ALGORITHM",
    "ARTIFACT_TAGS",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "CLIENT_IDS",
    "FILESTREAM_GZIP",
    "LARGE_FILENAMES",
    "MARK_RUN_FILES_UPLOADED",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "STRUCTURED_CONSOLE_LOGS",
    "SWEEPS_QUERY_FILTERING",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)


def query_root(world: World) -> Node:
    """The entry to all queries."""

    def project(name: str | None = None, entity_name: str | None = None) -> Node | None:
        if not name:
            raise ApiError("name required for project query")
        return optional(project_node, world, world.find_project(entity_name, name))

    def mapping(client_id: str) -> Node:
        return Node("ClientIDMapping", {"serverID": by_id(world, client_id).id})

    fields = {
        "viewer": user_node,
        "serverInfo": _server_info,
        "entity": _entity,
        "project": project,
        "model": project,
        "artifact": lambda id: artifact_node(world, by_id(world, id)),
        "clientIDMapping": mapping,
        "organization": lambda name: None,
    }
    return Node("Query", fields)


def _server_info() -> Node:
    features = [Node("ServerFeature", {"name": name, "isEnabled": True}) for name in FEATURES]
    newest = Node("LocalVersionInfo", {"outOfDate": False, "latestVersionString": "0.0.0"})
    return Node("ServerInfo", {"features": features, "latestLocalVersionInfo": newest})


def _entity(name: str) -> Node | None:
    if name not in ENTITIES:
        return None
    fields = {
        "id": f"Entity:{name}",
        "name": name,
        "xxhashDigestsEnabled": False,
        "organization": None,
        "isTeam": name != USERNAME,
        "user": None,
    }
    return Node("Entity", fields)


def project_node(world: World, project: Project) -> Node:
    """A project."""

    def run(name: str, missing_ok: bool = False) -> Node | None:
        return optional(run_node, world, world.find_run(project, name))

    def runs(
        filters: str = "{}", order: str = "", after: str | None = None, first: int | None = None
    ) -> Node:
        listed = _runs(world, project, filters)[:: -1 if order.startswith("-") else 1]
        return connection(listed, partial(run_node, world), after, first)

    def sweeps(after: str | None = None, first: int | None = None, filters: str = "{}") -> Node:
        listed = [sweep for sweep in world.sweeps.values() if sweep.project is project]
        return connection(listed, partial(sweep_node, world), after, first)

    fields = {
        **project_info(project).fields,
        "createdAt": stamp(0),
        "readOnly": False,
        "isBenchmark": False,
        "user": user_node,
        "bucket": run,
        "run": run,
        "runs": runs,
        "runCount": lambda filters="{}": len(_runs(world, project, filters)),
        "sweep": lambda sweep_name: optional(
            sweep_node, world, world.find_sweep(project, sweep_name)
        ),
        "sweeps": sweeps,
        "totalSweeps": sum(sweep.project is project for sweep in world.sweeps.values()),
        **_artifact_fields(world, project),
    }
    return Node("Project", fields)


def _runs(world: World, project: Project, filters: str) -> list[Run]:
    """The project's runs that a filter of the SDK lets through, in the order of their creation."""

    def passes(run: Run, query: dict[str, Any]) -> bool:
        for key, value in query.items():
            if key in ("$and", "$or"):
                results = [passes(run, part) for part in value]
                if not (all(results) if key == "$and" else any(results)):
                    return False
            elif {"name": run.name, "sweep": run.sweep, "state": run.state}[key] != value:
                return False
        return True

    query = json.loads(filters)
    return [run for run in world.runs.values() if run.project is project and passes(run, query)]


def _artifact_fields(world: World, project: Project) -> dict[str, Any]:
    def version(node: Callable[[World, Artifact], Node]) -> Callable[[str], Node | None]:
        return lambda name: optional(node, world, find_version(world, project, name))

    def collection(name: str) -> Node | None:
        return optional(collection_node, world, next(iter(versions(world, project, name)), None))

    def artifact_type(name: str) -> Node | None:
        if not any(m.type == name and m.project is project for m in world.artifacts.values()):
            return None
        fields = {"id": f"ArtifactType:{name}", "name": name, "description": None}
        return Node("ArtifactType", {**fields, "artifactCollection": collection})

    return {
        "artifact": version(artifact_node),
        "artifactCollectionMembership": version(membership_node),
        "artifactCollection": collection,
        "artifactType": artifact_type,
    }


def sweep_node(world: World, sweep: Sweep) -> Node:
    """A sweep."""
    runs = world.runs_of(sweep)
    name = sweep.config.get("metric", {}).get("name", "")
    scores = [value for run in runs if isinstance(value := run.summary.get(name), int | float)]
    maximize = sweep.config.get("metric", {}).get("goal") == "maximize"

    def listed(after: str | None = None, first: int | None = None) -> Node:
        return connection(runs, partial(run_node, world), after, first)

    fields = {
        "id": sweep.id,
        "name": sweep.name,
        "displayName": sweep.display_name,
        "method": sweep.config.get("method"),
        "state": sweep.state,
        "description": sweep.description,
        "bestLoss": (max(scores) if maximize else min(scores)) if scores else None,
        "config": sweep.text,
        "createdAt": stamp(sweep.created),
        "updatedAt": None,
        "heartbeatAt": stamp(sweep.created),
        "earlyStopJobRunning": False,
        "controller": None,
        "scheduler": None,
        "controllerRunName": None,
        "runCount": len(runs),
        "runCountExpected": sweep.config.get("run_cap"),
        "project": project_info(sweep.project),
        "runs": listed,
        "agent": lambda agent_name: optional(agent_node, sweep.agents.get(agent_name)),
        "agents": lambda: connection(list(sweep.agents.values()), agent_node),
    }
    return Node("Sweep", fields)


def agent_node(agent: Agent) -> Node:
    """An agent."""
    fields = {
        "id": agent.id,
        "name": agent.id,
        "host": agent.host,
        "state": "RUNNING",
        "totalRuns": sum(command["type"] == "run" for command in agent.commands),
        "createdAt": stamp(agent.created),
        "heartbeatAt": stamp(max([agent.created, *agent.heartbeats])),
    }
    return Node("Agent", fields)
