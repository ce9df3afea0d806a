"""What may befall the agents of a sweep: folders, clocks, memory; the objective is a pretence."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_crew import NOBODY, Crew, Event, Orders, run_crew
from sweep_documents import specification
from tiny_sweep import TinySweep

from gcodefp.model.trainer import Diverged
from gcodefp.sweeps import local_engine
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, holding
from gcodefp.sweeps.local_engine import LocalEngine, Trial
from gcodefp.sweeps.run_folder import run_folder, run_folders

TOTAL = 24
EPOCHS = 3
BROKEN = 7
LEASE_SECONDS = 2.0
SOON = {
    "gcodefp.sweeps.local_engine.POLL_SECONDS": 0.05,
    "gcodefp.sweeps.local_engine.STORAGE_PATIENCE_SECONDS": 0.3,
}


def pretence(folder: Path, name: str = "crew", total: int = TOTAL, **more: Any) -> Orders:
    told = {"seed": 3, "total": total, "runs": str(folder / "runs"), "epochs": EPOCHS}
    told["epoch_seconds"] = more.pop("epoch_seconds", 0.02)
    patches = SOON | more.pop("patches", {})
    return Orders(str(folder / name), "pretend", told, patches=patches, **more)


def check_complete(folder: Path, total: int = TOTAL) -> None:
    runs = run_folders(folder / "runs")
    assert [run.number for run in runs] == list(range(total))
    for run in runs:
        assert run.is_over()
        assert run.history("epoch") == list(range(1, EPOCHS + 1))


# Folders that cannot be read


@pytest.fixture
def anyones(tmp_path: Path) -> Iterator[Path]:
    """A folder that other users reach; pytest's own are closed to them."""
    folder = Path(tempfile.mkdtemp(prefix="gcodefp_faults_"))
    folder.chmod(0o777)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


def nobodys(folder: Path, name: str, **more: Any) -> Orders:
    """Agents whom a folder's mode keeps out; for root there are no such folders."""
    orders = pretence(folder, name, user=NOBODY if os.getuid() == 0 else None, **more)
    Path(orders.folder).mkdir()
    Path(orders.folder).chmod(0o777)
    return orders


def left_out(folder: Path, orders: Orders) -> str:
    """Lets agents work that find run BROKEN unusable; what they say in the end."""
    with Crew(orders) as made:
        assert set(made.wait()) == {1}, made.log()
    over = {run.number for run in run_folders(folder / "runs") if is_over(run.path)}
    assert over == set(range(TOTAL)) - {BROKEN}
    return made.log().splitlines()[-1]


def is_over(path: Path) -> bool:
    try:
        return (path / "run.json").exists()
    except PermissionError:
        return False


def test_an_unreadable_folder_costs_no_other_run(anyones: Path) -> None:
    broken = run_folder(anyones / "runs", BROKEN).path
    broken.mkdir(parents=True)
    broken.parent.chmod(0o777)
    broken.chmod(0)
    said = left_out(anyones, nobodys(anyones, "kept_out"))
    for part in ("Permission denied", str(broken), "for it to be fixed", "--forcerun agent"):
        assert part in said
    broken.chmod(0o777)
    last = run_crew(nobodys(anyones, "let_in", agents=1))
    assert [event.number for event in last.events("begin")] == [BROKEN]
    check_complete(anyones)


def test_a_folder_that_is_closed_under_an_agent_goes_on_with_it(anyones: Path) -> None:
    """The agent cannot even give its lease back; as it lives, no other may take it for dead."""
    (anyones / "runs").mkdir()
    (anyones / "runs").chmod(0o777)
    patient = {"gcodefp.sweeps.local_engine.STORAGE_PATIENCE_SECONDS": 100.0}
    orders = nobodys(anyones, "crew", agents=1, total=2, patches=patient, epoch_seconds=0.3)
    first = run_folder(anyones / "runs", 0).path
    with Crew(orders) as made:
        made.wait_for(lambda: bool(made.events("begin")))
        first.chmod(0)
        made.wait_for(lambda: "trying again" in made.log())
        first.chmod(0o777)
        assert made.wait() == [0]
    check_complete(anyones, 2)


