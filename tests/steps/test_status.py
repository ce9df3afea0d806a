"""The command `python -m gcodefp.status`, and the reader of run folders behind it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from remote_lease import write_remote_lease
from sweep_documents import RATE, specification
from tiny_sweep import TinySweep
from trivial_runs import METRIC
from watched_sweep import begin, created, flags, reader, shown, sweep_status, work

from gcodefp import status
from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps.lease import LeaseState
from gcodefp.sweeps.sweep_status import RunStatus, SweepStatus, sweep_seconds

HELD, UNKNOWN = LeaseState.HELD, LeaseState.UNKNOWN
AGENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from trivial_runs import objective
from gcodefp.sweeps.local_engine import LocalEngine
from gcodefp.sweeps.sweep_file import read_sweep

def waiting(run):
    content = objective(run)
    print(run.folder.path.name, flush=True)
    sys.stdin.readline()
    return content

sweep = read_sweep(Path(sys.argv[1]))
folder = Path(sys.argv[2], sweep.sweep_id)
LocalEngine(sweep.specification, sweep.seed, sweep.total, folder).work(waiting, lambda: None)
"""
"""Trains each run, prints its name, and ends it when a line comes."""


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    """A random search for four runs, not started."""
    return created(TinySweep(dataset, tmp_path))


