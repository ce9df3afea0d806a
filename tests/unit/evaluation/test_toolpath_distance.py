import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gcodefp.evaluation.toolpaths import discrete_frechet, segment_distances

Path = NDArray[np.float64]
POINT = st.tuples(*[st.integers(-40, 40).map(lambda quarter: quarter / 4)] * 3)
PATHS = st.lists(POINT, min_size=1, max_size=8).map(np.array)


def recursive_distance(one: Path, other: Path) -> float:
    """The recursion of Eiter and Mannila, word for word."""

    @cache
    def leash(i: int, j: int) -> float:
        before = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        ways = [leash(a, b) for a, b in before if a >= 0 and b >= 0]
        return max(min(ways, default=0.0), math.dist(one[i], other[j]))

    return leash(len(one) - 1, len(other) - 1)


@settings(deadline=None, max_examples=60)
@given(one=PATHS, other=PATHS)
def test_the_distance_is_that_of_the_recursion(one: Path, other: Path) -> None:
    assert discrete_frechet(one, other) == pytest.approx(recursive_distance(one, other))


@settings(deadline=None, max_examples=40)
@given(one=PATHS, other=PATHS, third=PATHS)
def test_the_distance_is_that_of_a_leash(one: Path, other: Path, third: Path) -> None:
    leash = discrete_frechet(one, other)
    assert leash == discrete_frechet(other, one)
    assert leash == discrete_frechet(one[::-1], other[::-1])
    assert discrete_frechet(one, one) == 0
    ends = max(math.dist(one[0], other[0]), math.dist(one[-1], other[-1]))
    assert leash >= ends - 1e-9
    apart = np.linalg.norm(one[:, None] - other, axis=2)
    # No shorter than the Hausdorff distance, no longer than the farthest two points.
    assert max(apart.min(0).max(), apart.min(1).max()) - 1e-9 <= leash <= apart.max() + 1e-9
    way_round = discrete_frechet(one, third) + discrete_frechet(third, other)
    assert leash <= way_round + 1e-9


@settings(deadline=None, max_examples=40)
@given(one=PATHS, other=PATHS, times=st.lists(st.integers(1, 4), min_size=8, max_size=8))
def test_waiting_at_a_point_makes_no_difference(one: Path, other: Path, times: list[int]) -> None:
    waiting = one.repeat(times[: len(one)], axis=0)
    assert discrete_frechet(waiting, other) == discrete_frechet(one, other)
    assert recursive_distance(waiting, other) == recursive_distance(one, other)


def test_a_way_back_counts_where_a_nearest_point_would_not() -> None:
    """There and back again passes the same places as there alone."""
    there = np.array([[x, 0.0, 0.0] for x in range(11)])
    and_back = np.concatenate([there, there[::-1]])
    assert discrete_frechet(and_back, there) == 10
    assert discrete_frechet(there + np.array([0, 3, 4]), there) == 5


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 60), (60, 1), (60, 45), (45, 60)])
def test_long_paths_are_those_of_the_recursion(n: int, m: int) -> None:
    random = np.random.default_rng(n)
    one, other = (random.normal(size=(length, 3)).cumsum(0) for length in (n, m))
    assert discrete_frechet(one, other) == pytest.approx(recursive_distance(one, other))


def test_what_has_no_distance_is_named() -> None:
    path = np.zeros((3, 3))
    unknown = path.copy()
    unknown[1, 2] = math.nan
    with pytest.raises(ValueError, match=r"^one: point 1 is not finite: \[ ?0\. +0\. +nan\]"):
        discrete_frechet(unknown, path)
    with pytest.raises(ValueError, match=r"^other: point 0 is not finite"):
        discrete_frechet(path, path - math.inf)
    with pytest.raises(ValueError, match=r"^other: the path has no points"):
        discrete_frechet(path, path[:0])


def test_each_stretch_has_its_distance() -> None:
    nan = math.nan
    true = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 9], [5, 5, 5], [1, 1, 1]], float)
    off = [[0, 3, 4], [0, 0, 1], [0, 2, 0], [nan, 0, 0], [nan, 0, 0], [0, 0, 0]]
    written = true + np.array(off)
    found = segment_distances(written, true, np.array([0, 0, 1, 1, 2, 3]))
    np.testing.assert_allclose(found, [5, 2, nan, 0])
    # A row that is unknown is left out, whichever path does not know it.
    np.testing.assert_array_equal(
        segment_distances(true, written, np.array([0, 0, 1, 1, 2, 3])), found
    )


def test_a_stretch_without_rows_has_no_distance() -> None:
    path = np.zeros((2, 3))
    np.testing.assert_array_equal(segment_distances(path, path, np.array([0, 2])), [0, np.nan, 0])
    assert segment_distances(path[:0], path[:0], np.zeros(0, int)).shape == (0,)
