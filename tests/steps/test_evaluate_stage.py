"""The stage `evaluate` as the pipeline starts it: outputs, refusals, leakage."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_commands import evaluate, results, with_test
from learning_data import (
    BLOCKS,
    OPERATIONS,
    RECORDINGS,
    ROWS,
    STEP_SECONDS,
    dataset_flags,
    shuffled,
    tiny_split,
    with_blocks,
    write_dataset,
)

from gcodefp import explain, fit_decoder
from gcodefp.evaluate import main
from gcodefp.evaluation.baselines.matched_filter import FilterOptions
from gcodefp.evaluation.controls import CONTROL_FORMAT
from gcodefp.evaluation.metrics import METRICS
from gcodefp.evaluation.names import (
    CENTRE_METRICS,
    EVALUATION_FORMAT,
    FILTER,
    FILTER_WHOLE,
    GREEDY,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    TREES,
    WHOLE,
)
from gcodefp.evaluation.sequences import edit_distance
from gcodefp.evaluation.toolpaths import SAFETY_WARNING
from gcodefp.evaluation.window_lengths import STRIDE_ROWS, WINDOW_ROWS

TEST_ROWS = ROWS * len(RECORDINGS["test"])
OF_EVERY_PREDICTOR = ("gcode", "token", "command_balanced", "operation", "gcode_error_rate")
NOTHING = {"value": None, "low": None, "high": None, "n": 0, "recordings": 0}


@pytest.fixture(scope="module")
def evaluation(learnable: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluation") / "new"
    assert evaluate(checkpoint, learnable, output) == 0
    return output


def test_metrics_have_values_intervals_and_baselines(evaluation: Path) -> None:
    document, _ = results(evaluation)
    assert document["format"] == EVALUATION_FORMAT
    assert list(document["models"]) == list(PREDICTORS)
    assert (document["recordings"], document["rows"]) == (3, TEST_ROWS)
    assert (document["leaky"], document["controller_is_input"]) == (False, False)
    assert (document["split"], document["controls"]) == ({"by": "recording"}, [])
    inputs = {Path(path).name for path in document["provenance"]["inputs"]}
    assert inputs == {"checkpoint.pt", "dataset.json", "test.npz", "train.npz", "val.npz"}
    for estimates in document["models"].values():
        assert list(estimates) == list(METRICS)
        for name, estimate in estimates.items():
            if estimate["value"] is None:
                assert estimate == NOTHING
                assert name not in OF_EVERY_PREDICTOR
            else:
                assert 0 <= estimate["low"] <= estimate["value"] <= estimate["high"]
                assert 1 <= estimate["recordings"] <= 3
        assert estimates["gcode"]["n"] == estimates["operation"]["n"] == TEST_ROWS
    models = document["models"]
    assert models[MAJORITY]["within_1s"]["value"] is None  # It predicts no program.
    for name in ("gcode", "token", "operation"):
        assert models[MODEL][name]["value"] > models[MAJORITY][name]["value"] + 0.2


def test_predictions_agree_with_the_metrics(evaluation: Path) -> None:
    document, arrays = results(evaluation)
    test = tiny_split(RECORDINGS["test"])
    assert arrays["recordings"].tolist() == list(RECORDINGS["test"])
    assert arrays["true_block"].tolist() == test.blocks[test.block].tolist()
    assert arrays["operations"].tolist() == list(OPERATIONS)
    for name in ("recording", "row", "seconds", "position_mm", "mm_per_unit"):
        np.testing.assert_array_equal(arrays[name], getattr(test, name))
    np.testing.assert_array_equal(arrays["true_operation"], test.operation)
    for predictor, (prefix, _) in PREDICTORS.items():
        estimates = document["models"][predictor]
        for field, metric in (("block", "gcode"), ("operation", "operation")):
            accuracy = np.mean(arrays[f"{prefix}_{field}"] == arrays[f"true_{field}"])
            assert accuracy == pytest.approx(estimates[metric]["value"])
        if f"{prefix}_state" in arrays:
            right = arrays[f"{prefix}_program"] == test.program
            assert estimates["program"]["value"] == pytest.approx(right.mean())
            error = STEP_SECONDS * np.abs(arrays[f"{prefix}_state"] - test.state)
            assert estimates["within_1s"]["value"] == pytest.approx(np.mean(right & (error <= 1)))
            for level, name in ((0.5, "program_time_error_s"), (0.9, "program_time_error_90_s")):
                assert estimates[name]["n"] == right.sum()
                expected = pytest.approx(np.quantile(error[right], level))
                assert estimates[name]["value"] == expected
    for index in range(len(RECORDINGS["test"])):
        rows = arrays["recording"] == index
        (operation,) = set(arrays["whole_operation"][rows].tolist())
        votes = np.bincount(arrays["model_operation"][rows])
        assert votes[operation] == votes.max()


def test_window_lengths_and_the_options_of_the_filter_are_written(evaluation: Path) -> None:
    document, arrays = results(evaluation)
    ladder = document["ladder"]
    whole = {
        name: {
            metric: document["models"][whole_name][registered]
            for metric, registered in CENTRE_METRICS.items()
        }
        for name, whole_name in ((MODEL, WHOLE), (FILTER, FILTER_WHOLE))
    }
    assert [entry["rows"] for entry in ladder] == [*WINDOW_ROWS, None]
    # All recordings have 32 rows: from there on they are decoded as a whole.
    for entry in ladder[1:]:
        assert entry["models"] == whole
    windows = len(range(0, ROWS - WINDOW_ROWS[0] + 1, STRIDE_ROWS))
    for name in whole:
        assert ladder[0]["models"][name]["program"]["n"] == 3 * windows
    options = document["baselines"][FILTER]
    assert set(options) == {*FilterOptions._fields, "val_within_1s"}
    assert 0.5 < options["val_within_1s"] <= 1
    for prefix in (PREDICTORS[FILTER].array, PREDICTORS[FILTER_WHOLE].array):
        assert (arrays[f"{prefix}_state"] // ROWS == arrays[f"{prefix}_program"]).all()


def test_without_val_the_filter_has_its_defaults_and_val_needs_train(
    learnable: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--checkpoint", str(checkpoint), "--output", str(tmp_path)]
    assert main([*common, *dataset_flags(learnable, "train", "test")]) == 0
    assert "without --val the options of the baselines are defaults" in capsys.readouterr().err
    options = results(tmp_path)[0]["baselines"][FILTER]
    assert options == {**FilterOptions()._asdict(), "val_within_1s": None}
    assert main([*common, *dataset_flags(learnable, "val", "test")]) == 1
    assert "--train is missing" in capsys.readouterr().err


def test_sequences_and_programs_agree_with_the_error_rate(evaluation: Path) -> None:
    document, arrays = results(evaluation)
    test = tiny_split(RECORDINGS["test"])
    files = sorted(path.name for path in (evaluation / "gcode").iterdir())
    assert files == [f"{name}.nc" for name in RECORDINGS["test"]]
    edits = 0
    for index, name in enumerate(RECORDINGS["test"]):
        executed, predicted = (
            arrays[f"{kind}_recording"] == index for kind in ("executed", "reconstructed")
        )
        text = (evaluation / f"gcode/{name}.nc").read_text().splitlines()
        blocks = arrays["reconstructed_block"][predicted].tolist()
        rows = arrays["whole_block"][arrays["recording"] == index].tolist()
        assert text[0] == f"({SAFETY_WARNING})"
        assert name in text[1]
        assert text[2:] == blocks
        assert set(blocks) <= set(rows) <= set(BLOCKS)
        assert 1 < len(blocks) < ROWS
        # All blocks last several rows here: each begins where the line number changes.
        own = test.recording == index
        first = np.flatnonzero(own)[np.diff(test.line[own], prepend=-1) != 0]
        true = arrays["executed_block"][executed].tolist()
        assert true == test.blocks[test.block[first]].tolist()
        assert arrays["executed_seconds"][executed].tolist() == test.seconds[first].tolist()
        edits += edit_distance(blocks, true)
    rate = document["models"][WHOLE]["gcode_error_rate"]
    assert len(arrays["executed_block"]) == rate["n"]
    assert edits / rate["n"] == rate["value"]


STAGES = {
    "evaluate": (main, ("train", "test")),
    "explain": (explain.main, ("test",)),
    "fit_decoder": (fit_decoder.main, ("train", "val")),
}


@pytest.mark.parametrize("name", STAGES)
def test_inputs_that_do_not_fit_are_refused(
    learnable: Path,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    stage, splits = STAGES[name]
    files = ["--checkpoint", str(checkpoint), "--output", str(tmp_path / "e")]

    def message(*wrong: object, dataset: Path = learnable) -> str:
        flags = [*files, *dataset_flags(dataset, *splits), *map(str, wrong)]
        assert stage(flags) == 1
        return capsys.readouterr().err

    other = write_dataset(tmp_path / "other", train=shuffled(tiny_split(RECORDINGS["train"])))
    assert "checkpoint.pt: was trained on another dataset" in message(dataset=other)
    assert "none.pt: no such checkpoint" in message("--checkpoint", tmp_path / "none.pt")
    split, swapped = splits[-1], {"test": "val.npz", "val": "test.npz"}[splits[-1]]
    wrong = message(f"--{split}", learnable / swapped)
    assert f"{swapped}: is not the {split} split" in wrong
    none = message(f"--{split}", tmp_path / "none.npz")
    assert "none.npz: no such file; it is made by: snakemake" in none
    document = Path(shutil.copytree(learnable, tmp_path / "damaged")) / "dataset.json"
    document.write_text(document.read_text().replace('"steps": ', '"steps": -'))
    assert f"{document}: vocabulary.steps: -" in message("--dataset", document)
    if name == "evaluate":
        control = tmp_path / "control.json"
        control.write_text(json.dumps({"format": CONTROL_FORMAT, "answers": {}}))
        wrong = message("--controls", control)
        assert f"{control}: control: is missing; rebuild it" in wrong
    assert not (tmp_path / "e").exists()


# Leakage


def test_test_labels_do_not_reach_the_predictions(
    learnable: Path, checkpoint: Path, evaluation: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    blind = replace(
        with_blocks(test, np.full(len(test.block), "G0 X9 Y9 Z9")),
        operation=1 - test.operation,
        program=1 - test.program,
        position_mm=test.position_mm + 7,
        state=test.state[::-1].copy(),
        lag_corrected_row=test.lag_corrected_row[::-1].copy(),
        lag_seconds=test.lag_seconds + 3,
    )
    assert evaluate(checkpoint, with_test(learnable, tmp_path / "d", blind), tmp_path / "e") == 0
    (document, arrays), (_, arrays_of_evaluation) = results(tmp_path / "e"), results(evaluation)
    for predictor in (MODEL, WHOLE, GREEDY, MAJORITY, NEIGHBOUR, TREES):
        for field in ("block", "operation", "program", "position_mm", "line", "state"):
            if (name := f"{PREDICTORS[predictor].array}_{field}") in arrays_of_evaluation:
                np.testing.assert_array_equal(arrays[name], arrays_of_evaluation[name])
        assert document["models"][predictor]["gcode"]["value"] == 0
