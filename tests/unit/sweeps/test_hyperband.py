from typing import Any

import pytest

from gcodefp.errors import UserError
from gcodefp.files import digest
from gcodefp.sweeps.specification import Hyperband, read_hyperband, read_specification

HISTORIES: dict[str, list[float]] = {
    "a": [10, 9, 4],
    "b": [10, 10],
    "c": [10, 8, 8],
    "d": [10, 7, 7],
    "e": [10, 6, 6],
}
"""Sorted: at bracket 2, the second value, 6 7 8 9 10; at bracket 3, the third value, 4 6 7 8."""


def rule(**config: Any) -> Hyperband:
    read = read_hyperband({"type": "hyperband", **config}, "early_terminate")
    assert read is not None
    return read


def stopped(made: Hyperband, histories: dict[str, list[float]], goal: str) -> str:
    """The runs that stop, if all run."""
    names = ""
    for name, history in histories.items():
        others = [other for key, other in histories.items() if key != name]
        names += name if made.should_prune(history, others, goal) else ""
    return names


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("eta", "names"),
    [
        # The limit at band 2 is the value at index int(5 / 2) = 2, which is 8; at band 3 that at
        # int(4 / 2) = 2, which is 7. b has reached band 2: 10 > 8. The others have reached band 3:
        # c 8 > 7; a 4, d 7, e 6 pass.
        (2, "bc"),
        # int(5 / 4) = 1 gives 7 at band 2: b 10 > 7; int(4 / 4) = 1 gives 6 at band 3: c, d.
        (4, "bcd"),
        # Index 0, so that only the best passes: 6 at band 2, 4 at band 3.
        (10, "bcde"),
    ],
)
def test_decisions_for_both_goals(eta: int, names: str, strict: bool) -> None:
    made = Hyperband((2, 3), eta, strict)
    assert stopped(made, HISTORIES, "minimize") == names
    negated = {name: [-value for value in history] for name, history in HISTORIES.items()}
    assert stopped(made, negated, "maximize") == names


@pytest.mark.parametrize(
    ("config", "history", "others", "strict_stops", "loose_stops"),
    [
        # At band 2 the second values count: 1 2 x; the limit is at int(3 / 2) = 1.
        ({"min_iter": 2, "eta": 2}, [0, 3, 0], [[9, 1, 9], [9, 2, 9]], True, False),
        ({"min_iter": 2, "eta": 2}, [9, 1.5, 9], [[9, 1, 9], [9, 2, 9]], False, False),
        # Good before its band, or better after it: spared unless strict. Band 2 holds 5 6 9.
        ({"min_iter": 2, "eta": 2}, [4, 9], [[5, 5, 5], [6, 6, 6]], True, False),
        ({"min_iter": 2, "eta": 2}, [9, 9, 4], [[5, 5, 5], [6, 6, 6]], True, False),
        ({"min_iter": 2, "eta": 2}, [7, 9], [[5, 5, 5], [6, 6, 6]], True, True),
        # The limit is one of values at the band, not of the best before: 8, then 9.
        ({"min_iter": 2}, [7, 7], [[1, 8], [1, 9]], False, False),
        ({"min_iter": 2}, [10, 10], [[1, 8], [1, 9]], True, True),
        # Before the first band, alone, and beside runs that are not there yet nothing stops.
        ({"min_iter": 2}, [9], [[0] * 9, [0] * 9], False, False),
        ({"min_iter": 2}, [9, 9], [[0] * 9, [0] * 9], True, True),
        ({"min_iter": 2}, [9, 9], [], False, False),
        ({"min_iter": 2}, [9, 9], [[0]], False, False),
        ({"min_iter": 2}, [9, 9], [[0, 0]], True, True),
        # int(1 / 49 * 49) is 0 in W&B's engine, not 1.
        ({"min_iter": 1, "eta": 49}, [1], [[0], *[[2]] * 47], True, True),
        # Equal values pass.
        ({"min_iter": 1}, [3], [[3]] * 8, False, False),
        ({"min_iter": 1}, [3.0001], [[3]] * 8, True, True),
    ],
)
def test_value_that_decides(
    config: Any, history: Any, others: Any, strict_stops: bool, loose_stops: bool
) -> None:
    assert rule(**config).should_prune(history, others, "minimize") == strict_stops
    strict, loose = (rule(**config, strict=strict) for strict in (True, False))
    assert strict.should_prune(history, others, "minimize") == strict_stops
    assert loose.should_prune(history, others, "minimize") == loose_stops


@pytest.mark.parametrize(
    ("config", "brackets"),
    [
        # 27 / 3 = 9, 9 / 3 = 3, 3 / 3 = 1.
        ({"max_iter": 27, "s": 2}, (3, 9)),
        ({"max_iter": 27, "s": 9, "eta": 3}, (1, 3, 9)),
        # 81 / 2 = 40.5, 20.25, 10.125.
        ({"max_iter": 81, "s": 2.5, "eta": 2}, (10, 20, 40)),
        # 17 / 1.5 = 11.33, 7.56, 5.04; from 7 alone it would be 4.67.
        ({"max_iter": 17, "s": 3, "eta": 1.5}, (5, 7, 11)),
        # The example in W&B's documentation: 5 / 2 = 2.5 and 2.5 / 2 = 1.25.
        ({"max_iter": 5, "eta": 2, "s": 2}, (1, 2)),
        # max_iter decides where both are there, as in the second guide.
        ({"max_iter": 27, "min_iter": 5, "s": 2}, (3, 9)),
        ({"min_iter": 10, "s": 2}, (10, 30, 90, 270)),
        # 1, 1.5, 2.25, 3.375, 5.0625, 7.59: multiplied before they are cut; 1 comes twice.
        ({"min_iter": 1, "eta": 1.5}, (1, 2, 3, 5, 7)),
        # Step by step, as W&B: 100 * 3.3 * 3.3 is 1089, where 100 * 3.3**2 is cut to 1088.
        ({"min_iter": 100, "eta": 3.3}, (100, 330, 1089)),
    ],
)
def test_brackets(config: dict[str, Any], brackets: tuple[int, ...]) -> None:
    made = rule(**config).brackets
    assert made[: len(brackets)] == brackets
    assert len(made) == len(brackets) or made[-1] > 1_000_000


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"max_iter": 27}, "max_iter needs s.*; add s: 2"),
        ({"min_iter": 1, "eta": 1.0000001}, "eta: 1.0000001 makes more than 100000 brackets"),
        ({"max_iter": 1e9, "s": 1e12, "eta": 1.0000001}, "eta: 1.0000001 makes more than"),
        ({"min_iter": 0.5}, "min_iter: 0.5 must be at least 1"),
        ({"min_iter": 1e12}, "no bracket"),
    ],
)
def test_rules_without_use_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"early_terminate: {message}"):
        rule(**config)
    assert read_hyperband(None, "early_terminate") is None


def test_a_sweep_keeps_the_id_that_earlier_versions_gave_it() -> None:
    document = {
        "method": "bayes",
        "metric": {"name": "val/loss", "impute": "best"},
        "run_cap": 9,
        "early_terminate": {"type": "hyperband", "min_iter": 2},
        "parameters": {
            "learning_rate": {"min": 1e-4, "max": 1e-2, "distribution": "log_uniform_values"},
            "model": {
                "parameters": {"nhead": {"values": [2, 4]}, "dropout": {"max": 0.5, "min": 0.0}}
            },
            "max_epochs": {"value": 3},
        },
    }
    content = read_specification(document, "sweep.yaml").identity_content()
    assert digest(content).startswith("ffaf886233dc5d5b68df2032")
