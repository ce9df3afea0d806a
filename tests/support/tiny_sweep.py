"""A sweep that trains for real, in seconds: a dataset, its sweep.json and the agents' flags."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from recording_files import preprocess, write_recordings
from sweep_documents import sweep_document

from gcodefp import agent, create_sweep, select_best
from gcodefp.sweeps.run_folder import RunFolder, run_folder
from gcodefp.sweeps.sweep_file import read_sweep

TINY: Mapping[str, Any] = {
    "d_model": {"value": 8},
    "nhead": {"value": 2},
    "num_layers": {"value": 1},
    "batch_size": {"value": 16},
    "max_epochs": {"value": 2},
}


class TinySweep(NamedTuple):
    """Where the files of a sweep lie; `folder` is its own, the dataset may be shared."""

    dataset: Path
    folder: Path

    def create(self, *more: str, **changes: Any) -> int:
        """Writes a grid over two learning rates, or what `changes` make of it."""
        parameters = {**TINY, "learning_rate": {"values": [0.01, 0.02]}}
        changes["parameters"] = parameters | changes.get("parameters", {})
        document = sweep_document(**{"method": "grid", "run_cap": None, **changes})
        self.folder.mkdir(exist_ok=True)
        (self.folder / "sweep.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        flags = ["--sweep", self.folder / "sweep.yaml", "--dataset", self.dataset / "dataset.json"]
        flags += ["--seed", 1, "--output", self.folder / "sweep.json", *more]
        return create_sweep.main([str(flag) for flag in flags])

    def flags(self, *more: object) -> list[str]:
        """The flags that agent and select_best share."""
        flags = ["--sweep", self.folder / "sweep.json", "--runs", self.folder / "runs"]
        for name in ("train", "val"):
            flags += [f"--{name}", self.dataset / f"{name}.npz"]
        flags += ["--dataset", self.dataset / "dataset.json", "--device", "cpu", *more]
        return [str(flag) for flag in flags]

    def work(self, *more: object) -> int:
        """One agent, in this process."""
        return agent.main(self.flags(*more))

    def start(self, *more: object) -> subprocess.Popen[bytes]:
        """One agent, in a process of its own; what it says goes to agent.log."""
        command = [sys.executable, "-m", "gcodefp.agent", *self.flags(*more)]
        with (self.folder / "agent.log").open("a") as log:
            return subprocess.Popen(command, stderr=log, cwd=self.folder)

    def select(self) -> int:
        """The winner goes to `best`."""
        return select_best.main(self.flags("--output", self.folder / "best"))

    def run(self, number: int) -> RunFolder:
        sweep_id = read_sweep(self.folder / "sweep.json").sweep_id
        return run_folder(self.folder / "runs" / sweep_id, number)


def tiny_dataset(folder: Path) -> Path:
    """Recordings of two operations, preprocessed."""
    recordings = write_recordings(folder / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(recordings, folder / "dataset") == 0
    return folder / "dataset"
