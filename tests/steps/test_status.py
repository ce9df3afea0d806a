"""What `python -m gcodefp.status` tells of sweeps, on real run folders."""

import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from foreign_lease import write_foreign
from sweep_documents import RATE
from tiny_sweep import TinySweep
from trivial_runs import METRIC
from watched_sweep import begin, created, flags, look, shown, work

from gcodefp import status
from gcodefp.sweeps.lease import LeaseState

AGENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from trivial_runs import objective
from gcodefp.sweeps.local_engine import LocalEngine
from gcodefp.sweeps.sweep_file import read_sweep

def patient(trial):
    content = objective(trial)
    print(trial.folder.path.name, flush=True)
    sys.stdin.readline()
    return content

sweep = read_sweep(Path(sys.argv[1]))
folder = Path(sys.argv[2], sweep.sweep_id)
LocalEngine(sweep.specification, sweep.seed, sweep.total, folder).work(patient, lambda: None)
"""
"""Trains each run, tells its name, and ends it when a line comes."""


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    """A random search for four runs, not begun."""
    return created(TinySweep(dataset, tmp_path))


@pytest.fixture
def agent(sweep: TinySweep) -> Iterator[subprocess.Popen[str]]:
    """An agent that has trained run 0 and holds it."""
    states = [
        sweep.folder / "sweep.json",
        sweep.folder / "runs",
        Path(__file__).parents[1] / "support",
    ]
    command = [sys.executable, "-c", AGENT, *map(str, states)]
    process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "0000\n"
    yield process
    process.kill()
    process.communicate()


def test_an_agent_at_work_and_then_killed(
    sweep: TinySweep, agent: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    overview = look(sweep)
    (run,) = overview.runs
    assert (run.state, run.epochs, run.max_epochs) == ("running", 4, 4)
    assert (run.latest, run.best, run.seconds) == (0.02, 0.04, 10.0)
    assert run.agent is not None
    assert (run.agent.host, run.agent.pid) == (socket.gethostname(), agent.pid)
    assert (run.agent.run, run.agent.lease, run.agent.clock_differs) == (0, LeaseState.HELD, False)
    assert 0 <= run.agent.age_seconds < 30
    assert (overview.over, overview.to_start, overview.is_over) == (0, 3, False)
    # No epoch is left of this one; three of 10 s.
    assert overview.seconds_left() == 30
    text = shown(sweep, capsys)
    for part in ("running", f"{socket.gethostname()}:{agent.pid}", "about 30 s (1 agent at work)"):
        assert part in text
    agent.kill()
    agent.wait()
    (run,) = look(sweep).runs
    assert run.state == "waiting"
    assert run.agent is not None
    assert (run.agent.pid, run.agent.lease) == (agent.pid, LeaseState.FREE)
    text = shown(sweep, capsys)
    for part in ("waiting", "gone", "no agent is at work", "0 of 4 runs are over"):
        assert part in text


def test_a_finished_sweep_at_80_columns(
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
        "learning",
    ):
        assert part in text
    cells = [line.split() for line in lines]
    (best,) = (row for row in cells if row[:1] == ["0002"])
    assert best[1:7] == ["finished", "4/4", "0.2200", "0.2400*", "12", "s"]
    assert float(best[7]) == pytest.approx(
        look(sweep).runs[2].hyperparameters["learning_rate"], 0.1
    )
    assert [row[0] for row in cells if row and row[0].isdigit() and len(row[0]) == 4] == [
        "0002", "0001", "0000", "0003",
    ]  # fmt: skip
    assert "failed (diverged)" in text


def test_a_sweep_that_was_not_begun(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    overview = look(sweep)
    assert (overview.runs, overview.to_start, overview.is_over) == ((), 4, False)
    sweep.run(0).path.mkdir(parents=True)
    assert look(sweep) == overview
    assert "0 of 4 runs are over" in shown(sweep, capsys)


def test_a_clock_that_differs_is_told(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    lease = write_foreign(begin(sweep, 0).path, host="far[red]away")
    os.utime(lease, (time.time() + 3600,) * 2)
    text = shown(sweep, capsys)
    for part in ("clock differs", "far[red]away:1", "not known yet"):
        assert part in text


def test_of_many_runs_the_best_and_the_newest_failed_are_shown(
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


def test_nested_hyperparameters_are_shown_by_their_own_names(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = {"weight_decay": {"values": [8, 16]}, "momentum": {"value": 0.5}}
    nested = {"training": {"parameters": inner}, "learning_rate": RATE}
    sweep = created(TinySweep(dataset, tmp_path), parameters=nested)
    given = {"training": {"weight_decay": 16, "momentum": 0.5}, "learning_rate": 0.012345}
    sweep.run(0).assign(given, {})
    overview = look(sweep)
    assert overview.varying == ("learning_rate", "training/weight_decay")
    assert overview.runs[0].hyperparameters["training/weight_decay"] == 16
    row = next(line for line in shown(sweep, capsys).splitlines() if line.startswith("0000"))
    assert row.split()[-2:] == ["0.0123", "16"]


def test_nothing_is_written(sweep: TinySweep, agent: subprocess.Popen[str]) -> None:
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


def test_on_a_terminal_it_watches_until_it_is_interrupted(sweep: TinySweep) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gcodefp.status", *flags(sweep, "--every", "1")]
    # Where tests run in the background, a shell has them ignore Ctrl-C, and what they start too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs)
    signal.signal(signal.SIGINT, before)
    os.close(theirs)
    text = ""
    while text.count("0 of 4 runs") < 2:
        text += os.read(ours, 65536).decode()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # The other end is closed.
        while more := os.read(ours, 65536).decode():
            text += more
    os.close(ours)
    assert process.wait(10) == 130
    assert "Traceback" not in text
    assert "interrupted" in text
    # The cursor, hidden while it watched, is back.
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_it_does_not_wait_for_torch(sweep: TinySweep) -> None:
    work(sweep)
    code = (
        "import sys; from gcodefp import status; code = status.main(sys.argv[1:])\n"
        "sys.exit(str({'torch', 'optuna', 'wandb'} & set(sys.modules) or '') or code)"
    )
    command = [sys.executable, "-c", code, *flags(sweep)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.2400*" in done.stdout


def test_without_a_sweep_it_says_what_makes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main(["--sweep", str(tmp_path / "sweep.json")]) == 1
    message = capsys.readouterr().err
    assert str(tmp_path / "sweep.json") in message
    assert "create_sweep" in message
