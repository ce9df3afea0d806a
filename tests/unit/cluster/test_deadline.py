import math

import pytest

from gcodefp.cluster import job as module
from gcodefp.cluster.job import Deadline, OutOfTime
from gcodefp.cluster.slurm import seconds_in
from gcodefp.errors import UserError


class Clock:
    """A clock that a test sets, and the seconds that SLURM tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: float | None) -> None:
        self.now, self.left = 1000.0, left
        self.asked = 0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)

    def ask(self) -> float | None:
        self.asked += 1
        return self.left


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch, left=200.0)


def test_a_run_is_left_when_one_and_a_half_epochs_and_the_margin_are_left(clock: Clock) -> None:
    deadline = Deadline(clock.ask, margin_seconds=50)
    deadline.check()
    deadline.start_run()
    clock.now += 60
    deadline.end_epoch()  # 140 s are left, and exactly 1.5 * 60 + 50 may be needed.
    clock.now += 1
    with pytest.raises(OutOfTime, match=r"139 s.*140 s.*50 s of margin"):
        deadline.end_epoch()


def test_the_slowest_epoch_counts_in_its_run_and_before_the_next(clock: Clock) -> None:
    deadline = Deadline(clock.ask, margin_seconds=50)
    deadline.start_run()
    clock.now += 60
    deadline.end_epoch()
    clock.now += 10
    deadline.end_epoch(last=True)
    deadline.start_run()
    clock.now += 10
    deadline.end_epoch()  # Epochs of this run are short.
    with pytest.raises(OutOfTime):
        deadline.check()  # Those of another may not be.


def test_the_last_epoch_of_a_run_is_never_too_late(clock: Clock) -> None:
    deadline = Deadline(clock.ask, margin_seconds=50)
    deadline.start_run()
    clock.now += 199
    deadline.end_epoch(last=True)


def test_no_time_limit_is_no_deadline(clock: Clock) -> None:
    clock.left = None
    deadline = Deadline(clock.ask, margin_seconds=50)
    clock.now += 1e9
    deadline.end_epoch()
    deadline.check()
    assert deadline.seconds_left() == math.inf


def test_a_limit_that_leaves_nothing_beside_the_margin_is_told(clock: Clock) -> None:
    with pytest.raises(UserError, match=r"200 s.*agents\.margin_seconds keeps 200 s; raise"):
        Deadline(clock.ask, margin_seconds=200)


def test_a_changed_limit_is_seen_and_silence_changes_nothing(clock: Clock) -> None:
    clock.left = 2000.0
    deadline = Deadline(clock.ask, margin_seconds=50)
    clock.now += 250
    deadline.check()
    assert clock.asked == 1, "SLURM is not asked at every epoch"
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
    [
        ("0:09", 9),
        ("29:59", 1799),
        ("4:00:00", 14400),
        ("2-01:00:30", 176430),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_times_of_squeue(text: str, seconds: float | None) -> None:
    assert seconds_in(text) == seconds
