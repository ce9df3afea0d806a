import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gcodefp.sweep import lease
from gcodefp.sweep.lease import Hold, LeaseLost, LeaseWatch, holding

HOLDER = """
import sys, time
from pathlib import Path
from gcodefp.sweep.lease import LeaseWatch, holding
with holding(Path(sys.argv[1]), LeaseWatch()) as lease:
    print("held" if lease else "none", flush=True)
    sys.stdin.readline()
"""

RACER = """
import sys, time
from pathlib import Path
from gcodefp.sweep.lease import LeaseWatch, holding
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


def write_foreign(folder: Path, number: int = 1, **changes: Any) -> Path:
    """A lease of a process on a host that cannot be asked."""
    folder.mkdir(exist_ok=True)
    path = folder / f"lease.{number}"
    content = {"host": "elsewhere", "pid": 1, "process": "boot pid:[1] 5", **changes}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The watcher's monotonic clock, in its only element."""
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    return now


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
    made = lease._made
    inner: list[object] = []

    def held_up(path: Path) -> bool:
        monkeypatch.setattr(lease, "_made", made)
        inner.append(stack.enter_context(holding(tmp_path, LeaseWatch())))
        return made(path)

    monkeypatch.setattr(lease, "_made", held_up)
    with contextlib.ExitStack() as stack, holding(tmp_path, LeaseWatch()) as outer:
        assert outer is None
        assert isinstance(inner[0], lease.Lease)
        inner[0].check()


def test_who_looked_before_others_came_and_went_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = lease._made

    def held_up(path: Path) -> bool:
        monkeypatch.setattr(lease, "_made", made)
        for _ in range(3):
            with holding(tmp_path, LeaseWatch()) as other:
                assert other
        newest.append(stack.enter_context(holding(tmp_path, LeaseWatch())))
        return made(path)

    newest: list[Any] = []
    monkeypatch.setattr(lease, "_made", held_up)
    with contextlib.ExitStack() as stack, holding(tmp_path, LeaseWatch()) as outer:
        assert outer is None
        newest[0].check()


def test_a_living_holder_is_respected_and_a_dead_one_is_free_at_once(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    run = tmp_path / "run"
    assert LeaseWatch().look(run) is Hold.HELD
    with holding(run, LeaseWatch()) as taken:
        assert taken is None
    assert LeaseWatch().look(run) is Hold.HELD
    stop(holder)
    assert LeaseWatch().look(run) is Hold.FREE
    with holding(run, LeaseWatch()) as taken:
        assert taken is not None
        taken.check()


def test_a_zombie_is_dead(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    stat = Path(f"/proc/{holder.pid}/stat")
    while stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert LeaseWatch().look(tmp_path / "run") is Hold.FREE


def test_another_process_with_the_same_number_is_not_the_holder(tmp_path: Path) -> None:
    mine = lease._identity(os.getpid())
    boot, namespace, ticks = str(mine["process"]).split()
    write_foreign(tmp_path / "a", **mine)
    assert LeaseWatch().look(tmp_path / "a") is Hold.HELD
    write_foreign(tmp_path / "b", **mine | {"process": f"{boot} {namespace} {int(ticks) + 1}"})
    assert LeaseWatch().look(tmp_path / "b") is Hold.FREE


@pytest.mark.parametrize(
    "process", ["other-boot {namespace} 5", "{boot} pid:[1] 5", None], ids=["boot", "space", "none"]
)
def test_what_cannot_be_told_on_this_host_is_watched(tmp_path: Path, process: str | None) -> None:
    """Another host of the same name, a container on this host, a host without /proc."""
    boot, namespace, _ = str(lease._identity(os.getpid())["process"]).split()
    told = process and process.format(boot=boot, namespace=namespace)
    write_foreign(tmp_path / "run", host=socket.gethostname(), process=told)
    assert LeaseWatch().look(tmp_path / "run") is Hold.UNKNOWN


def test_a_foreign_holder_is_known_by_its_heartbeat(tmp_path: Path, clock: list[float]) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    assert watch.look(path.parent) is Hold.UNKNOWN
    clock[0] += 20
    assert watch.look(path.parent) is Hold.UNKNOWN
    os.utime(path)
    assert watch.look(path.parent) is Hold.HELD
    clock[0] += lease.LEASE_SECONDS - 1
    assert watch.look(path.parent) is Hold.HELD
    clock[0] += 2
    assert watch.look(path.parent) is Hold.FREE
    with holding(path.parent, watch) as taken:
        assert taken is not None
    assert not path.exists()


def test_a_foreign_holder_that_never_moves_is_free_in_time(
    tmp_path: Path, clock: list[float]
) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    for _ in range(3):
        assert watch.look(path.parent) is Hold.UNKNOWN
        clock[0] += lease.LEASE_SECONDS / 3
    clock[0] += 1
    assert watch.look(path.parent) is Hold.FREE
    # Who has not watched for so long yet does not believe it.
    with holding(path.parent, LeaseWatch()) as taken:
        assert taken is None


def test_a_new_foreign_holder_is_watched_anew(tmp_path: Path, clock: list[float]) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    watch.look(path.parent)
    clock[0] += lease.LEASE_SECONDS + 1
    write_foreign(tmp_path / "run", 2)
    assert watch.look(path.parent) is Hold.UNKNOWN


@pytest.mark.parametrize("jump", [-1e8, 1e8])
def test_hosts_need_not_agree_on_the_time_of_day(
    tmp_path: Path, clock: list[float], jump: float
) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    os.utime(path, (time.time() + jump,) * 2)
    assert watch.look(path.parent) is Hold.UNKNOWN
    for beat in range(5):
        clock[0] += lease.LEASE_SECONDS * 0.9
        os.utime(path, (time.time() - jump + beat,) * 2)
        assert watch.look(path.parent) is Hold.HELD


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
    assert LeaseWatch().look(tmp_path) is Hold.UNKNOWN


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
        assert LeaseWatch().look(tmp_path) is Hold.FREE
    assert [path.name for path in tmp_path.iterdir()] == ["lease.3"]
