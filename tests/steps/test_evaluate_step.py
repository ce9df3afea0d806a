"""The evaluate step as the pipeline starts it, and the controls that must fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_steps import evaluate, learn, results, with_test
from learning_data import (
    BLOCKS,
    OPERATIONS,
    RECORDINGS,
    ROWS,
    dataset_flags,
    shuffled,
    tiny_split,
    with_blocks,
    write_dataset,
)

from gcodefp.evaluate import main
from gcodefp.evaluation.names import (
    ELAPSED,
    EVALUATION_FORMAT,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    TREES,
    WHOLE,
    WRITTEN,
)
from gcodefp.evaluation.sequences import edit_distance
from gcodefp.evaluation.toolpaths import DANGER, axis_numbers
from gcodefp.model.scores import SCORES

TEST_ROWS = ROWS * len(RECORDINGS["test"])
ROW_METRICS = (*SCORES, "command_balanced", "program", "x_error_mm", "y_error_mm", "z_error_mm")
STRETCH_METRICS = ("gcode_error_rate", "toolpath_distance_mm")
SHARES = {*SCORES, "command_balanced", "program"}
SEQUENCES = ("executed", "reconstructed")
NOTHING = {"value": None, "low": None, "high": None, "n": 0, "recordings": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def checkpoint(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(dataset, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def evaluation(dataset: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluation") / "new"
    assert evaluate(checkpoint, dataset, output) == 0
    return output


# What is written


def test_metrics_have_a_value_an_interval_and_the_baselines_beside(evaluation: Path) -> None:
    metrics, _ = results(evaluation)
    assert metrics["format"] == EVALUATION_FORMAT
    assert list(metrics["models"]) == list(PREDICTORS)
    assert (metrics["recordings"], metrics["rows"]) == (3, TEST_ROWS)
    assert (metrics["confidence"], metrics["resamples"]) == (0.95, 2000)
    assert metrics["leaky"] is False
    assert metrics["controller_is_input"] is False
    assert metrics["split"] == {"by": "recording"}
    inputs = metrics["provenance"]["inputs"]
    names = {"checkpoint.pt", "dataset.json", "test.npz", "train.npz"}
    assert {Path(p).name for p in inputs} == names
    for name, of in metrics["models"].items():
        assert tuple(of) == (*ROW_METRICS, "position_error_mm", *STRETCH_METRICS)
        for metric, found in of.items():
            if found["value"] is None:
                assert metric not in (*SCORES, "gcode_error_rate")
                assert found == NOTHING
                continue
            assert found["low"] <= found["value"] <= found["high"]
            assert 0 <= found["value"] <= (1 if metric in SHARES else np.inf)
            assert 1 <= found["recordings"] <= 3
        assert of["gcode"]["n"] == of["operation"]["n"] == TEST_ROWS
        assert of["gcode"]["recordings"] == 3, name
    # No block names Z.
    assert metrics["models"][MODEL]["z_error_mm"]["value"] is None


def test_the_network_that_learnt_beats_the_majority(evaluation: Path) -> None:
    models = results(evaluation)[0]["models"]
    for metric in ("gcode", "token", "operation"):
        assert models[MODEL][metric]["value"] > models[MAJORITY][metric]["value"] + 0.2
    assert models[MODEL]["operation"]["value"] > 0.9


def test_predictions_are_those_that_the_metrics_are_of(evaluation: Path) -> None:
    metrics, arrays = results(evaluation)
    test = tiny_split(RECORDINGS["test"])
    assert arrays["recordings"].tolist() == list(RECORDINGS["test"])
    assert arrays["true_block"].tolist() == test.blocks[test.block].tolist()
    assert arrays["operations"].tolist() == list(OPERATIONS)
    for name in ("recording", "row", "seconds", "position_mm", "mm_per_unit"):
        np.testing.assert_array_equal(arrays[name], getattr(test, name))
    np.testing.assert_array_equal(arrays["true_operation"], test.operation)
    assert set(arrays["model_block"].tolist()) > {BLOCKS[0]}
    for model, (array, _) in PREDICTORS.items():
        for what, metric in (("block", "gcode"), ("operation", "operation")):
            right = np.mean(arrays[f"{array}_{what}"] == arrays[f"true_{what}"])
            assert right == pytest.approx(metrics["models"][model][metric]["value"])
        apart = axis_numbers(arrays[f"{array}_block"]) - axis_numbers(arrays["true_block"])
        millimetres = np.nanmean(np.abs(apart[:, 0]) * arrays["mm_per_unit"])
        found = metrics["models"][model]["x_error_mm"]
        assert found["n"] == np.isfinite(apart[:, 0]).sum()
        if found["n"]:
            assert found["value"] == pytest.approx(millimetres, rel=1e-5)


def test_each_recording_has_its_program(evaluation: Path) -> None:
    _, arrays = results(evaluation)
    files = sorted((evaluation / "gcode").iterdir())
    assert [path.name for path in files] == [f"{name}.nc" for name in RECORDINGS["test"]]
    for index, path in enumerate(files):
        danger, comment, *lines = path.read_text().splitlines()
        assert danger == f"({DANGER})"
        assert RECORDINGS["test"][index] in comment
        program = arrays["whole_block"][arrays["recording"] == index].tolist()
        assert set(lines) <= set(program) <= set(BLOCKS)
        # Both name the blocks in the program's order; only that of the rows knows of the clock.
        assert lines[0] == program[0]
        assert 1 < len(lines) < ROWS


def test_sequences_are_those_of_the_programs_and_of_the_error_rate(evaluation: Path) -> None:
    metrics, arrays = results(evaluation)
    test = tiny_split(RECORDINGS["test"])
    edits = 0
    for index, name in enumerate(RECORDINGS["test"]):
        executed, read = (arrays[f"{of}_recording"] == index for of in SEQUENCES)
        lines = arrays["reconstructed_block"][read].tolist()
        assert (evaluation / f"gcode/{name}.nc").read_text().splitlines()[2:] == lines
        true = arrays["executed_block"][executed].tolist()
        # All lines last several rows here: each begins where the line number changes.
        own = test.recording == index
        begins = np.flatnonzero(own)[np.diff(test.line[own], prepend=-1) != 0]
        assert true == test.blocks[test.block[begins]].tolist()
        assert arrays["executed_seconds"][executed].tolist() == test.seconds[begins].tolist()
        edits += edit_distance(lines, true)
    rate = metrics["models"][WHOLE]["gcode_error_rate"]
    assert len(arrays["executed_block"]) == rate["n"]
    assert edits / rate["n"] == rate["value"]


def test_a_whole_recording_is_of_one_operation(evaluation: Path) -> None:
    _, arrays = results(evaluation)
    for index in range(len(RECORDINGS["test"])):
        rows = arrays["recording"] == index
        (operation,) = set(arrays["whole_operation"][rows].tolist())
        votes = np.bincount(arrays["model_operation"][rows])
        assert votes[operation] == votes.max()


def test_the_same_checkpoint_is_evaluated_the_same(
    dataset: Path, checkpoint: Path, evaluation: Path, tmp_path: Path
) -> None:
    assert evaluate(checkpoint, dataset, tmp_path) == 0
    (one, arrays), (other, other_arrays) = results(evaluation), results(tmp_path)
    assert one["models"] == other["models"]
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other_arrays[name])


# What is refused


def test_a_checkpoint_of_another_dataset_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_dataset(tmp_path / "other", train=shuffled(tiny_split(RECORDINGS["train"])))
    assert evaluate(checkpoint, other, tmp_path / "evaluation") == 1
    assert "checkpoint.pt: was trained on another dataset than" in capsys.readouterr().err
    assert not (tmp_path / "evaluation").exists()


def test_a_train_or_val_split_does_not_pass_for_the_test(
    dataset: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", str(checkpoint), *dataset_flags(dataset, "train", "test")]
    arguments += ["--output", str(tmp_path), "--test", str(dataset / "val.npz")]
    assert main(arguments) == 1
    assert "val.npz: is not the test split" in capsys.readouterr().err


def test_no_checkpoint_no_evaluation(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path / "checkpoint.pt", dataset, tmp_path) == 1
    assert "checkpoint.pt: no such checkpoint" in capsys.readouterr().err


# Leakage


def test_the_test_labels_do_not_reach_what_is_written(
    dataset: Path, checkpoint: Path, evaluation: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    blind = with_blocks(test, np.full(len(test.block), "G0 X9 Y9 Z9"))
    operation = 1 - test.operation
    blind = replace(
        blind,
        operation=operation,
        program=1 - test.program,
        position_mm=test.position_mm + 7,
        state=test.state[::-1].copy(),
        lag_corrected_row=test.lag_corrected_row[::-1].copy(),
        lag_seconds=test.lag_seconds + 3,
    )
    assert evaluate(checkpoint, with_test(dataset, tmp_path / "d", blind), tmp_path / "e") == 0
    (metrics, arrays), (_, usual) = results(tmp_path / "e"), results(evaluation)
    for model in (MODEL, WHOLE, WRITTEN, MAJORITY, NEIGHBOUR, TREES):
        for what in ("block", "operation", "program", "position_mm"):
            if (name := f"{PREDICTORS[model].array}_{what}") in usual:
                np.testing.assert_array_equal(arrays[name], usual[name])
        assert metrics["models"][model]["gcode"]["value"] == 0


def test_the_signals_do_reach_it(
    dataset: Path, checkpoint: Path, evaluation: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    order = np.random.default_rng(0).permutation(len(test.signals))
    mixed = replace(test, signals=test.signals[order])
    assert evaluate(checkpoint, with_test(dataset, tmp_path / "d", mixed), tmp_path / "e") == 0
    models, usual = (results(folder)[0]["models"] for folder in (tmp_path / "e", evaluation))
    assert models[MODEL]["gcode"]["value"] < usual[MODEL]["gcode"]["value"] - 0.2
    assert models[MAJORITY] == usual[MAJORITY]
    assert models[ELAPSED] == usual[ELAPSED]


def test_shuffled_train_labels_leave_chance(
    dataset: Path, evaluation: Path, tmp_path: Path
) -> None:
    """Whatever a network could score here, it would have from a leak."""
    split = {name: tiny_split(names) for name, names in RECORDINGS.items()}
    wrong = write_dataset(
        tmp_path / "d", train=shuffled(split["train"], 1), val=shuffled(split["val"], 2)
    )
    assert evaluate(learn(wrong, tmp_path / "run"), wrong, tmp_path / "e") == 0
    models, usual = (results(folder)[0]["models"] for folder in (tmp_path / "e", evaluation))
    most = np.bincount(split["test"].block).max() / TEST_ROWS
    assert models[MODEL]["gcode"]["value"] < most + 0.15
    assert models[NEIGHBOUR]["gcode"]["value"] < most + 0.15
    assert usual[MODEL]["gcode"]["value"] > most + 0.3
