"""An agent's deadline, on a clock that the test sets."""

import math

import pytest

from gcodefp.cluster import job as module
from gcodefp.cluster.job import Deadline, OutOfTime
from gcodefp.cluster.slurm import parse_duration
from gcodefp.errors import UserError


class Clock:
    """A clock, and the seconds left that SLURM reports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: float | None) -> None:
        self.now, self.left = 1000.0, left
        self.queries = 0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def query(self) -> float | None:
        self.queries += 1
        return self.left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, left=200.0)


def test_agent_ends_when_less_than_one_and_a_half_epochs_and_the_margin_are_left(
    clock: Clock,
) -> None:
    deadline = Deadline(clock.query, margin_seconds=50)
    deadline.check()
    deadline.start_run()
    clock.now += 60
    deadline.end_epoch()  # 140 s are left, and exactly 1.5 * 60 + 50 may be needed.
    clock.now += 1
    with pytest.raises(OutOfTime, match=r"139 s.*140 s.*50 s of margin"):
        deadline.end_epoch()


def test_slowest_epoch_counts_in_its_run_and_before_the_next(clock: Clock) -> None:
    deadline = Deadline(clock.query, margin_seconds=50)
    for seconds, last in ((60, False), (10, True)):
        clock.now += seconds
        deadline.end_epoch(last=last)
    deadline.start_run()
    clock.now += 10
    deadline.end_epoch()  # Epochs of this run are short.
    with pytest.raises(OutOfTime):
        deadline.check()  # Those of another may not be.


def test_last_epoch_of_a_run_is_never_too_late(clock: Clock) -> None:
    deadline = Deadline(clock.query, margin_seconds=50)
    clock.now += 199
    deadline.end_epoch(last=True)


def test_no_time_limit_is_no_deadline(clock: Clock) -> None:
    clock.left = None
    deadline = Deadline(clock.query, margin_seconds=50)
    clock.now += 1e9
    deadline.end_epoch()
    deadline.check()
    assert deadline.seconds_left() == math.inf


def test_limit_that_leaves_nothing_beside_the_margin_is_an_error(clock: Clock) -> None:
    with pytest.raises(UserError, match=r"200 s.*agents\.margin_seconds keeps 200 s; raise"):
        Deadline(clock.query, margin_seconds=200)


def test_changed_limit_is_seen_and_a_missing_answer_changes_nothing(clock: Clock) -> None:
    clock.left = 2000.0
    deadline = Deadline(clock.query, margin_seconds=50)
    clock.now += 250
    deadline.check()
    assert clock.queries == 1, "SLURM is not queried at every epoch"
    clock.left = None
    clock.now += 100
    deadline.check()
    assert deadline.seconds_left() == 1650
    clock.left = 40.0
    clock.now += 301
    with pytest.raises(OutOfTime):
        deadline.check()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0:09", 9), ("4:00:00", 14400), ("2-01:00:30", 176430), ("UNLIMITED", None), ("", None)],
)
def test_times_of_squeue(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds
