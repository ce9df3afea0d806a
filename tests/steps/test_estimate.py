"""The step `python -m gcodefp.estimate`."""

from pathlib import Path
from typing import Any

import pytest
from timings import TIMING
from tiny_sweep import TinySweep

from gcodefp import estimate
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.sweeps.timing import Timing


@pytest.fixture
def sweep(dataset: Path, tmp_path: Path) -> TinySweep:
    return TinySweep(dataset, tmp_path)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two layers do not fit, all else takes 10 s an epoch; tells how many were timed at once."""
    asked: list[int] = []

    def time_none(hyperparameters: Hyperparameters, _: object, at_once: int) -> Timing | str:
        asked.append(at_once)
        return "out of memory" if hyperparameters.num_layers == 2 else TIMING

    monkeypatch.setattr(estimate, "time_configuration", time_none)
    monkeypatch.setattr(estimate, "processors", lambda: 2)
    monkeypatch.setattr(estimate, "crowding", lambda working: 1.0)
    return asked


def test_the_step_times_for_real_and_keeps_nothing(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.create() == 0
    assert estimate.main(sweep.flags("--seconds", 0)) == 0
    answer = capsys.readouterr().out
    assert "2 of 2 runs are left" in answer
    assert "with 1 agent\n" in answer
    assert "GiB an agent" in answer
    assert list((sweep.folder / "runs").iterdir()) == []


def test_runs_that_are_over_count_as_done(
    sweep: TinySweep, at_once: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.create(run_cap=1) == 0
    assert sweep.work() == 0
    assert estimate.main(sweep.flags()) == 0
    assert "all 1 runs are over" in capsys.readouterr().out
    assert at_once == []
    assert sweep.create(run_cap=2) == 0
    assert estimate.main(sweep.flags("--agents", 4)) == 0
    answer = capsys.readouterr().out
    assert "1 of 2 runs are left" in answer
    assert "scaled to the time that 1 runs took" in answer
    assert at_once == [1]


def test_what_fails_or_does_not_fit_is_a_warning(
    sweep: TinySweep,
    at_once: list[int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(estimate, "available_host_bytes", lambda: 2**20)
    rule = {"type": "hyperband", "min_iter": 1}
    changes: dict[str, Any] = {"parameters": {"num_layers": {"values": [1, 2]}}}
    assert sweep.create(method="bayes", run_cap=3, early_terminate=rule, **changes) == 0
    assert estimate.main(sweep.flags("--agents", 3)) == 0
    answer, log = capsys.readouterr()
    assert at_once == [2, 2]
    assert "num_layers 2: out of memory" in log
    assert "not even alone: make batch_size or d_model smaller" in log
    assert "3 agents share the processors of 2" in answer
    assert "random configurations stand for it" in answer
    assert "about" in answer


def test_where_nothing_can_be_timed_there_is_no_estimate(
    sweep: TinySweep, at_once: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.create(parameters={"num_layers": {"value": 2}}) == 0
    assert estimate.main(sweep.flags()) == 1
    assert "no configuration could be timed; the last: out of memory" in capsys.readouterr().err
