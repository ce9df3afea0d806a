"""What the graph answers to queries: the viewer, the server, projects and what is in them."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from .artifacts import (
    artifact_node,
    by_id,
    collection_node,
    find_version,
    membership_node,
    project_info,
    versions,
)
from .execution import Node
from .model import Artifact, Project, Run, Sweep
from .pages import connection, optional, stamp
from .run_nodes import run_node, user_node
from .world import ENTITIES, World

FEATURES = (
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_DIGEST_ALGORITHM",
    "ARTIFACT_TAGS",
    "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "CLIENT_IDS",
    "FILESTREAM_GZIP",
    "LARGE_FILENAMES",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "STRUCTURED_CONSOLE_LOGS",
    "SWEEPS_QUERY_FILTERING",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
)


def query_root(world: World) -> Node:
    """The entry to all queries."""

    def project(name: str | None = None, entity_name: str | None = None) -> Node | None:
        return optional(project_node, world, world.find_project(entity_name, name))

    fields = {
        "viewer": user_node,
        "serverInfo": _server_info,
        "entity": _entity,
        "project": project,
        "model": project,
        "artifact": lambda id: artifact_node(world, by_id(world, id)),
    }
    return Node("Query", fields)


def _server_info() -> Node:
    features = [Node("ServerFeature", {"name": name, "isEnabled": True}) for name in FEATURES]
    return Node("ServerInfo", {"features": features})


def _entity(name: str) -> Node | None:
    fields = {"id": f"Entity:{name}", "name": name, "organization": None}
    return Node("Entity", fields) if name in ENTITIES else None


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
        "readOnly": False,
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
        facts = {"name": run.name, "sweep": run.sweep, "state": run.state}
        return all(
            all(passes(run, part) for part in value) if key == "$and" else facts[key] == value
            for key, value in query.items()
        )

    query = json.loads(filters)
    return [run for run in world.runs.values() if run.project is project and passes(run, query)]


def _artifact_fields(world: World, project: Project) -> dict[str, Any]:
    def version(node: Callable[[World, Artifact], Node]) -> Callable[[str], Node | None]:
        return lambda name: optional(node, world, find_version(world, project, name))

    def collection(name: str) -> Node | None:
        return optional(collection_node, world, next(iter(versions(world, project, name)), None))

    return {
        "artifact": version(artifact_node),
        "artifactCollectionMembership": version(membership_node),
        "artifactCollection": collection,
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
        "displayName": None,
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
        "runCount": len(runs),
        "runCountExpected": sweep.config.get("run_cap"),
        "project": project_info(sweep.project),
        "runs": listed,
    }
    return Node("Sweep", fields)
