"""Runs and sweeps set side by side, on runs that were trained for real."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_steps import evaluate
from finished_results import search
from learning_data import RECORDINGS, ROWS, shuffled, tiny_split, write_dataset

from gcodefp import compare
from gcodefp.evaluation.bootstrap import (
    NOTHING,
    Statistic,
    balanced,
    draw,
    median,
    paired_difference,
    ratio,
    with_interval,
)
from gcodefp.model.run_files import read_metrics
from gcodefp.reporting.comparison import read_compared_sweep
from gcodefp.sweeps.sweep_file import read_sweep

EPOCHS = {"max_epochs": {"value": 6}}
GOOD = {**EPOCHS, "learning_rate": {"values": [0.02, 0.0001]}}
OTHER = {**EPOCHS, "learning_rate": {"values": [0.01]}, "d_model": {"values": [8, 16]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with two sweeps; sweep.json is of the second, as a pipeline leaves it."""
    results = tmp_path_factory.mktemp("compared") / "results"
    write_dataset(results / "dataset")
    for parameters in (GOOD, OTHER):
        search(results, parameters=parameters)
    return results


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def sweeps(results: Path) -> tuple[str, str]:
    """The ids, in the order of the searches."""
    second = json.loads((results / "sweep/sweep.json").read_text(encoding="utf-8"))["id"]
    (first,) = {path.name for path in (results / "runs").iterdir()} - {second}
    return first, second


def compared(results: Path, *what: str) -> int:
    return compare.main([*what, "--runs", str(results / "runs"), "--device", "cpu"])


def told(capsys: pytest.CaptureFixture[str], results: Path, *what: str) -> str:
    """What goes wrong."""
    capsys.readouterr()
    assert compared(results, *what) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


# Runs


