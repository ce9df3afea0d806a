"""`sweep.combined`: metrics of logged ones, from the configuration to the repeats."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from sweep_documents import specification, sweep_document
from tiny_sweep import TinySweep

from gcodefp import check_sweep, compare, repeat_best, train
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import LOGGED_METRICS
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.expressions import read_combined
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.sweep_file import read_sweep

SCORE = "combined_score"
TEXT = "0.7 * val/aligned_acc + 0.3 * (1 - val/loss)"
FLAGS = ["--combined", f"{SCORE}: {TEXT}"]
METRIC = {"name": SCORE, "goal": "maximize"}
ALWAYS_NAN = "1 / ((val/loss - 1) // 1000)"
"""Of an untrained network's loss; not of the values with which expressions are tried."""


@pytest.fixture(scope="module")
def sweep(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    sweep = TinySweep(dataset, tmp_path_factory.mktemp("sweep"))
    assert sweep.create(*FLAGS, metric=METRIC) == 0
    assert sweep.work() == 0
    assert sweep.select() == 0
    return sweep


def test_it_is_logged_and_decides(sweep: TinySweep) -> None:
    best = []
    for number in (0, 1):
        rows = sweep.run(number).metrics()
        assert list(rows[0]) == ["epoch", *LOGGED_METRICS, SCORE, "seconds"]
        for row in rows:
            expected = 0.7 * row["val/aligned_acc"] + 0.3 * (1 - row["val/loss"])
            assert row[SCORE] == pytest.approx(expected, abs=1e-12)
        content = sweep.run(number).read_outcome() or {}
        assert content["best_value"] == max(row[SCORE] for row in rows)
        best.append(content["best_value"])
    winner = json.loads((sweep.folder / "best/run.json").read_text(encoding="utf-8"))
    assert (winner["metric"], winner["best_value"]) == (SCORE, max(best))
    assert winner["scored_again"] == pytest.approx(winner["best_value"], abs=1e-6)


def test_winner_and_its_repeats_have_it_too(sweep: TinySweep, tmp_path: Path) -> None:
    best = sweep.folder / "best/run.json"
    flags = sweep.flags()
    flags = flags[flags.index("--train") :]
    again = ["--hyperparameters", str(best), "--output", str(tmp_path)]
    assert train.main([*flags, *again]) == 0
    expected = json.loads(best.read_text(encoding="utf-8"))["best_value"]
    assert max(row[SCORE] for row in read_metrics(tmp_path / "metrics.csv")) == expected
    repeats = tmp_path / "repeats.json"
    where = ["--sweep", sweep.folder / "sweep.json", "--runs", sweep.folder / "runs"]
    repeat_flags = [*where, "--finalists", 1, "--seeds", 1, "--output", repeats]
    assert repeat_best.main([str(flag) for flag in repeat_flags]) == 0
    assert read_sweep(repeats).specification.options.combined.texts == {SCORE: TEXT}


def test_runs_are_compared_by_it(sweep: TinySweep, tmp_path: Path) -> None:
    folders = [sweep.run(number).path for number in (0, 1)]
    shutil.copy(sweep.folder / "sweep.json", folders[0].parent)
    flags = ["--dataset", sweep.dataset / "dataset.json", "--device", "cpu", "--output", tmp_path]
    assert compare.main([str(flag) for flag in (*folders, *flags)]) == 0
    content = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert content["metric"] == SCORE
    assert content["at_best_epoch"][SCORE] == [run["best_value"] for run in content["runs"]]


def test_it_is_part_of_the_sweep_only_where_it_is_used() -> None:
    plain = specification()
    without = read_options(plain.parameters, width=2).describe()
    combined = read_options(plain.parameters, width=2, combined={SCORE: TEXT}).describe()
    assert without == {"rules": {"constraints": [], "conditions": {}, "first": [], "width": 2}}
    assert combined["rules"] == without["rules"] | {"combined": {SCORE: TEXT}}


def test_run_whose_value_is_not_finite_fails_as_with_a_loss(dataset: Path, tmp_path: Path) -> None:
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create("--combined", f"broken: {ALWAYS_NAN}") == 0
    assert sweep.work() == 0
    for number in (0, 1):
        content = sweep.run(number).read_outcome() or {}
        assert (content["state"], content["failure"]) == ("failed", "diverged")
        assert content["reason"] == "broken is nan in epoch 1"


def test_check_sweep_knows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(sweep_document(metric=METRIC)), encoding="utf-8")
    assert check_sweep.main([str(path)]) == 1
    assert f"metric.name: '{SCORE}' is not logged" in capsys.readouterr().err
    assert check_sweep.main([str(path), *FLAGS]) == 0
    assert f"{SCORE}, maximize" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("val/loss / train/loss", 0.5),
        ("-val/loss", -2.0),
        ("val/loss/2 + 1e-3", 1.001),
        ("1 / (val/loss - val/loss * train/loss / 4)", math.nan),
    ],
)
def test_values(text: str, value: float) -> None:
    combined = read_combined({SCORE: text})
    metrics = {"val/loss": 2.0, "train/loss": 4.0}
    assert combined(metrics)[SCORE] == pytest.approx(value, nan_ok=True)
    assert combined({}) == {}


@pytest.mark.parametrize(
    ("combined", "message"),
    [
        ({SCORE: "val/alined_acc"}, "no metric 'val/alined_acc'; did you mean 'val/aligned_acc'?"),
        ({SCORE: "loss + 1"}, "no metric 'loss'; did you mean 'val/loss'?"),
        ({SCORE: "val/loss/train/loss"}, "no metric 'val/loss/train/loss'"),
        ({SCORE: "val/loss < 1"}, "is True, and not a number"),
        ({SCORE: "1 / 0"}, "division by zero"),
        ({SCORE: "val/loss +"}, "is not an expression"),
        ({SCORE: "max(val/loss, 1)"}, "no metric 'max'"),
        ({SCORE: 3}, "3 is not an expression"),
        ({"val/loss": "1"}, "'val/loss' is logged already"),
        ({"a,b": "1"}, "'a,b' is logged already, or no name"),
    ],
)
def test_what_is_wrong_is_named(combined: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        read_combined(combined)
    assert message in str(error.value)
    assert str(error.value).startswith("sweep.combined")
