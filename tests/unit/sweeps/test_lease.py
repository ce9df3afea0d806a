"""Which process gets a lease and keeps it, and when it is free again."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from remote_lease import write_remote_lease

from gcodefp.cluster import process
from gcodefp.cluster.process import describe_process
from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps import lease
from gcodefp.sweeps.lease import LeaseLost, LeaseState, LeaseWatch, acquire

FREE, HELD, UNKNOWN = LeaseState.FREE, LeaseState.HELD, LeaseState.UNKNOWN
HOLDER = """
import sys
from pathlib import Path
from gcodefp.sweeps.lease import LeaseWatch, acquire
with acquire(Path(sys.argv[1]), LeaseWatch()) as lease:
    print("held" if lease else "none", flush=True)
    sys.stdin.readline()
"""
RACER = """
import sys, time
from pathlib import Path
from gcodefp.sweeps.lease import LeaseWatch, acquire
watch, folder = LeaseWatch(), Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for round in range(int(sys.argv[2])):
    with acquire(folder / str(round), watch) as lease:
        if lease:
            print(round, flush=True)
            # Kept until all have tried: a later process must find it held.
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


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease of tmp_path/run."""
    process = start(HOLDER, tmp_path / "run")
    assert line(process) == "held"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The watcher's monotonic clock, in its only element."""
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    return now


# Taking a lease


def test_one_of_many_processes_gets_a_lease(tmp_path: Path) -> None:
    racer_count, rounds = 4, 40
    racers = [start(RACER, tmp_path, rounds, racer_count, name) for name in range(racer_count)]
    for racer in racers:
        assert line(racer) == "ready"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    won = [int(text) for racer in racers for text in racer.communicate(timeout=30)[0].split()]
    assert sorted(won) == list(range(rounds))


def test_holder_notices_that_it_was_replaced(tmp_path: Path) -> None:
    with acquire(tmp_path, LeaseWatch()) as held:
        assert held is not None
        held.check()
        other = write_remote_lease(tmp_path, 2)
        with pytest.raises(LeaseLost, match="taken over"):
            held.check()
    assert other.read_text(encoding="utf-8")
    assert LeaseWatch().state(tmp_path) is UNKNOWN


def test_lease_is_given_back_after_an_exception(tmp_path: Path) -> None:
    def fail() -> None:
        with acquire(tmp_path, LeaseWatch()) as held:
            assert held is not None
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            fail()
        assert LeaseWatch().state(tmp_path) is FREE
    assert {path.name for path in tmp_path.glob("lease.*")} == {f"lease.{n}" for n in range(1, 7)}
    assert len(list(tmp_path.glob("generation.*"))) == 1, "those of earlier holders are removed"


def test_a_run_that_has_ended_is_not_acquired_again(tmp_path: Path) -> None:
    with acquire(tmp_path / "run", LeaseWatch()) as held:
        assert held is not None
        held.end()
        # Its files may not be in the run's folder yet.
        with acquire(tmp_path / "run", LeaseWatch()) as again:
            assert again is None


def test_heartbeat_touches_the_lease_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with acquire(tmp_path, LeaseWatch()):
        path = tmp_path / "lease.1"
        before = path.stat().st_mtime_ns
        deadline = time.monotonic() + 5
        while path.stat().st_mtime_ns == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if "heartbeat" in thread.name]