@pytest.fixture
def agent(sweep: TinySweep) -> Iterator[subprocess.Popen[str]]:
    """An agent that has trained run 0 and holds it."""
    support = Path(__file__).parents[1] / "support"
    paths = [sweep.folder / "sweep.json", sweep.folder / "runs", support]
    process = subprocess.Popen(
        [sys.executable, "-c", AGENT, *map(str, paths)], stdin=-1, stdout=-1, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "0000\n"
    yield process
    process.kill()
    process.communicate()


# What is shown


def test_agent_at_work_and_killed(
    sweep: TinySweep, agent: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    seen = sweep_status(sweep)
    (run,) = seen.runs
    assert (run.state, run.epochs, run.max_epochs) == ("running", 4, 4)
    assert (run.values[-1], run.best, run.seconds) == (0.02, 0.04, 10.0)
    assert run.agent is not None
    assert (run.agent.host, run.agent.pid) == (socket.gethostname(), agent.pid)
    assert run.agent.lease is HELD
    assert 0 <= run.agent.age_seconds < 30
    assert (seen.ended_count, seen.to_start, seen.has_ended) == (0, 3, False)
    assert seen.seconds_left() == 30, "no epoch of this run, three runs of 10 s"
    text = shown(sweep, capsys)
    for part in ("running", f"{socket.gethostname()}:{agent.pid}", "about 30 s (1 agent at work)"):
        assert part in text
    agent.kill()
    agent.wait()
    (run,) = sweep_status(sweep).runs
    assert (run.state, run.agent and run.agent.lease) == ("interrupted", LeaseState.FREE)
    text = shown(sweep, capsys)
    for part in ("interrupted", "gone", "no agent is at work", "0 of 4 runs are over"):
        assert part in text


def test_finished_sweep_fits_into_80_columns(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work(sweep)
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(sweep, capsys)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert text.isascii()
    for part in (
        f"random, maximize {METRIC}",
        "4 of 4 runs are over: 3 finished, 0 stopped, 1 failed",
        "best so far: 0.2400 (run 0002, finished)",
        "the sweep is over",
        "failed (diverged)",
    ):
        assert part in text
    cells = [line.split() for line in lines if line[:4].isdigit()]
    assert [row[0] for row in cells] == ["0002", "0001", "0000", "0003"]
    assert cells[0][1:7] == ["finished", "4/4", "0.2200", "0.2400*", "12", "s"]
    rate = sweep_status(sweep).runs[2].hyperparameters["learning_rate"]
    assert float(cells[0][7]) == pytest.approx(rate, 0.1)


def test_best_and_newest_failed_of_many_runs_are_shown(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = created(TinySweep(dataset, tmp_path), run_cap=32)
    work(sweep)
    begin(sweep, 5)
    (sweep.run(5).path / "run.json").unlink()
    text = shown(sweep, capsys)
    shown_runs = [int(line[:4]) for line in text.splitlines() if line[:4].isdigit()]
    best = [30, 29, 28, 26, 25, 24, 22, 21, 20, 18]
    assert shown_runs == [5, *best, 31, 27, 23, 19, 15]
    assert "16 more runs are not shown" in text


def test_nested_hyperparameters_are_shown_by_their_paths(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = {"weight_decay": {"values": [8, 16]}, "momentum": {"value": 0.5}}
    nested = {"training": {"parameters": inner}, "learning_rate": RATE}
    sweep = created(TinySweep(dataset, tmp_path), parameters=nested)
    values = {"training": {"weight_decay": 16, "momentum": 0.5}, "learning_rate": 0.012345}
    sweep.run(0).assign(values, {})
    assert sweep_status(sweep).varying == ("learning_rate", "training/weight_decay")
    row = next(line for line in shown(sweep, capsys).splitlines() if line.startswith("0000"))
    assert row.split()[-2:] == ["0.0123", "16"]


def test_exhausted_space_ends_the_sweep(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"num_layers": {"values": [1, 2]}, "learning_rate": {"value": 0.01}}
    sweep = created(TinySweep(dataset, tmp_path), run_cap=9, parameters=few)
    work(sweep)
    seen = sweep_status(sweep)
    assert (seen.ended_count, seen.to_start, seen.has_ended) == (2, 0, True)
    text = shown(sweep, capsys)
    assert "2 of 9 runs are over" in text
    assert "no further run starts: every configuration of the space has been tried" in text


@pytest.mark.parametrize(
    ("name", "text", "over", "reason"),
    [
        ("run.json", '{"format": "gcodefp-run-1", "sta', True, "not JSON"),
        ("run.json", None, True, "Is a directory"),
        ("metrics.csv", f"epoch,{METRIC}\n1,high\n", False, "string to float: 'high'"),
        ("metrics.csv", "epoch,loss\n1,2\n", False, f"has no column {METRIC}"),
        ("lease.7", None, False, "Is a directory"),
    ],
)
def test_unreadable_run_is_named_and_the_others_are_shown(
    sweep: TinySweep,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str | None,
    over: bool,
    reason: str,
) -> None:
    work(sweep)
    path = begin(sweep, 1).path / name
    (path.parent / "run.json").unlink()
    path.unlink(missing_ok=True)
    if text is None:
        path.mkdir()
    else:
        path.write_text(text, encoding="utf-8")
    seen = sweep_status(sweep)
    assert [run.state for run in seen.runs] == ["finished", "unreadable", "finished", "failed"]
    assert (seen.runs[1].has_ended, seen.has_ended) == (over, over)
    assert reason in (seen.runs[1].reason or "")
    output = shown(sweep, capsys)
    assert "run 0001 cannot be read: " in output
    assert "0.2400*" in output


# The reader


def test_best_so_far_may_still_run(sweep: TinySweep) -> None:
    work(sweep)
    unfinished = sweep.run(1)
    (unfinished.path / "run.json").unlink()
    append_metrics(unfinished.path / "metrics.csv", {"epoch": 5, METRIC: 0.9, "seconds": 15.0})
    ranking = sweep_status(sweep).ranked()
    assert [run.number for run in ranking] == [1, 2, 0]
    assert ranking[0].best == 0.9


@pytest.mark.parametrize(("address", "seen"), [(None, 2), ("me/mill/abcd1234", 4)])
def test_only_a_sweep_of_the_service_has_runs_beyond_its_run_cap(
    sweep: TinySweep, address: str | None, seen: int
) -> None:
    work(sweep)
    path = sweep.folder / "sweep.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "runs": 2, "wandb": address}), encoding="utf-8")
    view = sweep_status(sweep)
    assert (len(view.runs), view.total, view.to_start) == (seen, seen, 0)


def test_changed_folder_is_read_again(sweep: TinySweep) -> None:
    work(sweep)
    path, watching = sweep.run(0).path / "run.json", reader(sweep)
    assert watching.read().runs[0].state == "finished"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    assert watching.read().runs[0].state == "interrupted"
    path.write_text("{", encoding="utf-8")
    assert watching.read().runs[0].state == "unreadable"
    path.write_text(text.replace("finished", "stopped"), encoding="utf-8")
    assert watching.read().runs[0].state == "stopped"


def test_remote_agent_is_seen_by_its_heartbeats(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    lease = write_remote_lease(begin(sweep, 0).path, host="far[red]away")
    watching = reader(sweep)

    def seen(age_seconds: float) -> tuple[str, LeaseState]:
        os.utime(lease, (time.time() - age_seconds,) * 2)
        (run,) = watching.read().runs
        assert run.agent is not None
        assert run.agent.age_seconds == pytest.approx(age_seconds, abs=5)
        return run.state, run.agent.lease

    assert seen(3600) == ("interrupted", UNKNOWN)
    assert seen(3595) == ("running", HELD)
    watching = reader(sweep)
    assert seen(10) == ("running", UNKNOWN)
    assert seen(-30) == ("running", HELD)
    assert seen(-3600) == ("running", HELD)
    text = shown(sweep, capsys)
    for part in ("clock differs", "far[red]away:1", "not known yet"):
        assert part in text
    lease.with_name("lease.2").touch()
    (run,) = sweep_status(sweep).runs
    assert (run.state, run.agent) == ("interrupted", None), "an empty lease has no holder"


def test_folders_may_come_and_go_while_they_are_read(sweep: TinySweep) -> None:
    is_done = threading.Event()

    def churn() -> None:
        while not is_done.is_set():
            work(sweep)
            for number in range(4):
                shutil.rmtree(sweep.run(number).path.parent, ignore_errors=True)

    thread = threading.Thread(target=churn)
    thread.start()
    watching, seen = reader(sweep), set[str]()
    deadline = time.monotonic() + 3
    try:
        while time.monotonic() < deadline:
            seen |= {run.state for run in watching.read().runs}
    finally:
        is_done.set()
        thread.join()
    assert {"running", "finished"} <= seen


# The command


def test_status_writes_nothing_and_takes_no_lease(
    sweep: TinySweep, agent: subprocess.Popen[str]
) -> None:
    def tree() -> dict[Path, tuple[int, bytes]]:
        paths = [path for path in sweep.folder.rglob("*") if not path.name.startswith("lease.")]
        return {p: (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in paths}

    before = tree()
    assert status.main(flags(sweep)) == 0
    assert tree() == before
    assert [path.name for path in sweep.run(0).path.glob("lease.*")] == ["lease.1"]


def test_watching_ends_with_the_sweep(
    sweep: TinySweep, agent: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent.stdin is not None
    agent.stdin.write("\n" * 4)
    threading.Timer(0.5, agent.stdin.flush).start()
    text = shown(sweep, capsys, "--watch", "--every", "1")
    assert "4 of 4 runs are over" in text
    assert "the sweep is over" in text
    assert agent.wait(10) == 0


# The time that a sweep still takes


def timed(state: str, epochs: int, seconds: float | None, max_epochs: int = 20) -> RunStatus:
    over = state in ("finished", "failed")
    return RunStatus(0, state, over, None, max_epochs, (0.5,) * epochs, None, seconds)


@pytest.mark.parametrize(
    ("runs", "agents", "seconds"), [([], 2, 0), ([7], 3, 7), ([5, 5, 2], 2, 6), ([9, 1], 2, 9)]
)
def test_agents_share_the_runs_but_not_one_run(
    runs: Sequence[float], agents: int, seconds: float
) -> None:
    assert sweep_seconds(runs, agents) == seconds


ENDED = [timed("finished", 20, 100.0), timed("finished", 20, 120.0), timed("failed", 1, 5.0)]
RUNNING = [timed("running", 5, 50.0), timed("running", 0, None)]


@pytest.mark.parametrize(
    ("runs", "to_start", "seconds"),
    [
        # A new run takes 110 s; one agent has 15 epochs of 10 s left, the other has just started.
        ([*ENDED, *RUNNING], 0, 150),
        ([*ENDED, *RUNNING, timed("interrupted", 10, 80.0)], 2, (150 + 110 + 80 + 220) / 2),
        # 20 and 40 s a run, of which 16 and 20 s are left; two more take 30 s each.
        ([timed("running", 2, 4.0, 10), timed("running", 5, 20.0, 10)], 2, (16 + 20 + 2 * 30) / 2),
        # Without an epoch or an agent it is not known.
        ([timed("running", 0, None)], 3, None),
        ([timed("finished", 20, 60.0), timed("interrupted", 1, 3.0)], 0, None),
        # Nothing is left; a run beyond its last epoch is about to end.
        ([timed("finished", 20, 60.0)], 0, 0),
        ([], 0, 0),
        ([timed("running", 12, 24.0, 10)], 0, 0),
    ],
)
def test_time_left(runs: Sequence[RunStatus], to_start: int, seconds: float | None) -> None:
    objective = specification().objective
    seen = SweepStatus("id", "random", objective, len(runs), (*runs,), to_start, None, ())
    assert seen.seconds_left() == seconds
