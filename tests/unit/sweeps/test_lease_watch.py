"""Whether the holder of a lease lives, as a LeaseWatch tells it."""

import os
import socket
import time
from pathlib import Path

import pytest
from foreign_lease import write_foreign

from gcodefp.sweeps import lease
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, holding


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The watcher's monotonic clock, in its only element."""
    now = [1000.0]
    monkeypatch.setattr(lease.time, "monotonic", lambda: now[0])
    return now


def test_another_process_with_the_same_number_is_not_the_holder(tmp_path: Path) -> None:
    mine = lease._identity(os.getpid())
    boot, namespace, ticks = str(mine["process"]).split()
    write_foreign(tmp_path / "a", **mine)
    assert LeaseWatch().state(tmp_path / "a") is LeaseState.HELD
    write_foreign(tmp_path / "b", **mine | {"process": f"{boot} {namespace} {int(ticks) + 1}"})
    assert LeaseWatch().state(tmp_path / "b") is LeaseState.FREE


@pytest.mark.parametrize(
    "process", ["other-boot {namespace} 5", "{boot} pid:[1] 5", None], ids=["boot", "space", "none"]
)
def test_what_cannot_be_told_on_this_host_is_watched(tmp_path: Path, process: str | None) -> None:
    """Another host of the same name, a container on this host, a host without /proc."""
    boot, namespace, _ = str(lease._identity(os.getpid())["process"]).split()
    told = process and process.format(boot=boot, namespace=namespace)
    write_foreign(tmp_path / "run", host=socket.gethostname(), process=told)
    assert LeaseWatch().state(tmp_path / "run") is LeaseState.UNKNOWN


def test_a_foreign_holder_is_known_by_its_heartbeat(tmp_path: Path, clock: list[float]) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    assert watch.state(path.parent) is LeaseState.UNKNOWN
    clock[0] += 20
    assert watch.state(path.parent) is LeaseState.UNKNOWN
    os.utime(path)
    assert watch.state(path.parent) is LeaseState.HELD
    clock[0] += lease.LEASE_SECONDS - 1
    assert watch.state(path.parent) is LeaseState.HELD
    clock[0] += 2
    assert watch.state(path.parent) is LeaseState.FREE
    with holding(path.parent, watch) as taken:
        assert taken is not None
    assert not path.exists()


def test_a_foreign_holder_that_never_moves_is_free_in_time(
    tmp_path: Path, clock: list[float]
) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    for _ in range(3):
        assert watch.state(path.parent) is LeaseState.UNKNOWN
        clock[0] += lease.LEASE_SECONDS / 3
    clock[0] += 1
    assert watch.state(path.parent) is LeaseState.FREE
    # Who has not watched for so long yet does not believe it.
    with holding(path.parent, LeaseWatch()) as taken:
        assert taken is None


def test_a_new_foreign_holder_is_watched_anew(tmp_path: Path, clock: list[float]) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    watch.state(path.parent)
    clock[0] += lease.LEASE_SECONDS + 1
    write_foreign(tmp_path / "run", 2)
    assert watch.state(path.parent) is LeaseState.UNKNOWN


@pytest.mark.parametrize("jump", [-1e8, 1e8])
def test_hosts_need_not_agree_on_the_time_of_day(
    tmp_path: Path, clock: list[float], jump: float
) -> None:
    path, watch = write_foreign(tmp_path / "run"), LeaseWatch()
    os.utime(path, (time.time() + jump,) * 2)
    assert watch.state(path.parent) is LeaseState.UNKNOWN
    for beat in range(5):
        clock[0] += lease.LEASE_SECONDS * 0.9
        os.utime(path, (time.time() - jump + beat,) * 2)
        assert watch.state(path.parent) is LeaseState.HELD