def test_kills_count_since_the_last_completed_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long run on a bad day makes progress: the epochs completed before each kill."""
    monkeypatch.setattr(lease, "_is_alive", lambda claim: False)
    epochs, kills = 0, []
    for completed in (0, 0, 1, 0, 2, 1, 1, 0, 0):
        taken = lease._acquire(tmp_path, LeaseWatch())
        assert taken is not None
        kills.append(taken.kills)
        for epoch in range(epochs + 1, epochs + completed + 1):
            append_metrics(taken.files / "metrics.csv", {"epoch": epoch, "val/loss": 0.5})
        epochs += completed
    assert kills == [0, 1, 2, 1, 2, 1, 1, 1, 2]
    with acquire(tmp_path, LeaseWatch()) as held:
        assert held is not None
        assert held.kills == 3
    with acquire(tmp_path, LeaseWatch()) as held:
        assert held is not None
        assert held.kills == 3, "given back: no kill, and no epoch either"


# Holders on this host


def test_dead_holder_is_free_at_once(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    run = tmp_path / "run"
    assert LeaseWatch().state(run) is HELD
    with acquire(run, LeaseWatch()) as taken:
        assert taken is None
    assert LeaseWatch().state(run) is HELD
    os.kill(holder.pid, signal.SIGKILL)
    while psutil.Process(holder.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert LeaseWatch().state(run) is FREE, "a zombie is dead"
    holder.wait()
    assert LeaseWatch().state(run) is FREE
    with acquire(run, LeaseWatch()) as taken:
        assert taken is not None
        taken.check()


def test_another_process_with_the_same_number_is_not_the_holder(tmp_path: Path) -> None:
    own = describe_process()
    boot, namespace, ticks = str(own["process"]).split()
    write_remote_lease(tmp_path / "a", **own)
    assert LeaseWatch().state(tmp_path / "a") is HELD
    later = {"process": f"{boot} {namespace} {int(ticks) + 1}"}
    write_remote_lease(tmp_path / "b", **own | later)
    assert LeaseWatch().state(tmp_path / "b") is FREE


@pytest.mark.parametrize(
    "process", ["other-boot {namespace} 5", "{boot} pid:[1] 5", None], ids=["boot", "space", "none"]
)
def test_process_that_this_host_cannot_see_is_watched(tmp_path: Path, process: str | None) -> None:
    """Of another host of the same name, of a container on this host, of a host without /proc."""
    boot, namespace, _ = str(describe_process()["process"]).split()
    identity = process and process.format(boot=boot, namespace=namespace)
    write_remote_lease(tmp_path / "run", host=socket.gethostname(), process=identity)
    assert LeaseWatch().state(tmp_path / "run") is UNKNOWN


# Holders on other hosts


def test_remote_lease_expires_after_its_last_heartbeat(tmp_path: Path, clock: list[float]) -> None:
    path, watch = write_remote_lease(tmp_path / "run"), LeaseWatch()
    assert watch.state(path.parent) is UNKNOWN
    clock[0] += 20
    assert watch.state(path.parent) is UNKNOWN
    os.utime(path)
    assert watch.state(path.parent) is HELD
    clock[0] += lease.LEASE_SECONDS - 1
    assert watch.state(path.parent) is HELD
    clock[0] += 2
    assert watch.state(path.parent) is FREE
    with acquire(path.parent, watch) as taken:
        assert taken is not None
        assert taken.kills == 1, "for its taker, it was killed"


@pytest.mark.parametrize("jump", [-1e8, 1e8])
def test_hosts_need_not_agree_on_the_time_of_day(
    tmp_path: Path, clock: list[float], jump: float
) -> None:
    path, watch = write_remote_lease(tmp_path / "run"), LeaseWatch()
    os.utime(path, (time.time() + jump,) * 2)
    assert watch.state(path.parent) is UNKNOWN
    for beat in range(5):
        clock[0] += lease.LEASE_SECONDS * 0.9
        os.utime(path, (time.time() - jump + beat,) * 2)
        assert watch.state(path.parent) is HELD


def test_process_is_known_without_proc() -> None:
    """As on macOS: a live one by its start, a zombie and one that has ended not at all."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = process._identity_without_proc(child.pid)
        assert identity == process._identity_without_proc(child.pid)
        own = process._identity_without_proc(os.getpid())
        assert identity is not None
        assert own is not None
        assert identity != own
        assert identity.split()[:2] == own.split()[:2]
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert process._identity_without_proc(child.pid) is None  # A zombie.
    assert process._identity_without_proc(child.pid) is None
