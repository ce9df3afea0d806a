import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gcodefp.evaluation.toolpaths import (
    SAFETY_WARNING,
    axis_errors_mm,
    axis_numbers,
    discrete_frechet,
    endpoints_mm,
    reconstructed_program,
    segment_distances,
)

Path = NDArray[np.float64]
POINT = st.tuples(*[st.integers(-40, 40).map(lambda quarter: quarter / 4)] * 3)
PATHS = st.lists(POINT, min_size=1, max_size=8).map(np.array)


def recursive_distance(path: Path, other: Path) -> float:
    """The recursion of Eiter and Mannila, word for word."""

    @cache
    def reach(i: int, j: int) -> float:
        before = [(i - 1, j), (i, j - 1), (i - 1, j - 1)]
        steps = [reach(a, b) for a, b in before if a >= 0 and b >= 0]
        return max(min(steps, default=0.0), math.dist(path[i], other[j]))

    return reach(len(path) - 1, len(other) - 1)


@settings(deadline=None, max_examples=60)
@given(path=PATHS, other=PATHS, times=st.lists(st.integers(1, 4), min_size=8, max_size=8))
def test_distance_equals_the_recursion_and_ignores_waiting(
    path: Path, other: Path, times: list[int]
) -> None:
    distance = discrete_frechet(path, other)
    assert distance == pytest.approx(recursive_distance(path, other))
    assert distance == discrete_frechet(other, path) == discrete_frechet(path[::-1], other[::-1])
    waiting = path.repeat(times[: len(path)], axis=0)
    assert discrete_frechet(waiting, other) == distance
    assert discrete_frechet(path, path) == 0


def test_a_way_back_counts_where_a_nearest_point_would_not() -> None:
    forth = np.array([[x, 0.0, 0.0] for x in range(11)])
    assert discrete_frechet(np.concatenate([forth, forth[::-1]]), forth) == 10
    assert discrete_frechet(forth + np.array([0, 3, 4]), forth) == 5


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 60), (60, 1), (60, 45), (45, 60)])
def test_distance_of_long_paths(n: int, m: int) -> None:
    random = np.random.default_rng(n)
    path, other = (random.normal(size=(length, 3)).cumsum(0) for length in (n, m))
    assert discrete_frechet(path, other) == pytest.approx(recursive_distance(path, other))


def test_paths_without_a_distance_are_refused() -> None:
    path = np.zeros((3, 3))
    unknown = path.copy()
    unknown[1, 2] = math.nan
    with pytest.raises(ValueError, match=r"^path: point 1 is not finite: \[ ?0\. +0\. +nan\]"):
        discrete_frechet(unknown, path)
    with pytest.raises(ValueError, match=r"^other: point 0 is not finite"):
        discrete_frechet(path, path - math.inf)
    with pytest.raises(ValueError, match=r"^other: the path has no points"):
        discrete_frechet(path, path[:0])


def test_each_segment_has_its_distance_over_known_rows() -> None:
    nan, segment = math.nan, np.array([0, 0, 1, 1, 2, 3])
    true = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 9], [5, 5, 5], [1, 1, 1]], float)
    shift = [[0, 3, 4], [0, 0, 1], [0, 2, 0], [nan, 0, 0], [nan, 0, 0], [0, 0, 0]]
    predicted = true + np.array(shift)
    for paths in ((predicted, true), (true, predicted)):
        np.testing.assert_allclose(segment_distances(*paths, segment), [5, 2, nan, 0])
    without_rows = segment_distances(true[:2], true[:2], np.array([0, 2]))
    np.testing.assert_array_equal(without_rows, [0, nan, 0])
    assert segment_distances(true[:0], true[:0], np.zeros(0, int)).shape == (0,)


def test_axis_errors_are_in_millimetres_where_both_blocks_have_the_word() -> None:
    predicted = np.array(["G1 X1.5 Y2", "X1", "G1 Z-0.1", "M3", "X1", "X1"])
    true = np.array(["G1 X1 Y4", "G1 X3", "G1 Z0.1", "G1 X1", "G1 Y1", "X2"])
    errors = axis_errors_mm(predicted, true, np.array([1.0, 25.4, 25.4, 1.0, 1.0, np.nan]))
    nan = math.nan
    expected = [[0.5, 2, nan], [2 * 25.4, nan, nan], [nan, nan, 0.2 * 25.4], *[[nan] * 3] * 3]
    np.testing.assert_allclose(errors, expected)


def test_axis_numbers_and_endpoints_of_blocks() -> None:
    nan, inch = math.nan, 25.4
    numbers = axis_numbers(np.array(["X2 Y-1", "M3", "Z.5 F9", "X2 Y-1"]))
    np.testing.assert_array_equal(numbers, [[2, -1, nan], [nan] * 3, [nan, nan, 0.5], [2, -1, nan]])
    blocks = np.array(["M3", "G0 X1", "Y2", "X3", "M5", "Z-1 X0"])
    ends = endpoints_mm(blocks, np.array([1.0, inch, inch, 1.0, 1.0, 1.0]))
    held = [3, 2 * inch, nan]
    expected = [[nan] * 3, [inch, nan, nan], [inch, 2 * inch, nan], held, held, [0, 2 * inch, -1]]
    np.testing.assert_allclose(ends, expected)


def test_a_reconstructed_program_begins_with_its_warnings() -> None:
    blocks = ["G1 X1", "X2", "X2", "M3"]
    text = reconstructed_program(blocks, "face (1)", ["leaky"])
    head = [f"({SAFETY_WARNING})", "(reconstructed by gcodefp from face _1_)", "(leaky)"]
    assert text == "\n".join([*head, *blocks]) + "\n"
