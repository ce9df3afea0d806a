"""The whole workflow on a sweep of an unrelated training script, with real data."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from workflow_project import PROJECT, change, copy_project, edit, planned, snakemake

from gcodefp import verify

DIGITS = PROJECT / "tests/support/digits"
AFTER_THE_AGENTS = {"select_best", "figures", "report_page"}


def copy_digits(folder: Path) -> Path:
    """A project whose configuration names the sweep of the digits."""
    copy_project(folder)
    shutil.copytree(DIGITS, folder / "digits")
    change(folder, "sweep", file="digits/sweep.yaml")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_digits(tmp_path_factory.mktemp("program") / "project")
    change(folder, "sweep", evaluate="python digits/score.py ${best}")
    snakemake(folder)
    return folder


def test_script_is_swept_selected_evaluated_and_reported(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = finished / "results"
    assert not (results / "dataset").exists()
    with (results / "best/runs.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 10
    states = [row["state"] for row in rows]
    assert states.count("stopped") >= 1
    assert set(states) <= {"finished", "stopped"}
    best = json.loads((results / "best/run.json").read_text())
    assert best["best_value"] == float(rows[0]["best_value"]) > 0.8
    assert best["best_epoch"] <= best["epochs"] == 4
    assert (results / "runs" / best["folder"] / "program/model.joblib").is_file()
    evaluation = json.loads((results / "evaluation/evaluation.json").read_text())
    assert evaluation["result"]["test accuracy"] > 0.8
    assert len(list((results / "figures").glob("*.svg"))) == 6
    page = (results / "report.html").read_text()
    for text in ("val-acc.1", "optimizer.rate", "test accuracy", "digits/train.py"):
        assert text in page
    monkeypatch.chdir(finished)  # Recorded paths are relative to the project.
    assert verify.main(["results"]) == 0


def test_nothing_is_left_to_do_until_the_script_is_edited(finished: Path, tmp_path: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, "--dry-run")
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    change(folder, "sweep", evaluate=None, run_cap=2)
    edit(folder / "digits/train.py", "random_state=config.seed", "random_state=config.seed + 1")
    assert planned(folder) == {"create_sweep", "agent"} | AFTER_THE_AGENTS
    snakemake(folder)
    sweeps = {path.name for path in (folder / "results/runs").iterdir()}
    assert len(sweeps) == 2, "runs of the earlier script stay"
    assert "was skipped" in (folder / "results/report.html").read_text()
    assert "Nothing to be done" in snakemake(folder, "--dry-run")


def test_phases_repeats_and_the_dataset_are_planned(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "project")
    change(folder, "sweep", phases=["digits/sweep.yaml"], seeds_per_winner=2)
    sweeps = {"create_sweep", "narrow", "create_next_sweep", "repeat_best", "agent"}
    assert planned(folder) == sweeps | AFTER_THE_AGENTS
    change(folder, "sweep", phases=[], seeds_per_winner=1, uses_dataset=True)
    data = {"simulate", "preprocess"}
    assert planned(folder) == data | {"create_sweep", "agent"} | AFTER_THE_AGENTS


def test_what_cannot_run_is_an_error_before_anything_runs(tmp_path: Path) -> None:
    folder = copy_digits(tmp_path / "project")
    assert "are for gcodefp's own trainer" in snakemake(folder, "protocols", code=1)
    change(folder, "sweep", phases=["sweep.yaml"])
    assert "all phases need the same program" in snakemake(folder, code=1)
    change(folder, "sweep", phases=[])
    (folder / "digits/train.py").unlink()
    output = snakemake(folder, code=1)
    for text in ("digits/sweep.yaml: program: 'train.py': no such file", "create the script",
                 "remove the key"):  # fmt: skip
        assert text in output
    assert "Traceback" not in output
    change(folder, "sweep", file="sweep.yaml", evaluate="python score.py")
    assert "sweep.evaluate: 'python score.py': is for a sweep of a user" in snakemake(
        folder, code=1
    )
    assert not (folder / "results").exists()
