"""Who worked on a sweep and what varied in it, on made tables."""

import numpy as np
import pytest
from result_files import results_of, spoilt, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, RATE, swept

from gcodefp.reporting.figures.progress import MOST_PROCESSES, process_rows
from gcodefp.reporting.figures.run_style import scale_ticks
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import (
    Clock,
    cut_off,
    epochs_twice,
    share_at_work,
    varied,
    work_pieces,
)
from gcodefp.reporting.wording import value_texts

BEGIN = 1.8e9


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four runs, one of them killed and taken over."""
    return results_of(write_results(tmp_path_factory.mktemp("made"), spoilt(0.3), true_blocks()))


# Who worked when


def test_work_is_cut_into_pieces(results: Results) -> None:
    pieces = work_pieces(results.work)
    assert [(p.run, p.pid, p.begin - BEGIN, p.end - BEGIN, p.begun, p.reached) for p in pieces] == [
        ("0000", 1, 0, 3, 0, 1), ("0001", 2, 0, 9, 0, 3), ("0000", 2, 10, 16, 1, 3),
        ("0002", 2, 17, 20, 0, 1), ("0003", 2, 21, 21, 0, 0),
    ]  # fmt: skip
    assert cut_off(pieces) == [True, False, False, False, False]
    # The first agent worked for 3 of 3 seconds, the second for 18 of 21.
    assert share_at_work(pieces) == pytest.approx(21 / 24)
    assert epochs_twice(pieces) == 0
    assert epochs_twice([*pieces[:2], pieces[2]._replace(begun=0), *pieces[3:]]) == 1


def test_a_process_that_goes_on_from_its_own_checkpoint_begins_a_piece(results: Results) -> None:
    again = results.work[results.work["run"] == "0001"].assign(epoch=[0, 1, 1, 2])
    assert [(p.begun, p.reached) for p in work_pieces(again)] == [(0, 1), (1, 2)]


def test_long_pauses_are_cut_out_of_the_clock(results: Results) -> None:
    late = results.work["run"] > "0001"
    moved = results.work.assign(utc_seconds=results.work["utc_seconds"] + 3600 * late)
    clock = Clock(work_pieces(moved))
    # At work: 0 to 9, 10 to 16, then 3617 to 3620 and 3621; a second of pause stays as it is.
    assert [cut.seconds for cut in clock.cuts] == [3601]
    left = 0.06 * 18
    assert clock.seconds(BEGIN + np.array([9, 10, 16, 3617, 3621])) == pytest.approx(
        [9, 10, 16, 16 + left, 20 + left]
    )
    assert clock.seconds_but_cuts == pytest.approx(20)


def test_many_processes_share_the_rows_of_their_host(results: Results) -> None:
    pieces = work_pieces(results.work)
    assert {row[2] for row in process_rows(pieces).values()} == {"here 1", "here 2"}
    many = [pieces[1]._replace(run=f"{n:04d}", pid=n, begin=BEGIN + 5 * n, end=BEGIN + 5 * n + 9)
            for n in range(MOST_PROCESSES + 1)]  # fmt: skip
    rows = process_rows(many)
    assert [rows[piece][1] for piece in many[:4]] == [0, 1, 0, 1]


# Hyperparameters


def test_what_a_condition_leaves_out_of_a_run_is_not_shown(results: Results) -> None:
    rules = {"conditions": {"momentum": "optimizer == 'sgd'"}}
    made = swept(results, 12, {"momentum": MOMENTUM, "optimizer": OPTIMIZER}, rules=rules)
    momentum = next(one for one in varied(made) if one.name == "momentum")
    is_sgd = (made.runs["optimizer"] == "sgd").to_numpy()
    assert 0 < is_sgd.sum() < 12
    assert np.isfinite(momentum.places).tolist() == is_sgd.tolist()


def test_which_hyperparameters_are_numbers(results: Results) -> None:
    parameters = {
        "batch_size": {"values": [16, 32, 64]}, "learning_rate": RATE, "optimizer": OPTIMIZER,
        "nhead": {"values": [4, 2]}, "d_model": {"value": 8},
    }  # fmt: skip
    found = {one.name: one.is_numeric for one in varied(swept(results, 12, parameters))}
    assert found == {"batch_size": True, "learning_rate": True, "optimizer": False, "nhead": False}


def test_choices_that_differ_late_stay_apart(results: Results) -> None:
    values = [1000001, 1000002, 16, 16.0]
    made = swept(results, 12, {"seed": {"values": values}})
    assert set(made.runs["seed"]) == {1000001, 1000002, 16}
    seed = varied(made)[0]
    assert seed.choices == ("1000001", "1000002", "16")
    assert [values[int(place)] for place in seed.places] == made.runs["seed"].tolist()
    assert value_texts([0.001234561, 0.1 + 0.2, "sgd", True]) == [
        "0.00123456",
        "0.3",
        "sgd",
        "True",
    ]


def test_a_number_that_is_not_finite_is_missing(results: Results) -> None:
    made = swept(results, 12, {"grad_clip": RATE})
    made.runs.loc[3, "grad_clip"] = np.inf
    clip = varied(made)[0]
    assert np.flatnonzero(np.isnan(clip.places)).tolist() == [3]
    assert clip.is_log


def test_ticks_are_few_and_round() -> None:
    assert scale_ticks((2e-5, 3e-2), is_log=True) == [1e-4, 1e-3, 1e-2]
    assert scale_ticks((5e-4, 1.5e-2), is_log=True) == pytest.approx([1e-3, 3e-3, 1e-2])
    assert scale_ticks((2e-3, 3.8e-3), is_log=True) == [2e-3, 3e-3]
    assert scale_ticks((-0.01, 0.41), is_log=False) == pytest.approx([0, 0.2, 0.4])
