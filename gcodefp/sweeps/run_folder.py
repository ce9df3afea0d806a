"""The folder of one run: the only place where a sweep's state is kept.

hyperparameters.json   what the run was given; written once
lease.N                who works on it; goes when the run ends
closed                 why neither this run nor one after it begins, such as a space that is tried
work.csv               which processes worked on it, and when
metrics.csv, last.pt   what it did so far; last.pt goes when the run ends
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
"""The command that goes on with a sweep whose agents are done, as far as Snakemake knows."""
REBUILD = f"remove this run's folder, then {AGENTS_AGAIN}"

ENDED = ("finished", "stopped", "failed")
COUNTED = ("finished", "stopped")
"""Ended with weights and a value."""
WINS = "finished"
"""A run that was stopped early, because others were better, is not chosen."""


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
        """The same in W&B: sweep and run number."""
        return f"{self.sweep}-{self.path.name}"

    def asked(self) -> dict[str, Any] | None:
        """`hyperparameters` and `latent` that the run was given; None before that."""
        path = self.path / "hyperparameters.json"
        return read_json(path, ASSIGNED_FORMAT, REBUILD) if path.exists() else None

    def is_given(self) -> bool:
        """Whether it was decided what the run gets."""
        return (self.path / "hyperparameters.json").exists()

    def give(
        self, hyperparameters: Mapping[str, Any], latent: Mapping[str, float], **more: Any
    ) -> None:
        """Writes down what the run is given; `more`, such as its id on a service, beside it."""
        content = {"hyperparameters": dict(hyperparameters), "latent": dict(latent), **more}
        write_json(self.path / "hyperparameters.json", ASSIGNED_FORMAT, content)

    def ended(self) -> dict[str, Any] | None:
        """run.json; None while the run is not over."""
        path = self.path / "run.json"
        return read_json(path, RUN_FORMAT, REBUILD) if path.exists() else None

    def is_over(self) -> bool:
        """Whether the run has ended, well or not."""
        return (self.path / "run.json").exists()

    def end(self, content: Mapping[str, Any]) -> None:
        """Writes run.json, and tidies."""
        write_json(self.path / "run.json", RUN_FORMAT, content)
        self.tidy()

    def tidy(self) -> None:
        """Removes what a run that is over needs no more; nobody will take it any more."""
        left = (*self.path.glob("lease.*"), *self.path.glob(".*.json.*.tmp"))
        for path in (self.path / "last.pt", *left):
            path.unlink(missing_ok=True)

    def close(self, reason: str) -> None:
        """Writes down why neither this run nor one after it begins."""
        write_text(self.path / "closed", reason + "\n")

    def reopen(self) -> None:
        """Takes back that the sweep ends before this run."""
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
    """All runs of a sweep that were ever begun, by number."""
    if not sweep_folder.is_dir():
        return []
    found = (RunFolder(path) for path in sweep_folder.iterdir() if path.name.isdigit())
    return sorted(found, key=lambda run: run.number)


def run_folder(sweep_folder: Path, number: int) -> RunFolder:
    """The folder of run `number`, whether it exists or not."""
    return RunFolder(sweep_folder / f"{number:04d}")
