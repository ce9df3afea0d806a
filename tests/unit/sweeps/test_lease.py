"""Who gets a lease, keeps it, and gives it back."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_lease import write_foreign

from gcodefp.sweeps import lease
from gcodefp.sweeps.lease import LeaseLost, LeaseState, LeaseWatch, holding

HOLDER = """
import sys, time
from pathlib import Path
from gcodefp.sweeps.lease import LeaseWatch, holding
with holding(Path(sys.argv[1]), LeaseWatch()) as lease:
    print("held" if lease else "none", flush=True)
    sys.stdin.readline()
"""
RACER = """
import sys, time
from pathlib import Path
from gcodefp.sweeps.lease import LeaseWatch, holding
watch, folder = LeaseWatch(), Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for round in range(int(sys.argv[2])):
    with holding(folder / str(round), watch) as lease:
        if lease:
            print(round, flush=True)
            # Kept until all have tried: who comes later must find it held.
            (folder / str(round) / "winners").open("a").write("x")
            while len(list(folder.glob(f"{round}/done.*"))) < int(sys.argv[3]) - 1:
                time.sleep(0.001)
        else:
            (folder / str(round) / f"done.{sys.argv[4]}").touch()
    while not list(folder.glob(f"{round}/winners")):
        time.sleep(0.001)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease of tmp_path/run until it is told or killed."""
    process = start(HOLDER, tmp_path / "run")
    assert line(process) == "held"
    yield process
    stop(process)


def test_many_takers_have_one_winner(tmp_path: Path) -> None:
    takers, rounds = 4, 40
    racers = [start(RACER, tmp_path, rounds, takers, name) for name in range(takers)]
    for racer in racers:
        assert line(racer) == "ready"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    won = [int(text) for racer in racers for text in racer.communicate(timeout=30)[0].split()]
    assert sorted(won) == list(range(rounds))


def test_who_looked_before_another_took_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The taker is held up between its look and its own lease; the run was free and is not."""
    made = lease._make
    inner: list[object] = []

    def held_up(path: Path) -> bool:
        monkeypatch.setattr(lease, "_make", made)
        inner.append(stack.enter_context(holding(tmp_path, LeaseWatch())))
        return made(path)

    monkeypatch.setattr(lease, "_make", held_up)
    with contextlib.ExitStack() as stack, holding(tmp_path, LeaseWatch()) as outer:
        assert outer is None
        assert isinstance(inner[0], lease.Lease)
        inner[0].check()


def test_who_looked_before_others_came_and_went_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lease._make

    def held_up(path: Path) -> bool:
        monkeypatch.setattr(lease, "_make", made)
        for _ in range(3):
            with holding(tmp_path, LeaseWatch()) as other:
                assert other
        newest.append(stack.enter_context(holding(tmp_path, LeaseWatch())))
        return made(path)

    newest: list[Any] = []
    monkeypatch.setattr(lease, "_make", held_up)
    with contextlib.ExitStack() as stack, holding(tmp_path, LeaseWatch()) as outer:
        assert outer is None
        newest[0].check()


def test_a_living_holder_is_respected_and_a_dead_one_is_free_at_once(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    run = tmp_path / "run"
    assert LeaseWatch().state(run) is LeaseState.HELD
    with holding(run, LeaseWatch()) as taken:
        assert taken is None
    assert LeaseWatch().state(run) is LeaseState.HELD
    stop(holder)
    assert LeaseWatch().state(run) is LeaseState.FREE
    with holding(run, LeaseWatch()) as taken:
        assert taken is not None
        taken.check()


def test_a_zombie_is_dead(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    stat = Path(f"/proc/{holder.pid}/stat")
    while stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert LeaseWatch().state(tmp_path / "run") is LeaseState.FREE


def test_the_heartbeat_beats_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with holding(tmp_path, LeaseWatch()) as held:
        assert held is not None
        path = tmp_path / "lease.1"
        before = path.stat().st_mtime_ns
        deadline = time.monotonic() + 5
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if "heartbeat" in thread.name]


def test_a_holder_notices_that_it_was_replaced(tmp_path: Path) -> None:
    with holding(tmp_path, LeaseWatch()) as held:
        assert held is not None
        held.check()
        other = write_foreign(tmp_path, 2)
        with pytest.raises(LeaseLost, match="taken over"):
            held.check()
    assert other.read_text(encoding="utf-8")
    assert LeaseWatch().state(tmp_path) is LeaseState.UNKNOWN


def test_a_lease_is_given_back_whatever_happens(tmp_path: Path) -> None:
    class Trouble(Exception):
        pass

    def fail() -> None:
        with holding(tmp_path, LeaseWatch()) as held:
            assert held is not None
            raise Trouble

    for _ in range(3):
        with pytest.raises(Trouble):
            fail()
        assert LeaseWatch().state(tmp_path) is LeaseState.FREE
    assert [path.name for path in tmp_path.iterdir()] == ["lease.3"]
