import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_documents import WHERE, sweep_document

from gcodefp.check_sweep import main
from gcodefp.sweeps.check import problems
from gcodefp.sweeps.specification import load_specification
from gcodefp.sweeps.trainable import check_trainable

BAD = """# mine
method: random
max_runs: 20  # cap
parameters:
  lr: {distribution: log_uniform, min: 1e-5, max: 0.1}  # rate
  dropout: {min: 0, max: 0.5}
"""
FIXED = """# mine
method: random
run_cap: 20  # cap
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1.0e-5, max: 0.1}  # rate
  dropout: {min: 0.0, max: 0.5}
"""
UNDECIDED = "  depth: {value: 3}\n  seed: {min: 5, max: 1}\n"


def written(tmp_path: Path, content: str | dict[str, Any]) -> Path:
    path = tmp_path / "my.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    path.write_text(text, encoding="utf-8")
    return path


def check(path: Path, *flags: str) -> int:
    return main([str(path), *flags])


def rows(text: str) -> dict[str, list[str]]:
    """First cell of each aligned line -> the other cells, however wide the gaps."""
    cells = ([c.strip() for c in line.split("  ") if c.strip()] for line in text.splitlines())
    return {row[0]: row[1:] for row in cells if row}


def test_sweep_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "method": "bayes",
        "metric": {"name": "val/loss", "goal": "minimize", "target": 0.1, "impute": "latest"},
        "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 2, "strict": False},
        "run_cap": 9,
        "program": "gcodefp/train.py",
        "parameters": {
            "model": {"parameters": {"d_model": {"values": [64, 96, 128]}}},
            "nhead": {"min": 3, "max": 4},
            "max_epochs": {"distribution": "constant", "value": 13},
        },
    }
    assert check(written(tmp_path, document)) == 0
    out = capsys.readouterr().out
    shown = rows(out)
    assert shown["method"] == ["bayes"]
    assert shown["metric"] == ["val/loss, minimize"]
    assert shown["target"][0].startswith("0.1")
    assert shown["impute"][0].startswith("latest")
    # 3, 6, 12; 24 is beyond the last epoch.
    assert "after epochs 3, 6, 12 (of 13)" in shown["early_terminate"][0]
    assert "best value so far is among the best 1/2" in shown["early_terminate"][0]
    assert shown["run_cap"] == ["9"]
    # 3 divides 96 alone, 4 all three.
    assert shown["space"] == ["6 configurations, 4 of them possible"]
    name, arguments, varies, samples = shown["model.d_model"]
    assert (name, arguments, varies) == ("categorical (inferred)", "64, 96, 128", "yes")
    assert len(samples.split(", ")) == 5
    assert set(samples.split(", ")) <= {"64", "96", "128"}
    assert shown["nhead"][:3] == ["int_uniform (inferred)", "min 3, max 4", "yes"]
    assert shown["max_epochs"] == ["constant", "13", "no", "13, 13, 13, 13, 13"]
    assert "the search ends after 4 runs" in out
    assert "not used here, only by `wandb sweep`: program" in out
    table = out.split("\n\n")[1].splitlines()
    column = table[0].index("5 samples")
    assert all(line[column - 2 : column] == "  " != line[column] for line in table)


NOTES: list[tuple[dict[str, Any], str]] = [
    ({"metric": None}, "no metric in the file: val/aligned_acc decides, maximize"),
    ({"metric": {"name": "val/loss"}}, "no goal: it is minimized"),
    ({"metric": {"name": "val/gcode_acc", "goal": "minimize"}}, "is goal: maximize meant?"),
    ({"metric": {"name": "val/loss", "goal": "maximize"}}, "is goal: minimize meant?"),
    ({"run_cap": None}, "no run_cap: set sweep.run_cap"),
    ({"early_terminate": {"type": "hyperband", "min_iter": 21}}, "hyperband prunes none"),
    (
        {"parameters": {"d_model": {"distribution": "q_uniform", "min": 59, "max": 99, "q": 8}}},
        "d_model: rounded to a multiple of q it may be 56",
    ),
    (
        {"parameters": {"d_model": {"distribution": "q_uniform", "min": 64, "max": 101, "q": 8}}},
        "d_model: rounded to a multiple of q it may be 104",
    ),
    (
        {"parameters": {"dropout": {"distribution": "log_uniform", "min": -3, "max": -2}}},
        "log_uniform_values, here with min: 0.0497871 and max: 0.135335",
    ),
    (
        {"parameters": {"learning_rate": {"min": 1e-4, "max": 1e-2}}},
        "learning_rate: 91% of the draws from 0.0001 to 0.01 are above 0.001; is distribution: "
        "log_uniform_values meant?",
    ),
    (
        {"parameters": {"batch_size": {"min": 4, "max": 512}}},
        "is distribution: q_log_uniform_values, q: 1 meant?",
    ),
    ({"parameters": {"dropout": {"mu": 0.3, "sigma": 0.01}}}, "wants `distribution: normal`"),
]


@pytest.mark.parametrize(("changes", "note"), NOTES)
def test_surprises_are_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], note: str
) -> None:
    assert check(written(tmp_path, sweep_document())) == 0
    assert note not in capsys.readouterr().out
    assert check(written(tmp_path, sweep_document(**changes))) == 0
    assert note in capsys.readouterr().out.partition("notes")[2]


