"""The evaluate step over datasets that are out of the ordinary."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_steps import evaluate, learn, results, with_test
from learning_data import (
    RECORDINGS,
    ROWS,
    STEP_SECONDS,
    WINDOW,
    of_no_program,
    tiny_split,
    with_blocks,
    write_dataset,
)
from numpy.typing import NDArray
from recording_files import preprocess, read_dataset, write_recordings

from gcodefp.dataset.store import LEAKY_NOTE, Split
from gcodefp.evaluation.baselines import majority
from gcodefp.evaluation.names import (
    MODEL,
    MODEL_LAG_ORACLE,
    PREDICTORS,
    UPPER_BOUND,
    WHOLE,
    WHOLE_LAG_ORACLE,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def checkpoint(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(dataset, tmp_path_factory.mktemp("run"), max_epochs=4)


def test_rows_that_no_window_covers_are_left_out_of_everything(
    dataset: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    # The windows of the first recording's first half, and all of the last one's.
    inside = (test.window_start <= ROWS // 2 - WINDOW) | (test.window_start >= 2 * ROWS)
    few = replace(test, window_start=test.window_start[inside])
    assert evaluate(checkpoint, with_test(dataset, tmp_path / "d", few), tmp_path / "e") == 0
    metrics, arrays = results(tmp_path / "e")
    assert metrics["rows"] == ROWS + ROWS // 2
    assert arrays["row"].tolist() == [*range(ROWS // 2), *range(ROWS)]
    for model, of in metrics["models"].items():
        correct = arrays[f"{PREDICTORS[model].array}_block"] == arrays["true_block"]
        shares = sorted((correct[: ROWS // 2].mean(), correct[ROWS // 2 :].mean()))
        # Two recordings: half of the draws are one of them twice, which is the whole interval.
        assert [of["gcode"]["low"], of["gcode"]["high"]] == pytest.approx(shares)
        assert (of["gcode"]["n"], of["gcode"]["recordings"]) == (len(correct), 2)


def test_longer_blocks_than_train_ever_had_count_as_wrong(
    dataset: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = tiny_split(RECORDINGS["test"])
    longer = np.char.add(test.blocks[test.block], " X1 X1 X1 X1 X1")
    strange = with_blocks(test, longer)
    assert evaluate(checkpoint, with_test(dataset, tmp_path / "d", strange), tmp_path / "e") == 0
    models = results(tmp_path / "e")[0]["models"]
    assert {of["gcode"]["value"] for of in models.values()} == {0}
    assert models[MODEL]["token"]["value"] > 0


def test_recordings_hardly_longer_than_a_window(tmp_path: Path) -> None:
    rows = {"train": WINDOW, "val": WINDOW + 1, "test": WINDOW + 2}
    short = {name: tiny_split(RECORDINGS[name], rows=count) for name, count in rows.items()}
    dataset = write_dataset(tmp_path / "d", **short)
    checkpoint = learn(dataset, tmp_path / "run", max_epochs=1)
    assert evaluate(checkpoint, dataset, tmp_path / "e") == 0
    metrics, _ = results(tmp_path / "e")
    assert metrics["rows"] == len(short["test"].block)


@pytest.mark.parametrize("blocks", [("X1", "X2", "Y2"), ("M3", "M5", "G0")])
def test_programs_without_commands_or_without_parameters(
    tmp_path: Path, blocks: tuple[str, ...]
) -> None:
    splits = {name: tiny_split(names) for name, names in RECORDINGS.items()}
    few = {n: with_blocks(s, np.array(blocks)[s.block % 3]) for n, s in splits.items()}
    dataset = write_dataset(tmp_path / "d", **few)
    # What has learnt nothing writes anything that it has words for.
    for seed in (0, 1):
        settings = {"seed": seed, "max_epochs": 1, "learning_rate": 1e-9}
        checkpoint = learn(dataset, tmp_path / f"run{seed}", **settings)
        assert evaluate(checkpoint, dataset, tmp_path / "e") == 0


@pytest.mark.parametrize("by", ["recording", "window"])
def test_a_dataset_as_preprocess_makes_it(
    tmp_path: Path, by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(tmp_path / "recordings", tmp_path / "d", split=by) == 0
    checkpoint = learn(tmp_path / "d", tmp_path / "run", max_epochs=1)
    capsys.readouterr()
    assert evaluate(checkpoint, tmp_path / "d", tmp_path / "e") == 0
    leaky = by == "window"
    assert (LEAKY_NOTE in capsys.readouterr().err) == leaky
    metrics, arrays = results(tmp_path / "e")
    _, splits = read_dataset(tmp_path / "d")
    assert metrics["leaky"] is leaky
    assert metrics["split"]["by"] == by
    expected = majority(splits["train"], np.arange(1)).blocks[0]
    assert set(arrays["majority_block"].tolist()) == {expected}
    for path in (tmp_path / "e" / "gcode").iterdir():
        assert (f"({LEAKY_NOTE})" in path.read_text()) == leaky


# The clock


def late(split: Split, rows: int) -> Split:
    """The same recordings with sensors that are so many rows behind the controller."""
    signals = split.signals.reshape(len(split.recordings), ROWS, -1)
    first = signals[:, :1].repeat(rows, axis=1)
    moved = np.concatenate([first, signals[:, :-rows]], axis=1)
    sensed = np.maximum(np.tile(np.arange(ROWS), len(split.recordings)) - rows, 0)
    start = np.repeat(np.arange(len(split.recordings)) * ROWS, ROWS)
    return replace(
        split,
        signals=moved.reshape(split.signals.shape),
        lag_corrected_row=(start + sensed).astype(np.int32),
        state=split.state[start + sensed],
        lag_seconds=np.full_like(split.lag_seconds, rows * STEP_SECONDS),
    )


def test_only_those_who_are_told_the_clock_make_up_for_a_lag(dataset: Path, tmp_path: Path) -> None:
    checkpoint = learn(dataset, tmp_path / "run", max_epochs=14)
    lagging = with_test(dataset, tmp_path / "d", late(tiny_split(RECORDINGS["test"]), 2))
    assert evaluate(checkpoint, lagging, tmp_path / "late") == 0
    assert evaluate(checkpoint, dataset, tmp_path / "usual") == 0
    models, usual = (results(tmp_path / e)[0]["models"] for e in ("late", "usual"))
    exact, before = (
        {name: of["gcode"]["value"] for name, of in m.items()} for m in (models, usual)
    )
    assert exact[WHOLE] < before[WHOLE] - 0.2
    assert exact[WHOLE_LAG_ORACLE] > exact[WHOLE] + 0.2
    # Two rows of four in each block.
    assert exact[UPPER_BOUND] == pytest.approx(0.5, abs=0.1)
    # A clock spoils the sequence of blocks at its ends alone: one of eight.
    rate, rate_before = (m[WHOLE]["gcode_error_rate"]["value"] for m in (models, usual))
    assert rate == pytest.approx(rate_before, abs=0.13)


def test_programs_that_train_never_had_are_never_right(
    dataset: Path, checkpoint: Path, tmp_path: Path
) -> None:
    test = of_no_program(with_blocks(*_unseen(tiny_split(RECORDINGS["test"]))))
    assert evaluate(checkpoint, with_test(dataset, tmp_path / "d", test), tmp_path / "e") == 0
    models = results(tmp_path / "e")[0]["models"]
    for name in (MODEL, WHOLE):
        assert models[name]["gcode"]["value"] == 0
        assert models[name]["program"]["value"] == 0
    # Nobody knows a clock, or a place, of a program that was never learnt.
    assert not {MODEL_LAG_ORACLE, WHOLE_LAG_ORACLE, UPPER_BOUND} & set(models)


def _unseen(split: Split) -> tuple[Split, NDArray[np.str_]]:
    return split, np.char.add(split.blocks[split.block], "9")
