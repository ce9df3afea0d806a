"""The work on a sweep's runs, its hyperparameters and their importance, on made tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sweep_results import MOMENTUM, OPTIMIZER, RATE, SEARCHED, decided_by_rate, swept

from gcodefp.reporting.figures.hyperparameters import Importance, measure_importance
from gcodefp.reporting.figures.timeline import (
    MAX_PROCESSES,
    assign_rows,
    cut_pauses,
    is_interrupted,
    work_share,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import repeated_epochs, varied_parameters, work_intervals
from gcodefp.reporting.wording import value_texts

BEGIN = 1.8e9


# Work


def test_work_intervals_are_those_of_each_process_on_a_run(results: Results) -> None:
    intervals = work_intervals(results.work)
    columns = ["run", "pid", "begin", "end", "first_epoch", "last_epoch"]
    assert intervals.assign(
        begin=intervals["begin"] - BEGIN, end=intervals["end"] - BEGIN
    )[columns].to_numpy().tolist() == [
        ["0000", 1, 0, 3, 0, 1], ["0001", 2, 0, 9, 0, 3], ["0000", 2, 10, 16, 1, 3],
        ["0002", 2, 17, 20, 0, 1], ["0003", 2, 21, 21, 0, 0],
    ]  # fmt: skip
    assert is_interrupted(intervals).tolist() == [True, False, False, False, False]
    # The first agent worked for 3 of 3 seconds, the second for 18 of 21.
    assert work_share(intervals) == pytest.approx(21 / 24)
    assert repeated_epochs(intervals) == 0
    # A run that went back to epoch 1 of 3, and was killed at epoch 2: one was trained twice.
    again = intervals[intervals["run"] == "0001"].assign(first_epoch=1, last_epoch=2)
    assert repeated_epochs(pd.concat([intervals, again])) == 1
    # A process that resumes its own checkpoint starts an interval.
    resumed = results.work[results.work["run"] == "0001"].assign(epoch=[0, 1, 1, 2])
    epochs = work_intervals(resumed)[["first_epoch", "last_epoch"]]
    assert epochs.to_numpy().tolist() == [[0, 1], [1, 2]]
    # A user script's agent notes the end of the program, after its last row.
    noted = work_intervals(resumed.assign(epoch=[0, 2, 3, 3]), has_script=True)
    assert (noted[["begin", "end", "last_epoch"]] - [BEGIN, BEGIN, 0]).to_numpy().tolist() == [
        [0, 9, 3]
    ]


def test_long_pauses_are_cut_out_of_the_clock(results: Results) -> None:
    is_late = results.work["run"] > "0001"
    moved = results.work.assign(utc_seconds=results.work["utc_seconds"] + 3600 * is_late)
    intervals, pauses = cut_pauses(work_intervals(moved))
    # At work: 0 to 9, 10 to 16, then 3617 to 3620 and 3621; a second of pause stays as it is.
    left = 0.06 * 18
    assert pauses == [(pytest.approx(16), pytest.approx(16 + left), 3601)]
    assert intervals["begin"].tolist() == pytest.approx([0, 0, 10, 16 + left, 20 + left])
    assert intervals["end"].tolist() == pytest.approx([3, 9, 16, 19 + left, 20 + left])


def test_many_processes_share_the_rows_of_their_host(results: Results) -> None:
    intervals = work_intervals(results.work)
    assert {name for _, _, name in assign_rows(intervals)} == {"here 1", "here 2"}
    numbers = pd.Series(range(MAX_PROCESSES + 1))
    many = pd.DataFrame({"host": "here", "pid": numbers, "begin": 5 * numbers})
    rows = assign_rows(many.assign(end=many["begin"] + 9))
    assert [number for _, number, _ in rows[:4]] == [0, 1, 0, 1]


# Hyperparameters


def test_a_hyperparameter_varies_only_where_its_condition_holds(results: Results) -> None:
    rules = {"conditions": {"momentum": "optimizer == 'sgd'"}}
    made = swept(results, 12, {"momentum": MOMENTUM, "optimizer": OPTIMIZER}, rules=rules)
    momentum = next(
        parameter for parameter in varied_parameters(made) if parameter.name == "momentum"
    )
    is_sgd = (made.runs["optimizer"] == "sgd").to_numpy()
    assert 0 < is_sgd.sum() < 12
    assert np.isfinite(momentum.coordinates).tolist() == is_sgd.tolist()


def test_which_hyperparameters_are_numbers(results: Results) -> None:
    parameters = {
        "batch_size": {"values": [16, 32, 64]}, "learning_rate": RATE, "optimizer": OPTIMIZER,
        "nhead": {"values": [4, 2]}, "d_model": {"value": 8},
    }  # fmt: skip
    every = varied_parameters(swept(results, 12, parameters))
    assert {parameter.name: parameter.is_numeric for parameter in every} == {
        "batch_size": True, "learning_rate": True, "optimizer": False, "nhead": False,
    }  # fmt: skip


def test_choices_that_differ_late_stay_apart(results: Results) -> None:
    values = [1000001, 1000002, 16, 16.0]
    made = swept(results, 12, {"seed": {"values": values}})
    (seed,) = varied_parameters(made)
    assert seed.choices == ("1000001", "1000002", "16")
    chosen = [values[int(index)] for index in seed.coordinates]
    assert chosen == made.runs["seed"].tolist()
    texts = ["0.00123456", "0.3", "sgd", "True"]
    assert value_texts([0.001234561, 0.1 + 0.2, "sgd", True]) == texts


# Importance


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_hyperparameter_that_decides_is_important(results: Results, goal: str) -> None:
    sign = 1 if goal == "maximize" else -1
    made = swept(results, 40, SEARCHED, {0: "failed", 1: "stopped"},
                 value=lambda assigned: sign * decided_by_rate(assigned), goal=goal)  # fmt: skip
    # A later phase's range may be another.
    made.runs.loc[39, "learning_rate"], made.runs.loc[38, "learning_rate"] = 1e-9, 10.0
    repeats = [{"runs": ["0002", "0003"]}]
    importance = measure_importance(replace(made, best_run={**made.best_run, "seeds": repeats}))
    assert isinstance(importance, Importance)
    name, share = next(iter(importance.shares.items()))
    assert (name, share > 0.8) == ("learning_rate", True)
    assert sum(importance.shares.values()) == pytest.approx(1)
    # Failed runs and repeats do not count.
    assert (importance.runs, importance.best) == (40 - 1 - 2, 5)
