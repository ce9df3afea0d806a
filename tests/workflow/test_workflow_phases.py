"""The real workflow with a second phase, and with the best runs repeated with other seeds."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from workflow_project import change, copy_project, edit, planned, snakemake

AGENTS = {"agent", "repeat_best", "select_best"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of one phase."""
    folder = copy_project(tmp_path_factory.mktemp("phases") / "project")
    change(folder, "sweep", width=2, constraints=["learning_rate < 0.0055"])
    change(folder, "sweep", first=[{"learning_rate": 0.005}])
    snakemake(folder, "select_best")
    return folder


def runs(folder: Path) -> dict[Path, int]:
    """Every run that is over, and when it ended."""
    return {p: p.stat().st_mtime_ns for p in sorted((folder / "results/runs").glob("*/*/run.json"))}


def test_phases_and_repeats_follow_the_sweep_and_an_edited_phase_is_searched_anew(
    project: Path,
) -> None:
    rates = [json.loads(p.read_text())["hyperparameters"]["learning_rate"] for p in runs(project)]
    assert rates[0] == 0.005
    assert max(rates) < 0.0055
    explored = runs(project)

    change(project, "sweep", phases=["sweep.yaml"], seeds_per_winner=2, finalists=1)
    before_training = {"create_sweep", "narrow", "create_next_sweep"}
    assert planned(project, "select_best") == before_training | AGENTS
    snakemake(project, "select_best")
    assert explored.items() <= runs(project).items(), "the first phase is kept as it was"
    assert len(runs(project)) == 6
    narrowed = project / "results/sweep/phase_2/narrowed.yaml"
    rate = yaml.safe_load(narrowed.read_text())["parameters"]["learning_rate"]
    assert 0.002 <= rate["min"] <= min(rates) < max(rates) <= rate["max"] <= 0.006
    best = json.loads((project / "results/best/run.json").read_text())
    assert len(best["seeds"][0]["values"]) == 2
    with (project / "results/best/runs.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert sorted(row["run"] for row in rows) == [f"{number:04d}" for number in range(6)]
    assert len({row["sweep"] for row in rows}) == 3
    assert planned(project, "select_best") == set()

    own = shutil.copy(narrowed, narrowed.with_name("sweep.yaml"))
    edit(own, "max_epochs: {value: 3}", "max_epochs: {value: 2}")
    assert planned(project, "select_best") == {"create_next_sweep"} | AGENTS
    before = runs(project)
    snakemake(project, "select_best")
    assert before.items() <= runs(project).items(), "what was searched before stays"
    assert len(runs(project)) > len(before)
    again = planned(project, "select_best", "--forcerun", "agent")
    assert "agent" in again
    assert "narrow" not in again, "nothing is made in place of the user's own"
