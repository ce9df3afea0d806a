"""What a run streams: history, system metrics, summary, console, and how it ended."""

import json
import time
from collections.abc import Mapping
from typing import Any

from .model import Run, StoredFile

HISTORY = "wandb-history.jsonl"
EVENTS = "wandb-events.jsonl"
SUMMARY = "wandb-summary.json"
LOG = "output.log"


def receive(run: Run, body: Mapping[str, Any]) -> dict[str, Any]:
    """Applies one request to file_stream; the answer tells the client whether to stop."""
    run.heartbeats.append(time.time())
    run.disconnected = False
    for name, chunk in body.get("files", {}).items():
        _write(run, name, int(chunk["offset"]), chunk["content"])
    for name in body.get("uploaded") or []:
        run.files.setdefault(name, StoredFile(name))
    if body.get("complete"):
        run.exit_code = int(body.get("exitcode", 0))
    elif body.get("files"):
        run.exit_code = None
    limits = {"name": "default", "rate_limit": "400/s", "system_metrics": "2/m"}
    return {"exitcode": run.exit_code, "limits": limits, "stopped": run.stopped}


def _write(run: Run, name: str, offset: int, content: list[str]) -> None:
    if name == HISTORY:
        run.history_lines[offset:] = content
    elif name == EVENTS:
        run.event_lines[offset:] = content
    elif name == SUMMARY:
        run.summary = json.loads(content[-1])
    elif name.endswith(LOG):
        run.log_lines.update({offset + number: _text(line) for number, line in enumerate(content)})


def _text(line: str) -> str:
    """A line of the console, which new servers get as JSON."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    return str(record["content"]) if isinstance(record, dict) and "content" in record else line
