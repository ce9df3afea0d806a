"""What a run of a user script costs: `gcodefp agent` against `wandb agent` on a loopback server.

    PYTHONPATH=tests/support:tests/wandb python benchmarks/bench_script.py

A script that logs three rows with W&B's SDK and ends, ten runs in each of several sweeps by turns.
The script alone, offline as `gcodefp agent` starts it, is the floor of both.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from user_scripts import ScriptSweep
from wandb_server import WandbServer

from gcodefp.sweeps.wandb_log import OFFLINE

RUNS, REPEATS = 10, 5
SCRIPT = """
import wandb
with wandb.init() as run:
    for step in range(3):
        run.log({"score": run.config.x + step})
"""


def main() -> None:
    seconds: dict[str, list[float]] = {"script alone": [], "gcodefp agent": [], "wandb agent": []}
    with tempfile.TemporaryDirectory() as folder, WandbServer() as server:
        values = list(range(RUNS * REPEATS))
        space = {"x": {"values": values}}
        own = ScriptSweep(Path(folder), SCRIPT, project="bench", parameters=space)
        own.create()
        online = server.environment() | {"PATH": own.environment()["PATH"]}
        wandb = [sys.executable, "-m", "wandb"]
        created = timed([*wandb, "sweep", "sweep.yaml"], own.folder, online)[1]
        [address] = [line.split()[-1] for line in created.splitlines() if "wandb agent" in line]
        alone = own.environment() | OFFLINE | {"WANDB_DIR": folder}
        count = ["--count", str(RUNS)]
        for _ in range(REPEATS):
            script = [sys.executable, "-c", SCRIPT.replace("run.config.x", "1")]
            single = [timed(script, own.folder, alone)[0] for _ in range(RUNS)]
            seconds["script alone"].append(sum(single))
            local = timed(own.command("agent", own.sweep_id, *count), own.folder, own.environment())
            seconds["gcodefp agent"].append(local[0])
            reference = timed([*wandb, "agent", *count, address], own.folder, online)
            seconds["wandb agent"].append(reference[0])
        ended = [run.state for run in server.runs.values()]
        assert ended == ["finished"] * len(values), ended
        assert [run["state"] for run in own.outcomes()] == ended
    report(seconds)


def timed(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> tuple[float, str]:
    """Wall time in seconds, and the output."""
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=dict(variables), check=True, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return time.perf_counter() - begin, done.stdout


def report(seconds: Mapping[str, Sequence[float]]) -> None:
    print(f"{REPEATS} sweeps of {RUNS} runs by turns, load {os.getloadavg()[0]:.1f}; s a run")
    for name, totals in seconds.items():
        each = sorted(total / RUNS for total in totals)
        print(f"{name}: {median(each):.2f} [{each[0]:.2f}, {each[-1]:.2f}]")
    pairs = zip(seconds["gcodefp agent"], seconds["wandb agent"], strict=True)
    ratios = sorted(local / reference for local, reference in pairs)
    print(f"gcodefp / wandb: {median(ratios):.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


if __name__ == "__main__":
    main()
