"""The work on a sweep's runs, its hyperparameters and their importance, on made tables."""

from dataclasses import replace

import numpy as np
import pytest
from result_files import results_of, spoilt, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, RATE, SEARCHED, decided_by_rate, swept

from gcodefp.reporting.figures.hyperparameters import Importance, measure_importance
from gcodefp.reporting.figures.timeline import (
    MAX_PROCESSES,
    TimeAxis,
    assign_rows,
    is_interrupted,
    work_share,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import repeated_epochs, varied_parameters, work_intervals
from gcodefp.reporting.wording import value_texts

BEGIN = 1.8e9


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four runs, one of them killed and taken over."""
    return results_of(write_results(tmp_path_factory.mktemp("made"), spoilt(0.3), true_blocks()))


# Work


def test_work_intervals_are_those_of_each_process_on_a_run(results: Results) -> None:
    intervals = work_intervals(results.work)
    assert [(i.run, i.pid, i.begin - BEGIN, i.end - BEGIN, i.first_epoch, i.last_epoch)
            for i in intervals] == [
        ("0000", 1, 0, 3, 0, 1), ("0001", 2, 0, 9, 0, 3), ("0000", 2, 10, 16, 1, 3),
        ("0002", 2, 17, 20, 0, 1), ("0003", 2, 21, 21, 0, 0),
    ]  # fmt: skip
    assert is_interrupted(intervals) == [True, False, False, False, False]
    # The first agent worked for 3 of 3 seconds, the second for 18 of 21.
    assert work_share(intervals) == pytest.approx(21 / 24)
    assert repeated_epochs(intervals) == 0
    restarted = intervals[2]._replace(first_epoch=0)
    assert repeated_epochs([*intervals[:2], restarted, *intervals[3:]]) == 1
    # A process that resumes its own checkpoint starts an interval.
    resumed = results.work[results.work["run"] == "0001"].assign(epoch=[0, 1, 1, 2])
    epochs = [(i.first_epoch, i.last_epoch) for i in work_intervals(resumed)]
    assert epochs == [(0, 1), (1, 2)]
    # A user script's agent notes the end of the program, after its last row.
    noted = resumed.assign(epoch=[0, 2, 3, 3])
    [interval] = work_intervals(noted, has_script=True)
    times = noted["utc_seconds"].tolist()
    assert (interval.begin, interval.end, interval.last_epoch) == (times[0], times[-1], 3)


def test_long_pauses_are_cut_out_of_the_clock(results: Results) -> None:
    is_late = results.work["run"] > "0001"
    moved = results.work.assign(utc_seconds=results.work["utc_seconds"] + 3600 * is_late)
    time_axis = TimeAxis(work_intervals(moved))
    # At work: 0 to 9, 10 to 16, then 3617 to 3620 and 3621; a second of pause stays as it is.
    assert [pause.seconds for pause in time_axis.pauses] == [3601]
    left = 0.06 * 18
    assert time_axis.seconds(BEGIN + np.array([9, 10, 16, 3617, 3621])) == pytest.approx(
        [9, 10, 16, 16 + left, 20 + left]
    )
    assert time_axis.length_without_pauses == pytest.approx(20)


def test_many_processes_share_the_rows_of_their_host(results: Results) -> None:
    intervals = work_intervals(results.work)
    assert {name for _, _, name in assign_rows(intervals).values()} == {"here 1", "here 2"}
    many = [
        intervals[1]._replace(run=f"{n:04d}", pid=n, begin=BEGIN + 5 * n, end=BEGIN + 5 * n + 9)
        for n in range(MAX_PROCESSES + 1)
    ]
    rows = assign_rows(many)
    assert [rows[interval][1] for interval in many[:4]] == [0, 1, 0, 1]


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
