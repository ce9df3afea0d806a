"""The step `python -m gcodefp.estimate`."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_sweep import TinySweep

from gcodefp import estimate
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.sweeps.estimation import Timing


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
    for note in ("999 processors are needed", "random configurations stand", "early termination"):
        assert note in output


@pytest.mark.usefixtures("_no_timing")
def test_no_estimate_without_a_timing(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep.create(parameters={"num_layers": {"value": 2}}) == 0
    assert estimate.main(sweep.flags()) == 1
    assert "no configuration could be timed; the last: out of memory" in capsys.readouterr().err
