"""Deadlines, and requeueing with fake SLURM commands; test_slurm uses a real SLURM."""

import logging
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_commands import Commands

from gcodefp.cluster import job, slurm
from gcodefp.cluster.job import Deadline, OutOfTime
from gcodefp.cluster.slurm import requeue_preempted
from gcodefp.errors import UserError

NOW = 1000.0
REFUSES = "echo 'Requested operation is presently disabled' >&2; exit 1"
SILENT = {"fails": REFUSES, "is missing": None, "hangs": "exec /bin/sleep 60"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """In SLURM job 17, without an end in the environment."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    monkeypatch.setattr(slurm, "time", SimpleNamespace(time=lambda: NOW))
    monkeypatch.setattr(slurm, "COMMAND_TIMEOUT_SECONDS", 1.0)
    return Commands(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        *(("1:30:00", 5400), ("10:00\\n20:00\\n20:00", 600), ("0:09", 9)),
        *(("2-01:00:30", 176430), ("UNLIMITED", None), ("", None)),
    ],
)
def test_squeue_has_the_time_left(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, answer: str, seconds: float | None
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1060")
    commands.add("squeue", f"printf '{answer}\\n'")
    assert slurm.seconds_left() == seconds
    assert commands.calls() == ["squeue --noheader --jobs 17 --format %L"]


def test_outside_of_jobs_slurm_is_not_queried(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID")
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1060")
    commands.add("squeue", "echo 10:00")
    assert slurm.seconds_left() is None
    assert commands.calls() == []


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize(("end", "seconds"), [("1060", 60), ("soon", None), (None, None)])
def test_without_an_answer_the_environment_has_the_end(
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    silent: str,
    end: str | None,
    seconds: float | None,
) -> None:
    if script := SILENT[silent]:
        commands.add("squeue", script)
    if end is not None:
        monkeypatch.setenv("SLURM_JOB_END_TIME", end)
    assert slurm.seconds_left() == seconds
    (message,) = caplog.messages
    assert message.startswith("squeue")


def test_without_any_answer_the_profile_has_the_time_limit(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "_started", NOW)
    monkeypatch.setattr(job.time, "monotonic", lambda: NOW + 100)
    assert job.open_deadline(10, margin_seconds=50).seconds_left() == 500
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1060")
    assert job.open_deadline(10, margin_seconds=50).seconds_left() == 60
    commands.add("squeue", "echo 20:00")
    assert job.open_deadline(10, margin_seconds=50).seconds_left() == 1200


@pytest.mark.parametrize(
    ("own_job", "script", "calls"),
    [
        (True, "exit 0", ["scontrol requeue 17"]),
        (True, REFUSES, ["scontrol requeue 17"]),
        (False, "exit 0", []),
    ],
)
def test_agent_out_of_time_requeues_its_own_job_or_fails(
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    own_job: bool,
    script: str,
    calls: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    waits: list[float] = []
    monkeypatch.setattr(job, "time", SimpleNamespace(sleep=waits.append))
    commands.add("scontrol", script)
    with pytest.raises(UserError, match=r"9 s left; runs are left.*started again resumes"):
        job.end_early(OutOfTime("9 s left"), own_job)
    assert commands.calls() == calls
    is_requeued = own_job and script != REFUSES
    # SLURM kills the agent while it waits; an exit code would end the job for good.
    assert waits == ([job.REQUEUE_KILL_WAIT_SECONDS] if is_requeued else [])
    assert ("SLURM job 17 is requeued" in caplog.text) is is_requeued
    assert ("presently disabled" in caplog.text) is (script == REFUSES)


def test_only_preempted_jobs_of_this_workflow_are_requeued(
    commands: Commands, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "a|b"
    lines = [
        f"1|rule_agent_wildcards_1|{folder}",
        f"2|rule_agent_wildcards_2|{folder}/elsewhere",
        f"3|(null)|{folder}",
        f"4|my rule_agent|{folder}",
        f"5|rule_evaluate|{folder}",
    ]
    commands.add("squeue", "\n".join(f"echo '{line}'" for line in lines))
    # The first one is over.
    commands.add("scontrol", f'[ "$2" != 1 ] || {{ {REFUSES}; }}')
    requeue_preempted(folder)
    query = "squeue --me --noheader --states=PREEMPTED --format %i|%k|%Z"
    assert commands.calls() == [query, "scontrol requeue 1", "scontrol requeue 5"]
    refused, message = caplog.messages
    assert refused == "scontrol requeue 1: Requested operation is presently disabled"
    assert message == "SLURM job 5 was preempted, and is requeued"


@pytest.mark.parametrize("script", SILENT.values(), ids=SILENT)
def test_without_an_answer_no_job_is_requeued(
    commands: Commands, tmp_path: Path, script: str | None
) -> None:
    if script:
        commands.add("squeue", script)
    commands.add("scontrol", "exit 0")
    requeue_preempted(tmp_path)
    assert not any(line.startswith("scontrol") for line in commands.calls())


# The deadline, on a clock that the test sets


class Clock:
    """A clock, and the seconds left that SLURM reports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: float | None) -> None:
        self.now, self.left = 1000.0, left
        self.queries = 0
        monkeypatch.setattr(job.time, "monotonic", lambda: self.now)

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
