"""Commands as processes that reach a W&B server of the tests, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tiny_sweep import TINY, TinySweep
from waiting import PATIENCE_SECONDS, ended
from wandb_server import WandbServer

from gcodefp.sweeps.run_folder import RunFolder, run_folders
from gcodefp.sweeps.sweep_file import read_sweep


class Service(NamedTuple):
    """A dataset, a server, and a folder in which commands run."""

    server: WandbServer
    sweep: TinySweep
    engine: str = "wandb"

    @property
    def folder(self) -> Path:
        return self.sweep.folder

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def environment(self, **more: str) -> dict[str, str]:
        variables = self.server.environment(**more)
        # Like those of a user who has logged in and set nothing else.
        del variables["WANDB_ENTITY"]
        return variables | {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), **more}

    def start(self, module: str, *flags: object, **environment: str) -> subprocess.Popen[bytes]:
        """Starts `python -m gcodefp.MODULE`; its output goes to log.txt."""
        command = [sys.executable, "-m", f"gcodefp.{module}", *map(str, flags)]
        with (self.folder / "log.txt").open("a") as log:
            return subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(**environment),
            )

    def run(self, module: str, *flags: object, **environment: str) -> int:
        """The command's exit code."""
        with ended(self.start(module, *flags, **environment)) as process:
            return process.wait(PATIENCE_SECONDS)

    def create(self, parameters: dict[str, Any], *flags: object, **changes: Any) -> int:
        document = {
            "method": "grid",
            "metric": {"name": "val/aligned_acc", "goal": "maximize"},
            "parameters": {**TINY, **parameters},
            **changes,
        }
        self.folder.mkdir(exist_ok=True)
        (self.folder / "sweep.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        path = self.folder / "sweep.yaml"
        return self.run("create_sweep", "--sweep", path, *self.common(), *flags)

    def common(self) -> list[object]:
        """Flags of create_sweep that all sweeps have."""
        flags: list[object] = ["--seed", 1, "--output", self.folder / "sweep.json"]
        flags += ["--dataset", self.sweep.dataset / "dataset.json"]
        online = ["--engine", "wandb", "--project", "mill", "--runs", self.runs]
        return flags + (online if self.engine == "wandb" else [])

    def wandb(self, *command: str) -> str:
        """The output of W&B's own command."""
        done = subprocess.run(
            [sys.executable, "-m", "wandb", *command],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def agent(self, **environment: str) -> subprocess.Popen[bytes]:
        return self.start("agent", *self.sweep.flags("--output", self.marker), **environment)

    def folders(self) -> list[RunFolder]:
        """The runs of the sweep that was created last."""
        return run_folders(self.runs / read_sweep(self.folder / "sweep.json").sweep_id)

    def outcomes(self) -> list[dict[str, Any]]:
        """Their run.json."""
        return [content for folder in self.folders() if (content := folder.read_outcome())]

    def select(self, output: Path) -> int:
        return self.run("select_best", *self.sweep.flags("--output", output))

    @property
    def marker(self) -> Path:
        return self.folder / "marker.json"

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text(encoding="utf-8")
