"""What an observer makes of run folders in every state; some of it as the step shows it."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from foreign_lease import write_foreign
from sweep_documents import specification
from tiny_sweep import TinySweep
from trivial_runs import METRIC
from watched_sweep import begin, created, look, observer, shown, work

from gcodefp.model.run_files import append_metrics, read_metrics
from gcodefp.sweeps.lease import LeaseState
from gcodefp.sweeps.observer import Overview, RunLine


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    """A random search for four runs, not begun."""
    return created(TinySweep(dataset, tmp_path))


def test_the_best_so_far_may_still_run(sweep: TinySweep) -> None:
    work(sweep)
    half_done = sweep.run(1)
    (half_done.path / "run.json").unlink()
    append_metrics(half_done.path / "metrics.csv", {"epoch": 5, METRIC: 0.9, "seconds": 15.0})
    overview = look(sweep)
    assert [run.number for run in overview.ranked()] == [1, 2, 0]
    assert overview.ranked()[0].best == 0.9


@pytest.mark.parametrize(("address", "seen"), [(None, 2), ("me/mill/abcd1234", 4)])
def test_a_sweep_of_the_service_may_get_more_runs_than_were_asked_for(
    sweep: TinySweep, address: str | None, seen: int
) -> None:
    """One of the local engine has lost those that are beyond a lowered run_cap."""
    work(sweep)
    path = sweep.folder / "sweep.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "runs": 2, "wandb": address}), encoding="utf-8")
    overview = look(sweep)
    assert (len(overview.runs), overview.total, overview.to_start) == (seen, seen, 0)


@pytest.mark.parametrize(
    ("name", "text", "over", "part"),
    [
        ("run.json", '{"format": "gcodefp-run-1", "sta', True, "not JSON"),
        ("run.json", '{"format": "gcodefp-run-1"}', True, "KeyError"),
        ("run.json", '{"format": "gcodefp-run-2"}', True, "gcodefp-run-2"),
        ("run.json", None, True, "Is a directory"),
        ("hyperparameters.json", "[]", False, "format"),
        ("metrics.csv", f"epoch,{METRIC}\n1,high\n", False, "ValueError"),
        ("metrics.csv", "epoch,loss\n1,2\n", False, f"KeyError: '{METRIC}'"),
        ("lease.x", "", False, "ValueError"),
    ],
)
def test_an_unreadable_folder_is_told_and_the_others_are_shown(
    sweep: TinySweep,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str | None,
    over: bool,
    part: str,
) -> None:
    work(sweep)
    path = begin(sweep, 1).path / name
    (path.parent / "run.json").unlink()
    path.unlink(missing_ok=True)
    if text is None:
        path.mkdir()
    else:
        path.write_text(text, encoding="utf-8")
    overview = look(sweep)
    assert [run.state for run in overview.runs] == ["finished", "unreadable", "finished", "failed"]
    broken = overview.runs[1]
    assert (broken.over, overview.is_over) == (over, over)
    assert part in (broken.reason or "")
    told = shown(sweep, capsys)
    assert "run 0001 cannot be read: " in told
    assert "0.2400*" in told


def test_a_folder_that_is_mended_is_read_again(sweep: TinySweep) -> None:
    work(sweep)
    path, watching = sweep.run(0).path / "run.json", observer(sweep)
    assert watching.overview().runs[0].state == "finished"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    assert watching.overview().runs[0].state == "waiting"
    path.write_text("{", encoding="utf-8")
    assert watching.overview().runs[0].state == "unreadable"
    path.write_text(text.replace("finished", "stopped"), encoding="utf-8")
    assert watching.overview().runs[0].state == "stopped"


def test_an_agent_on_another_host_is_told_by_its_heartbeats(sweep: TinySweep) -> None:
    lease, watching = write_foreign(begin(sweep, 0).path), observer(sweep)

    def seen(age_seconds: float) -> tuple[str, LeaseState, bool]:
        os.utime(lease, (time.time() - age_seconds,) * 2)
        (run,) = watching.overview().runs
        assert run.agent is not None
        assert run.agent.age_seconds == pytest.approx(max(age_seconds, 0), abs=5)
        return run.state, run.agent.lease, run.agent.clock_differs

    assert seen(3600) == ("waiting", LeaseState.UNKNOWN, False)
    assert seen(3595) == ("running", LeaseState.HELD, False)
    watching = observer(sweep)
    assert seen(10) == ("running", LeaseState.UNKNOWN, False)
    assert seen(-30) == ("running", LeaseState.HELD, False)
    assert seen(-3600) == ("running", LeaseState.HELD, True)


def test_an_emptied_lease_is_nobodys(sweep: TinySweep) -> None:
    (begin(sweep, 0).path / "lease.3").touch()
    (run,) = look(sweep).runs
    assert (run.state, run.agent) == ("waiting", None)


def test_equal_values_rank_as_select_best_ranks_them() -> None:
    def run(number: int, parameters: int | None) -> RunLine:
        return RunLine(number, "finished", True, best=0.5, parameters=parameters)

    sweep = specification(metric={"name": "val/loss", "goal": "minimize"})
    runs = (run(0, None), run(1, 30), run(2, 20), run(3, 20), RunLine(4, "failed", True, best=0.1))
    overview = Overview("id", "random", sweep.objective, 5, runs, 0, None, ())
    assert [r.number for r in overview.ranked()] == [2, 3, 1, 0]


def test_a_space_without_more_configurations_ends_the_sweep(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"num_layers": {"values": [1, 2]}, "learning_rate": {"value": 0.01}}
    sweep = created(TinySweep(dataset, tmp_path), run_cap=9, parameters=few)
    work(sweep)
    overview = look(sweep)
    assert (overview.over, overview.to_start, overview.is_over) == (2, 0, True)
    text = shown(sweep, capsys)
    assert "2 of 9 runs are over" in text
    assert "no further run starts: every configuration of the space has been tried" in text


def test_folders_may_come_and_go_while_they_are_read(sweep: TinySweep) -> None:
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            work(sweep)
            for number in range(4):
                shutil.rmtree(sweep.run(number).path.parent, ignore_errors=True)

    thread = threading.Thread(target=churn)
    thread.start()
    watching, deadline, seen = observer(sweep), time.monotonic() + 3, set()
    try:
        while time.monotonic() < deadline:
            seen |= {run.state for run in watching.overview().runs}
    finally:
        done.set()
        thread.join()
    assert {"running", "finished"} <= seen


def test_a_sweep_that_trains(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = TinySweep(dataset, tmp_path)
    long = {"max_epochs": {"value": 200}, "learning_rate": {"values": [0.01, 0.02]}}
    assert sweep.create(parameters=long) == 0
    command = [sys.executable, "-m", "gcodefp.agent", *sweep.flags()]
    with (tmp_path / "agent.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)
    while not read_metrics(sweep.run(0).path / "metrics.csv"):
        assert process.poll() is None, (tmp_path / "agent.log").read_text()
        time.sleep(0.01)
    (run,) = look(sweep).runs
    assert run.state == "running"
    assert run.agent is not None
    assert run.agent.pid == process.pid
    assert (run.max_epochs, run.hyperparameters["learning_rate"]) == (200, 0.01)
    process.kill()
    process.wait()
    (run,) = look(sweep).runs
    rows = read_metrics(sweep.run(0).path / "metrics.csv")
    assert run.state == "waiting"
    assert run.epochs == len(rows)
    assert run.best == max(row[METRIC] for row in rows)
    assert f"{run.best:.4f}*" in shown(sweep, capsys)
