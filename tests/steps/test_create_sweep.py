import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from recording_files import preprocess, write_recordings
from sweep_documents import SHIPPED, guide, sweep_document

from gcodefp.create_sweep import main
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE
from gcodefp.sweeps.specification import load_specification
from gcodefp.sweeps.sweep_file import read_sweep


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    recordings = write_recordings(tmp_path / "recordings", {"face": 4})
    assert preprocess(recordings, tmp_path / "dataset") == 0
    return tmp_path / "dataset/dataset.json"


def create(sweep: Path, dataset: Path, *more: str) -> int:
    output = sweep.with_suffix(".json")
    flags = ["--sweep", sweep, "--dataset", dataset, "--seed", 5, "--output", output, *more]
    return main([str(flag) for flag in flags])


def test_sweep_json_is_read_as_it_was_written(dataset: Path, tmp_path: Path) -> None:
    for path in SHIPPED:
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        assert create(copy, dataset) == 0
        assert read_sweep(copy.with_suffix(".json")).specification == load_specification(copy)


def test_the_id_follows_what_decides_the_runs(dataset: Path, tmp_path: Path) -> None:
    def identity(*more: str, **changes: Any) -> str:
        path = tmp_path / "s.yaml"
        path.write_text(yaml.safe_dump(sweep_document(**changes)), encoding="utf-8")
        assert create(path, dataset, *more) == 0
        return read_sweep(path.with_suffix(".json")).sweep_id

    same = identity()
    assert {identity(run_cap=9), identity("--run-cap", "7"), identity(name="x")} == {same}
    others = [
        identity("--seed", "6"),
        identity(method="bayes"),
        identity(metric={"name": "val/loss"}),
        identity(parameters={"dropout": {"min": 0.0, "max": 0.5}}),
        identity(early_terminate={"type": "hyperband", "min_iter": 2}),
    ]
    assert len({same, *others}) == 6


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_search_without_end_needs_a_cap(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    path = tmp_path / "endless.yaml"
    path.write_text(yaml.safe_dump(sweep_document(run_cap=None, method=method)), encoding="utf-8")
    assert create(path, dataset) == 1
    message = capsys.readouterr().err
    for part in (str(path), "run_cap", method, "sweep.run_cap in the configuration"):
        assert part in message
    assert create(path, dataset, "--run-cap", "3") == 0
    assert read_sweep(path.with_suffix(".json")).total == 3


def test_the_sweep_of_the_first_guide_runs_as_it_stands(dataset: Path, tmp_path: Path) -> None:
    section = guide("000").partition("### Sweep Configuration File")[2]
    block = re.search(r"```yaml\n(.*?)```", section, re.DOTALL)
    assert block is not None
    path = tmp_path / "guide.yaml"
    path.write_text(block[1], encoding="utf-8")
    read = load_specification(path)
    assert read.method == "bayes"
    assert read.document == yaml.safe_load(block[1])
    assert create(path, dataset, "--run-cap", "20") == 0
    assert read_sweep(path.with_suffix(".json")).total == 20


def test_a_sweep_without_a_metric_is_decided_by_the_headline(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(yaml.safe_dump(sweep_document(metric=None)), encoding="utf-8")
    assert create(path, dataset) == 0
    assert "has no metric; val/aligned_acc decides" in capsys.readouterr().err
    assert read_sweep(path.with_suffix(".json")).specification.objective == DEFAULT_OBJECTIVE


def test_rules_go_into_the_sweep_and_its_id(dataset: Path, tmp_path: Path) -> None:
    path = tmp_path / "ruled.yaml"
    path.write_text(yaml.safe_dump(sweep_document(method="bayes")), encoding="utf-8")
    read = []
    for flags in (
        (),
        ("--constraint", "learning_rate < 0.05"),
        ("--condition", "learning_rate: optimizer == 'adamw'"),
        ("--first", "{learning_rate: 0.02}"),
        ("--width", "3"),
    ):
        assert create(path, dataset, *flags) == 0
        read.append(read_sweep(path.with_suffix(".json")))
    assert len({sweep.sweep_id for sweep in read}) == 5
    rules = [sweep.specification.rules for sweep in read]
    assert rules[1].constraints[0].text == "learning_rate < 0.05"
    assert rules[2].conditions["learning_rate"].text == "optimizer == 'adamw'"
    assert rules[3].first == ({"learning_rate": 0.02},)
    assert rules[4].width == 3
    assert create(path, dataset, "--constraint", "learning_rat < 1") == 1
    path.write_text(yaml.safe_dump(sweep_document()), encoding="utf-8")
    assert create(path, dataset, "--width", "3") == 0
    plain = read_sweep(path.with_suffix(".json")).specification
    assert plain.rules.width is None, "random search looks at no results"


def test_later_phases_are_checked_before_anything_is_paid_for(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, later = tmp_path / "first.yaml", tmp_path / "later.yaml"
    first.write_text(yaml.safe_dump(sweep_document()), encoding="utf-8")
    for changes, told in (
        ({}, None),
        ({"run_cap": None}, "run_cap"),
        ({"metric": {"name": "val/loss"}}, "the same metric"),
        ({"parameters": {"learning_rte": {"value": 0.1}}}, "did you mean 'learning_rate'"),
    ):
        later.write_text(yaml.safe_dump(sweep_document(**changes)), encoding="utf-8")
        assert create(first, dataset, "--phases", str(later)) == (1 if told else 0)
        assert (told or "") in capsys.readouterr().err


def test_what_an_engine_needs_is_told(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--dataset", str(dataset), "--seed", "5", "--output", str(tmp_path / "sweep.json")]
    assert main(given) == 1
    assert "--sweep missing" in capsys.readouterr().err
    assert main([*given, "--sweep", str(SHIPPED[0]), "--engine", "wandb"]) == 1
    assert "--project, --runs missing" in capsys.readouterr().err
