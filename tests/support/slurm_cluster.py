"""The SLURM that .ci/slurm-up starts, and Snakemake at work on it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from workflow_project import change, put

from gcodefp.sweeps.lease import lease_holder
from gcodefp.sweeps.run_folder import RunFolder

MARK = "gcodefp's .ci/slurm-up"
CONFIGURATION = Path("/etc/slurm/slurm.conf")
LIMIT_SECONDS = 900
CANCEL_SECONDS = 120
LOOK_SECONDS = 0.1
SOME_EPOCHS = 3
ASKS_EACH_SECOND = """
from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
RemoteExecutor.next_seconds_between_status_checks = property(lambda _: 1.0, lambda *_: None)
main()
"""
"""Snakemake; its plugin asks SLURM ten seconds later each time that no job has ended."""


def why_not() -> str | None:
    """Why tests on SLURM are skipped; never is a job sent to a cluster that others use."""
    if shutil.which("sinfo") is None:
        return "no SLURM is installed; .ci/slurm-up installs and starts one, as root on Debian"
    if not CONFIGURATION.exists() or MARK not in CONFIGURATION.read_text(encoding="utf-8"):
        return f"{CONFIGURATION} is not that of .ci/slurm-up: start it"
    if subprocess.run(["scontrol", "ping"], capture_output=True, timeout=60).returncode:
        return "SLURM does not answer: start .ci/slurm-up"
    return None


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def only_agents_are_jobs(folder: Path, epochs: int, runs: int, **agents: object) -> None:
    """Makes a sweep of long runs; all other rules run beside Snakemake."""
    sweep = yaml.safe_load((folder / "sweep.yaml").read_text())
    sweep["run_cap"] = runs
    sweep["parameters"]["max_epochs"] = {"value": epochs}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    change(folder, "agents", **agents)
    put(folder, cluster={"local_rules": ["simulate", "preprocess", "create_sweep", "select_best"]})


class Workflow:
    """Snakemake with the profile for SLURM, in a project's folder."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._log = folder / "snakemake.log"
        soon = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"]
        command = ["timeout", "-s", "KILL", str(LIMIT_SECONDS), sys.executable]
        command += ["-c", ASKS_EACH_SECOND, "--workflow-profile", "workflow/profiles/slurm"]
        command += [*soon, *arguments]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it is so; Snakemake must be at work till then."""
        while not condition():
            assert self._process.poll() is None, self.log()
            time.sleep(LOOK_SECONDS)

    def end(self) -> None:
        """Waits until all is done, without an error."""
        assert self._process.wait() == 0, self.log() + self.agents_logs()

    def agents_logs(self) -> str:
        paths = sorted(self.folder.glob("results/logs/**/agent_*.log"))
        return "".join(path.read_text(encoding="utf-8") for path in paths)

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def agents_at_work(self) -> list[str]:
        """SLURM jobs of the agents whose run has some epochs, and has not ended."""
        at_work = {n for n, epochs in unfinished(self.folder).items() if len(epochs) >= SOME_EPOCHS}
        return [job for job, number in sorted(self.jobs().items()) if number in at_work]

    def jobs(self) -> dict[str, str]:
        """SLURM job that runs -> number of the run that it is in, as its lease tells."""
        environments = self._environments().items()
        return {job: number for number, env in environments if (job := env.get("SLURM_JOB_ID"))}

    def gpus(self) -> set[str | None]:
        """What the agents that have a run see of GPUs."""
        return {env.get("CUDA_VISIBLE_DEVICES") for env in self._environments().values()}

    def _environments(self) -> dict[str, dict[str, str]]:
        """Number of each run that an agent has -> the variables of that agent."""
        paths = self.folder.glob("results/runs/*/*")
        return {p.name: environment_of(agent.pid) for p in paths if (agent := lease_holder(p))}


@contextmanager
def workflow(folder: Path, *arguments: str) -> Iterator[Workflow]:
    """Snakemake at work; it and its jobs are gone after the block."""
    made = Workflow(folder, *arguments)
    try:
        yield made
    finally:
        made.stop()
        subprocess.run(["scancel", "--user", "root"], check=False, timeout=60)
        until = time.monotonic() + CANCEL_SECONDS
        while run("squeue", "--noheader"):
            assert time.monotonic() < until, "SLURM does not end cancelled jobs"
            time.sleep(LOOK_SECONDS)


def environment_of(pid: int) -> dict[str, str]:
    """The variables with which a process was started; none if it is gone."""
    try:
        text = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)


def state(job: str) -> str:
    return run("squeue", "--noheader", "--states=all", "--jobs", job, "--format", "%T")


def restarts(job: str) -> int:
    match = re.search(r"Restarts=(\d+)", run("scontrol", "show", "job", job))
    assert match
    return int(match[1])


def epochs_of(run_folder: Path) -> list[dict[str, float]]:
    return [dict(row) for row in RunFolder(run_folder).metrics()]


def unfinished(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Number of each unfinished run -> its epochs so far."""
    paths = sorted(folder.glob("results/runs/*/*"))
    return {p.name: epochs_of(p) for p in paths if not (p / "run.json").exists()}


def check_complete(folder: Path, runs: int, epochs: int) -> list[dict[str, object]]:
    """All runs of the sweep are over, each with all epochs, and no other is there."""
    paths = sorted(folder.glob("results/runs/*/*"))
    assert [path.name for path in paths] == [f"{number:04d}" for number in range(runs)]
    for path in paths:
        assert [row["epoch"] for row in epochs_of(path)] == list(range(1, epochs + 1))
    content = [json.loads((path / "run.json").read_text(encoding="utf-8")) for path in paths]
    assert [run["state"] for run in content] == ["finished"] * runs
    table = (folder / "results/best/runs.csv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + runs
    return content


def check_at_most_one_epoch_was_lost(
    folder: Path, before: dict[str, list[dict[str, float]]]
) -> None:
    """What was there before a kill was not trained anew: its times are the same."""
    (sweep,) = folder.glob("results/runs/*")
    assert any(len(epochs) > 1 for epochs in before.values()), "nothing was there to be lost"
    for name, epochs in before.items():
        kept = max(0, len(epochs) - 1)
        assert epochs_of(sweep / name)[:kept] == epochs[:kept]
