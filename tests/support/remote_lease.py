"""Leases of processes on other hosts."""

import json
from pathlib import Path
from typing import Any


def write_remote_lease(folder: Path, number: int = 1, **changes: Any) -> Path:
    """A lease of a process that this host cannot see."""
    folder.mkdir(exist_ok=True)
    path = folder / f"lease.{number}"
    content = {"host": "elsewhere", "pid": 1, "process": "boot pid:[1] 5", **changes}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
