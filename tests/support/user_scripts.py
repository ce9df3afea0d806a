"""Sweeps of user scripts, and agents that work on them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from gcodefp.model.run_files import Row, read_metrics
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep

GRID = {"x": {"values": [1, 2, 3]}}


class ScriptSweep:
    """A folder with a script, its sweep YAML, and the runs; commands run in it as users do."""

    def __init__(self, folder: Path, script: str | None, **sweep: Any) -> None:
        self.folder = folder
        self.document = {"method": "grid", "metric": {"name": "score", "goal": "maximize"}}
        self.document |= {"parameters": GRID} | sweep
        if script is not None:
            (folder / "fit.py").write_text(script, encoding="utf-8")
            self.document.setdefault("program", "fit.py")
        text = yaml.safe_dump(self.document, sort_keys=False)
        (folder / "sweep.yaml").write_text(text, encoding="utf-8")
        self.sweep_id = ""

    def create(self, *flags: str) -> SweepFile:
        done = self.run("sweep", "sweep.yaml", *flags)
        assert done.returncode == 0, done.stderr
        self.sweep_id = done.stdout.split()[0]
        return read_sweep(self.folder / "results/runs" / self.sweep_id / "sweep.json")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gcodefp.cli", *words]

    def environment(self) -> dict[str, str]:
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return os.environ | {"PYTHONPATH": root, "PATH": path}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment(), capture_output=True,
            text=True, timeout=400,
        )  # fmt: skip

    def start_agent(self, *flags: str) -> subprocess.Popen[bytes]:
        command = self.command("agent", self.sweep_id, *flags)
        with (self.folder / "agents.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stderr=log, stdout=log
            )

    def work(self, *flags: str) -> str:
        """The log of an agent that ended well."""
        done = self.run("agent", self.sweep_id, *flags)
        assert done.returncode == 0, done.stderr
        return done.stderr

    @property
    def runs(self) -> Path:
        return self.folder / "results/runs" / self.sweep_id

    def outcomes(self) -> list[dict[str, Any]]:
        paths = sorted(self.runs.glob("[0-9]*/run.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]

    def metrics(self, number: int) -> list[Row]:
        return read_metrics(self.runs / f"{number:04d}" / "metrics.csv")
