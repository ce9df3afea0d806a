"""The losses that the search makes of run folders."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sweep_documents import specification
from trivial_runs import METRIC, made

from gcodefp.sweeps.scheduler import SweepResults

SHOWN: Sequence[tuple[str | None, Sequence[float]]] = (
    ("finished", (0.5, 0.6, 0.55)),
    ("failed", (0.3, 0.1, 0.2, math.nan)),
    ("failed", ()),
    (None, (0.45, 0.4)),
    (None, ()),
    ("stopped", (0.35,)),
)
"""State and accuracies of the runs 0 to 5; the worst of those that ended is 0.1."""
ALL = range(len(SHOWN))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for number, (state, values) in enumerate(SHOWN):
        made(tmp_path, number, state, values)
    return tmp_path


def losses(folder: Path, numbers: Sequence[int], visible: Sequence[int], **metric: Any) -> Any:
    asked = {"name": METRIC, "goal": "maximize", **metric}
    results = SweepResults(specification(method="bayes", metric=asked), folder)
    return [results.observation(number, visible).loss for number in numbers]


@pytest.mark.parametrize(
    ("impute", "expected"),
    [("worst", [-0.1, -0.1]), ("best", [-0.3, -0.1]), ("latest", [-0.2, -0.1])],
)
def test_a_failed_run_counts_as_told(runs: Path, impute: str, expected: list[float]) -> None:
    """Run 1 has values of its own; run 2 has none and is as bad as the worst."""
    assert losses(runs, (1, 2), ALL, impute=impute) == expected


@pytest.mark.parametrize(
    ("running", "expected"),
    [
        (None, [None, None]),
        ("false", [None, None]),
        ("worst", [-0.1, -0.1]),
        ("best", [-0.45, -0.1]),
        ("latest", [-0.4, -0.1]),
    ],
)
@pytest.mark.parametrize("impute", ["worst", "best"])
def test_a_run_that_goes_on_counts_as_told(
    runs: Path, running: str | None, expected: list[float | None], impute: str
) -> None:
    metric = {"impute": impute} | ({"impute_while_running": running} if running else {})
    assert losses(runs, (3, 4), ALL, **metric) == expected


def test_runs_with_a_value_count_with_their_best(runs: Path) -> None:
    assert losses(runs, (0, 5), ALL, impute="latest", impute_while_running="worst") == [-0.6, -0.35]
    assert losses(runs, (0,), ALL, goal="minimize") == [0.6]


def test_the_worst_is_the_largest_where_the_goal_is_to_minimize(runs: Path) -> None:
    assert losses(runs, (1, 2), ALL, goal="minimize") == [0.6, 0.6]
    assert losses(runs, (1, 3), ALL, goal="minimize", impute="best") == [0.1, None]


def test_the_worst_is_among_what_may_be_seen(runs: Path) -> None:
    assert losses(runs, (2,), (0, 2)) == [-0.5]
    assert losses(runs, (2,), (2, 3)) == [math.inf]
    assert losses(runs, (3,), (2, 3), impute_while_running="worst") == [None]
    # The result of a run that may not be seen is open, as if it went on.
    assert losses(runs, (0, 1), (2,), impute_while_running="worst") == [None, None]
