from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from recording_files import preprocess, write_recordings
from sweep_documents import SHIPPED, sweep_document

from gcodefp import create_sweep
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE
from gcodefp.sweeps.specification import load_specification
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep

Create = Callable[..., SweepFile | str]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    recordings = write_recordings(folder / "recordings", {"face": 4})
    assert preprocess(recordings, folder / "dataset") == 0
    return folder / "dataset/dataset.json"


@pytest.fixture
def create(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Create:
    """Writes a sweep YAML and runs the command: sweep.json read, or the error message."""

    def run(*flags: str, text: str | None = None, **changes: Any) -> SweepFile | str:
        path = tmp_path / "s.yaml"
        path.write_text(text or yaml.safe_dump(sweep_document(**changes)), encoding="utf-8")
        output = tmp_path / "sweep.json"
        common = ["--sweep", path, "--dataset", dataset, "--seed", 5, "--output", output]
        code = create_sweep.main([*map(str, common), *flags])
        return capsys.readouterr().err if code else read_sweep(output)

    return run


def made(sweep: SweepFile | str) -> SweepFile:
    assert isinstance(sweep, SweepFile), sweep
    return sweep


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_sweep_json_is_read_as_it_was_written(path: Path, create: Create) -> None:
    sweep = made(create(text=path.read_text(encoding="utf-8")))
    assert sweep.specification == load_specification(path)


def test_id_follows_what_decides_the_runs(create: Create) -> None:
    def identity(*flags: str, **changes: Any) -> str:
        return made(create(*flags, **changes)).sweep_id

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
def test_search_without_end_needs_a_cap(create: Create, method: str) -> None:
    message = create(run_cap=None, method=method)
    for part in ("s.yaml", "run_cap", method, "sweep.run_cap in the configuration"):
        assert part in str(message)
    assert made(create("--run-cap", "3", run_cap=None, method=method)).total == 3


def test_sweep_of_a_user_script_needs_no_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its script decides about names, values and metrics, and is a part of the sweep's id."""
    path, script, output = tmp_path / "s.yaml", tmp_path / "fit.py", tmp_path / "sweep.json"

    def create(*flags: str, **changes: Any) -> SweepFile | str:
        document = {"program": "fit.py", "method": "grid", "metric": {"name": "score"}}
        document["parameters"] = {"nhead": {"values": [3, 5]}, "d_model": {"value": 7}}
        path.write_text(yaml.safe_dump(document | changes), encoding="utf-8")
        common = ["--sweep", str(path), "--seed", "5", "--output", str(output)]
        code = create_sweep.main([*common, *flags])
        return capsys.readouterr().err if code else read_sweep(output)

    assert "program: 'fit.py': no such file" in str(create())
    script.write_text("print(1)\n", encoding="utf-8")
    sweep = made(create())
    assert (sweep.total, sweep.document["learning_digest"]) == (2, None)
    trainer = sweep.script
    assert trainer is not None
    assert trainer.command == ("${env}", "${interpreter}", "${program}", "${args}")
    assert sweep.specification == load_specification(path)
    ids = {sweep.sweep_id, made(create(command=["${program}"])).sweep_id}
    script.write_text("print(2)\n", encoding="utf-8")
    assert len(ids | {made(create()).sweep_id}) == 3
    later = tmp_path / "later.yaml"
    later.write_text(path.read_text(encoding="utf-8") + "command: ['${program}']\n", "utf-8")
    assert "phases need the same program" in str(create("--phases", str(later)))
    assert "metric: is missing" in str(create(metric=None))
    assert "command[1]: '${arg}' is no macro" in str(create(command=["a", "${arg}"]))
    assert made(create(program=None, command=["sh", "x.sh"])).script is not None
    assert "--dataset missing" in str(create(program="gcodefp/train.py"))


def test_metric_is_logged_where_it_is_missing_or_the_wrong_way_round(
    create: Create, caplog: pytest.LogCaptureFixture
) -> None:
    assert made(create(metric=None)).specification.objective == DEFAULT_OBJECTIVE
    assert "has no metric; val/aligned_acc decides" in caplog.text
    made(create(metric={"name": "val/loss", "goal": "maximize"}))
    assert "val/loss is better when smaller, but the run with the highest one wins" in caplog.text
    made(create(metric={"name": "val/gcode_acc"}))
    assert "val/gcode_acc is better when larger, but the run with the lowest one" in caplog.text
    made(create("--condition", "learning_rate: optimizer == 'sdg'"))
    assert "sweep.conditions.learning_rate: \"optimizer == 'sdg'\" is never true" in caplog.text
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 3


def test_rules_go_into_the_sweep_and_its_id(create: Create) -> None:
    flags = {
        "--constraint": "learning_rate < 0.05",
        "--condition": "learning_rate: optimizer == 'adamw'",
        "--first": "{learning_rate: 0.02}",
        "--width": "3",
    }
    sweeps = [made(create(*flag, method="bayes")) for flag in ((), *flags.items())]
    assert len({sweep.sweep_id for sweep in sweeps}) == 5
    rules = [sweep.specification.options for sweep in sweeps]
    assert rules[1].constraints[0].text == "learning_rate < 0.05"
    assert rules[2].conditions["learning_rate"].text == "optimizer == 'adamw'"
    assert rules[3].first_points == ({"learning_rate": 0.02},)
    assert rules[4].width == 3
    assert "learning_rat" in str(create("--constraint", "learning_rat < 1"))
    plain = made(create("--width", "3")).specification
    assert plain.options.width is None, "random search looks at no results"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"run_cap": None}, "run_cap"),
        ({"metric": {"name": "val/loss"}}, "the same metric"),
        ({"parameters": {"learning_rte": {"value": 0.1}}}, "did you mean 'learning_rate'"),
    ],
)
def test_later_phases_are_checked_first(
    create: Create, tmp_path: Path, changes: dict[str, Any], message: str | None
) -> None:
    later = tmp_path / "later.yaml"
    later.write_text(yaml.safe_dump(sweep_document(**changes)), encoding="utf-8")
    result = create("--phases", str(later))
    assert message in str(result) if message else made(result)


def test_service_counts_impossible_combinations_of_a_grid(
    create: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = []

    def create_once(document: Any, *_: Any) -> SimpleNamespace:
        documents.append(document)
        return SimpleNamespace(sweep_id="abc")

    monkeypatch.setattr(create_sweep, "create_once", create_once)
    flags = ["--engine", "wandb", "--project", "here", "--runs", str(tmp_path)]
    parameters = {"nhead": {"values": [3, 4]}, "d_model": {"values": [32, 48]}}
    for cap, total in ((None, 4), (3, 3), (9, 4)):
        sweep = made(create(*flags, method="grid", run_cap=cap, parameters=parameters))
        assert (sweep.total, documents[-1]["run_cap"]) == (total, total)
    assert made(create(method="grid", run_cap=None, parameters=parameters)).total == 3
    message = str(create(*flags, "--constraint", "learning_rate < 0.05", method="bayes"))
    assert "remove sweep.constraints from the configuration" in message


def test_missing_flags_of_an_engine_are_named(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dataset", str(dataset), "--seed", "5", "--output", str(tmp_path / "sweep.json")]
    assert create_sweep.main(flags) == 1
    assert "FILE: name one sweep YAML" in capsys.readouterr().err
    assert create_sweep.main([*flags, "--sweep", str(SHIPPED[0]), "--engine", "wandb"]) == 1
    assert "--project missing" in capsys.readouterr().err
    assert create_sweep.main([*flags[:4], "--existing", "entity/project/abc"]) == 1
    assert "--output missing" in capsys.readouterr().err