def test_runs_are_compared_on_the_same_recordings(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = sweeps(made)
    names = [f"{first}/0000", f"{first}/0001"]
    capsys.readouterr()
    assert compared(made, *names, "--output", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "learning_rate" in out
    assert "optimizer" not in out
    for text in ("2 recordings", "val/aligned_acc", "exact line", "no difference is beyond doubt"):
        assert text in out
    content = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert [run["run"] for run in content["runs"]] == names
    assert content["hyperparameters"] == {"learning_rate": [0.02, 0.0001]}
    assert (content["split"], content["notes"]) == ("val", [])
    for index, (run, name) in enumerate(zip(content["runs"], names, strict=True)):
        rows = read_metrics(made / "runs" / name / "metrics.csv")
        best = rows[run["best_epoch"] - 1]
        assert content["at_best_epoch"]["val/loss"][index] == best["val/loss"]
    one, other = content["scores"]["gcodefp"]["gcode"]
    assert one["n"] == other["n"] == 2 * ROWS
    assert one["difference"] is None
    assert other["value"] < one["value"]
    assert other["difference"]["value"] == pytest.approx(other["value"] - one["value"])
    assert other["difference"]["low"] <= other["difference"]["value"] <= other["difference"]["high"]
    assert "nearest neighbour" not in content["scores"]
    with (tmp_path / "compare.csv").open(encoding="utf-8") as handle:
        lines = {(of["answer"], of["metric"], of["run"]): of for of in csv.DictReader(handle)}
    line = lines["gcodefp", "gcode", names[1]]
    assert float(line["difference_low"]) == other["difference"]["low"]
    figure = (tmp_path / "compare.svg").read_text(encoding="utf-8")
    assert all(name in figure for name in names)
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_are_those_of_the_evaluation(made: Path, tmp_path: Path) -> None:
    """On the test split, which both can be asked about."""
    _, second = sweeps(made)
    names = [f"{second}/0001", f"{second}/0000"]
    assert compared(made, *names, "--split", "test", "--output", str(tmp_path)) == 0
    content = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    for index, name in enumerate(names):
        checkpoint = made / "runs" / name / "checkpoint.pt"
        assert evaluate(checkpoint, made / "dataset", tmp_path / "e") == 0
        models = json.loads((tmp_path / "e/metrics.json").read_text(encoding="utf-8"))["models"]
        for answer, metrics in content["scores"].items():
            for metric, of in metrics.items():
                same = {key: of[index][key] for key in models[answer][metric]}
                assert same == models[answer][metric], (answer, metric)


def test_the_test_split_is_opened_loudly_or_not_at_all(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = sweeps(results)
    names = [f"{first}/0000", f"{first}/0001"]
    capsys.readouterr()
    assert compared(results, *names, "--split", "test", "--output", str(tmp_path / "o")) == 0
    out, err = capsys.readouterr()
    assert compare.TEST_NOTE in out
    assert compare.TEST_NOTE in err
    content = json.loads((tmp_path / "o/compare.json").read_text(encoding="utf-8"))
    assert content["notes"] == [compare.TEST_NOTE]
    (results / "dataset/test.npz").unlink()
    assert compared(results, *names) == 0
    assert "TEST SPLIT" not in capsys.readouterr().out


def test_the_test_split_stays_closed_until_the_best_run_is_chosen(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = sweeps(results)
    names = [f"{first}/0000", f"{first}/0001"]
    (results / "best/run.json").unlink()
    err = told(capsys, results, *names, "--split", "test")
    assert f"{results / 'best/run.json'} is not there" in err
    assert "--split val" in err
    assert compared(results, *names) == 0


# Sweeps


def test_sweeps_are_compared_by_their_best_runs(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sweeps(made)
    capsys.readouterr()
    assert compared(made, str(made / "runs" / first), second, "--output", str(tmp_path)) == 0
    out = capsys.readouterr().out
    content = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert [of["sweep"] for of in content["sweeps"]] == [first, second]
    assert [of["method"] for of in content["sweeps"]] == [None, "grid"]
    assert [(of["runs_over"], of["finished"], of["failed"]) for of in content["sweeps"]] == [
        (2, 2, 0), (2, 2, 0),
    ]  # fmt: skip
    for of, run in zip(content["sweeps"], content["runs"], strict=True):
        values = [
            json.loads(path.read_text(encoding="utf-8"))["best_value"]
            for path in (made / "runs" / of["sweep"]).glob("*/run.json")
        ]
        assert of["best"] == run["best_value"] == max(values)
        assert of["median"] == pytest.approx(np.median(values))
        assert run["run"] == f"{of['sweep']}/{of['best_run']}"
    assert content["ranges"] == {
        "d_model": ["8", "8 to 16 tried"],
        "learning_rate": ["0.0001 to 0.02 tried", "0.01"],
    }
    assert "8 to 16 tried" in out


@pytest.mark.parametrize(("address", "seen"), [(None, 1), ("me/mill/abcd1234", 2)])
def test_a_sweep_of_the_service_keeps_its_runs_beyond_run_cap(
    results: Path, address: str | None, seen: int
) -> None:
    path = results / "sweep/sweep.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "runs": 1, "wandb": address}), encoding="utf-8")
    objective = read_sweep(path).specification.objective
    found = read_compared_sweep(results / "runs" / document["id"], objective)
    assert len(found.runs) == seen


def test_a_sweep_by_another_metric_has_to_be_named(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sweeps(results)
    err = told(capsys, results, first, second, "--metric", "val/loss")
    assert "was decided by another metric" in err
    assert "--metric" in err


# What cannot be compared


def test_what_is_no_run_is_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sweeps(results)
    run = f"{first}/0000"
    assert "is alone" in told(capsys, results, run)
    assert f"{first}/0007: no such folder" in told(capsys, results, run, f"{first}/0007")
    assert "is named twice" in told(capsys, results, run, run)
    assert "is a sweep" in told(capsys, results, run, second)
    assert "is no folder of a run" in told(capsys, results, run, str(results / "dataset"))


def test_a_run_by_hand_is_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose folder has a run.json of another format, and none of the sweep's files."""
    first, _ = sweeps(results)
    by_hand = results / "train/abcd1234"
    by_hand.mkdir(parents=True)
    (by_hand / "run.json").write_text(json.dumps({"format": "gcodefp-train-1"}), encoding="utf-8")
    err = told(capsys, results, f"{first}/0000", str(by_hand))
    assert f"{by_hand}: is no run of a sweep" in err
    assert "results/runs/SWEEP/NUMBER" in err
    assert "remove" not in err


def spoil(results: Path, run: str, **content: Any) -> None:
    path = results / "runs" / run / "run.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(known | content), encoding="utf-8")


def test_runs_without_weights_are_told(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sweeps(results)
    names = [f"{first}/0000", f"{second}/0000"]
    spoil(results, names[1], state="failed", failure="diverged", reason="loss is nan")
    assert "this run failed (diverged: loss is nan)" in told(capsys, results, *names)
    (results / "runs" / names[1] / "run.json").unlink()
    err = told(capsys, results, *names)
    assert f"{names[1]}: this run is not over" in err
    assert "gcodefp.status" in err
    spoil(results, f"{second}/0001", state="stopped")
    assert "no run of this sweep was trained to its end" in told(capsys, results, first, second)
    (results / "runs" / names[0] / "checkpoint.pt").unlink()
    assert "no such checkpoint" in told(capsys, results, names[0], f"{second}/0001")


def test_runs_of_different_datasets_are_told(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = shuffled(tiny_split(RECORDINGS["train"]))
    other = tmp_path / "other"
    write_dataset(other / "dataset", train=train)
    search(other, parameters={"max_epochs": {"value": 1}})
    (strange,) = (other / "runs").iterdir()
    first, _ = sweeps(results)
    mine = f"{first}/0000"
    err = told(capsys, results, mine, str(strange / "0000"))
    assert f"{strange / '0000'}: was trained on another dataset than" in err
    dataset = str(other / "dataset/dataset.json")
    err = told(capsys, results, mine, f"{first}/0001", "--dataset", dataset)
    assert f"{dataset}: is another dataset than that of the runs" in err


# Pairs


def test_a_pair_is_drawn_together() -> None:
    """Each recording has its own difficulty, which both share, so that the difference is sure."""
    random = np.random.default_rng(3)
    recording = np.arange(20).repeat(50)
    share = random.uniform(0.1, 0.8, 20)[recording]
    ones = np.ones(len(recording))
    worse, better = (ratio(share + by, ones, recording) for by in (0.0, 0.05))
    found = paired_difference(better, worse)
    assert found.value == pytest.approx(0.05)
    assert (found.low, found.high) == pytest.approx((0.05, 0.05))
    alone = with_interval(worse)
    assert alone.low is not None
    assert alone.high is not None
    assert alone.high - alone.low > 0.1
    assert found.recordings == 20


def test_a_difference_is_that_of_each_resample() -> None:
    random = np.random.default_rng(4)
    recording = np.arange(5).repeat(8)
    values = [random.normal(size=40) for _ in range(2)]
    correct = [random.random(40) < 0.5 for _ in range(2)]
    true = np.arange(40) % 3
    pairs: list[tuple[Statistic, Statistic]] = [
        (median(values[0], recording), median(values[1], recording)),
        (balanced(correct[0], true, recording), balanced(correct[1], true, recording)),
    ]
    drawn = draw(5)
    medians = [
        np.median(np.concatenate([values[0][recording == of] for of in sample]))
        - np.median(np.concatenate([values[1][recording == of] for of in sample]))
        for sample in drawn
    ]
    low, high = np.quantile(medians, [0.025, 0.975])
    found = paired_difference(*pairs[0])
    assert (found.low, found.high) == pytest.approx((low, high))
    swapped = paired_difference(*pairs[1][::-1])
    found = paired_difference(*pairs[1])
    assert swapped.low is not None
    assert found.high == pytest.approx(-swapped.low)


def test_recordings_that_only_one_can_count_are_drawn_for_both() -> None:
    one = ratio(np.array([1.0, 0, 1]), np.array([1, 1, 0]), np.arange(3))
    other = ratio(np.array([1.0, 1, 1]), np.array([0, 1, 1]), np.arange(3))
    found = paired_difference(one, other)
    assert (found.value, found.recordings) == (-0.5, 3)
    assert found.low == -1.0
    assert found.high == 0.0
    assert paired_difference(one, NOTHING).value is None
