"""Kills, unusable folders, garbage, jumping clocks and failures, with objectives that only wait."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, engine, good, work
from tiny_sweep import TinySweep
from worker_pool import NOBODY, Event, PoolConfig, WorkerPool, run_pool

from gcodefp.model.trainer import Diverged
from gcodefp.sweeps import lease, local_engine
from gcodefp.sweeps.lease import Claim, LeaseState, LeaseWatch, acquire
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.sampling import ConfigurationSequence

TOTAL = 24
EPOCHS = 3
BROKEN = 7
SEED = 3
LEASE_SECONDS = 2.0
ENGINE = "gcodefp.sweeps.local_engine"
SOON = {f"{ENGINE}.POLL_SECONDS": 0.05, f"{ENGINE}.STORAGE_TIMEOUT_SECONDS": 0.3}


def waiting(folder: Path, name: str = "pool", total: int = TOTAL, **more: Any) -> PoolConfig:
    arguments = {"seed": SEED, "total": total, "runs": str(folder / "runs"), "epochs": EPOCHS}
    arguments["epoch_seconds"] = more.pop("epoch_seconds", 0.02)
    patches = SOON | more.pop("patches", {})
    return PoolConfig(str(folder / name), "work", arguments, patches=patches, **more)


def check_complete(folder: Path, total: int = TOTAL) -> None:
    runs = run_folders(folder / "runs")
    assert [run.number for run in runs] == list(range(total))
    for run in runs:
        assert run.has_ended()
        assert run.history("epoch") == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("kills", [0, 40])
def test_every_run_is_trained_once_with_its_own_hyperparameters(tmp_path: Path, kills: int) -> None:
    pool = run_pool(waiting(tmp_path, total=40, kills=kills, kill_seconds=0.03))
    check_complete(tmp_path, 40)
    pool.check_ends(40)
    assert kills or len(pool.events("start")) == 40
    for run in run_folders(tmp_path / "runs"):
        expected = ConfigurationSequence(RANDOM, SEED).propose(run.number, [])
        assert (run.assigned() or {})["hyperparameters"] == expected.hyperparameters
        assert not list(run.path.glob("lease.*"))


# Folders that cannot be read


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="gcodefp_faults_"))
    folder.chmod(0o777)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


def unprivileged(folder: Path, name: str, **more: Any) -> PoolConfig:
    """Agents that respect a folder's mode, which root does not."""
    config = waiting(folder, name, user=NOBODY if os.getuid() == 0 else None, **more)
    Path(config.folder).mkdir()
    Path(config.folder).chmod(0o777)
    return config


def last_message(folder: Path, config: PoolConfig) -> str:
    """Runs agents for which run BROKEN is unusable; returns their last line."""
    with WorkerPool(config) as pool:
        assert set(pool.wait()) == {1}, pool.log()
    over = {run.number for run in run_folders(folder / "runs") if is_over(run.path)}
    assert over == set(range(TOTAL)) - {BROKEN}
    return pool.log().splitlines()[-1]


def is_over(path: Path) -> bool:
    try:
        return (path / "run.json").exists()
    except PermissionError:
        return False


def test_unreadable_folder_costs_no_other_run(open_folder: Path) -> None:
    broken = run_folder(open_folder / "runs", BROKEN).path
    broken.mkdir(parents=True)
    broken.parent.chmod(0o777)
    broken.chmod(0)
    message = last_message(open_folder, unprivileged(open_folder, "denied"))
    for part in ("Permission denied", str(broken), "for it to be fixed", "--forcerun agent"):
        assert part in message
    broken.chmod(0o777)
    last = run_pool(unprivileged(open_folder, "allowed", agents=1))
    assert [event.number for event in last.events("start")] == [BROKEN]
    check_complete(open_folder)


def test_agent_goes_on_with_a_folder_that_was_closed_for_a_while(open_folder: Path) -> None:
    """The agent cannot even give its lease back, and as it lives, no other may take it for dead."""
    (open_folder / "runs").mkdir()
    (open_folder / "runs").chmod(0o777)
    patient = {f"{ENGINE}.STORAGE_TIMEOUT_SECONDS": 100.0}
    config = unprivileged(
        open_folder, "pool", agents=1, total=2, patches=patient, epoch_seconds=0.3
    )
    first = run_folder(open_folder / "runs", 0).path
    with WorkerPool(config) as pool:
        pool.wait_for(lambda: bool(pool.events("start")))
        first.chmod(0)
        pool.wait_for(lambda: "trying again" in pool.log())
        first.chmod(0o777)
        assert pool.wait() == [0]
    check_complete(open_folder, 2)


@pytest.mark.parametrize(
    "content", ["{", "", "\0" * 40, '{"format": "other"}'], ids=["cut", "empty", "zeros", "other"]
)
def test_garbage_instead_of_hyperparameters_costs_no_other_run(
    tmp_path: Path, content: str
) -> None:
    broken = run_folder(tmp_path / "runs", BROKEN).path
    broken.mkdir(parents=True)
    (broken / "hyperparameters.json").write_text(content, encoding="utf-8")
    message = last_message(tmp_path, waiting(tmp_path, agents=2, epoch_seconds=0.0))
    for part in ("1 runs could not be worked on", str(broken), "remove this run's folder"):
        assert part in message
    shutil.rmtree(broken)
    run_pool(waiting(tmp_path, "last", agents=1, epoch_seconds=0.0))
    check_complete(tmp_path)


def test_lease_of_zeros_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crashed host may leave one."""
    monkeypatch.setattr("gcodefp.sweeps.lease.LEASE_SECONDS", 0.2)
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.05)
    path = run_folder(tmp_path, 0).path / "lease.1"
    path.parent.mkdir()
    path.write_bytes(bytes(40))
    assert LeaseWatch().state(path.parent) is LeaseState.UNKNOWN
    assert work(engine(tmp_path, 1), good) == [0]


def test_lease_that_could_not_be_given_back_is_free_for_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_second(claim: Claim) -> bool:
        if claim.number > 1:
            raise OSError(5, "Input/output error")
        return make(claim)

    def hold() -> None:
        with acquire(tmp_path, LeaseWatch()):
            assert LeaseWatch().state(tmp_path) is LeaseState.HELD

    make = lease._make

    with monkeypatch.context() as patch:
        patch.setattr("gcodefp.sweeps.lease._make", fail_second)
        with pytest.raises(OSError, match="Input/output"):
            hold()
    assert LeaseWatch().state(tmp_path) is LeaseState.FREE
    with acquire(tmp_path, LeaseWatch()) as taken:
        assert taken is not None
        assert taken.kills == 0
        assert LeaseWatch().state(tmp_path) is LeaseState.HELD


# Clocks that jump


def test_jumping_clocks_neither_double_a_run_nor_lose_one(tmp_path: Path) -> None:
    kills = {"epoch_seconds": 0.3, "kills": 10, "kill_seconds": 0.5, "seed": 8}
    hosts = {"own_hosts": True, "clocks_jump": True, "lease_seconds": LEASE_SECONDS}
    pool = run_pool(waiting(tmp_path, **hosts, **kills))
    pool.check_ends(TOTAL)
    check_complete(tmp_path)
    delays = takeover_seconds(pool)
    assert len(delays) >= 3, pool.describe()
    # By the heartbeat, not by the process; an agent looks when its own run is over.
    assert min(delays) > LEASE_SECONDS / 2, pool.describe()
    assert max(delays) < LEASE_SECONDS + 20, pool.describe()


def takeover_seconds(pool: WorkerPool) -> list[float]:
    """The seconds from each kill during a run until another agent went on with it."""
    starts, ended = pool.events("start"), {(e.pid, e.number) for e in pool.events("end")}
    delays = []
    for kill in pool.events("killed"):
        own = [event for event in starts if event.pid == kill.pid]
        if own and (kill.pid, own[-1].number) not in ended:
            delays.append(next_start(starts, own[-1]).seconds - kill.seconds)
    return delays


def next_start(starts: list[Event], event: Event) -> Event:
    later = [s for s in starts if s.number == event.number and s.seconds > event.seconds]
    assert later, f"no agent went on with {event}"
    return later[0]


# Runs that fail


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "out_of_memory"),
        (RuntimeError("shapes do not match"), "error"),
        (Diverged("val/loss is nan in epoch 3"), "diverged"),
    ],
    ids=["memory", "cuda", "cpu", "error", "nan"],
)
def test_failures_are_classed(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, failure: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create() == 0
    monkeypatch.setattr("gcodefp.sweeps.training.train", fail)
    assert sweep.work() == 0
    content = sweep.run(0).read_outcome() or {}
    assert (content["state"], content["failure"]) == ("failed", failure)
    assert content["reason"] == (str(error) or "MemoryError")
