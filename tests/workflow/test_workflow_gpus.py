"""Agents of the workflow on a workstation with two GPUs; which one it is needs none to be there."""

import json
from pathlib import Path

import pytest
from workflow_project import change, copy_project, snakemake


def test_agents_have_a_gpu_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    folder = copy_project(tmp_path / "project")
    change(folder, "agents", count=3, per_gpu=2)
    change(folder, "sweep", run_cap=6)
    snakemake(folder, "--cores", "8", "--resources", "gpu=2", "--", "select_best")
    runs = [json.loads(p.read_text()) for p in sorted(folder.glob("results/runs/*/*/run.json"))]
    assert len(runs) == 6
    logs = [p.read_text(encoding="utf-8") for p in folder.glob("results/logs/agent_*.log")]
    taken = {log.partition("takes GPU ")[2].partition(" ")[0] for log in logs}
    assert taken == {"0", "1"}
    assert {run["gpu"] for run in runs} <= taken


def test_a_local_rule_that_is_none_is_told(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "project")
    change(folder, "cluster", local_rules=["figurs"])
    output = snakemake(folder, "--dry-run", code=1)
    assert "cluster.local_rules: no rule 'figurs'; did you mean 'figures'?" in output
