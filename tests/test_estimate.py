import os
from dataclasses import replace
from itertools import permutations
from math import exp, factorial, log, sqrt
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from learning_data import CPU, tiny, tiny_data, untrained
from tiny_sweep import TinySweep, tiny_dataset

from gcodefp import estimate
from gcodefp.costs import memory, timing_process
from gcodefp.costs.candidates import Candidate, to_be_timed
from gcodefp.costs.cost import (
    UNCERTAINTY,
    Interval,
    Point,
    Run,
    epochs_until_stop,
    interpolated,
    interpolated_bytes,
    left_out_error,
    makespan,
    spread,
    surviving_share,
    sweep_seconds,
)
from gcodefp.costs.estimation import Crew, Evidence, Timed, memory_lines, seconds_left
from gcodefp.costs.timing import Timing, time_training
from gcodefp.costs.timing_process import Surroundings, time_configuration
from gcodefp.costs.workload import Extent, Workload, workload
from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.tensors import sizes_of
from gcodefp.search.hyperband import Hyperband

BANDS = Hyperband(bands=(5, 15, 45), eta=3.0, strict=True)
FEW_RUNS = st.lists(st.floats(0.1, 1e4), max_size=12)
AGENTS = st.integers(1, 6)
TIMING = Timing(
    parameters=100,
    step_seconds=(0.5, 0.5),
    epoch_seconds=10.0,
    file_seconds=0.0,
    run_seconds=0.0,
    start_seconds=0.0,
    host_bytes=2**30,
    device_bytes=0,
)


def test_a_configuration_between_two_lies_on_the_line_between_their_logarithms() -> None:
    points = [Point(100, 10), Point(1, 1)]
    assert interpolated(points, 10) == pytest.approx(sqrt(10))
    assert interpolated(points, 100) == pytest.approx(10)
    assert interpolated(points, 10_000) == pytest.approx(100)


def test_one_configuration_speaks_for_all_in_proportion() -> None:
    assert interpolated([Point(2, 10), Point(2, 10)], 6) == pytest.approx(30)


def test_a_point_is_left_out_to_see_how_well_the_others_tell_it() -> None:
    assert left_out_error([Point(1, 1), Point(10, 20), Point(100, 100)]) == pytest.approx(log(2))
    assert left_out_error([Point(1, 1), Point(10, 20)]) == 0


def test_memory_never_falls_as_configurations_grow() -> None:
    points = [Point(3, 100), Point(1, 200), Point(5, 300)]
    needs = [interpolated_bytes(points, work) for work in (0.5, 1, 2, 4, 5, 6)]
    assert needs == [200, 200, 200, 200, 300, 400]
    assert interpolated_bytes(points[:1], 17) == 100


def test_agents_take_runs_in_order() -> None:
    assert makespan([3, 2, 2, 1], agents=2, places=2) == 4
    assert makespan([3, 2, 2, 1], agents=1, places=1) == 8
    assert makespan([], agents=2, places=2) == 0


def test_agents_without_a_place_of_their_own_slow_each_other() -> None:
    assert makespan([2, 2], agents=4, places=1) == 4
    # Two share one place until 2 of the 3 are done; the last works alone.
    assert makespan([1, 2], agents=2, places=1) == 3


@given(seconds=FEW_RUNS, agents=AGENTS)
def test_more_agents_never_take_longer(seconds: list[float], agents: int) -> None:
    few, more = (makespan(seconds, n, places=10) for n in (agents, agents + 1))
    assert more <= few * (1 + 1e-9)
    assert few >= max([sum(seconds) / agents, *seconds]) * (1 - 1e-9)


@given(seconds=FEW_RUNS, more=st.floats(0.1, 1e4), where=st.integers(0, 12), agents=AGENTS)
def test_more_runs_never_take_less(
    seconds: list[float], more: float, where: int, agents: int
) -> None:
    with_more = [*seconds[:where], more, *seconds[where:]]
    before, after = (makespan(s, agents, places=10) for s in (seconds, with_more))
    assert after >= before * (1 - 1e-9)