@pytest.mark.parametrize(
    "content", ["{", "", "\0" * 40, '{"format": "other"}'], ids=["torn", "empty", "zeros", "other"]
)
def test_garbage_instead_of_hyperparameters_costs_no_other_run(
    tmp_path: Path, content: str
) -> None:
    broken = run_folder(tmp_path / "runs", BROKEN).path
    broken.mkdir(parents=True)
    (broken / "hyperparameters.json").write_text(content, encoding="utf-8")
    said = left_out(tmp_path, pretence(tmp_path, agents=2, epoch_seconds=0.0))
    for part in ("1 runs could not be worked on", str(broken), "remove this run's folder"):
        assert part in said
    shutil.rmtree(broken)
    run_crew(pretence(tmp_path, "last", agents=1, epoch_seconds=0.0))
    check_complete(tmp_path)


def test_a_lease_of_zeros_is_judged_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that crashed may leave one."""
    monkeypatch.setattr("gcodefp.sweeps.lease.LEASE_SECONDS", 0.2)
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.05)
    lease = run_folder(tmp_path, 0).path / "lease.1"
    lease.parent.mkdir()
    lease.write_bytes(bytes(40))
    assert LeaseWatch().state(lease.parent) is LeaseState.UNKNOWN
    engine = LocalEngine(specification(), 3, 1, tmp_path)
    assert engine.work(lambda trial: {"state": "finished", "best_value": 0.5}, lambda: None) == 1


def test_a_lease_that_could_not_be_given_back_is_free_for_who_had_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(5, "Input/output error")

    def work() -> None:
        with holding(tmp_path, LeaseWatch()):
            assert LeaseWatch().state(tmp_path) is LeaseState.HELD

    with monkeypatch.context() as patch:
        patch.setattr(os, "truncate", fail)
        with pytest.raises(OSError, match="Input/output"):
            work()
    assert LeaseWatch().state(tmp_path) is LeaseState.FREE
    with holding(tmp_path, LeaseWatch()) as lease:
        assert lease is not None
        assert LeaseWatch().state(tmp_path) is LeaseState.HELD


# Clocks that jump


def test_clocks_that_jump_by_hours_neither_double_a_run_nor_lose_one(tmp_path: Path) -> None:
    lease = "gcodefp.sweeps.lease"
    lasting = {"epoch_seconds": 0.3, "kills": 10, "kill_seconds": 0.5, "seed": 8}
    patches = {f"{lease}.LEASE_SECONDS": LEASE_SECONDS, f"{lease}.HEARTBEAT_SECONDS": 0.1}
    done = run_crew(pretence(tmp_path, patches=patches, jumps=True, **lasting))
    done.check_ends(TOTAL)
    check_complete(tmp_path)
    delays = takeovers(done)
    assert len(delays) >= 3, done.story()
    # Told by the heartbeat, not by the process; an agent looks when its own run is over.
    assert min(delays) > LEASE_SECONDS / 2, done.story()
    assert max(delays) < LEASE_SECONDS + 20, done.story()


def takeovers(done: Crew) -> list[float]:
    """The seconds from each kill in the middle of a run until another went on with it."""
    begun, ended = done.events("begin"), {(e.pid, e.number) for e in done.events("end")}
    delays = []
    for kill in done.events("killed"):
        mine = [event for event in begun if event.pid == kill.pid]
        if mine and (kill.pid, mine[-1].number) not in ended:
            delays.append(next_begin(begun, mine[-1]).seconds - kill.seconds)
    return delays


def next_begin(begun: list[Event], event: Event) -> Event:
    later = [b for b in begun if b.number == event.number and b.seconds > event.seconds]
    assert later, f"nobody went on with {event}"
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
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    failure: str,
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create() == 0
    monkeypatch.setattr("gcodefp.sweeps.training.train", fail)
    assert sweep.work() == 0
    content = sweep.run(0).ended() or {}
    assert (content["state"], content["failure"]) == ("failed", failure)
    assert content["reason"] == (str(error) or "MemoryError")


def failing(trial: Trial) -> dict[str, Any]:
    return {"state": "failed", "reason": "the disk is made of cheese"}


def test_three_failures_in_a_row_name_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: "node017")
    engine: Callable[..., int] = LocalEngine(specification(), 3, 9, tmp_path).work
    with pytest.raises(Exception, match="3 runs failed in a row on host node017, the last is"):
        engine(failing, lambda: None)
    assert len(run_folders(tmp_path)) == 3
