import pytest

from gcodefp.sweeps.observer import Begun, estimate_seconds_left, finish_seconds


@pytest.mark.parametrize(
    ("running", "queue", "expected"),
    [
        ([], [], 0),
        ([], [5], None),
        ([7, 3], [], 7),
        ([10], [5, 5], 20),
        # Free at 4 and 10: the first run ends at 9, the second at 14, the third begins at 10.
        ([10, 4], [5, 5, 5], 15),
        # A whole round more for one run more than agents.
        ([0, 0], [6, 6, 6], 12),
        ([0, 0], [6, 6, 6, 6], 12),
        # A long run holds all up, if it is taken last.
        ([0, 0], [1, 1, 1, 9], 10),
    ],
)
def test_each_agent_takes_the_next_run_when_it_is_free(
    running: list[float], queue: list[float], expected: float | None
) -> None:
    assert finish_seconds(running, queue) == expected


def test_what_running_and_waiting_runs_did_counts() -> None:
    # A run takes 110 s; one agent has 15 epochs of 10 s left, the other has just begun.
    running = [Begun(5, 20, 50.0), Begun(0, 20, 0.0)]
    # 150 and 110 s; the waiting run ends at 190, the new ones at 150 + 110 and 190 + 110.
    waiting = [Begun(10, 20, 80.0)]
    assert estimate_seconds_left([100.0, 120.0], running, waiting, 2) == 300
    assert estimate_seconds_left([100.0, 120.0], running, [], 0) == 150


def test_the_first_runs_are_told_at_their_own_pace() -> None:
    # 2 s and 4 s an epoch: 20 s and 40 s a run, so 30 s for each that comes.
    running = [Begun(2, 10, 4.0), Begun(5, 10, 20.0)]
    # 16 and 20 s left, then the two others.
    assert estimate_seconds_left([], running, [], 2) == 50


def test_nothing_is_told_before_the_first_epoch_nor_when_nobody_works() -> None:
    assert estimate_seconds_left([], [Begun(0, 20, 0.0)], [], 3) is None
    assert estimate_seconds_left([60.0], [], [Begun(1, 20, 3.0)], 0) is None
    assert estimate_seconds_left([60.0], [], [], 1) is None


def test_a_sweep_that_is_over_takes_no_more_time() -> None:
    assert estimate_seconds_left([60.0], [], [], 0) == 0
    assert estimate_seconds_left([], [], [], 0) == 0


def test_a_run_beyond_its_last_epoch_is_about_to_end() -> None:
    assert estimate_seconds_left([], [Begun(12, 10, 24.0)], [], 0) == 0
