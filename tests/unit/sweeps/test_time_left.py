"""The time that a sweep still takes."""

from collections.abc import Sequence

import pytest
from sweep_documents import specification

from gcodefp.sweeps.sweep_status import RunStatus, SweepStatus, sweep_seconds


def overview(runs: Sequence[RunStatus], to_start: int = 0) -> SweepStatus:
    objective = specification().objective
    return SweepStatus("id", "random", objective, len(runs), tuple(runs), to_start, None, ())


def run(state: str, epochs: int, seconds: float | None, max_epochs: int = 20) -> RunStatus:
    over = state in ("finished", "failed")
    return RunStatus(0, state, over, None, max_epochs, (0.5,) * epochs, None, seconds)


@pytest.mark.parametrize(
    ("runs", "agents", "seconds"), [([], 2, 0), ([7], 3, 7), ([5, 5, 2], 2, 6), ([9, 1], 2, 9)]
)
def test_agents_share_the_runs_but_not_one_run(
    runs: Sequence[float], agents: int, seconds: float
) -> None:
    assert sweep_seconds(runs, agents) == seconds


def test_unfinished_runs_continue_at_their_own_pace() -> None:
    # A new run takes 110 s; one agent has 15 epochs of 10 s left, the other has just started.
    ended = [run("finished", 20, 100.0), run("finished", 20, 120.0), run("failed", 1, 5.0)]
    running = [run("running", 5, 50.0), run("running", 0, None)]
    assert overview([*ended, *running]).seconds_left() == 150
    waiting = [run("interrupted", 10, 80.0)]
    assert overview([*ended, *running, *waiting], 2).seconds_left() == (150 + 110 + 80 + 220) / 2


def test_without_an_ended_run_those_started_set_the_pace() -> None:
    # 20 and 40 s a run, of which 16 and 20 s are left; two more take 30 s each.
    running = [run("running", 2, 4.0, 10), run("running", 5, 20.0, 10)]
    assert overview(running, 2).seconds_left() == (16 + 20 + 2 * 30) / 2


def test_time_left_is_unknown_without_an_epoch_or_an_agent() -> None:
    assert overview([run("running", 0, None)], 3).seconds_left() is None
    assert overview([run("finished", 20, 60.0), run("interrupted", 1, 3.0)]).seconds_left() is None


def test_nothing_is_left_of_a_sweep_that_is_over() -> None:
    assert overview([run("finished", 20, 60.0)]).seconds_left() == 0
    assert overview([]).seconds_left() == 0
    # A run beyond its last epoch is about to end.
    assert overview([run("running", 12, 24.0, 10)]).seconds_left() == 0
