"""The pure cost model: from what was timed to the time of a sweep."""

from itertools import permutations
from math import factorial, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcodefp.sweeps.estimation import (
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
from gcodefp.sweeps.hyperband import Hyperband

BANDS = Hyperband(bands=(5, 15, 45), eta=3.0, strict=True)
FEW_RUNS = st.lists(st.floats(0.1, 1e4), max_size=12)
AGENTS = st.integers(1, 6)


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
