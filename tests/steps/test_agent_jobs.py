"""Agents in jobs: those that have to leave, those that stay, several trainings on one GPU."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from engines import engine, good, work
from foreign_lease import write_foreign
from tiny_sweep import TinySweep
from waiting import PATIENCE_SECONDS, ended, wait_for

from gcodefp.cluster.job import OutOfTime
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps import lease, local_engine
from gcodefp.sweeps.lease import LeaseWatch, holding
from gcodefp.sweeps.local_engine import Trial

ENDLESS = {"max_epochs": {"value": 10**6}}


def epochs(sweep: TinySweep, number: int) -> int:
    return len(read_metrics(sweep.run(number).path / "metrics.csv"))


def test_an_agent_whose_time_is_over_leaves_a_run_that_others_go_on_with(
    dataset: Path, tmp_path: Path
) -> None:
    sweep = TinySweep(dataset, tmp_path / "sweep")
    assert sweep.create(parameters=ENDLESS) == 0
    marker = tmp_path / "marker.json"
    limits = ["--job-minutes", 1, "--margin-seconds", 50]
    with ended(sweep.start(*limits, "--output", marker)) as agent:
        assert agent.wait(PATIENCE_SECONDS) == 1
    told = (sweep.folder / "agent.log").read_text(encoding="utf-8")
    assert "with 50 s of margin" in told
    assert "an agent that is started again goes on" in told
    assert not marker.exists()
    run = sweep.run(0)
    assert (run.path / "last.pt").exists()
    assert not run.is_over()
    (left,) = run.path.glob("lease.*")
    assert left.stat().st_size == 0, "nobody has to wait for a lease that was given back"
    done = epochs(sweep, 0)
    with ended(sweep.start()):
        wait_for(lambda: epochs(sweep, 0) > done)
    assert [row["epoch"] for row in read_metrics(run.path / "metrics.csv")][: done + 1] == list(
        range(1, done + 2)
    )


def test_a_job_too_short_for_anything_is_told(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create() == 0
    assert sweep.work("--job-minutes", 1, "--margin-seconds", 60) == 1
    assert "raise the agent's runtime in the profile" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_several_trainings_at_a_time(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create(parameters={"learning_rate": {"values": [0.01, 0.02, 0.03, 0.04]}}) == 0
    marker, log = tmp_path / "marker.json", tmp_path / "agent.log"
    assert sweep.work("--workers", 2, "--output", marker, "--log", log, "--stay") == 0
    for number in range(4):
        assert (sweep.run(number).ended() or {})["gpu"] == "7"
    assert '"runs_ended": 4' in marker.read_text(encoding="utf-8")
    told = log.read_text(encoding="utf-8")
    assert "agent.1: nothing is left" in told
    assert "agent.2: nothing is left" in told


@pytest.mark.parametrize("victim", ["parent", "worker"])
def test_workers_do_not_outlive_each_other(dataset: Path, tmp_path: Path, victim: str) -> None:
    sweep = TinySweep(dataset, tmp_path)
    assert sweep.create(parameters=ENDLESS) == 0
    with ended(sweep.start("--workers", 2)) as agent:
        wait_for(lambda: epochs(sweep, 0) > 0 and epochs(sweep, 1) > 0)
        holders = [lease.lease_holder(sweep.run(number).path) for number in (0, 1)]
        pids = [holder.pid for holder in holders if holder]
        assert len({*pids, agent.pid}) == 3
        os.kill(agent.pid if victim == "parent" else pids[0], signal.SIGKILL)
        code = agent.wait(PATIENCE_SECONDS)
    wait_for(
        lambda: all(LeaseWatch().state(sweep.run(n).path) is lease.LeaseState.FREE for n in (0, 1))
    )
    if victim == "worker":
        assert code == 1
        told = (sweep.folder / "agent.log").read_text(encoding="utf-8")
        assert "one of 2 workers was killed" in told
        assert "agents.per_gpu" in told


def test_who_stays_takes_over_what_others_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "STAY_SECONDS", 0.01)
    looks: list[int] = []
    numbers: list[int] = []

    def objective(trial: Trial) -> dict[str, Any]:
        numbers.append(trial.folder.number)
        return good(trial)

    with holding(tmp_path / "0000", LeaseWatch()) as other:
        assert other is not None
        assert work(engine(tmp_path, 2)) == [1], "who does not stay leaves the other's run to it"

    held = holding(tmp_path / "0000", LeaseWatch())
    held.__enter__()

    def look() -> None:
        looks.append(1)
        if len(looks) == 5:
            held.__exit__(None, None, None)

    assert engine(tmp_path, 2).work(objective, lambda: None, before_each=look, stay=True) == 1
    assert numbers == [0]


def test_who_stays_goes_when_nothing_is_left(tmp_path: Path) -> None:
    assert engine(tmp_path, 3).work(good, lambda: None, stay=True) == 3


def test_time_is_over_while_an_agent_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.01)
    write_foreign(tmp_path / "0000")
    looks: list[int] = []

    def look() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise OutOfTime("no time")

    with pytest.raises(OutOfTime):
        engine(tmp_path, 1).work(good, lambda: None, before_each=look)
