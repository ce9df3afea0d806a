"""What real signals do to a real agent: how it ends, and what its runs are afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from same_runs import check_same_run
from tiny_sweep import TinySweep
from waiting import PATIENCE_SECONDS, ended, wait_for

from gcodefp.cluster.interrupt import AFTER_RUN, AT_EPOCH, TEXTS
from gcodefp.command_line import INTERRUPTED
from gcodefp.sweeps.lease import LeaseState, LeaseWatch, newest_claim
from gcodefp.sweeps.user_script.transaction_log import TransactionLog

EPOCHS = 40
FINITE = {"max_epochs": {"value": EPOCHS}, "learning_rate": {"values": [0.01, 0.02, 0.03]}}
LARGE = {"d_model": 128, "num_layers": 6, "batch_size": 1}
ENDLESS = FINITE | {"max_epochs": {"value": 10**6}}
SLOW = ENDLESS | {
    "d_model": {"value": 384},
    "num_layers": {"value": 12},
    "batch_size": {"value": 1},
}
"""An epoch takes many seconds."""


class Agent(NamedTuple):
    """An agent in a process group of its own, as at a terminal."""

    process: subprocess.Popen[bytes]
    log: Path

    def signal_group(self, number: int, text: str = "") -> None:
        """Sends a signal as a terminal does; waits until the agent has answered."""
        os.killpg(self.process.pid, number)
        wait_for(lambda: text in self.log.read_text(encoding="utf-8"))

    def signal_alone(self, number: int, text: str = "") -> None:
        """Sends a signal to the agent, not to its workers."""
        self.process.send_signal(number)
        wait_for(lambda: text in self.log.read_text(encoding="utf-8"))

    def end(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def started(sweep: TinySweep, *flags: object) -> Iterator[Agent]:
    command = [sys.executable, "-m", "gcodefp.agent", *sweep.flags(*flags)]
    log = sweep.folder / "agent.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, cwd=sweep.folder, start_new_session=True)
    with ended(process):
        yield Agent(process, log)


def created(dataset: Path, folder: Path, parameters: dict[str, object]) -> TinySweep:
    sweep = TinySweep(dataset, folder)
    assert sweep.create(parameters=parameters) == 0
    return sweep


def wait_for_epochs(sweep: TinySweep, workers: int) -> None:
    wait_for(lambda: all(len(sweep.run(number).metrics()) >= 2 for number in range(workers)))


def check_resumable(sweep: TinySweep, number: int) -> None:
    """The run was given back between two epochs, and nobody counts a kill."""
    run = sweep.run(number)
    assert not run.has_ended()
    assert LeaseWatch().state(run.path) is LeaseState.FREE
    claim = newest_claim(run.path)
    assert claim is not None
    assert (claim.holder, claim.kills) == (None, 0)
    assert (run.files / "last.pt").exists()
    assert run.history("epoch") == list(range(1, len(run.metrics()) + 1))


@pytest.mark.parametrize("workers", [1, 2])
def test_first_interrupt_finishes_the_run(dataset: Path, tmp_path: Path, workers: int) -> None:
    sweep = created(dataset, tmp_path, FINITE)
    with started(sweep, "--workers", workers, "--wandb-project", "tests") as agent:
        wait_for_epochs(sweep, workers)
        agent.signal_group(signal.SIGINT, TEXTS[AFTER_RUN])
        assert agent.end() == INTERRUPTED
    assert "ends before the next run, as a signal asks" in agent.log.read_text(encoding="utf-8")
    for number in range(workers):
        content = sweep.run(number).read_outcome() or {}
        assert (content["state"], content["epochs"]) == ("finished", EPOCHS)
        (file,) = sweep.run(number).path.glob("wandb/offline-run-*/*.wandb")
        logs = TransactionLog(file).records()
        (code,) = [log.exit.exit_code for log in logs if log.HasField("exit")]
        assert code == 0
    assert not sweep.run(workers).is_assigned()


@pytest.mark.parametrize("workers", [1, 2])
def test_second_interrupt_ends_at_the_epoch(dataset: Path, tmp_path: Path, workers: int) -> None:
    sweep = created(dataset, tmp_path, ENDLESS)
    with started(sweep, "--workers", workers) as agent:
        wait_for_epochs(sweep, workers)
        agent.signal_alone(signal.SIGINT, TEXTS[AFTER_RUN])
        done = len(sweep.run(0).metrics())
        wait_for(lambda: len(sweep.run(0).metrics()) > done + 1)
        agent.signal_alone(signal.SIGINT, TEXTS[AT_EPOCH])
        assert agent.end() == INTERRUPTED
    assert "ends at the epoch, as a signal asks" in agent.log.read_text(encoding="utf-8")
    for number in range(workers):
        check_resumable(sweep, number)


@pytest.mark.parametrize("workers", [1, 2])
def test_third_interrupt_ends_within_the_epoch(dataset: Path, tmp_path: Path, workers: int) -> None:
    sweep = created(dataset, tmp_path, SLOW)
    with started(sweep, "--workers", workers) as agent:
        works = [sweep.run(number) for number in range(workers)]
        wait_for(lambda: all((run.files / "work.csv").exists() for run in works))
        agent.signal_group(signal.SIGINT, TEXTS[AFTER_RUN])
        agent.signal_group(signal.SIGINT, TEXTS[AT_EPOCH])
        agent.signal_group(signal.SIGINT)
        assert agent.end() == INTERRUPTED
    for run in works:
        assert run.metrics() == []
        assert not run.has_ended()
        assert LeaseWatch().state(run.path) is LeaseState.FREE


def terminate_often(agent: Agent) -> None:
    for _ in range(5):
        agent.signal_group(signal.SIGTERM, TEXTS[AT_EPOCH])


ENDINGS: dict[str, tuple[list[str], Callable[[Agent], None], int]] = {
    "SIGTERM, often": ([], terminate_often, INTERRUPTED),
    "Ctrl-C under Snakemake": (
        ["--end-at-epoch"],
        lambda agent: agent.signal_group(signal.SIGINT, TEXTS[AT_EPOCH]),
        INTERRUPTED,
    ),
    "SIGKILL": ([], lambda agent: agent.process.kill(), -signal.SIGKILL),
}


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    sweep = created(dataset, tmp_path_factory.mktemp("undisturbed"), FINITE)
    assert sweep.work() == 0
    return sweep


@pytest.mark.parametrize(
    ("ending", "workers"),
    [("SIGTERM, often", 1), ("SIGTERM, often", 2), ("Ctrl-C under Snakemake", 2), ("SIGKILL", 1)],
)
def test_run_goes_on_bit_by_bit_when_it_is_taken_up(
    undisturbed: TinySweep, tmp_path: Path, ending: str, workers: int
) -> None:
    flags, end, code = ENDINGS[ending]
    sweep = created(undisturbed.dataset, tmp_path, FINITE)
    with started(sweep, "--workers", workers, *flags) as agent:
        wait_for_epochs(sweep, workers)
        end(agent)
        assert agent.end() == code
    watch = LeaseWatch()
    wait_for(lambda: watch.state(sweep.run(0).path) is LeaseState.FREE)
    if code == INTERRUPTED:
        check_resumable(sweep, 0)
    assert len(sweep.run(0).metrics()) < EPOCHS
    assert sweep.work() == 0
    for number in range(3):
        check_same_run(undisturbed.run(number), sweep.run(number))
