"""A holder that stands still while another takes its run: nothing that it writes later counts."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, SEED

from gcodefp.model.run_files import append_metrics, append_work, read_metrics
from gcodefp.sweeps import lease, local_engine
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.run_folder import RunFolder, run_folder

EPOCHS = 2
FILE_EVENTS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime"}
FILES = {"checkpoint.pt", "hyperparameters.json", "metrics.csv", "run.json", "work.csv"}
_before_file_operation: Callable[[str], None] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _before_file_operation and event in FILE_EVENTS:
        _before_file_operation(str(arguments[0]))


sys.addaudithook(_hook)


@contextmanager
def standing_still(folder: Path, at: int, meanwhile: Callable[[], None]) -> Iterator[list[int]]:
    """Calls `meanwhile` before file operation number `at` in the folder; counts all."""
    global _before_file_operation
    count = [0]

    def before(path: str) -> None:
        global _before_file_operation
        if not path.startswith(str(folder)):
            return
        count[0] += 1
        if count[0] == at:
            _before_file_operation = None
            meanwhile()
            _before_file_operation = before

    _before_file_operation = before
    try:
        yield count
    finally:
        _before_file_operation = None


@pytest.fixture(autouse=True)
def _every_lease_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_is_alive", lambda claim: None)
    monkeypatch.setattr(lease, "LEASE_SECONDS", -1.0)
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.0)


def work(folder: Path, agent: int) -> None:
    """One agent works on a sweep of one run; it logs its number with each epoch."""

    def objective(leased: LeasedRun) -> dict[str, Any]:
        files = leased.lease.files
        append_work(files / "work.csv", 0)
        for epoch in range(len(read_metrics(files / "metrics.csv")) + 1, EPOCHS + 1):
            append_metrics(files / "metrics.csv", {"epoch": epoch, "agent": agent})
            leased.should_prune()
        (files / "checkpoint.pt").write_text(str(agent))
        return {"state": "finished", "best_value": float(agent), "epochs": EPOCHS}

    LocalEngine(RANDOM, SEED, 1, folder).work(objective, lambda: None)


def check_whole(run: RunFolder) -> tuple[int, list[int]]:
    """The agent that ended the run, and the one of each epoch."""
    content = run.read_outcome()
    assert content is not None
    agent = int(content["best_value"])
    assert (run.path / "checkpoint.pt").read_text() == str(agent)
    assert {path.name for path in run.path.iterdir()} == FILES
    return agent, [int(row["agent"]) for row in run.metrics()]


def take_over(folder: Path) -> None:
    work(folder, 2)


def remove(folder: Path) -> None:
    shutil.rmtree(run_folder(folder, 0).path, ignore_errors=True)


def remove_and_train(folder: Path) -> None:
    remove(folder)
    work(folder, 2)


WINNERS = {take_over: {1, 2}, remove: {1}, remove_and_train: {2}}


@pytest.mark.parametrize("meanwhile", WINNERS)
def test_holder_that_stood_still_before_any_file_operation(
    tmp_path: Path, meanwhile: Callable[[Path], None]
) -> None:
    with standing_still(tmp_path, 0, lambda: None) as count:
        work(tmp_path / "undisturbed", 1)
    assert count[0] > 50
    winners = []
    for at in range(1, count[0] + 1):
        folder = tmp_path / str(at)
        with standing_still(folder, at, lambda folder=folder: meanwhile(folder)):  # type: ignore[misc]
            work(folder, 1)
        run = run_folder(folder, 0)
        if not run.has_ended():  # It was removed after its end.
            assert meanwhile is not take_over
            assert not run.path.exists() or not list(run.path.glob("*.csv")), at
            continue
        agent, agents = check_whole(run)
        winners.append(agent)
        assert agents == sorted(agents), f"operation {at}: epochs by {agents}"
        assert agent == agents[-1] or meanwhile is not remove_and_train
    assert set(winners) == WINNERS[meanwhile]
