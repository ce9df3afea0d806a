"""What is timed, and what the timings and the runs so far say."""

from dataclasses import replace
from math import exp
from typing import Any

import pytest
from learning_data import tiny
from timings import TIMING

from gcodefp.sweeps.estimation import (
    UNCERTAINTY,
    Candidate,
    Crew,
    Evidence,
    Interval,
    Timed,
    Workload,
    memory_lines,
    seconds_left,
    to_be_timed,
)


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
