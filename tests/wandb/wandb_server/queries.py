"""What the graph answers to queries: the viewer, the server, projects and what is in them."""

import json
from typing import Any

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
from .pages import connection, stamp
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
        found = world.find_project(entity_name, name)
        return None if found is None else project_node(world, found)

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
        found = world.find_run(project, name)
        return None if found is None else run_node(world, found)

    def sweep(sweep_name: str) -> Node | None:
        found = world.find_sweep(project, sweep_name)
        return None if found is None else sweep_node(world, found)

    def runs(
        filters: str = "{}", order: str = "", after: str | None = None, first: int | None = None
    ) -> Node:
        found = _runs(world, project, filters)[:: -1 if order.startswith("-") else 1]
        return connection(found, lambda one: run_node(world, one), after, first)

    def sweeps(after: str | None = None, first: int | None = None, filters: str = "{}") -> Node:
        found = [sweep for sweep in world.sweeps.values() if sweep.project is project]
        return connection(found, lambda one: sweep_node(world, one), after, first)

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
        "sweep": sweep,
        "sweeps": sweeps,
        "totalSweeps": sum(sweep.project is project for sweep in world.sweeps.values()),
        **_artifact_fields(world, project),
    }
    return Node("Project", fields)


def _runs(world: World, project: Project, filters: str) -> list[Run]:
    """The project's runs that a filter of the SDK lets through, in the order of their creation."""

    def passes(run: Run, query: dict[str, Any]) -> bool:
        for key, wanted in query.items():
            if key in ("$and", "$or"):
                results = [passes(run, part) for part in wanted]
                if not (all(results) if key == "$and" else any(results)):
                    return False
            elif {"name": run.name, "sweep": run.sweep, "state": run.state}[key] != wanted:
                return False
        return True

    query = json.loads(filters)
    return [run for run in world.runs.values() if run.project is project and passes(run, query)]


def _artifact_fields(world: World, project: Project) -> dict[str, Any]:
    def membership(name: str) -> Node | None:
        found = find_version(world, project, name)
        return None if found is None else membership_node(world, found)

    def artifact(name: str) -> Node | None:
        found = find_version(world, project, name)
        return None if found is None else artifact_node(world, found)

    def collection(name: str) -> Node | None:
        found = versions(world, project, name)
        return collection_node(world, found[0]) if found else None

    def of_type(name: str) -> Node | None:
        if not any(m.type == name and m.project is project for m in world.artifacts.values()):
            return None
        fields = {"id": f"ArtifactType:{name}", "name": name, "description": None}
        return Node("ArtifactType", {**fields, "artifactCollection": collection})

    return {
        "artifact": artifact,
        "artifactCollectionMembership": membership,
        "artifactCollection": collection,
        "artifactType": of_type,
    }


def sweep_node(world: World, sweep: Sweep) -> Node:
    """A sweep."""
    runs = world.runs_of(sweep)
    name = sweep.config.get("metric", {}).get("name", "")
    scores = [value for run in runs if isinstance(value := run.summary.get(name), int | float)]
    maximize = sweep.config.get("metric", {}).get("goal") == "maximize"

    def listed(after: str | None = None, first: int | None = None) -> Node:
        return connection(runs, lambda one: run_node(world, one), after, first)

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
        **_agent_fields(sweep),
    }
    return Node("Sweep", fields)


def _agent_fields(sweep: Sweep) -> dict[str, Any]:
    def agent(agent_name: str) -> Node | None:
        found = sweep.agents.get(agent_name)
        return None if found is None else agent_node(found)

    return {
        "agent": agent,
        "agents": lambda: connection(list(sweep.agents.values()), agent_node),
    }


def agent_node(agent: Agent) -> Node:
    """An agent."""
    told = [command for command in agent.commands if command["type"] == "run"]
    fields = {
        "id": agent.id,
        "name": agent.id,
        "host": agent.host,
        "state": "RUNNING",
        "totalRuns": len(told),
        "createdAt": stamp(agent.created),
        "heartbeatAt": stamp(max([agent.created, *agent.heartbeats])),
    }
    return Node("Agent", fields)