def test_a_third_of_the_runs_survives_each_band() -> None:
    assert epochs_until_stop(BANDS, 45, 1 / 3) == pytest.approx(5 + 10 / 3 + 30 / 9)
    assert epochs_until_stop(BANDS, 4, 1 / 3) == 4
    assert epochs_until_stop(BANDS, 45, 1.0) == 45
    assert epochs_until_stop(None, 45, 1 / 3) == 45


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_the_survivors_are_those_of_the_rule_itself(runs: int) -> None:
    rule = Hyperband(bands=(1,), eta=3.0, strict=True)
    survivors = 0
    for values in permutations([float(value) for value in range(runs)]):
        histories = [[value, value] for value in values]
        survivors += sum(
            not rule.should_stop(histories[i], histories[:i], "minimize") for i in range(runs)
        )
    assert surviving_share(rule, runs) == pytest.approx(survivors / factorial(runs) / runs)


@given(
    runs=st.lists(
        st.builds(Run, st.integers(1, 60), st.floats(0.01, 100), st.floats(0, 10)), min_size=1
    ),
    agents=AGENTS,
    places=AGENTS,
    rule=st.sampled_from([None, BANDS]),
    uncertainty=st.floats(0, 2),
)
def test_the_interval_holds_the_estimate(
    runs: list[Run], agents: int, places: int, rule: Hyperband | None, uncertainty: float
) -> None:
    low, middle, high = sweep_seconds(runs, agents, places, rule, uncertainty)
    assert 0 < low <= middle <= high


def test_the_spread_is_that_of_most_repeats() -> None:
    assert spread([1.0] * 20 + [50.0]) == 0
    assert spread([1.0, 2.0, 4.0]) > 0


def candidate(work: float, step_bytes: float = 1.0, **changed: Any) -> Candidate:
    return Candidate(tiny(**changed), Workload(100, work, step_bytes))


def test_the_smallest_the_median_the_largest_and_the_widest_are_timed() -> None:
    known = [candidate(work) for work in (5, 1, 3, 3, 2, 4)] + [candidate(1.5, 99)]
    assert [c.workload.work for c in to_be_timed(known)] == [1, 1.5, 3, 5]
    assert to_be_timed(known[2:4]) == [known[2]]


def seconds_of(evidence: list[Evidence], crew: Crew, **timing: Any) -> Interval:
    """Six runs of four epochs, each of 10 s unless `timing` says otherwise."""
    known = [candidate(1)]
    timed = [Timed(known[0], replace(TIMING, **timing))]
    return seconds_left(timed, known, 6, evidence, crew, None)


def test_seconds_are_epochs_files_runs_and_one_start() -> None:
    low, middle, high = seconds_of(
        [], Crew(2, 2), file_seconds=1.0, run_seconds=5.0, start_seconds=3.0
    )
    assert middle == pytest.approx(3 * (4 * 11 + 5) + 3)
    assert low == pytest.approx(3 * 49 * exp(-UNCERTAINTY) + 3)
    assert high == pytest.approx(3 * 49 * exp(UNCERTAINTY) + 3)


def test_runs_that_are_over_scale_the_estimate() -> None:
    evidence = [Evidence(1.0, seconds) for seconds in (19.0, 20.0, 21.0)]
    scaled = seconds_of(evidence, Crew(1, 1))
    assert scaled.middle == pytest.approx(2 * seconds_of([], Crew(1, 1)).middle)


def test_work_that_is_not_the_sweep_s_may_end_or_grow() -> None:
    low, middle, high = seconds_of([], Crew(1, 1, crowding=2.0))
    assert (low, high) == pytest.approx((middle / 2, middle * 2))
    evidence = [Evidence(1.0, 10.0)] * 2
    assert seconds_of(evidence, Crew(1, 1, crowding=2.0)) == seconds_of([], Crew(1, 1))


@pytest.mark.parametrize(
    ("agents", "available", "told"),
    [(2, 8, None), (3, 8, "take 2"), (3, 3, "not even alone"), (1, 3, "1 of 2 configurations")],
)
def test_a_lack_of_memory_comes_with_a_way_out(
    agents: int, available: int, told: str | None
) -> None:
    text, warning = memory_lines([2 * 2**30, 4 * 2**30], agents, available * 2**30, "memory")
    assert f"{4 * agents}.00 GiB" in text
    assert (warning is None) if told is None else (told in str(warning))


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
    sizes, extent = sizes_of(data.description), Extent(100, 10, data.description.window)
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
    nowhere = Surroundings(tmp_path, tmp_path, tmp_path, tmp_path, "cpu", 1, 0.0)
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
    nowhere = Surroundings(tmp_path, tmp_path, tmp_path, tmp_path, "cpu", 1, 0.0)
    assert told in str(timing_process._time(tiny(), nowhere, 0.0))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data"))


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
