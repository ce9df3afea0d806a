"""What a sweep cost, of files that are written by hand."""

from dataclasses import replace

import pandas as pd
import pytest
from result_files import results_of, true_blocks, write_results

from gcodefp.reporting.page_tables import Part, Process, cost_tables, duration, spending
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import repeated_epochs, work_intervals


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    return results_of(write_results(folder, true_blocks(), true_blocks()))


def test_runs_are_added_up(results: Results) -> None:
    spent = spending(results)
    assert spent.total == Part("all", 4, 7, 21.5)
    assert spent.states == [
        Part("finished", 2, 6, 18.5),
        Part("stopped", 1, 1, 3.0),
        Part("failed", 1, 0, 0.0),
    ]
    assert spent.devices == [Part("cpu", 3, 7, 21.5), Part("not told", 1, 0, 0.0)]
    assert spent.repeats is None


def test_processes_are_at_work_from_their_first_to_their_last_line(results: Results) -> None:
    spent = spending(results)
    # The first one is killed in run 0000, which the second one ends after its own.
    assert spent.processes == [
        Process("here", 1, 1, 1, 3.0, 3.0),
        Process("here", 2, 4, 6, 21.0, 3 * 3.0 + 2 * 3.0 + 3.0),
    ]
    assert spent.span_seconds == 21.0
    assert spent.trained_twice == 0


def test_an_epoch_that_was_lost_is_counted_twice(results: Results) -> None:
    work = results.work.copy()
    # As if the end of the first epoch of run 0000 had not reached the disk.
    work.loc[(work["run"] == "0000") & (work["pid"] == 2), "epoch"] -= 1
    assert spending(replace(results, work=work)).trained_twice == 1


def test_two_processes_at_the_same_run_train_all_of_it_twice(results: Results) -> None:
    lines = [
        ("0000", second, "here", pid, epoch)
        for second, pid, epoch in [(0, 1, 0), (1, 2, 0), (2, 1, 1), (3, 2, 1), (5, 1, 2), (9, 2, 2)]
    ]
    work = pd.DataFrame(lines, columns=["run", "utc_seconds", "host", "pid", "epoch"])
    spent = spending(replace(results, work=work))
    assert spent.trained_twice == repeated_epochs(work_intervals(work)) == 2
    assert spent.processes == [Process("here", 1, 1, 2, 5, 5), Process("here", 2, 1, 2, 8, 8)]


def test_a_process_that_comes_back_to_a_run_did_not_train_what_others_did(results: Results) -> None:
    lines = [
        ("0000", second, "here", pid, epoch)
        for second, pid, epoch in [(0, 1, 0), (1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 3), (9, 1, 3)]
    ]
    work = pd.DataFrame(lines, columns=["run", "utc_seconds", "host", "pid", "epoch"])
    spent = spending(replace(results, work=work))
    assert [(of.pid, of.epochs, of.trained_seconds) for of in spent.processes] == [
        (1, 1, 1),
        (2, 2, 2),
    ]
    assert spent.trained_twice == 0


def test_repeats_are_told_apart(results: Results) -> None:
    winner = {**results.winner, "seeds": [{"runs": ["0000", "0002"]}]}
    assert spending(replace(results, winner=winner)).repeats == Part("repeats", 2, 4, 12.0)


def test_runs_that_were_trained_elsewhere_have_no_processes(results: Results) -> None:
    tables = cost_tables(replace(results, work=results.work.iloc[:0]))
    assert tables["processes"]["rows"] == []
    assert tables["total"] == (
        "4 runs, 7 epochs, 21.5 s of training. Who trained them and when is not in the files."
    )
    told = cost_tables(results)
    assert told["total"].endswith(", by 2 processes within 21.0 s.")
    assert told["processes"]["rows"][1] == ["here", "2", "4", "6", "21.0 s", "86 %", "86 %"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(9.46, "9.5 s"), (59.96, "1 min 00 s"), (723.4, "12 min 03 s"), (3599.7, "1 h 00 min"),
     (25500, "7 h 05 min")],
)  # fmt: skip
def test_durations_are_for_readers(seconds: float, text: str) -> None:
    assert duration(seconds) == text
