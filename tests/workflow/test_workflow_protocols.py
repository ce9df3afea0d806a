"""Which jobs the workflow has for controls and protocols."""

import re
from collections import Counter
from pathlib import Path

import pytest
from recording_files import write_recordings
from workflow_project import change, copy_project, put, snakemake

from gcodefp.dataset.controls import CONTROLS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


def jobs(folder: Path, *arguments: str) -> Counter[str]:
    """How many jobs of each rule a dry run would run."""
    output = snakemake(folder, "--dry-run", *arguments)
    return Counter(re.findall(r"^(?:local)?rule (\w+):", output, re.MULTILINE))


def folds(folder: Path) -> set[str]:
    """PROTOCOL/FOLD of each training."""
    output = snakemake(folder, "--dry-run", "protocols")
    return set(re.findall(r"output: results/protocols/(\w+/\d+)/run/run.json", output))


def test_protocols_train_and_evaluate_every_fold(project: Path) -> None:
    change(project, "protocols", seeds=[3, 5])
    assert folds(project) == {
        "window/3",
        "recording/3",
        "recording/5",
        "chronological/0",
        "program/0",
        "program/1",
    }
    planned = jobs(project, "protocols")
    for name in ("preprocess_fold", "train", "fit_decoder", "evaluate_fold"):
        assert planned[name] == 6, name
    assert planned["protocols"] == planned["select_best"] == 1
    assert planned["evaluate"] == 0
    assert "protocols" not in jobs(project)


def test_a_protocol_without_a_test_or_a_train_recording_is_left_out_and_told(
    project: Path, tmp_path: Path
) -> None:
    log = snakemake(project, "--dry-run", "--printshellcmds", "protocols")
    assert "session: no recording matches damage*" in log
    assert "program: no recording matches adaptive*" in log
    write_recordings(tmp_path / "recordings", {"face": 3, "damageface": 3})
    change(project, "recordings", folder=str(tmp_path / "recordings"))
    change(project, "protocols", seeds=[0], programs=["*face*"])
    assert folds(project) == {"window/0", "recording/0", "chronological/0", "session/0"}
    log = snakemake(project, "--dry-run", "--printshellcmds", "protocols")
    assert "--held-out 'damage*'" in log
    assert "no recording matches" not in log
    assert "program: every recording matches *face*" in log


def test_evaluate_waits_for_the_controls_of_the_configuration(project: Path) -> None:
    assert jobs(project)["control"] == 0
    put(project, controls=list(CONTROLS))
    planned = jobs(project)
    assert (planned["control"], planned["train"], planned["evaluate"]) == (3, 2, 1)
    assert planned["fit_decoder"] == 3, (
        "the best run's decoder, and those of the two trained controls"
    )
    put(project, controls=["sensors_permuted"])
    planned = jobs(project)
    assert (planned["control"], planned["train"]) == (1, 0)
    output = snakemake(project, "--dry-run", "--printshellcmds", "evaluate")
    assert "--controls results/controls/sensors_permuted/control.json" in output
