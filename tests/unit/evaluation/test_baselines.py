"""Baselines without sensors on small splits where the right prediction is known; all of them."""

from dataclasses import replace

import numpy as np
from learning_data import RECORDINGS, tiny_programs, tiny_split
from lettered_splits import every_row, split_of
from numpy.typing import NDArray

from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation.baselines import (
    elapsed_time,
    majority_of_operation,
    run_baselines,
)
from gcodefp.evaluation.names import BASELINE, PREDICTORS, PRIVILEGED


def text(blocks: NDArray[np.str_]) -> str:
    return "".join(blocks.tolist())


# Without sensors


def test_majority_of_the_true_operation() -> None:
    train = split_of([(0, "aab"), (1, "cccc"), (0, "bba")])
    test = split_of([(0, "cd"), (1, "a"), (-1, "a")])
    predictions = majority_of_operation(train, test, every_row(test))
    # Operation 0 has a and b equally often; -1 gets the majority of all rows.
    assert text(predictions.blocks) == "aacc"
    assert predictions.operation.tolist() == [0, 0, 1, -1]
    assert text(majority_of_operation(train, test, np.array([2, 0])).blocks) == "ca"


def test_elapsed_time_is_always_right_on_identical_replays() -> None:
    programs = [(0, "aabbbc"), (1, "ccbadddd")]
    train, test = split_of(programs * 3), split_of(programs[::-1])
    predictions = elapsed_time(train, test, every_row(test))
    assert text(predictions.blocks) == "ccbaddddaabbbc"
    assert predictions.operation.tolist() == test.operation.tolist()
    assert text(elapsed_time(train, test, np.array([9, 0])).blocks) == "ac"


def test_elapsed_time_goes_by_seconds_and_counts_recordings() -> None:
    train, test = split_of([(0, "abcd")], 0.5), split_of([(0, "xxxxxxxxxx")], 0.25)
    # Between two rows the earlier one holds, and after the end the last of all.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "aabbccdddd"
    train = split_of([(0, "ab"), (0, "bcc"), (0, "bcdd"), (1, "eeeeeeeeee")])
    test = split_of([(0, "xxxxx"), (-1, "xx"), (1, "xx")])
    # From the third row on: b of the recording that ended, c, d: of equals the first.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "bcbbb" + "ee" + "ee"


# All baselines


def test_every_baseline_predicts_every_row_and_sensors_tell_the_program() -> None:
    train, test = (
        replace(split, window_start=window_starts(split.recording, split.seconds, 16, 8, 2.0))
        for split in (tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"]))
    )
    rows, programs = np.arange(3, len(test.block) - 3), tiny_programs(train)
    predictions = run_baselines(train, None, test, rows, programs, window=16, jobs=1).predictions
    kinds = {name: predictor.kind for name, predictor in PREDICTORS.items()}
    assert {kinds[name] for name in predictions} == {BASELINE, PRIVILEGED}
    assert set(predictions) == {n for n, kind in kinds.items() if kind in (BASELINE, PRIVILEGED)}
    for name, predicted in predictions.items():
        assert len(predicted.blocks) == len(predicted.operation) == len(rows)
        if predicted.state is None:
            assert name.startswith(("majority", "elapsed"))
            continue
        assert (predicted.program == test.program[rows]).mean() > 0.95, name
        assert (programs.program_of_state()[predicted.state] == predicted.program).all()
        assert (programs.block[predicted.state] == predicted.blocks).mean() > 0.95
        assert (predicted.operation == test.operation[rows]).mean() > 0.95
