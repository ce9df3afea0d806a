"""A copy of the project with small settings, and Snakemake at work in it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
# The rules call python; in a copy of the project it finds the copy's package.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
SWEEP = """
method: random
run_cap: 2
metric: {name: val/gcode_acc, goal: maximize}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 0.002, max: 0.006}
  d_model: {value: 16}
  max_epochs: {value: 3}
"""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "simulation": {"programs": ["face40", "pocket25"], "recordings_per_program": 3, "seed": 0},
    "window": {"rows": 32, "stride_rows": 16, "max_gap_seconds": 5.0},
    "sweep": {"file": "sweep.yaml", "run_cap": None, "seed": 0},
}


def copy_project(folder: Path) -> Path:
    """What the pipeline needs, where a test may edit it."""
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(PROJECT / name, folder)
    for name in ("workflow", "gcodefp", "envs"):
        shutil.copytree(PROJECT / name, folder / name)
    (folder / "sweep.yaml").write_text(SWEEP)
    for section, values in SETTINGS.items():
        change(folder, section, **values)
    put(folder, controls=[])
    return folder


def change(folder: Path, section: str, /, **values: object) -> None:
    """Sets keys of a section of config.yaml."""
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings[section].update(values)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def put(folder: Path, **values: object) -> None:
    """Sets top keys of config.yaml."""
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump(settings | values))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]


def snakemake(folder: Path, *arguments: str, code: int = 0) -> str:
    finished = subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=300
    )
    output = finished.stdout + finished.stderr
    assert finished.returncode == code, output
    return output


def planned(folder: Path, *arguments: str) -> set[str]:
    """The rules that a dry run would run."""
    output = snakemake(folder, "--dry-run", *arguments)
    return set(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE)) - {"all"}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
