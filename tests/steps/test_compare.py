"""Runs and sweeps set side by side, on runs that were trained for real."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_commands import evaluate
from finished_results import search
from learning_data import RECORDINGS, ROWS, shuffled, tiny_split, write_dataset

from gcodefp import compare
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import (
    EMPTY,
    Difference,
    draw_resamples,
    paired_difference,
    quantile,
    ratio,
)
from gcodefp.evaluation.names import MODEL, PRIMARY
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import read_metrics
from gcodefp.reporting.comparison import compare_with_first, find_folders, read_compared_sweep
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
    """A copy to be changed."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def sweeps(results: Path) -> tuple[str, str]:
    """The ids, in the order of the searches."""
    second = json.loads((results / "sweep/sweep.json").read_text(encoding="utf-8"))["id"]
    (first,) = {path.name for path in (results / "runs").iterdir()} - {second}
    return first, second


def compared(results: Path, *names: str) -> int:
    return compare.main([*names, "--runs", str(results / "runs"), "--device", "cpu"])


def problem(capsys: pytest.CaptureFixture[str], results: Path, *names: str) -> str:
    """The error message."""
    capsys.readouterr()
    assert compared(results, *names) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    return content


def test_runs_are_compared_on_the_same_recordings(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = sweeps(made)
    names = [f"{first}/0000", f"{first}/0001"]
    capsys.readouterr()
    assert compared(made, *names, "--output", str(tmp_path)) == 0
    out = capsys.readouterr().out
    for text in ("learning_rate", "2 recordings", "val/aligned_acc", "block accuracy"):
        assert text in out
    assert "optimizer" not in out
    content = written(tmp_path)
    assert [run["run"] for run in content["runs"]] == names
    assert content["hyperparameters"] == {"learning_rate": [0.02, 0.0001]}
    assert (content["split"], content["notes"]) == ("val", [])
    for index, (run, name) in enumerate(zip(content["runs"], names, strict=True)):
        rows = read_metrics(made / "runs" / name / "metrics.csv")
        assert (
            content["at_best_epoch"]["val/loss"][index] == rows[run["best_epoch"] - 1]["val/loss"]
        )
    one, other = content["scores"]["gcodefp"]["gcode"]
    assert one["n"] == other["n"] == 2 * ROWS
    assert one["difference"] is None
    assert other["value"] < one["value"]
    assert other["difference"]["value"] == pytest.approx(other["value"] - one["value"])
    assert other["difference"]["low"] <= other["difference"]["value"] <= other["difference"]["high"]
    assert "nearest neighbour" not in content["scores"]
    (sentence,) = content["conclusions"]
    assert sentence.startswith(f"{names[1]} is not shown to be better or worse than {names[0]}")
    assert "2 recordings of the val split; epochs, and a sweep's best run, were cho" in sentence
    assert " on them, and each run is one training (sweep.seeds_per_winner repeats" in sentence
    assert out.endswith(f"{sentence}\n")
    with (tmp_path / "compare.csv").open(encoding="utf-8") as handle:
        lines = {(row["answer"], row["metric"], row["run"]): row for row in csv.DictReader(handle)}
    line = lines["gcodefp", "gcode", names[1]]
    assert float(line["difference_low"]) == other["difference"]["low"]
    figure = (tmp_path / "compare.svg").read_text(encoding="utf-8")
    assert all(name in figure for name in names)
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_one_name_in_two_results_folders_have_a_curve_each(
    made: Path, results: Path, tmp_path: Path
) -> None:
    name = f"{sweeps(made)[0]}/0000"
    folders = [str(each / "runs" / name) for each in (made, results)]
    assert compared(made, *folders, "--output", str(tmp_path)) == 0
    figure = (tmp_path / "compare.svg").read_text(encoding="utf-8")
    assert "Learning curves of 2 runs" in figure
    assert figure.count(f">{name}</text>") == 2


@pytest.mark.parametrize(
    ("difference", "answer"),
    [
        (Difference(0.1, 0.02, 0.2, 6), "b is better than a: +10.0 percentage points"),
        (Difference(-0.1, -0.2, -0.02, 6), "b is worse than a: -10.0 percentage points"),
        (Difference(0.1, -0.02, 0.2, 6), "b is not significantly better or worse than a"),
        (Difference(0.0, 0.0, 0.0, 2), "b is equal to a in these recordings"),
        (Difference(0.1, 0.02, 0.2, 5), "b is not shown to be better or worse than a"),
    ],
)
def test_conclusion_follows_the_paired_interval(difference: Difference, answer: str) -> None:
    scores = [{"difference": None}, {"difference": difference._asdict()}]
    (sentence,) = compare_with_first(["a", "b"], {MODEL: {PRIMARY: scores}}, "val", "val/loss")
    assert sentence.startswith(answer)


def test_scores_are_those_of_the_evaluation(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the test split, which is marked."""
    _, second = sweeps(made)
    names = [f"{second}/0001", f"{second}/0000"]
    capsys.readouterr()
    assert compared(made, *names, "--split", "test", "--output", str(tmp_path)) == 0
    assert all(compare.TEST_NOTE in text for text in capsys.readouterr())
    content = written(tmp_path)
    assert content["notes"] == [compare.TEST_NOTE]
    (sentence,) = content["conclusions"]
    assert sentence.endswith(
        f"of the test split; epochs, and a sweep's best run, were chosen by {content['metric']}, "
        "and each run is one training (sweep.seeds_per_winner repeats the best ones)."
    )
    for index, name in enumerate(names):
        checkpoint = made / "runs" / name / "checkpoint.pt"
        assert evaluate(checkpoint, made / "dataset", tmp_path / "e") == 0
        models = json.loads((tmp_path / "e/metrics.json").read_text(encoding="utf-8"))["models"]
        for predictor, metrics in content["scores"].items():
            for metric, scores in metrics.items():
                expected = models[predictor][metric]
                assert {key: scores[index][key] for key in expected} == expected


def test_test_split_stays_closed_until_the_best_run_is_chosen(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = sweeps(results)
    names = [f"{first}/0000", f"{first}/0001"]
    (results / "best/run.json").unlink()
    err = problem(capsys, results, *names, "--split", "test")
    assert f"{results / 'best/run.json'} is not there" in err
    assert "--split val" in err
    (results / "dataset/test.npz").unlink()
    assert compared(results, *names) == 0
    assert "TEST SPLIT" not in capsys.readouterr().out


def test_sweeps_are_compared_by_their_best_runs(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sweeps(made)
    assert compared(made, str(made / "runs" / first), second, "--output", str(tmp_path)) == 0
    assert "median" in capsys.readouterr().out
    content = written(tmp_path)
    assert [sweep["method"] for sweep in content["sweeps"]] == [None, "grid"]
    for name, sweep, run in zip((first, second), content["sweeps"], content["runs"], strict=True):
        values = [
            json.loads(path.read_text(encoding="utf-8"))["best_value"]
            for path in (made / "runs" / name).glob("*/run.json")
        ]
        assert sweep["sweep"] == name
        assert (sweep["runs_over"], sweep["finished"], sweep["failed"]) == (2, 2, 0)
        assert sweep["best"] == run["best_value"] == max(values)
        assert sweep["median"] == pytest.approx(np.median(values))
        assert run["run"] == f"{name}/{sweep['best_run']}"
    assert compared(made, first, f"{second}/0000", "--output", str(tmp_path)) == 0
    assert [sweep["sweep"] for sweep in written(tmp_path)["sweeps"]] == [first]


@pytest.mark.parametrize(("address", "count"), [(None, 1), ("me/mill/abcd1234", 2)])
def test_sweep_of_the_service_keeps_its_runs_beyond_run_cap(
    results: Path, address: str | None, count: int
) -> None:
    path = results / "sweep/sweep.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "runs": 1, "wandb": address}), encoding="utf-8")
    objective = read_sweep(path).specification.objective
    assert len(read_compared_sweep(results / "runs" / document["id"], objective).runs) == count


def test_wrong_names_and_metrics_are_reported(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sweeps(results)
    run = f"{first}/0000"
    single = results / "train/abcd1234"
    single.mkdir(parents=True)
    (single / "run.json").write_text(json.dumps({"format": "gcodefp-train-1"}), encoding="utf-8")
    for names, message in [
        ([run], "is the only one"),
        ([run, run], "is the only one"),
        ([run, f"{first}/0007"], f"{first}/0007: no such folder"),
        ([run, str(results / "dataset")], "is not the folder of a run"),
        ([run, str(single)], f"{single}: is not a run of a sweep"),
    ]:
        assert message in problem(capsys, results, *names)
    with pytest.raises(UserError, match="is ranked by another metric; compare single runs"):
        read_compared_sweep(results / "runs" / second, Objective("val/loss", "minimize"))


def test_a_number_is_a_run_of_the_only_sweep(tmp_path: Path) -> None:
    runs = [tmp_path / "abcd1234" / f"{number:04d}" for number in (0, 17)]
    for run in runs:
        run.mkdir(parents=True)
    assert find_folders(["0", "17"], tmp_path) == runs
    (tmp_path / "notes").mkdir()
    assert find_folders(["0", "17"], tmp_path) == runs
    (tmp_path / "efgh5678/0000").mkdir(parents=True)
    with pytest.raises(UserError, match="17: no such folder"):
        find_folders(["17", "0"], tmp_path)


def test_runs_without_weights_are_reported(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(run: str, **content: Any) -> None:
        path = results / "runs" / run / "run.json"
        before = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(before | content), encoding="utf-8")

    first, second = sweeps(results)
    names = [f"{first}/0000", f"{second}/0000"]
    change(names[1], state="failed", failure="diverged", reason="loss is nan")
    assert "this run failed (diverged: loss is nan)" in problem(capsys, results, *names)
    (results / "runs" / names[1] / "run.json").unlink()
    assert f"{names[1]}: this run has not ended" in problem(capsys, results, *names)
    change(f"{second}/0001", state="stopped")
    assert "no run of this sweep was trained to its end" in problem(capsys, results, first, second)
    (results / "runs" / names[0] / "checkpoint.pt").unlink()
    assert "no such checkpoint" in problem(capsys, results, names[0], f"{second}/0001")


def test_runs_of_different_datasets_are_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    write_dataset(other / "dataset", train=shuffled(tiny_split(RECORDINGS["train"])))
    search(other, parameters={"max_epochs": {"value": 1}})
    run = next((other / "runs").glob("*/0000"))
    first, _ = sweeps(results)
    err = problem(capsys, results, f"{first}/0000", str(run))
    assert f"{run / 'checkpoint.pt'}: was trained on another dataset" in err
    dataset = str(other / "dataset/dataset.json")
    err = problem(capsys, results, f"{first}/0000", f"{first}/0001", "--dataset", dataset)
    assert "checkpoint.pt: was trained on another dataset" in err
    assert "--dataset" in err


def test_a_paired_difference_is_that_of_each_resample() -> None:
    random = np.random.default_rng(4)
    recording = np.arange(5).repeat(8)
    first, second = random.normal(size=(2, 40))
    samples = [np.flatnonzero(recording == n) for n in range(5)]
    drawn = [np.concatenate([samples[n] for n in resample]) for resample in draw_resamples(5)]
    medians = [np.median(first[rows]) - np.median(second[rows]) for rows in drawn]
    difference = paired_difference(quantile(first, recording), quantile(second, recording))
    expected = pytest.approx(np.quantile(medians, [0.025, 0.975]).tolist())
    assert [difference.low, difference.high] == expected
    # Recordings that only one of them can count are drawn for both.
    one = ratio(np.array([1.0, 0, 1]), np.array([1, 1, 0]), np.arange(3))
    other = ratio(np.array([1.0, 1, 1]), np.array([0, 1, 1]), np.arange(3))
    assert paired_difference(one, other) == (-0.5, -1.0, 0.0, 3)
    assert paired_difference(one, EMPTY).value is None
