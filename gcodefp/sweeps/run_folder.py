"""The folder of one run: the only place where a sweep's state is kept.

hyperparameters.json   the configuration assigned to the run; written once
lease.N                claims: which process works on the run, and in which generation
generation.N-…/        the files of one holder until the run ends: metrics.csv, work.csv, last.pt
closed                 why neither this run nor a later one starts, such as an exhausted space
work.csv               which processes worked on it, and when
system.csv             what they used of CPU, memory and GPU
metrics.csv            its epochs
run.json               how it ended; its presence means that the run has ended
checkpoint.pt          the weights of the best epoch
wandb/                 the same run in W&B's format
output.log, program/   of a user script: its output, and what it keeps
"""

import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gcodefp.documents import Count, Document, Finite, read_document
from gcodefp.errors import UserError
from gcodefp.files import write_json, write_text
from gcodefp.model.run_files import SYSTEM_FILE, Row, check_epochs, read_metrics
from gcodefp.sweeps.lease import OUTPUT, SCRIPT_FOLDER, Lease, names_in, newest_claim

ASSIGNED_FORMAT = "gcodefp-hyperparameters-1"
RUN_FORMAT = "gcodefp-run-1"
RERUN_AGENTS = "start the agents again (in the workflow: snakemake --cores all --forcerun agent)"
"""What resumes a sweep; Snakemake has recorded its agents as done."""
ASSIGNED, CLOSED = "hyperparameters.json", "closed"
REBUILD = f"remove this run's folder, then {RERUN_AGENTS}"

TERMINAL_STATES = ("finished", "stopped", "failed")
SCORED_STATES = ("finished", "stopped")
"""States of ended runs that have weights and a value."""
SELECTABLE_STATE = "finished"
"""The state that the best run must have; `stopped` is one that hyperband pruned, or that a person
stopped on the W&B service."""
PROMOTED_FILES = ("metrics.csv", "work.csv", SYSTEM_FILE, "checkpoint.pt", OUTPUT,
                  "run.json")  # fmt: skip
"""Files of the last generation that become the run's; run.json, which ends it, is the last."""


class _Assigned(Document):
    """hyperparameters.json."""

    hyperparameters: dict[str, Any]
    latent: dict[str, Finite]  # unit coordinates by path
    wandb_run: str | None = None


class _Outcome(Document):
    """run.json; a run of a user script, or of W&B, need not have all of it."""

    state: Literal["finished", "stopped", "failed"]
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    best_value: Finite | None = None
    best_epoch: Count | None = None
    epochs: Count | None = None
    seconds: Finite | None = None
    parameters: Count | None = None  # the number of weights
    failure: str | None = None
    reason: str | None = None
    device: str | None = None
    host: str | None = None

    @model_validator(mode="after")
    def _has_value(self) -> Self:
        if self.state in SCORED_STATES and self.best_value is None:
            raise ValueError(f"is {self.state}, and has no best_value")
        return self


