"""The workflow on a real SLURM, whose jobs are cancelled, run into limits and are preempted."""

import shutil
import sys
from pathlib import Path

import pytest
from slurm_cluster import (
    check_at_most_one_epoch_was_lost,
    check_complete,
    only_agents_are_jobs,
    restarts,
    run,
    state,
    unfinished,
    why_not,
    workflow,
)
from workflow_project import change, copy_project, snakemake

REASON = why_not()
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

EPOCHS, RUNS = 120, 3
LIMITED_EPOCHS, REQUEUED_EPOCHS = 400, 600
"""Enough to outlast a time limit on a fast machine."""
ALL_CPUS = ("--cpus-per-task", "4", "--mem", "256", "--output", "/dev/null", "--wrap", "sleep 3")
"""A job that fills the node."""
SUBMITTED = "has been submitted with SLURM jobid"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose sweep can start."""
    folder = copy_project(tmp_path_factory.mktemp("slurm") / "project")
    only_agents_are_jobs(folder, EPOCHS, RUNS)
    snakemake(folder, "create_sweep")
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "project", symlinks=True)


def test_the_whole_pipeline(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "project")
    change(folder, "sweep", run_cap=4)
    with workflow(folder) as at_work:
        at_work.end()
        jobs = at_work.log().count(SUBMITTED)
    runs = check_complete(folder, runs=4, epochs=3)
    assert (folder / "results/report.html").stat().st_size > 10_000
    assert jobs == 5, "prepare, two agents, select_best, finish"
    gpu_of_job = {content["slurm_job"]: content["gpu"] for content in runs}
    assert set(gpu_of_job.values()) <= {"0", "1"}
    assert len(set(gpu_of_job.values())) == len(gpu_of_job)
    assert all((path / "wandb").is_dir() for path in folder.glob("results/runs/*/*"))
    assert "Nothing to be done" in snakemake(folder, "--dry-run")


def test_two_agents_have_a_gpu_each_and_a_cancelled_one_is_followed_by_another(
    folder: Path,
) -> None:
    with workflow(folder, "select_best") as at_work:
        at_work.wait_for(lambda: len(at_work.agents_at_work()) == 2)
        first, _ = at_work.agents_at_work()
        before = unfinished(folder)
        assert at_work.gpus() == {"0", "1"}
        run("scancel", first)
        at_work.end()
    assert state(first) == "CANCELLED"
    runs = check_complete(folder, RUNS, EPOCHS)
    check_at_most_one_epoch_was_lost(folder, before)
    assert first not in {content["slurm_job"] for content in runs}


def test_an_agent_killed_at_its_time_limit_is_followed_by_another(folder: Path) -> None:
    only_agents_are_jobs(folder, LIMITED_EPOCHS, runs=2, count=1)
    with workflow(folder, "select_best") as at_work:
        at_work.wait_for(lambda: bool(at_work.agents_at_work()))
        (job,) = at_work.agents_at_work()
        # SLURM refuses a time that has passed when it reads it, a second later on a busy machine.
        run("scontrol", "update", f"JobId={job}", "EndTime=now+10seconds")
        before = unfinished(folder)
        at_work.wait_for(lambda: state(job) == "TIMEOUT")
        at_work.end()
    check_complete(folder, 2, LIMITED_EPOCHS)
    check_at_most_one_epoch_was_lost(folder, before)


@pytest.mark.parametrize("partition", ["low", "lowcancel"])
def test_preempted_agents_go_on_as_the_same_jobs(folder: Path, partition: str) -> None:
    """In `low` SLURM itself requeues them; in `lowcancel` it only stops them."""
    where = ["--set-resources", f"agent:slurm_partition={partition}"]
    with workflow(folder, *where, "--", "select_best") as at_work:
        at_work.wait_for(lambda: len(at_work.agents_at_work()) == 2)
        jobs, before = at_work.agents_at_work(), unfinished(folder)
        run("sbatch", "--wait", "--partition", "main", *ALL_CPUS)
        at_work.end()
    assert [restarts(job) for job in jobs] == [1, 1]
    assert {state(job) for job in jobs} == {"COMPLETED"}
    runs = check_complete(folder, RUNS, EPOCHS)
    check_at_most_one_epoch_was_lost(folder, before)
    assert {content["slurm_job"] for content in runs} <= set(jobs)


def test_an_agent_joins_and_goes_back_into_the_queue_before_its_time_limit(folder: Path) -> None:
    only_agents_are_jobs(folder, REQUEUED_EPOCHS, runs=2, count=1)
    agent = f"exec {sys.executable} -m gcodefp.agent --job-minutes 1 --margin-seconds 40"
    options = ["--requeue", "--time", "1", "--gpus", "1", "--cpus-per-task", "1", "--mem", "2000"]
    with workflow(folder, "select_best") as at_work:
        at_work.wait_for(lambda: bool(at_work.agents_at_work()))
        (own,) = at_work.agents_at_work()
        joined = run(
            "sbatch", "--parsable", "--chdir", str(folder), *options, "--open-mode=append",
            "--output", str(folder / "joined.log"), "--wrap", agent,
        )  # fmt: skip
        at_work.wait_for(lambda: restarts(joined) > 0)
        before = unfinished(folder)
        at_work.end()
        assert at_work.log().count(SUBMITTED) == 1, "all other rules are local, in no group"
    check_complete(folder, 2, REQUEUED_EPOCHS)
    assert state(own) == "COMPLETED"
    log = (folder / "joined.log").read_text(encoding="utf-8")
    assert f"SLURM job {joined} is requeued" in log
    check_at_most_one_epoch_was_lost(folder, before)
