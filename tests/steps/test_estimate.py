"""The command `python -m gcodefp.estimate`."""

import os
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from learning_data import tiny, tiny_data, write_dataset
from tiny_sweep import TinySweep

from gcodefp import estimate
from gcodefp.estimate import Timing
from gcodefp.model.data import network_sizes
from gcodefp.model.hyperparameters import Hyperparameters


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    return TinySweep(dataset, tmp_path)


@pytest.fixture
def _no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers do not fit; every other step takes a second and 1 GiB."""

    def time_none(hyperparameters: Hyperparameters, _: object) -> Timing | str:
        return "out of memory" if hyperparameters.num_layers == 2 else Timing(1.0, 0.0, 2**30, 0)

    monkeypatch.setattr(estimate, "time_configuration", time_none)


def test_timed_sweep_leaves_no_file(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.create() == 0
    assert estimate.main(sweep.flags("--seconds", 0)) == 0
    output = capsys.readouterr().out
    assert "2 runs by 1 agent: about" in output
    assert "iB a training" in output
    assert not (sweep.folder / "runs").exists()


@pytest.mark.usefixtures("_no_timing")
def test_ended_runs_count_as_done(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.create(run_cap=1) == 0
    assert sweep.work() == 0
    assert estimate.main(sweep.flags()) == 0
    assert "all 1 runs are over" in capsys.readouterr().out
    assert sweep.create(run_cap=2) == 0
    assert estimate.main(sweep.flags("--agents", 4)) == 0
    assert "1 run by 4 agents" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_timing")
def test_failed_and_large_configurations_are_warnings(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    available = SimpleNamespace(available=2.5 * 2**30)
    monkeypatch.setattr(estimate.psutil, "virtual_memory", lambda: available)
    rule = {"type": "hyperband", "min_iter": 1}
    changes: dict[str, Any] = {"parameters": {"num_layers": {"values": [1, 2]}}}
    assert sweep.create(method="bayes", run_cap=3, early_terminate=rule, **changes) == 0
    assert estimate.main(sweep.flags("--agents", 999)) == 0
    output, log = capsys.readouterr()
    assert "num_layers 2: out of memory" in log
    assert "this does not fit: take 2 agents, or make batch_size or d_model smaller" in log
    for note in ("999 processors are needed", "random configurations stand", "hyperband"):
        assert note in output


@pytest.mark.usefixtures("_no_timing")
def test_no_estimate_without_a_timing(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.create(parameters={"num_layers": {"value": 2}}) == 0
    assert estimate.main(sweep.flags()) == 1
    assert "no configuration could be timed; the last: out of memory" in capsys.readouterr().err


def test_work_is_counted_on_the_real_network(tmp_path: Path) -> None:
    sizes = network_sizes(tiny_data(tmp_path).description)
    changes: tuple[dict[str, int], ...] = ({}, {"num_layers": 2}, {"d_model": 16})
    work = [estimate.macs_per_window(tiny(**change), sizes, 32) for change in changes]
    assert work == sorted(set(work))


def test_runs_are_interpolated_between_the_timed_ones() -> None:
    """An epoch of 10 windows in batches of 4 has 3 steps; 5 windows are validated."""
    configurations = [tiny(batch_size=4, max_epochs=2)] * 3
    work = np.array([3.0, 1.0, 2.0])
    timed = {1: Timing(1.0, 0.1, 1, 0), 0: Timing(3.0, 0.3, 1, 0)}
    assert estimate.run_seconds(timed, configurations, work, 10, 5) == pytest.approx([21, 7, 14])
    del timed[0]
    assert estimate.run_seconds(timed, configurations, work, 10, 5) == pytest.approx([7] * 3)


class Killer:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (9,)


def test_configuration_is_timed_in_a_process_that_may_be_killed(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    names = {"dataset": "dataset.json", "train": "train.npz", "val": "val.npz"}
    paths = {name: tmp_path / file for name, file in names.items()}
    arguments = Namespace(**paths, device="cpu", threads=1, seconds=0.0)
    measured = estimate.time_configuration(tiny(), arguments)
    assert isinstance(measured, Timing), measured
    assert min(measured.step_seconds, measured.window_seconds) > 0
    assert measured.host_bytes > 2**20
    killer: Any = Killer()
    assert "out of memory" in str(estimate.time_configuration(killer, arguments))
    arguments.dataset = tmp_path / "none"
    assert "none: no such file" in str(estimate.time_configuration(tiny(), arguments))
