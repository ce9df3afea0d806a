"""How much memory there is for training."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

CGROUPS = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
"""Controller as /proc/self/cgroup names it (none: version 2) -> its folder, the file of a limit."""


def available_host_bytes() -> int:
    """What processes may still take of this machine, or of the job or container they are in."""
    return min(_free_bytes(), *limits())


def available_device_bytes(device: torch.device) -> int:
    """The memory of a GPU."""
    return torch.cuda.get_device_properties(device).total_memory


def _free_bytes() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(text.partition("MemAvailable:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits(
    root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """The limits of the groups that this process is in; an outer group's holds too."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in CGROUPS:
            continue
        folder, name = CGROUPS[controllers]
        place = root / folder
        for part in ("", *Path(path.lstrip("/")).parts):
            place = place / part
            try:
                limit = (place / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if limit.isdigit():
                yield int(limit)
