from collections.abc import Sequence
from typing import Any

import pytest

from gcodefp.sweep.hyperband import Hyperband, read_hyperband

HISTORIES: dict[str, list[float]] = {
    "a": [10, 9, 4],
    "b": [10, 10],
    "c": [10, 8, 8],
    "d": [10, 7, 7],
    "e": [10, 6, 6],
}
"""Band 1 is at the second value: 6 7 8 9 10, band 2 at the third: 4 6 7 8."""

DECISIONS = [
    # With eta 2, the limit at band 1 is the value at index int(5 / 2): 8; at band 2 int(4 / 2): 7.
    # e, d: within. c: 8 > 7. b: 10 > 8. a: 4 is the best at band 2.
    (2, False, "bc"),
    (2, True, "bc"),
    # eta 4: int(5 / 4) is 1: 7; int(4 / 4) is 1: 6.
    (4, False, "bcd"),
    (4, True, "bcd"),
    # eta 10: only the best passes: 6 at band 1, 4 at band 2.
    (10, False, "bcde"),
    (10, True, "bcde"),
]


def rule(**config: Any) -> Hyperband:
    read = read_hyperband({"type": "hyperband", **config}, "early_terminate")
    assert read is not None
    return read


def stopped(made: Hyperband, histories: dict[str, list[float]], goal: str) -> str:
    """The runs that stop, if all run."""
    names = ""
    for name, history in histories.items():
        others: Sequence[list[float]] = [h for n, h in histories.items() if n != name]
        names += name if made.should_stop(history, others, goal) else ""
    return names


@pytest.mark.parametrize(("eta", "strict", "names"), DECISIONS)
def test_decisions_for_both_goals(eta: int, strict: bool, names: str) -> None:
    made = Hyperband((1, 2), eta, strict)
    assert stopped(made, HISTORIES, "minimize") == names
    negated = {name: [-value for value in history] for name, history in HISTORIES.items()}
    assert stopped(made, negated, "maximize") == names


def test_the_example_in_wandb_own_documentation() -> None:
    """Without run a's third value: it and e have finished there, b and c are stopped."""
    made = rule(max_iter=5, eta=2, s=2)
    assert made.bands == (1, 2)
    running = stopped(made, HISTORIES | {"a": [10, 9]}, "minimize").replace("a", "")
    assert running.replace("e", "") == "bc"


def test_what_strict_changes() -> None:
    """A run that was good before its band, or got better after it, is spared unless strict."""
    others = [[5.0, 5.0, 5.0], [6.0, 6.0, 6.0]]
    for history in ([4.0, 9.0], [9.0, 9.0, 4.0]):
        assert not rule(min_iter=1, eta=2).should_stop(history, others, "minimize")
    assert rule(min_iter=1, eta=2, strict=True).should_stop([4.0, 9.0], others, "minimize")
    # eta 10: the bands are 1 and 10, so that band 1 still decides after the third value.
    assert rule(min_iter=1, eta=10, strict=True).should_stop([9.0, 9.0, 4.0], others, "minimize")


def test_the_limit_is_made_of_values_at_the_band_not_of_the_best_before() -> None:
    others = [[1.0, 8.0], [1.0, 9.0]]
    assert not rule(min_iter=1, eta=3).should_stop([7.0, 7.0], others, "minimize")


def test_no_decision_before_the_first_band_nor_alone() -> None:
    made = rule(min_iter=2, eta=3)
    assert made.bands[:3] == (2, 6, 18)
    good = [[0.0] * 9, [0.0] * 9]
    assert not made.should_stop([9.0, 9.0], good, "minimize")
    assert made.should_stop([9.0, 9.0, 9.0], good, "minimize")
    assert not made.should_stop([9.0, 9.0, 9.0], [], "minimize")
    assert not made.should_stop([9.0, 9.0, 9.0], [[0.0, 0.0]], "minimize")


def test_equal_values_pass() -> None:
    assert not rule(min_iter=1).should_stop([3.0, 3.0], [[3.0, 3.0]] * 8, "minimize")


@pytest.mark.parametrize(
    ("config", "bands"),
    [
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 27, "s": 3, "eta": 3}, (1, 3, 9)),
        ({"max_iter": 27, "s": 9, "eta": 3}, (1, 3, 9)),
        ({"max_iter": 81, "eta": 2}, (20, 40)),
        # max_iter decides where both are given, as in the second guide.
        ({"max_iter": 27, "min_iter": 5}, (3, 9)),
    ],
)
def test_bands_of_max_iter(config: dict[str, Any], bands: tuple[int, ...]) -> None:
    assert rule(**config).bands == bands


def test_bands_of_min_iter() -> None:
    assert rule(min_iter=10, s=2).bands[:4] == (10, 30, 90, 270)
    assert rule(min_iter=1, eta=1.5).bands[:5] == (1, 2, 3, 5, 7)
    assert rule(min_iter=5).bands[-1] > 1_000_000


def test_without_the_key_there_is_no_rule() -> None:
    assert read_hyperband(None, "early_terminate") is None
