"""The folder of one run: the only place where a sweep's state is kept.

hyperparameters.json   the configuration assigned to the run; written once
lease.N                which process works on it; removed when the run ends
closed                 why neither this run nor a later one starts, such as an exhausted space
work.csv               which processes worked on it, and when
metrics.csv, last.pt   the epochs so far; last.pt is removed when the run ends
run.json               how it ended; its presence means that the run is over
checkpoint.pt          the weights of the best epoch
wandb/                 the same run in W&B's format
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcodefp.files import read_json, write_json, write_text
from gcodefp.model.run_files import read_metrics

ASSIGNED_FORMAT = "gcodefp-hyperparameters-1"
RUN_FORMAT = "gcodefp-run-1"
AGENTS_AGAIN = "snakemake --cores all --forcerun agent"
"""The command that goes on with a sweep after Snakemake has recorded its agents as done."""
REBUILD = f"remove this run's folder, then {AGENTS_AGAIN}"

ENDED = ("finished", "stopped", "failed")
COUNTED = ("finished", "stopped")
"""States of ended runs that have weights and a value."""
WINS = "finished"
"""The state a winner must have: a run that early termination stopped is not selected."""


@dataclass(frozen=True)
class RunFolder:
    """One run of a sweep, by number from 0."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name)

    @property
    def sweep(self) -> str:
        return self.path.parent.name

    @property
    def run_id(self) -> str:
        """The run's id in W&B: sweep and run number."""
        return f"{self.sweep}-{self.path.name}"

    def assigned(self) -> dict[str, Any] | None:
        """`hyperparameters` and `latent` assigned to the run; None before that."""
        path = self.path / "hyperparameters.json"
        return read_json(path, ASSIGNED_FORMAT, REBUILD) if path.exists() else None

    def is_assigned(self) -> bool:
        """Whether the run has its hyperparameters."""
        return (self.path / "hyperparameters.json").exists()

    def assign(
        self, hyperparameters: Mapping[str, Any], latent: Mapping[str, float], **more: Any
    ) -> None:
        """Writes the run's hyperparameters, with `more`, such as its id on a service."""
        content = {"hyperparameters": dict(hyperparameters), "latent": dict(latent), **more}
        write_json(self.path / "hyperparameters.json", ASSIGNED_FORMAT, content)

    def ended(self) -> dict[str, Any] | None:
        """run.json; None while the run is not over."""
        path = self.path / "run.json"
        return read_json(path, RUN_FORMAT, REBUILD) if path.exists() else None

    def is_over(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return (self.path / "run.json").exists()

    def end(self, content: Mapping[str, Any]) -> None:
        """Writes run.json and removes what the run no longer needs."""
        write_json(self.path / "run.json", RUN_FORMAT, content)
        self.tidy()

    def tidy(self) -> None:
        """Removes leases, last.pt and half-written files of a run that is over."""
        leftovers = (*self.path.glob("lease.*"), *self.path.glob(".*.json.*.tmp"))
        for path in (self.path / "last.pt", *leftovers):
            path.unlink(missing_ok=True)

    def close(self, reason: str) -> None:
        """Records why neither this run nor a later one starts."""
        write_text(self.path / "closed", reason + "\n")

    def reopen(self) -> None:
        """Lets this run and later ones start after all."""
        (self.path / "closed").unlink(missing_ok=True)

    def closed(self) -> str | None:
        """Why the sweep ends before this run; None if it does not."""
        try:
            return (self.path / "closed").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    def history(self, metric: str) -> list[float]:
        """The metric's value after each epoch so far."""
        return [row[metric] for row in read_metrics(self.path / "metrics.csv")]


def run_folders(sweep_folder: Path) -> list[RunFolder]:
    """All runs of a sweep that have a folder, by number."""
    if not sweep_folder.is_dir():
        return []
    folders = (RunFolder(path) for path in sweep_folder.iterdir() if path.name.isdigit())
    return sorted(folders, key=lambda run: run.number)


def run_folder(sweep_folder: Path, number: int) -> RunFolder:
    """The folder of run `number`, whether it exists or not."""
    return RunFolder(sweep_folder / f"{number:04d}")
