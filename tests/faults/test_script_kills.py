"""Agents of a user script's sweep are killed at random: no run is lost, none counts twice."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
from user_scripts import ScriptSweep

TOTAL, EPOCHS, AGENTS = 12, 4, 2

SCRIPT = """
import json, os, pathlib, psutil, sys, time
agent = psutil.Process(os.getppid()).ppid()
x = float(sys.argv[1].partition("=")[2])
checkpoint = pathlib.Path(os.environ["GCODEFP_RUN_DIR"], "epoch")
done = int(checkpoint.read_text()) if checkpoint.exists() else 0
try:
    for epoch in range(done, EPOCHS):
        print(json.dumps({"score": x * (epoch + 1), "epoch": epoch}), flush=True)
        time.sleep(0.4)
        checkpoint.with_name("new").write_text(str(epoch + 1))
        checkpoint.with_name("new").replace(checkpoint)
finally:  # If nobody ends it, it outlives its agent by a minute.
    until = time.monotonic() + 60
    while psutil.Process(os.getppid()).ppid() != agent and time.monotonic() < until:
        time.sleep(0.1)
""".replace("EPOCHS", str(EPOCHS))


def test_killed_agents_leave_run_cap_runs_and_no_script(tmp_path: Path) -> None:
    """KILLS=200 kills at least as many agents at work, in several sweeps."""
    count, kills, rounds = int(os.environ.get("KILLS", "4")), 0, 0
    choice = random.Random(7)
    while kills < count:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        uniform = {"distribution": "uniform", "min": 0.5, "max": 1.0}
        own = ScriptSweep(folder, SCRIPT, method="random", run_cap=TOTAL, parameters={"x": uniform})
        own.create("--seed", str(rounds))
        kills += kill_agents(own, choice, count - kills)
        runs = own.outcomes()
        assert [run["state"] for run in runs] == ["finished"] * TOTAL
        assert len({run["hyperparameters"]["x"] for run in runs}) == TOTAL
        for number, run in enumerate(runs):
            x = run["hyperparameters"]["x"]
            assert [row["score"] for row in own.metrics(number)] == [
                x * epoch for epoch in range(1, EPOCHS + 1)
            ]
        assert len(list(own.runs.glob("[0-9]*"))) == TOTAL
        assert not scripts(folder)
        rounds += 1
        print(f"{rounds} sweeps, {kills} kills", flush=True)


def kill_agents(own: ScriptSweep, choice: random.Random, most: int) -> int:
    """Kills agents and starts others until the runs have ended; how often their script ran."""
    agents: list[subprocess.Popen[bytes]] = []
    kills, until = 0, time.monotonic() + 900
    try:
        while len(own.outcomes()) < TOTAL:
            assert time.monotonic() < until
            agents = [agent for agent in agents if agent.poll() is None]
            agents += [own.start_agent() for _ in range(AGENTS - len(agents))]
            time.sleep(choice.uniform(1.0, 8.0) if kills < most else 1.0)
            alive = [agent for agent in agents if agent.poll() is None]
            if kills < most and alive:
                agent = choice.choice(alive)
                below = set(psutil.Process(agent.pid).children(recursive=True))
                own_scripts = below & set(scripts(own.folder))
                os.kill(agent.pid, signal.SIGKILL)
                wait_until_gone(own_scripts, own.folder)
                kills += bool(own_scripts)
        for agent in agents:
            agent.wait(timeout=120)
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()
    return kills


def wait_until_gone(killed: set[psutil.Process], folder: Path) -> None:
    until = time.monotonic() + 10
    while left := killed & set(scripts(folder)):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def scripts(folder: Path) -> list[psutil.Process]:
    """Processes of the sweep's script that are still there."""
    running = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        is_script = "fit.py" in (process.info["cmdline"] or [])
        if is_script and process.info["cwd"] == str(folder):
            running.append(process)
    return running
