"""Which configurations are timed, and what follows from their timings."""

import os
from pathlib import Path
from typing import Any

import pytest
from learning_data import tiny, tiny_data, write_dataset

from gcodefp.model.data import network_sizes
from gcodefp.sweeps import estimation
from gcodefp.sweeps.estimation import (
    Timed,
    Timing,
    TimingCandidate,
    TimingConfig,
    candidates,
    memory_line,
    run_seconds,
    select_timed,
    time_configuration,
    time_line,
)


def candidate(work: float, **changed: Any) -> TimingCandidate:
    return TimingCandidate(tiny(**changed), work, work)


def timing(step_seconds: float, window_seconds: float = 0.0) -> Timing:
    return Timing(step_seconds, window_seconds, 2**30, 0)


def config(folder: Path) -> TimingConfig:
    return TimingConfig(*(folder / name for name in ("a", "b", "c")), "cpu", 1, 0.0)


def test_cheapest_median_and_most_expensive_configuration_are_timed() -> None:
    known = [candidate(work) for work in (1, 2, 2, 3, 4, 5)]
    assert [c.macs_per_step for c in select_timed(known)] == [1, 3, 5]
    assert select_timed(known[1:3]) == [known[2]]


def test_work_is_counted_on_the_real_network(tmp_path: Path) -> None:
    sizes = network_sizes(tiny_data(tmp_path).description)
    values = {"d_model": 8, "nhead": 2, "num_layers": 1, "batch_size": 4}
    changes = ({}, {"num_layers": 2}, {"batch_size": 8}, {"nhead": 3}, {"d_model": 16})
    known = candidates(({**values, **change} for change in changes), sizes, 32)
    assert [c.hyperparameters.num_layers for c in known[:2]] == [1, 2]
    assert [c.hyperparameters.batch_size for c in known] != [4] * 4
    assert len(known) == 4, "three heads do not divide the width"
    by_batch = {c.hyperparameters.batch_size: c for c in known if c.hyperparameters.d_model == 8}
    assert by_batch[8].macs_per_step == 2 * known[0].macs_per_step


def test_runs_are_interpolated_between_the_timed_ones() -> None:
    """An epoch of 10 windows in batches of 4 has 3 steps; 5 windows are validated."""
    known = [candidate(work, batch_size=4, max_epochs=2) for work in (1, 2, 3)]
    timed = [Timed(known[0], timing(1.0, 0.1)), Timed(known[2], timing(3.0, 0.3))]
    assert run_seconds(timed, known, 10, 5) == pytest.approx([7, 14, 21])
    failed = Timed(known[2], "out of memory")
    assert run_seconds([timed[0], failed], known, 10, 5) == pytest.approx([7] * 3)


@pytest.mark.parametrize(
    ("left", "agents", "text"),
    [
        (4, 2, "a run takes 60 s to 3 min; 4 runs by 2 agents: about 4 min"),
        (1, 2, "a run takes 60 s to 3 min; 1 run by 2 agents: about 60 s"),
        (200, 1, "a run takes 60 s to 3 min; 200 runs by 1 agent: about 6 h 40 min"),
    ],
)
def test_total_is_the_sum_of_runs_over_agents(left: int, agents: int, text: str) -> None:
    assert time_line([60.0, 180.0], left, agents) == text


def test_memory_counts_all_agents() -> None:
    text, fits = memory_line(2**30, 3, 3 * 2**30)
    assert text == "1.0 GiB a training, 3.0 GiB for 3 agents, 3.0 GiB available"
    assert fits
    assert not memory_line(2**30, 4, 3 * 2**30)[1]


def test_configuration_is_timed_with_the_trainer(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    paths = (tmp_path / name for name in ("dataset.json", "train.npz", "val.npz"))
    measured = time_configuration(tiny(), TimingConfig(*paths, "cpu", 1, 0.0))
    assert isinstance(measured, Timing), measured
    assert min(measured.step_seconds, measured.window_seconds) > 0
    assert measured.host_bytes > 2**20


class Killer:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_killed_process_counts_as_out_of_memory(tmp_path: Path) -> None:
    killer: Any = Killer()
    assert "out of memory" in str(time_configuration(killer, config(tmp_path)))


@pytest.mark.parametrize(
    ("message", "reason"),
    [("DefaultCPUAllocator: can't allocate memory", "out of memory"), ("bug", "RuntimeError: bug")],
)
def test_error_in_the_process_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, reason: str
) -> None:
    class Sender(list[Any]):
        send = list.append

    def fail(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(estimation, "load_training_data", fail)
    sender: Any = Sender()
    estimation._time(sender, tiny(), config(tmp_path))
    assert sender == [reason]
