"""The real workflow, in a copy of the project: what reruns, what survives kills, what is logged."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from workflow_project import PROJECT, change, command, copy_project, edit, planned, snakemake

from gcodefp import protocols, verify

AFTER_THE_SWEEP = {
    *("agent", "select_best", "fit_decoder", "evaluate", "explain", "fit_detector", "figures"),
    "report_page",
}


def learnt(folder: Path) -> tuple[dict, dict, dict]:
    """What has to be the same however the pipeline came to it."""
    run = json.loads((folder / "results/best/run.json").read_text())
    kept = {
        k: run[k] for k in ("run", "best_value", "best_epoch", "hyperparameters", "scored_again")
    }
    models = json.loads((folder / "results/evaluation/metrics.json").read_text())["models"]
    checkpoint = torch.load(folder / "results/best/checkpoint.pt", weights_only=True)
    return kept, models, checkpoint["weights"]


QUIET = ("--quiet", "rules", "host", "progress")
"""As `make run`."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("workflow") / "project")
    (folder / "output.txt").write_text(snakemake(folder, *QUIET))
    return folder


def test_output_ends_with_a_summary(finished: Path) -> None:
    output = (finished / "output.txt").read_text()
    assert "output:" not in output  # The files of each rule are not listed.
    words = ("searched", "how good", "conclusion", "next", "report", "report")
    assert re.findall(r" report: ([a-z ]+): ", output) == [*words]
    assert output.endswith("report: results/report.html\n")


def test_a_second_run_has_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, "--dry-run")
    assert (finished / "results/report.html").stat().st_size > 10_000


def test_every_output_is_there(finished: Path) -> None:
    with np.load(finished / "results/evaluation/predictions.npz", allow_pickle=False) as arrays:
        assert len(arrays["written_block"]) == len(arrays["true_block"]) > 100
    assert len(list((finished / "results/evaluation/gcode").glob("*.nc"))) == 2
    assert len(list((finished / "results/sweep/agents").glob("*.json"))) == 2
    assert len(list((finished / "results/runs").glob("*/*/run.json"))) == 2


