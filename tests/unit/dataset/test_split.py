"""Which recordings are in which split."""

from collections.abc import Mapping
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import begins, replay

from gcodefp.dataset.split import (
    SPLITS,
    expand_to_programs,
    latest_first_order,
    match_recordings,
    random_order,
    split_recordings,
)
from gcodefp.errors import UserError

fractions = st.floats(0.01, 0.99)
operation_sizes = st.dictionaries(
    st.sampled_from(["face", "pocket", "adaptive", "damageface"]), st.integers(1, 12), min_size=1
).filter(lambda sizes: max(sizes.values()) >= 3)


def operations_of(sizes: Mapping[str, int]) -> dict[str, str]:
    return {f"{name}_{i:03}": name for name, size in sizes.items() for i in range(size)}


@settings(max_examples=40, deadline=None)
@given(operation_sizes, fractions, fractions, st.integers(0, 2**32))
def test_each_recording_is_in_one_split_and_each_operation_in_all(
    sizes: dict[str, int], val: float, test: float, seed: int
) -> None:
    operations = operations_of(sizes)
    items = list(operations.items())
    Random(seed).shuffle(items)
    for order in (random_order, lambda _: latest_first_order):
        splits = split_recordings(operations, val, test, order(seed))
        assert tuple(splits) == SPLITS
        assert sorted(chain(*splits.values())) == sorted(operations)
        for operation, size in sizes.items():
            present = {s for s in SPLITS for name in splits[s] if operations[name] == operation}
            assert present == (set(SPLITS) if size >= 3 else {"train"})
        # The order of the recordings does not matter.
        assert split_recordings(dict(items), val, test, order(seed)) == splits


def test_the_last_recordings_by_number_are_the_test() -> None:
    names = [f"face150025_{number}" for number in (*range(1, 11), "x")]
    splits = split_recordings(dict.fromkeys(names, "face150025"), 0.2, 0.3, latest_first_order)
    assert splits["test"] == ["face150025_10", "face150025_8", "face150025_9"]
    assert splits["val"] == ["face150025_6", "face150025_7"]
    assert "face150025_x" in splits["train"]


def test_held_out_recordings_are_the_test() -> None:
    operations = operations_of({"face": 4, "pocket": 4})
    held_out = match_recordings(operations, ["face_00[0-1]", "pocket_003"])
    assert held_out == {"face_000", "face_001", "pocket_003"}
    splits = split_recordings(operations, 0.2, 0.2, random_order(0), held_out)
    assert splits["test"] == sorted(held_out)
    assert sorted(chain(*splits.values())) == sorted(operations)
    assert splits["val"]
    with pytest.raises(UserError, match=r"held_out: 'Face\*' matches no recording"):
        match_recordings(operations, ["pocket*", "Face*"])
    with pytest.raises(UserError, match="no recording is left for train "):
        split_recordings(operations, 0.2, 0.2, random_order(0), set(operations))


def test_val_recordings_of_a_session_choose_the_best_run() -> None:
    operations = operations_of({"face": 4, "pocket": 4})
    val = {"face_000", "pocket_002"}
    splits = split_recordings(operations, 0.2, 0.2, random_order(0), val_held_out=val)
    assert splits["val"] == sorted(val)
    assert len(splits["test"]) == 2, "one of each operation, by test_fraction"
    assert sorted(chain(*splits.values())) == sorted(operations)
    splits = split_recordings(operations, 0.2, 0.2, random_order(0), {"face_001"}, val)
    assert (splits["test"], splits["val"]) == (["face_001"], sorted(val))
    with pytest.raises(UserError, match=r"split.val_held_out: 'Face\*' matches no recording"):
        match_recordings(operations, ["Face*"], key="split.val_held_out")


def test_recordings_of_one_program_are_held_out_together() -> None:
    recordings = [
        replay("a_1").recording,
        replay("b_1", start=begins(0)[20]).recording,  # Another name of the same program.
        replay("c_1", program=1).recording,
        replay("c_2", program=1).recording,
    ]
    for held_out in ("a_1", "b_1"):
        assert expand_to_programs({held_out}, recordings) == {"a_1", "b_1"}
    assert expand_to_programs({"c_1", "a_1"}, recordings) == {"a_1", "b_1", "c_1", "c_2"}
