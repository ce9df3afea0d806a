"""Shows what old sweeps take on the disk and can go, and deletes it with --yes.

Checkpoints, last.pt, other files, such as what a user script keeps, and W&B offline logs can go.
The records of a run stay: hyperparameters.json, metrics.csv, work.csv, system.csv, output.log,
run.json, and `closed`, which ends a sweep early. A sweep stays whole if an agent works on it, or if
a document of the results folder refers to it: the best run, protocols, controls, a phase. A log
that `sync` has not uploaded stays, and with it the run's checkpoint, which the upload needs. An
unfinished run without last.pt begins again with its first epoch.
"""

import argparse
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import humanize
from rich.console import Console

from gcodefp.command_line import RESULTS, command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, lease_holder
from gcodefp.sweeps.run_folder import PROMOTED_FILES, RunFolder, run_folders
from gcodefp.sweeps.wandb_log import is_synced
from gcodefp.terminal import data_size, plain_table

logger = logging.getLogger("gcodefp.clean")

RECORDS = {*PROMOTED_FILES, "hyperparameters.json", "closed"} - {"checkpoint.pt"}
"""Files of a run that are never deleted, besides its leases."""
REFERRING = (".json", ".yaml")
"""Files of the results folder that may name a sweep."""
SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
GONE_SECONDS = SECONDS["d"]
"""A holder on another host that has not renewed its lease for so long is no longer at work."""


@dataclass
class DiskUse:
    """What a sweep takes.

    Attributes:
        paths: what can go, files and folders, with their bytes.
        waiting: bytes of logs that are not uploaded, and of their checkpoints; 0 with --unsynced.
        reason: why the whole sweep stays; None if it does not.
    """

    path: Path
    age_seconds: float = 0.0
    paths: dict[Path, int] = field(default_factory=dict)
    waiting: int = 0
    reason: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("clean", __doc__)
    add = parser.add_argument
    text = "results folder, which keeps the runs of all sweeps in `runs` (default: %(default)s)"
    add("results", type=Path, nargs="?", default=RESULTS, help=text)
    text = "only sweeps unchanged for so long, such as 12h, 7d, 4w (default: %(default)s)"
    add("--older-than", type=_seconds, default="7d", metavar="AGE", help=text)
    add("--unsynced", action="store_true", help="also W&B logs that were never uploaded")
    add("--yes", action="store_true", help="delete; without it, what can go is only shown")
    return run_command(parser, _clean, argv)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text} is no age such as 30m, 12h, 7d or 4w")
    return int(match[1]) * SECONDS[match[2]]


def _clean(arguments: argparse.Namespace) -> None:
    results, runs = arguments.results, arguments.results / "runs"
    if not runs.is_dir():
        raise UserError(f"{runs}: no such folder; name the results folder of the configuration")
    sweeps = [path for path in sorted(runs.iterdir()) if path.is_dir() and not path.is_symlink()]
    references = find_references(results, {path.name for path in sweeps})
    uses = []
    for path in sweeps:
        try:
            use = measure_use(path, arguments.unsynced)
            use.reason = references.get(path.name) or reason_to_stay(use, arguments.older_than)
        except OSError as error:
            use = DiskUse(path, reason=str(error))
        uses.append(use)
    going = [use for use in uses if use.reason is None]
    total = data_size(sum(sum(use.paths.values()) for use in going))
    _show(uses)
    if not arguments.yes:
        print(f"Nothing is deleted yet: --yes deletes {total}.")
        return
    problems = [problem for use in going for problem in _delete_all(use)]
    for problem in problems:
        logger.error("%s", problem)
    if problems:
        raise UserError(f"{runs}: {len(problems)} paths stay, named above; all others are gone")
    print(f"Deleted {total}.")


def find_references(results: Path, sweeps: set[str]) -> dict[str, str]:
    """Sweep -> why it stays: a document of the results, outside of `runs`, that names it.

    Raises UserError: a document is damaged, so that nobody can tell what it refers to.
    """
    references: dict[str, str] = {}
    visited = {(results / "runs").resolve()}
    for folder, names, files in os.walk(results, followlinks=True):
        if (real := Path(folder).resolve()) in visited:
            names.clear()
            continue
        visited.add(real)
        for path in (Path(folder, name) for name in sorted(files) if name.endswith(REFERRING)):
            text = path.read_text(encoding="utf-8", errors="replace")
            try:
                if path.suffix == ".json":
                    json.loads(text)
            except ValueError as error:
                raise UserError(
                    f"{path}: is damaged ({error}), and may refer to a sweep; rebuild or remove it"
                ) from None
            for sweep in sweeps.intersection(re.findall(r"[\w-]+", text)):
                references.setdefault(sweep, f"{path.relative_to(results)} refers to it")
    return references


