"""Which runs an agent takes, and what it tells the search of them."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from engines import RANDOM, SEED, bad, engine, good, work
from sweep_documents import specification

from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps import local_engine
from gcodefp.sweeps.lease import LeaseLost
from gcodefp.sweeps.local_engine import Trial
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.sampling import ConfigurationSequence, Observation, propose
from gcodefp.sweeps.space import Proposal

CREW = '''
"""Agents with a trivial objective, forked so that they start at once; some are killed."""
import os, random, signal, sys, time, traceback
from pathlib import Path

from gcodefp.model.run_files import append_metrics, read_metrics, truncate_metrics
from gcodefp.sweeps.local_engine import LocalEngine
from sweep_documents import specification

folder, agents, total, kills = Path(sys.argv[1]), *map(int, sys.argv[2:])
random.seed(total)

def check_gone(inside):
    """A process that was in a run before must have been killed; a zombie is that too."""
    try:
        stat = Path("/proc", inside.readlink(), "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return
    assert stat.rpartition(")")[2].split()[0] in "ZX", stat

def objective(trial):
    assert not trial.folder.is_over()
    metrics, inside = trial.folder.path / "metrics.csv", trial.folder.path / "inside"
    if inside.is_symlink():
        check_gone(inside)
        inside.unlink()
    inside.symlink_to(str(os.getpid()))
    done = len(truncate_metrics(metrics, len(read_metrics(metrics))))
    for epoch in range(done + 1, 4):
        time.sleep(random.random() / 100)
        append_metrics(metrics, {"epoch": epoch, "val/gcode_acc": 0.5})
        trial.should_stop()
    inside.unlink()
    with (folder / "trained").open("a") as trained:
        trained.write(trial.folder.path.name + "\\n")
    return {"state": "finished", "best_value": 0.5}

def fork():
    pid = os.fork()
    if pid:
        return pid
    random.seed(os.getpid())
    try:
        LocalEngine(specification(), 3, total, folder).work(objective, lambda: None)
    except BaseException:
        with (folder / "errors").open("a") as errors:
            errors.write(traceback.format_exc())
    os._exit(0)

working = {fork() for _ in range(agents)}
deadline = time.monotonic() + 40
while working and time.monotonic() < deadline:
    time.sleep(random.random() / 20)
    if kills:
        kills -= 1
        os.kill(random.choice(sorted(working)), signal.SIGKILL)
    for pid in sorted(working):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            working.remove(pid)
            if status or kills:
                working.add(fork())
sys.exit(bool(working))
'''


def crew(tmp_path: Path, total: int, kills: int, agents: int = 3) -> Path:
    """Lets agents work on a sweep of so many runs while some of them are killed."""
    script, folder = tmp_path / "crew.py", tmp_path / "sweep"
    script.write_text(CREW, encoding="utf-8")
    command = [sys.executable, script, folder, agents, total, kills]
    tests = {"PYTHONPATH": str(Path(__file__).parents[2] / "support")}
    subprocess.run([str(c) for c in command], env=os.environ | tests, check=True, timeout=60)
    assert not (folder / "errors").exists(), (folder / "errors").read_text(encoding="utf-8")
    return folder


def check_runs(folder: Path, total: int) -> None:
    """Exactly the wanted runs, each over, with its own hyperparameters."""
    runs = run_folders(folder)
    assert [run.number for run in runs] == list(range(total))
    for run in runs:
        assert run.is_over()
        assert run.history("epoch") == [1, 2, 3]
        asked = run.assigned()
        assert asked is not None
        assert asked["hyperparameters"] == propose(RANDOM, SEED, run.number, []).hyperparameters


def test_the_cap_is_the_total_of_all_agents_and_each_run_is_trained_once(tmp_path: Path) -> None:
    folder = crew(tmp_path, total=40, kills=0, agents=4)
    check_runs(folder, 40)
    trained = (folder / "trained").read_text(encoding="utf-8").split()
    assert sorted(trained) == [f"{number:04d}" for number in range(40)]
    assert not list(folder.glob("*/lease.*"))


def test_agents_killed_at_random_moments_lose_no_run_and_repeat_none(tmp_path: Path) -> None:
    check_runs(crew(tmp_path, total=30, kills=40), 30)


def test_what_an_agent_left_that_was_killed_right_after_a_run_is_tidied(tmp_path: Path) -> None:
    work(engine(tmp_path, 2))
    path = tmp_path / "0001"
    kept = sorted(path.iterdir())
    for name in ("lease.1", "last.pt", ".run.json.1.tmp"):
        (path / name).write_text("its process is gone", encoding="utf-8")
    assert work(engine(tmp_path, 2)) == []
    assert sorted(path.iterdir()) == kept


def test_a_removed_run_is_trained_anew_with_the_same_hyperparameters(tmp_path: Path) -> None:
    work(engine(tmp_path, 3))
    path = tmp_path / "0001"
    before = json.loads((path / "hyperparameters.json").read_text(encoding="utf-8"))
    for entry in path.iterdir():
        entry.unlink()
    path.rmdir()
    assert work(engine(tmp_path, 3)) == [1]
    assert json.loads((path / "hyperparameters.json").read_text(encoding="utf-8")) == before


def test_sweeps_beside_each_other_do_not_meet(tmp_path: Path) -> None:
    assert work(engine(tmp_path / "a", 2)) == [0, 1]
    assert work(engine(tmp_path / "b", 3, seed=4)) == [0, 1, 2]
    assert len(run_folders(tmp_path / "a")) == 2
    assert run_folder(tmp_path / "a", 0).assigned() != run_folder(tmp_path / "b", 0).assigned()
    assert run_folder(tmp_path / "b", 2).run_id == "b-0002"


def test_a_run_of_a_living_agent_is_left_to_it(tmp_path: Path) -> None:
    def nested(trial: Trial) -> dict[str, Any]:
        if trial.folder.number == 0:
            assert work(engine(tmp_path, 3)) == [1, 2]
        return good(trial)

    assert work(engine(tmp_path, 3), nested) == [0]


def test_a_half_done_run_keeps_its_hyperparameters(tmp_path: Path) -> None:
    def killed(trial: Trial) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(engine(tmp_path), killed)
    asked = run_folder(tmp_path, 0).assigned()
    assert work(engine(tmp_path, seed=99), good) == [0, 1, 2, 3]
    assert run_folder(tmp_path, 0).assigned() == asked


def test_who_lost_the_lease_does_not_end_the_run(tmp_path: Path) -> None:
    """An agent stood still; another took its run over and works on it."""
    taken: list[Path] = []

    def lose(trial: Trial) -> dict[str, Any]:
        mine = trial.folder.path / "lease.1"
        (trial.folder.path / "lease.2").write_bytes(mine.read_bytes())
        taken.append(trial.folder.path)
        with pytest.raises(LeaseLost):
            trial.should_stop()
        return bad(trial)

    assert engine(tmp_path, 1).work(lose, lambda: None) == 0
    assert not run_folder(tmp_path, 0).is_over()
    assert [path.name for path in taken] == ["0000"]
    assert (taken[0] / "lease.2").exists()


def test_the_agent_waits_for_a_holder_that_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "POLL_SECONDS", 0.01)
    monkeypatch.setattr("gcodefp.sweeps.lease.LEASE_SECONDS", 0.2)
    lease = tmp_path / "0000" / "lease.7"
    lease.parent.mkdir()
    holder: Mapping[str, Any] = {"host": "elsewhere", "pid": 1, "process": "boot pid:[1] 5"}
    lease.write_text(json.dumps(holder), encoding="utf-8")
    assert work(engine(tmp_path, 3)) == [1, 2, 0]


def test_early_termination_compares_with_all_other_runs(tmp_path: Path) -> None:
    rule = {"type": "hyperband", "min_iter": 1, "eta": 3}
    sweep = specification(early_terminate=rule)
    stopped: dict[int, list[bool]] = {}

    def objective(trial: Trial) -> dict[str, Any]:
        stopped[trial.folder.number] = decisions = []
        value = (0.9, 0.8, 0.2, 0.95)[trial.folder.number]
        for epoch in (1, 2, 3):
            row = {"epoch": epoch, "val/gcode_acc": value}
            append_metrics(trial.folder.path / "metrics.csv", row)
            decisions.append(trial.should_stop())
        return good(trial)

    work(engine(tmp_path, 4, sweep), objective)
    # The limit at band 1 is the best of up to two runs, the second best of three.
    assert stopped[0] == stopped[3] == [False, False, False]
    assert stopped[1] == stopped[2] == [True, True, True]


def test_bayes_is_told_losses_of_ended_failed_and_running_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[float | None]] = []

    class Spy(ConfigurationSequence):
        def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
            told.append([run.loss for run in others])
            return propose(RANDOM, SEED, number, [])

    def objective(trial: Trial) -> dict[str, Any]:
        if trial.folder.number == 2:
            work(engine(tmp_path, 4, bayes))
        return (bad if trial.folder.number == 1 else good)(trial)

    monkeypatch.setattr("gcodefp.sweeps.scheduler.ConfigurationSequence", Spy)
    bayes = specification(method="bayes")
    work(engine(tmp_path, 3, bayes), objective)
    assert told == [[], [-0.5], [-0.5, math.inf], [-0.5, math.inf, None]]