@dataclass(frozen=True)
class RunFolder:
    """One run of a sweep, by number from 0."""

    path: Path

    # Agents look for these files of all runs, again and again, and joining a path takes longer.
    @cached_property
    def _assigned(self) -> Path:
        return self.path / ASSIGNED

    @cached_property
    def _outcome(self) -> Path:
        return self.path / "run.json"

    @cached_property
    def _closed(self) -> Path:
        return self.path / CLOSED

    @cached_property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def sweep_id(self) -> str:
        return self.path.parent.name

    @property
    def run_id(self) -> str:
        """The run's id in W&B: sweep and run number."""
        return f"{self.sweep_id}-{self.path.name}"

    @property
    def files(self) -> Path:
        """Where the run's metrics.csv is: in its newest claim's folder until the run has ended."""
        claim = None if self.has_ended() else newest_claim(self.path)
        return self.path / claim.generation if claim and claim.generation else self.path

    def assigned(self) -> dict[str, Any] | None:
        """`hyperparameters` and `latent`, their unit point, of the run; None before it has any."""
        path = self._assigned
        return read_document(path, ASSIGNED_FORMAT, _Assigned, REBUILD) if path.exists() else None

    def is_assigned(self) -> bool:
        """Whether the run has its hyperparameters."""
        return self._assigned.exists()

    def assign(
        self, hyperparameters: Mapping[str, Any], unit_point: Mapping[str, float], **more: Any
    ) -> None:
        """Writes the run's hyperparameters, unless it has some, as a stalled agent finds."""
        draft = self.path / f".{uuid.uuid4().hex}.tmp"
        content = {"hyperparameters": dict(hyperparameters), "latent": dict(unit_point), **more}
        try:
            write_json(draft, ASSIGNED_FORMAT, content)
            with suppress(FileExistsError):
                os.link(draft, self._assigned)
        finally:
            draft.unlink(missing_ok=True)

    def read_outcome(self) -> dict[str, Any] | None:
        """run.json; None before its end.

        Raises UserError: it is damaged, or metrics.csv does not have the run's epochs.
        """
        path = self._outcome
        if not path.exists():
            return None
        content = read_document(path, RUN_FORMAT, _Outcome, REBUILD)
        # W&B numbers the steps of user scripts as these did.
        epochs = None if content["state"] == "failed" else content.get("epochs")
        if epochs is not None and "wandb_run" not in content:
            check_epochs(self.path / "metrics.csv", epochs)
        return content

    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return self._outcome.exists()

    def end(self, content: Mapping[str, Any], lease: Lease | None = None) -> None:
        """Writes run.json and removes what the run no longer needs.

        Args:
            lease: of the process that trained it; None for a run that was trained elsewhere.

        Raises LeaseLost: another process has acquired the run.
        """
        write_json((lease.files if lease else self.path) / "run.json", RUN_FORMAT, content)
        if lease:
            lease.end()
            self.promote_files()
        self.tidy()

    def promote_files(self) -> None:
        """Puts the files of a generation that has ended into the run's folder; any process may."""
        claim = newest_claim(self.path)
        if claim is None or not claim.is_end or self.has_ended():
            return
        files = self.path / str(claim.generation)
        if not (files / "run.json").exists() and not self.has_ended():
            raise UserError(f"{files}: has no run.json, though the run has ended; {REBUILD}")
        for log in (files / "wandb").glob("offline-run-*"):
            (self.path / "wandb").mkdir(exist_ok=True)
            with suppress(OSError):
                log.rename(self.path / "wandb" / log.name)
        with suppress(OSError):
            (files / SCRIPT_FOLDER).rmdir()  # Where it is empty.
        with suppress(OSError):
            (files / SCRIPT_FOLDER).rename(self.path / SCRIPT_FOLDER)
        names = os.listdir(files)  # noqa: PTH208  An error has to stop it: `tidy` is next.
        for name in (name for name in PROMOTED_FILES if name in names):
            draft = self.path / f".{name}.{uuid.uuid4().hex}.tmp"
            with suppress(FileNotFoundError):  # It has none, or another process was faster.
                os.link(files / name, draft)
                draft.replace(self.path / name)
            draft.unlink(missing_ok=True)  # It stays where both were one file.

    def tidy(self) -> None:
        """Removes claims, generations and half-written files of a run that has ended."""
        for name in names_in(self.path):
            if name.startswith("generation."):
                shutil.rmtree(self.path / name, ignore_errors=True)
            elif name == "last.pt" or fnmatchcase(name, "lease.*") or fnmatchcase(name, ".*.tmp"):
                (self.path / name).unlink(missing_ok=True)

    def mark_sweep_end(self, reason: str) -> None:
        """Records why neither this run nor a later one starts."""
        write_text(self._closed, reason + "\n")

    def clear_sweep_end(self) -> None:
        """Lets this run and later ones start after all."""
        self._closed.unlink(missing_ok=True)

    def sweep_end_reason(self) -> str | None:
        """Why the sweep ends before this run; None if it does not."""
        try:
            return self._closed.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def metrics(self) -> list[Row]:
        """The metrics of each epoch so far."""
        while True:
            files = self.files
            rows = read_metrics(files / "metrics.csv")
            if files == self.files:  # Otherwise another process took or ended the run meanwhile.
                return rows

    def history(self, metric: str) -> list[float]:
        """The metric's value after each epoch so far.

        Raises UserError: metrics.csv is damaged, or lacks the metric.
        """
        try:
            return [row[metric] for row in self.metrics()]
        except KeyError:
            path = self.files / "metrics.csv"
            raise UserError(f"{path}: has no column {metric}; {REBUILD}") from None


def run_folders(sweep_folder: Path) -> list[RunFolder]:
    """All runs of a sweep that have a folder, by number."""
    if not sweep_folder.is_dir():
        return []
    folders = (RunFolder(path) for path in sweep_folder.iterdir() if path.name.isdecimal())
    return sorted(folders, key=lambda run: run.number)


@lru_cache(maxsize=100_000)
def run_folder(sweep_folder: Path, number: int) -> RunFolder:
    """The folder of run `number`, whether it exists or not."""
    return RunFolder(sweep_folder / f"{number:04d}")