def test_a_lost_result_is_made_again(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    shutil.rmtree(folder / "results/best")
    assert "select_best" in planned(folder)
    shutil.copytree(finished / "results/best", folder / "results/best")
    removed = min((folder / "results/runs").glob("*/0001"))
    shutil.rmtree(removed)
    log = snakemake(folder, "--forcerun", "select_best", "--", "select_best", code=1)
    assert "--forcerun agent" in log
    snakemake(folder, "--forcerun", "agent", "--", "select_best")
    assert (removed / "run.json").exists()
    assert learnt(folder)[0] == learnt(finished)[0]


def test_reruns_follow_meaning(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    assert planned(folder, "--forcerun", "evaluate") == {"evaluate", "figures", "report_page"}
    assert planned(folder, "figures") == set()

    trainer = folder / "gcodefp/model/trainer.py"
    edit(trainer, '"""The training loop', '"""This is the training loop')
    edit(trainer, "\nEpochCallback = ", "\n# A comment.\nEpochCallback = ")
    assert planned(folder) == set()

    edit(folder / "gcodefp/reporting/figures/scores.py", "\n\n\n", "\n\nUNUSED = 1\n\n\n")
    assert planned(folder) == {"figures", "report_page"}

    edit(trainer, "\nEpochCallback = ", "\nUNUSED = 1\nEpochCallback = ")
    assert planned(folder) == {"create_sweep"} | AFTER_THE_SWEEP


def test_a_table_of_protocols_is_put_into_the_page_and_trains_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    results = folder / "results"
    files = ["--evaluations", results / "evaluation", "--winner", results / "best/run.json"]
    assert protocols.main([*map(str, files), "--output", str(results / "protocols")]) == 0
    assert planned(folder) == {"report_page"}
    snakemake(folder)
    assert "Nothing to be done" in snakemake(folder, "--dry-run")
    assert 'aria-label="Protocols side by side"' in (results / "report.html").read_text()
    monkeypatch.chdir(folder)  # Recorded paths are relative to the project.
    assert verify.main(["results", "--quick"]) == 0
    shutil.rmtree(results / "protocols")
    assert planned(folder) == {"report_page"}


def test_a_changed_setting_reruns_what_it_concerns(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    runs = sorted((folder / "results/runs").glob("*/*/run.json"))
    change(folder, "sweep", run_cap=3)
    assert planned(folder) == {"create_sweep"} | AFTER_THE_SWEEP
    before = [path.stat().st_mtime_ns for path in runs]
    snakemake(folder, "select_best")
    after = sorted((folder / "results/runs").glob("*/*/run.json"))
    assert [path.stat().st_mtime_ns for path in runs] == before
    assert len(after) == 3
    assert len({path.parents[1] for path in after}) == 1, "a larger run_cap goes on with the sweep"


def test_another_workflow_uses_it_as_a_module(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "project")
    (folder / "Snakefile").write_text(
        'configfile: "config.yaml"\n'
        f"module gcodefp:\n    snakefile: {str(PROJECT / 'Snakefile')!r}\n    config: config\n"
        "use rule * from gcodefp\n"
        "rule own:\n    default_target: True\n    input: 'results/report.html'\n"
    )
    assert planned(folder) >= {"own", "simulate", "preprocess", *AFTER_THE_SWEEP}


@pytest.mark.parametrize(
    ("number", "seconds_into_training"),
    [(signal.SIGKILL, 0.0), (signal.SIGKILL, 1.5), (signal.SIGINT, 0.0)],
)
def test_a_killed_pipeline_ends_as_an_undisturbed_one(
    finished: Path, tmp_path: Path, number: signal.Signals, seconds_into_training: float
) -> None:
    folder = copy_project(tmp_path / "project")
    process = subprocess.Popen(
        command(),
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list(folder.glob("results/runs/*/*/generation.*/metrics.csv")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(seconds_into_training)
    os.killpg(process.pid, number)
    process.wait(300)
    if number == signal.SIGINT:
        assert "as a signal asks" in (folder / "results/logs/agent_1.log").read_text()
    snakemake(folder, "--unlock")
    snakemake(folder, "--rerun-incomplete", "evaluate")
    once, again = learnt(finished), learnt(folder)
    assert once[:2] == again[:2]
    assert once[2].keys() == again[2].keys()
    assert all(torch.equal(once[2][name], again[2][name]) for name in once[2])


@pytest.mark.parametrize(
    ("section", "key", "value", "log"),
    [
        ("window", "rowz", 64, "did you mean 'rows'"),
        ("recordings", "folder", "nowhere", "nowhere: no such folder"),
        ("split", "held_out", ["pocket*"], "choose session or program"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_runs(
    tmp_path: Path, section: str, key: str, value: object, log: str
) -> None:
    folder = copy_project(tmp_path / "project")
    change(folder, section, **{key: value})
    output = snakemake(folder, code=1)
    assert f"{section}.{key}" in output
    assert log in output
    assert "config.yaml" in output
    assert "Traceback" not in output
    assert not (folder / "results").exists()


def test_what_the_readme_links_to_is_there() -> None:
    readme = (PROJECT / "README.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)", readme)
    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_the_conda_environment_has_the_packages_of_pyproject() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((PROJECT / "envs/gcodefp.yaml").read_text())["dependencies"]
    renamed = {
        "matplotlib-base": "matplotlib",
        "snakemake-minimal": "snakemake",
        "pytorch": "torch",
    }
    required = {re.sub(r"(?=[<>=])", " ", text, count=1) for text in project["dependencies"]}
    listed = {" ".join([renamed.get(t.split()[0], t.split()[0]), *t.split()[1:]]) for t in conda}
    assert listed - {f"python {project['requires-python']}"} == required