def test_runs_of_a_grid_and_its_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parameters = {"optimizer": {"values": ["adam", "sgd"]}, "momentum": {"values": [0.5, 0.9]}}
    path = written(tmp_path, sweep_document(method="grid", run_cap=None, parameters=parameters))
    flags = ["--condition", "momentum: optimizer == 'sgd'", "--constraint", "momentum < 0.95"]
    assert check(path, *flags, "--first", "{optimizer: sgd}", "--width", "2") == 0
    table = rows(capsys.readouterr().out)
    assert table["space"] == ["4 configurations, 3 of them possible"]
    assert table["runs of the grid"] == ["3"]
    assert table["condition"] == ["momentum: optimizer == 'sgd'"]
    assert table["constraint"] == ["momentum < 0.95"]
    assert table["first"] == ["optimizer sgd"]
    assert "width" not in table, "a grid looks at no results"
    for bad in (
        ["--constraint", "momentum > 1"],
        ["--first", "{momentum: 3}"],
        ["--first", "[1"],
        ["--condition", "momentum"],
    ):
        assert check(path, *bad) == 1
        assert "should not have happened" not in capsys.readouterr().err
    assert check(path, "--constraint", "momentum < 0.9", "--first", "{momentum: 0.9}") == 1
    assert "breaks a constraint" in capsys.readouterr().err


def test_everything_is_listed_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, BAD + UNDECIDED)
    assert check(path) == 1
    captured = capsys.readouterr()
    for part in (
        "max_runs: renamed run_cap",
        "parameters.lr: renamed learning_rate",
        "parameters.lr.min: '1e-5' -> 1.0e-5",
        ".distribution: 'log_uniform' -> 'log_uniform_values'",
        "parameters.dropout.min: 0 -> 0.0",
        "parameters.depth: no such hyperparameter",
        "parameters.seed: min 5 is above max 1",
    ):
        assert part in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["my.yaml"]
    assert path.read_text(encoding="utf-8") == BAD + UNDECIDED


def test_fix_writes_in_place_and_keeps_every_original(tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "my.yaml")
    for suffix, name in (("", "my.yaml"), (".2", "my.yaml"), (".3", "link.yaml")):
        path = written(tmp_path, BAD)
        path.chmod(0o640)
        assert check(tmp_path / name, "--fix") == 0
        assert path.read_text(encoding="utf-8") == FIXED
        assert path.stat().st_mode & 0o777 == 0o640
        assert (tmp_path / f"my.yaml.orig{suffix}").read_text(encoding="utf-8") == BAD
    assert link.is_symlink()
    check_trainable(load_specification(path), WHERE)
    # Where there is nothing to do, nothing is done.
    assert check(path, "--fix") == 0
    assert len(list(tmp_path.iterdir())) == 5


def test_fix_with_output_leaves_the_file_and_lists_what_it_cannot_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = written(tmp_path, BAD + UNDECIDED), tmp_path / "new/other.yaml"
    assert check(path, "--output", str(other)) == 1
    assert check(path, "--fix", "--output", str(other)) == 1
    assert path.read_text(encoding="utf-8") == BAD + UNDECIDED
    assert other.read_text(encoding="utf-8") == FIXED + UNDECIDED
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["my.yaml", "new"]
    message = capsys.readouterr().err
    for part in ("need a decision of yours", "depth: no such", "parameters.seed: min 5"):
        assert part in message


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "a: [", "parameters:", "method: 3\nparameters: {a: 1}", "method: grid\nmethod: x"],
)
def test_what_is_no_sweep_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    for flags in ([], ["--fix"]):
        assert check(written(tmp_path, text), *flags) == 1
        message = capsys.readouterr().err
        assert "my.yaml" in message
        assert "should not have happened" not in message
    for missing, part in ([str(tmp_path / "none.yaml")], "none.yaml: no such file"), ([], "FILE"):
        assert main(missing) == 1
        assert part in capsys.readouterr().err
    assert main(["--schema"]) == 0
    assert "parameters" in json.loads(capsys.readouterr().out)["properties"]


def test_problems_of_every_part_are_listed_once() -> None:
    document = sweep_document(method="foo", run_cap=-1, x=1, early_terminate=[1])
    document["metric"] = {"name": "f1"}
    document["parameters"] = {
        "a": 1,
        "g": {"parameters": {"dropout": {"value": 2}, "b": {}}},
        "seed": {"values": [1]},
    }
    messages = problems(document, WHERE)
    parts = [
        "method: 'foo'", "metric.name: 'f1'", "run_cap: -1", "x: no such key",
        "early_terminate: [1]", "parameters.a: 1", "parameters.g.parameters.b: needs value",
        "dropout: 2",
    ]  # fmt: skip
    assert len(messages) == len(parts)
    for part in parts:
        assert len([message for message in messages if part in message]) == 1
    assert problems(sweep_document(), WHERE) == []
    for needs in ({"method": "bayes"}, {"early_terminate": {"type": "hyperband", "min_iter": 1}}):
        first, second = problems(sweep_document(metric=None, run_cap=0, **needs), WHERE)
        assert ("metric: None" in first, "run_cap: 0" in second) == (True, True)
