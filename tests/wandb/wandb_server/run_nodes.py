"""Runs as the graph shows them."""

import json
import math
from collections import Counter
from functools import partial
from typing import Any

from .artifacts import artifact_node, project_info
from .execution import Node
from .model import Run, StoredFile
from .pages import connection, plain, stamp
from .world import DEFAULT_ENTITY, ENTITIES, USERNAME, World


def user_node() -> Node:
    """The owner of the API key."""
    teams = [Node("Entity", {"name": name}) for name in ENTITIES]
    fields = {
        "id": "User:1",
        "name": USERNAME,
        "username": USERNAME,
        "email": f"{USERNAME}@example.com",
        "flags": "{}",
        "entity": DEFAULT_ENTITY,
        "teams": connection(teams, lambda team: team),
    }
    return Node("User", fields)


def run_node(world: World, run: Run) -> Node:
    """A run."""

    def artifacts(after: str | None = None, first: int | None = None) -> Node:
        logged = [world.artifacts[identity] for identity in run.logged]
        return connection(logged, partial(artifact_node, world), after, first)

    fields = {
        "id": run.id,
        "name": run.name,
        "displayName": run.display_name or run.name,
        "sweepName": run.sweep,
        "state": run.state,
        "group": run.group,
        "jobType": run.about.get("jobType"),
        "commit": run.about.get("commit"),
        "description": run.about.get("description"),
        "notes": run.about.get("notes"),
        "tags": run.tags,
        "readOnly": False,
        "project": project_info(run.project),
        "projectId": run.project.number,
        "createdAt": stamp(run.created),
        "heartbeatAt": stamp(run.last_sign),
        "exitcode": run.exit_code,
        "shouldStop": run.stopped,
        "stopped": run.stopped,
        "failed": run.state == "failed",
        "running": run.state == "running",
        "user": user_node,
        "outputArtifacts": artifacts,
        **_contents(run),
    }
    return Node("Run", fields)


def _contents(run: Run) -> dict[str, Any]:
    def history(min_step: int = 0, max_step: float = math.inf, samples: int = 500) -> list[str]:
        rows = [row for row in plain(run.history) if min_step <= row["_step"] < max_step]
        return [json.dumps(row) for row in rows[:samples]]

    def wandb_config(keys: list[str]) -> str:
        internal = run.settings.get("_wandb", {}).get("value", {})
        return json.dumps({key: internal[key] for key in keys if key in internal})

    return {
        "config": json.dumps(run.settings),
        "summaryMetrics": json.dumps(plain(run.summary)),
        "systemMetrics": run.event_lines[-1] if run.event_lines else "{}",
        "wandbConfig": wandb_config,
        "history": history,
        "sampledHistory": lambda specs: _sampled_history(run, specs),
        "parquetHistory": lambda live_keys: Node(
            "ParquetHistory", {"parquetUrls": [], "liveData": plain(run.history)}
        ),
        "historyKeys": lambda: _history_keys(run),
        "historyLineCount": len(run.history_lines),
        "eventsLineCount": len(run.event_lines),
        "logLineCount": max(run.log_lines, default=-1) + 1,
        "historyTail": json.dumps(run.history_lines[-1:]),
        "eventsTail": json.dumps(run.event_lines[-1:]),
    }


def _sampled_history(run: Run, specs: list[str] | str) -> list[Any]:
    """For each specification the rows that have all its keys; a list of one may be left out."""
    answer = []
    for spec in map(json.loads, [specs] if isinstance(specs, str) else specs):
        keys = spec.get("keys", [])
        rows = [row for row in plain(run.history) if keys and all(key in row for key in keys)]
        low, high = spec.get("minStep", 0), spec.get("maxStep", math.inf)
        listed = [{key: row[key] for key in keys} for row in rows if low <= row["_step"] <= high]
        answer.append(listed[: spec.get("samples", 500)])
    return answer


def _history_keys(run: Run) -> dict[str, Any] | None:
    rows = run.history
    if not rows:
        return None
    counts = Counter(key for row in rows for key in row)
    keys = {k: {"typeCounts": [{"type": "number", "count": n}]} for k, n in counts.items()}
    return {"sets": [], "keys": keys, "lastStep": max(row["_step"] for row in rows)}


def file_node(world: World, run: Run, file: StoredFile) -> Node:
    """A file of a run."""
    address = f"{world.base_url}/storage/{run.path}/{file.name}"
    fields = {"id": f"File:{run.path}/{file.name}", "name": file.name, "uploadUrl": address}
    return Node("File", fields)