def measure_use(sweep: Path, unsynced: bool) -> DiskUse:
    """What the runs of a sweep take. Raises OSError: a folder cannot be read."""
    # A link to a folder elsewhere is no run.
    runs = [run for run in run_folders(sweep) if not run.path.is_symlink()]
    use, changed = DiskUse(sweep), [sweep.lstat().st_mtime]
    for run in runs:
        contents = list(_contents(run.path))
        changed += [path.lstat().st_mtime for is_record, path in contents if is_record]
        logs = [path for _, path in contents if path.name.startswith("offline-run-")]
        pending = [] if unsynced else [log for log in logs if not is_synced(log)]
        for is_record, path in contents:
            if path in pending or (pending and path.name == "checkpoint.pt"):
                use.waiting += _size(path)
            elif not is_record:
                use.paths[path] = _size(path)
    use.age_seconds = max(0.0, time.time() - max(changed))
    return use


def _contents(folder: Path) -> Iterator[tuple[bool, Path]]:
    """Files of a run, and its W&B logs as a whole, and whether they are records; without links."""
    for path in sorted(path for path in folder.iterdir() if not path.is_symlink()):
        if path.is_dir() and path.name.startswith("generation."):
            yield from _contents(path)
        elif path.is_dir() and path.name == "wandb":
            # The rest of it is the service's own.
            logs = sorted(path.glob("offline-run-*"))
            yield from ((False, log) for log in logs if not log.is_symlink())
        else:
            yield path.name in RECORDS or path.name.startswith("lease."), path


def reason_to_stay(use: DiskUse, older_than_seconds: float) -> str | None:
    """Why a sweep that nothing refers to is not touched; None if it may be cleaned."""
    watch = LeaseWatch()
    for run in run_folders(use.path):
        if _is_held(run, watch):
            return f"an agent works on run {run.path.name}"
    return None if use.age_seconds >= older_than_seconds else "it is too new"


def _is_held(run: RunFolder, watch: LeaseWatch) -> bool:
    holder = lease_holder(run.path, watch)
    if holder and holder.lease is LeaseState.UNKNOWN:
        return holder.age_seconds < GONE_SECONDS
    return holder is not None and holder.lease is LeaseState.HELD


def _delete_all(use: DiskUse) -> Iterator[str]:
    """Deletes what can go of a sweep; yields what could not be deleted, and why."""
    if reason := reason_to_stay(use, 0.0):  # An agent may have started meanwhile.
        yield f"{use.path} stays whole: {reason}"
        return
    for path in use.paths:
        yield from _delete(path)


def _delete(path: Path) -> Iterator[str]:
    """Deletes a file, a link itself, or a folder with all it has; yields errors and goes on."""
    is_folder = path.is_dir() and not path.is_symlink()
    try:
        for child in sorted(path.iterdir()) if is_folder else ():
            yield from _delete(child)
        path.rmdir() if is_folder else path.unlink(missing_ok=True)
    except OSError as error:
        yield str(error)


def _show(uses: Sequence[DiskUse]) -> None:
    columns = [
        ("sweep", [use.path.name for use in uses]),
        ("unchanged", [humanize.naturaldelta(use.age_seconds) for use in uses]),
        ("can go", [_data_size(sum(use.paths.values())) for use in uses]),
        ("not\nuploaded", [_data_size(use.waiting) for use in uses]),
    ]
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(plain_table(columns, ("sweep",), ["dim" if use.reason else "" for use in uses]))
    for use in uses:
        if use.reason:
            console.print(f"{use.path.name} stays: {use.reason}", soft_wrap=True)


def _data_size(count: int) -> str:
    return data_size(count) if count else "-"


def _size(path: Path) -> int:
    """Bytes of a file or of a whole folder; of a link, its own."""
    if path.is_dir() and not path.is_symlink():
        return sum(map(_size, path.iterdir()))
    return path.lstat().st_size


if __name__ == "__main__":
    sys.exit(main())
