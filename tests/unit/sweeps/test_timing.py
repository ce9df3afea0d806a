"""Memory, workload and time of one configuration, on the real network."""

import os
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from learning_data import CPU, tiny, tiny_data, untrained

from gcodefp.model.data import network_sizes
from gcodefp.sweeps import timing as memory
from gcodefp.sweeps import timing as timing_process
from gcodefp.sweeps.estimation import DatasetSize, workload
from gcodefp.sweeps.timing import TimingConfig, time_configuration, time_training


def test_the_lowest_limit_of_a_group_or_one_around_it_counts(tmp_path: Path) -> None:
    for path, text in {
        "job/step/memory.max": "max",
        "job/memory.max": "7000",
        "memory/other/memory.limit_in_bytes": "9000",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    proc = tmp_path / "proc"
    proc.write_text("5:memory:/other\n4:cpuset:/\n0::/job/step\n")
    assert sorted(memory.limits(tmp_path, proc)) == [7000, 9000]
    assert 0 < memory.available_host_bytes() < 2**62


def test_the_workload_is_counted_on_the_real_network(tmp_path: Path) -> None:
    data = tiny_data(tmp_path)
    sizes, extent = network_sizes(data.description), DatasetSize(100, 10, data.description.window)
    small, large = (workload(tiny(num_layers=n), sizes, extent, "cpu") for n in (1, 2))
    assert small.parameters == sum(p.numel() for p in untrained(data).parameters())
    assert small.work < large.work
    assert small.step_bytes < workload(tiny(batch_size=32), sizes, extent, "cpu").step_bytes


def test_a_configuration_is_timed_in_the_trainer_s_own_functions(tmp_path: Path) -> None:
    data = tiny_data(tmp_path / "data")
    timing = time_training(tiny(), data, CPU, tmp_path, seconds=0.0)
    assert timing.parameters == sum(p.numel() for p in untrained(data).parameters())
    assert timing.epoch_seconds > min(timing.step_seconds) > 0
    assert timing.host_bytes > 2**20
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


class Killer:
    """Ends the process that reads it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_a_process_that_is_killed_is_told_of(tmp_path: Path) -> None:
    nowhere = TimingConfig(tmp_path, tmp_path, tmp_path, tmp_path, "cpu", 1, 0.0)
    killer: Any = Killer()
    assert "out of memory" in str(time_configuration(killer, nowhere, 1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("message", "told"),
    [("DefaultCPUAllocator: can't allocate memory", "out of memory"), ("a bug", "Error: a bug")],
)
def test_a_configuration_that_fails_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, told: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(timing_process, "load_training_data", fail)
    monkeypatch.setattr(timing_process, "_others", Barrier(1))
    nowhere = TimingConfig(tmp_path, tmp_path, tmp_path, tmp_path, "cpu", 1, 0.0)
    assert told in str(timing_process._time(tiny(), nowhere, 0.0))
