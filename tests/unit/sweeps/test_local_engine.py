"""Which runs an agent takes, and when it lets them go."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, SEED, bad, engine, good, work
from remote_lease import write_remote_lease
from sweep_documents import specification
from trivial_runs import write_epochs

from gcodefp.cluster.job import OutOfTime
from gcodefp.sweeps import local_engine
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, acquire
from gcodefp.sweeps.local_engine import LeasedRun
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.sampling import ConfigurationSequence, Proposal
from gcodefp.sweeps.specification import Observation


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(local_engine, "WAIT_POLL_SECONDS", 0.01)


def test_leftovers_of_an_agent_killed_after_a_run_are_removed(tmp_path: Path) -> None:
    work(engine(tmp_path, 2))
    path = tmp_path / "0001"
    kept = sorted(path.iterdir())
    for name in ("lease.1", "last.pt", ".run.json.1.tmp"):
        (path / name).write_text("its process is gone", encoding="utf-8")
    assert work(engine(tmp_path, 2)) == []
    assert sorted(path.iterdir()) == kept


def test_only_the_last_agent_of_a_sweep_removes_leftovers(tmp_path: Path) -> None:
    work(engine(tmp_path, 1))
    leftover = tmp_path / "0000/last.pt"
    leftover.write_text("its process is gone", encoding="utf-8")
    with acquire(tmp_path / "0001", LeaseWatch()):
        assert work(engine(tmp_path, 2)) == []
        assert leftover.exists(), "another agent is still at work"
    assert work(engine(tmp_path, 2)) == [1]
    assert not leftover.exists()


def test_removed_run_is_trained_again_with_the_same_hyperparameters(tmp_path: Path) -> None:
    work(engine(tmp_path, 3))
    run = run_folder(tmp_path, 1)
    before = run.assigned()
    for entry in run.path.iterdir():
        entry.unlink()
    run.path.rmdir()
    assert work(engine(tmp_path, 3)) == [1]
    assert run.assigned() == before


def test_sweeps_beside_each_other_are_separate(tmp_path: Path) -> None:
    assert work(engine(tmp_path / "a", 2)) == [0, 1]
    assert work(engine(tmp_path / "b", 3, seed=4)) == [0, 1, 2]
    assert len(run_folders(tmp_path / "a")) == 2
    assert run_folder(tmp_path / "a", 0).assigned() != run_folder(tmp_path / "b", 0).assigned()
    assert run_folder(tmp_path / "b", 2).run_id == "b-0002"


def test_of_agents_that_see_a_new_run_one_makes_its_folder(tmp_path: Path) -> None:
    free = [made._scan()[0] for made in (engine(tmp_path), engine(tmp_path), engine(tmp_path))]
    assert [run and run.number for run in free] == [0, 1, 2]


def test_run_that_another_agent_ends_just_now_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 60.0)
    with acquire(tmp_path / "0000", LeaseWatch()) as held:
        assert held is not None
        held.end()
        free, leases, _ = engine(tmp_path, 2)._scan()
    assert free is not None
    assert (free.number, leases[0]) == (1, LeaseState.UNKNOWN)


def test_agent_that_stays_takes_over_what_others_leave(tmp_path: Path) -> None:
    with acquire(tmp_path / "0000", LeaseWatch()):
        assert work(engine(tmp_path, 2)) == [1], "without staying the other's run is left to it"
    held = acquire(tmp_path / "0000", LeaseWatch())
    held.__enter__()
    calls: list[int] = []

    def before_each() -> None:
        calls.append(1)
        if len(calls) == 5:
            held.__exit__(None, None, None)

    stays = engine(tmp_path, 2)
    assert stays.work(good, lambda: None, before_each=before_each, wait_for_all=True) == 1
    done = engine(tmp_path, 3).work(good, lambda: None, wait_for_all=True)
    assert done == 1, "it ends with the sweep"


def test_time_may_run_out_while_an_agent_waits(tmp_path: Path) -> None:
    write_remote_lease(tmp_path / "0000")
    calls: list[int] = []

    def before_each() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OutOfTime("no time")

    with pytest.raises(OutOfTime):
        engine(tmp_path, 1).work(good, lambda: None, before_each=before_each)


def test_early_termination_compares_with_all_other_runs(tmp_path: Path) -> None:
    sweep = specification(early_terminate={"type": "hyperband", "min_iter": 1, "eta": 3})
    stops: list[bool] = []

    def objective(leased: LeasedRun) -> dict[str, Any]:
        value = (0.9, 0.8, 0.2, 0.95)[leased.folder.number]
        write_epochs(leased.folder, [value] * 3)
        stops.append(leased.should_prune())
        return good(leased)

    work(engine(tmp_path, 4, sweep), objective)
    # The limit at band 1 is the best of up to two runs, the second best of three.
    assert stops == [False, True, True, False]


def test_bayes_observes_ended_failed_and_running_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[list[float | None]] = []

    class Spy(ConfigurationSequence):
        def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
            losses.append([run.loss for run in others])
            return ConfigurationSequence(RANDOM, SEED).propose(number, [])

    def objective(leased: LeasedRun) -> dict[str, Any]:
        if leased.folder.number == 2:
            work(engine(tmp_path, 4, bayes))
        return (bad if leased.folder.number == 1 else good)(leased)

    monkeypatch.setattr("gcodefp.sweeps.scheduler.ConfigurationSequence", Spy)
    bayes = specification(method="bayes")
    work(engine(tmp_path, 3, bayes), objective)
    assert losses == [[], [-0.5], [-0.5, math.inf], [-0.5, math.inf, None]]
