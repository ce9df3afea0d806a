from collections.abc import Sequence
from typing import Any

import pytest

from gcodefp.errors import UserError
from gcodefp.sweeps.hyperband import Hyperband, read_hyperband

HISTORIES: dict[str, list[float]] = {
    "a": [10, 9, 4],
    "b": [10, 10],
    "c": [10, 8, 8],
    "d": [10, 7, 7],
    "e": [10, 6, 6],
}
"""Sorted: at band 2, the second value, 6 7 8 9 10; at band 3, the third value, 4 6 7 8."""

DECISIONS = [
    # eta 2: the limit at band 2 is the value at index int(5 / 2) = 2, which is 8; at band 3 that
    # at int(4 / 2) = 2, which is 7. b has reached band 2: 10 > 8. The others have reached band 3:
    # c 8 > 7; a 4, d 7, e 6 pass.
    (2, False, "bc"),
    (2, True, "bc"),
    # eta 4: int(5 / 4) = 1 gives 7 at band 2: b 10 > 7; int(4 / 4) = 1 gives 6 at band 3:
    # c 8 > 6, d 7 > 6.
    (4, False, "bcd"),
    (4, True, "bcd"),
    # eta 10: index 0, so that only the best passes: 6 at band 2, 4 at band 3.
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
    made = Hyperband((2, 3), eta, strict)
    assert stopped(made, HISTORIES, "minimize") == names
    negated = {name: [-value for value in history] for name, history in HISTORIES.items()}
    assert stopped(made, negated, "maximize") == names


def test_the_example_in_wandb_own_documentation() -> None:
    """Without run a's third value; what W&B's engine (sweeps 0.3.0) says, strict or not."""
    for strict in (True, False):
        made = rule(max_iter=5, eta=2, s=2, strict=strict)
        # 5 / 2 = 2.5 and 2.5 / 2 = 1.25.
        assert made.bands == (1, 2)
        # Band 2 holds 6 7 8 9 10; the limit is at int(5 / 2) = 2, which is 8: only b's 10 is above.
        # a's 9 is above too, but it has ended there, and so has e.
        stops = stopped(made, HISTORIES | {"a": [10, 9]}, "minimize")
        assert set(stops) - {"a", "e"} == {"b"}


def test_the_value_at_a_band_is_that_of_the_epoch_of_its_number() -> None:
    """At band 2 it is the second value that is compared, neither the first nor the third."""
    made = rule(min_iter=2, eta=2)
    others = [[9.0, 1.0, 9.0], [9.0, 2.0, 9.0]]
    # The second values are 1 2 x; the limit is at int(3 / 2) = 1: 2 for x = 3, x for x between.
    assert made.should_stop([0.0, 3.0, 0.0], others, "minimize")
    assert not made.should_stop([9.0, 1.5, 9.0], others, "minimize")


def test_strict_is_the_default_and_what_it_changes() -> None:
    """A run that was good before its band, or got better after it, is spared unless strict."""
    # Band 2 holds 5 6 9; the limit is at int(3 / 2) = 1: 6. Band 4 is not reached.
    others = [[5.0, 5.0, 5.0], [6.0, 6.0, 6.0]]
    for history in ([4.0, 9.0], [9.0, 9.0, 4.0]):
        assert rule(min_iter=2, eta=2).should_stop(history, others, "minimize")
        assert rule(min_iter=2, eta=2, strict=True).should_stop(history, others, "minimize")
        assert not rule(min_iter=2, eta=2, strict=False).should_stop(history, others, "minimize")
    # Its best value, 7, is no better than the limit either.
    spared = rule(min_iter=2, eta=2, strict=False)
    assert spared.should_stop([7.0, 9.0], others, "minimize")


def test_the_limit_is_made_of_values_at_the_band_not_of_the_best_before() -> None:
    # Band 2 holds 7 8 9; the limit is at int(3 / 3) = 1: 8.
    others = [[1.0, 8.0], [1.0, 9.0]]
    for strict in (True, False):
        made = rule(min_iter=2, eta=3, strict=strict)
        assert not made.should_stop([7.0, 7.0], others, "minimize")
        # 8 9 10: the limit is 9.
        assert made.should_stop([10.0, 10.0], others, "minimize")


def test_no_decision_before_the_first_band_nor_alone() -> None:
    made = rule(min_iter=2, eta=3)
    assert made.bands[:3] == (2, 6, 18)
    good = [[0.0] * 9, [0.0] * 9]
    assert not made.should_stop([9.0], good, "minimize")
    # 0 0 9: the limit is at int(3 / 3) = 1: 0.
    assert made.should_stop([9.0, 9.0], good, "minimize")
    assert not made.should_stop([9.0, 9.0], [], "minimize")
    # 0 9: the limit is at int(2 / 3) = 0: 0. A run that is not there yet does not count.
    assert made.should_stop([9.0, 9.0], [[0.0, 0.0]], "minimize")
    assert not made.should_stop([9.0, 9.0], [[0.0]], "minimize")


def test_equal_values_pass() -> None:
    assert not rule(min_iter=1).should_stop([3.0], [[3.0]] * 8, "minimize")
    assert rule(min_iter=1).should_stop([3.0001], [[3.0]] * 8, "minimize")


@pytest.mark.parametrize(
    ("config", "bands"),
    [
        # 27 / 3 = 9, 9 / 3 = 3, 3 / 3 = 1.
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 27, "s": 3, "eta": 3}, (1, 3, 9)),
        ({"max_iter": 27, "s": 9, "eta": 3}, (1, 3, 9)),
        # 81 / 2 = 40.5, 20.25, 10.125.
        ({"max_iter": 81, "s": 3, "eta": 2}, (10, 20, 40)),
        # 17 / 1.5 = 11.33, 7.56, 5.04; from 7 alone it would be 4.67.
        ({"max_iter": 17, "s": 3, "eta": 1.5}, (5, 7, 11)),
        # max_iter decides where both are given, as in the second guide.
        ({"max_iter": 27, "min_iter": 5, "s": 2}, (3, 9)),
    ],
)
def test_bands_of_max_iter(config: dict[str, Any], bands: tuple[int, ...]) -> None:
    assert rule(**config).bands == bands


def test_max_iter_needs_s() -> None:
    with pytest.raises(UserError, match=r"early_terminate: max_iter needs s.*; add s: 2"):
        rule(max_iter=27)


def test_bands_of_min_iter() -> None:
    assert rule(min_iter=10, s=2).bands[:4] == (10, 30, 90, 270)
    # 1, 1.5, 2.25, 3.375, 5.0625, 7.59: multiplied before they are cut; 1 comes twice.
    assert rule(min_iter=1, eta=1.5).bands[:5] == (1, 2, 3, 5, 7)
    assert rule(min_iter=5).bands[-1] > 1_000_000


def test_bands_are_multiplied_step_by_step() -> None:
    """As in W&B: 100 * 3.3 * 3.3 is 1089, where 100 * 3.3**2 is 1088.99, cut to 1088."""
    assert int(100 * 3.3**2) == 1088
    assert rule(min_iter=100, eta=3.3).bands[:3] == (100, 330, 1089)


def test_without_the_key_there_is_no_rule() -> None:
    assert read_hyperband(None, "early_terminate") is None
