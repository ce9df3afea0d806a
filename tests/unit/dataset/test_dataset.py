from collections import Counter
from collections.abc import Mapping
from itertools import chain
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcodefp.dataset.channels import CLIP, fit_scaler
from gcodefp.dataset.split import (
    SPLITS,
    held_out_recordings,
    same_program,
    split_held_out,
    split_recordings,
)
from gcodefp.dataset.windows import row_to_window_mask, window_starts
from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import Recording

# Splits

fractions = st.floats(0.01, 0.49)
seeds = st.integers(0, 2**32)
operation_sizes = st.dictionaries(
    st.sampled_from(["face", "pocket", "adaptive", "damageface"]), st.integers(1, 12), min_size=1
).filter(lambda sizes: max(sizes.values()) >= 3)


def operations_of(sizes: Mapping[str, int]) -> dict[str, str]:
    return {f"{of}_{i:03}": of for of, size in sizes.items() for i in range(size)}


@given(operation_sizes, fractions, fractions, seeds)
def test_each_recording_is_in_one_split_and_each_operation_in_all(
    sizes: dict[str, int], val: float, test: float, seed: int
) -> None:
    operations = operations_of(sizes)
    splits = split_recordings(operations, val, test, seed)
    assert tuple(splits) == SPLITS
    assert sorted(chain(*splits.values())) == sorted(operations)
    for operation, size in sizes.items():
        found = {s for s in SPLITS for name in splits[s] if operations[name] == operation}
        assert found == (set(SPLITS) if size >= 3 else {"train"})


@given(operation_sizes, seeds, st.randoms())
def test_the_split_follows_from_names_and_seed(
    sizes: dict[str, int], seed: int, random: Random
) -> None:
    items = list(operations_of(sizes).items())
    splits = split_recordings(dict(items), 0.2, 0.2, seed)
    random.shuffle(items)
    assert split_recordings(dict(items), 0.2, 0.2, seed) == splits


def test_seeds_draw_different_splits_of_the_sizes_asked_for() -> None:
    operations = operations_of({"face": 20, "pocket": 10})
    splits = [split_recordings(operations, 0.1, 0.3, seed) for seed in range(8)]
    assert len({tuple(split["test"]) for split in splits}) == 8
    for split in splits:
        assert [len(split[name]) for name in SPLITS] == [18, 3, 9]


@pytest.mark.parametrize(
    ("sizes", "val", "test", "lacking"),
    [({"face": 2}, 0.2, 0.2, "val"), ({"face": 9}, 0.2, 0.0, "test"), ({"a": 9}, 0.0, 0.2, "val")],
)
def test_a_split_without_recordings_is_an_error(
    sizes: dict[str, int], val: float, test: float, lacking: str
) -> None:
    with pytest.raises(UserError, match=f"no recording is left for {lacking} "):
        split_recordings(operations_of(sizes), val, test, 0)


@given(operation_sizes, seeds)
def test_the_recordings_held_out_are_the_test(sizes: dict[str, int], seed: int) -> None:
    operations = operations_of({**sizes, "other": 1, "more": 3})
    held_out = held_out_recordings(operations, ["oth*", "face_00[0-1]"][: 1 + ("face" in sizes)])
    splits = split_held_out(operations, held_out, 0.2, seed)
    assert splits["test"] == sorted(held_out)
    assert sorted(chain(*splits.values())) == sorted(operations)
    assert splits["val"]


def test_patterns_that_match_nothing_or_everything_are_errors() -> None:
    operations = operations_of({"face": 4, "pocket": 4})
    assert held_out_recordings(operations, ["face_*"]) == {f"face_{i:03}" for i in range(4)}
    with pytest.raises(UserError, match=r"held_out: 'Face\*' matches none"):
        held_out_recordings(operations, ["pocket*", "Face*"])
    with pytest.raises(UserError, match="no recording is left for train "):
        split_held_out(operations, held_out_recordings(operations, ["*"]), 0.2, 0)


def recording(name: str, first: int = 0, last: int = 10, **signals: list[float]) -> Recording:
    """A recording whose program is the lines `first` to `last`."""
    lines = np.arange(first, last)
    nothing = np.zeros(len(lines), np.float32)
    return Recording(
        name=name,
        operation=name.partition("_")[0],
        row=lines.astype(np.int32),
        seconds=lines / 4,
        blocks=np.array([f"X{line}" for line in lines]),
        lines=lines,
        mm_per_unit=nothing + 25.4,
        position_mm=np.zeros((len(lines), 3), np.float32),
        signals=pd.DataFrame({f"n.{name}": values for name, values in signals.items()}),
        environment=np.full((len(lines), 2), np.nan, np.float32),
        counts=Counter(),
    )


@given(st.permutations(range(6)))
def test_recordings_that_run_one_program_are_held_out_together(order: list[int]) -> None:
    # a runs 0..10; b its second half and c the second half of b, which shares nothing with a.
    recordings = [recording("a_1"), recording("a_2"), recording("b_1", 5, 15)]
    recordings += [recording("c_1", 10, 20), recording("d_1", 40, 50), recording("d_2", 0, 4)]
    recordings = [recordings[i] for i in order]
    # Whatever it is called, d_2 runs the start of a's program.
    for held_out in ("a_2", "b_1", "c_1", "d_2"):
        found = same_program({held_out}, recordings)
        assert found == {"a_1", "a_2", "b_1", "c_1", "d_2"}
    assert same_program({"d_1"}, recordings) == {"d_1"}
    assert same_program({"d_1", "a_1"}, recordings) == {r.name for r in recordings}


# Channels


def test_the_scale_is_that_of_the_valid_train_samples() -> None:
    nan = float("nan")
    train = [
        recording(
            "a_1", 0, 4, Ax=[1.0, 2.0, 3.0, nan], RMS=[5.0, 5.0, 5.0, 5.0], Mx=[1, nan, nan, nan]
        ),
        recording("a_2", 0, 4, Ax=[4.0, 5.0, 6.0, 7.0], RMS=[5.0, 5.0, 5.0, 5.0], Gx=[1, 2, 3, 4]),
    ]
    scaler = fit_scaler(train, 0.9, centered=False)
    # RMS never varies; Mx is mostly missing; Gx is in half of the recordings.
    assert scaler.channels == ("n.Ax",)
    assert scaler.mean == (4.0,)
    assert scaler.std == (2.0,)
    assert fit_scaler(train, 0.5, centered=False).channels == ("n.Ax", "n.Gx")
    np.testing.assert_allclose(scaler.apply(train[0])[:, 0], [-1.5, -1.0, -0.5, 0.0])
    far = recording("b_1", 0, 3, Ax=[1e6, -1e6, nan])
    assert scaler.apply(far)[:, 0].tolist() == [CLIP, -CLIP, 0.0]
    assert scaler.valid(far).tolist() == [[True], [True], [False]]
    lacking = recording("b_2", 0, 3, Mx=[1.0, 2.0, 3.0])
    assert not scaler.apply(lacking).any()
    assert not scaler.valid(lacking).any()


def test_a_centered_channel_is_free_of_each_recordings_own_level() -> None:
    train = [recording("a_1", 0, 3, Ax=[11.0, 12.0, 13.0]), recording("a_2", 0, 2, Ax=[-3.0, -5.0])]
    scaler = fit_scaler(train, 0.9, centered=True)
    assert (scaler.mean, scaler.std) == ((0.0,), (np.sqrt(4 / 5),))
    for level in (0.0, 1e3):
        other = recording("b_1", 0, 3, Ax=[level, level + 1, float("nan")])
        expected = np.array([-0.5, 0.5, 0.0]) / scaler.std
        np.testing.assert_allclose(scaler.apply(other)[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("centered", [False, True])
def test_no_live_channel_is_an_error(centered: bool) -> None:
    # 0.1 is no binary fraction: rounding gives equal samples a deviation above 0.
    train = [recording("a_1", 0, 7, Ax=[0.1] * 7), recording("a_2", 0, 9, Ax=[0.1] * 9)]
    if centered:
        train.append(recording("a_3", 0, 10, Ax=[0.3] * 10))
    with pytest.raises(UserError, match=rf"none is live in 90% of the {len(train)} train record"):
        fit_scaler(train, 0.9, centered)


# Windows


@st.composite
def clocks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Recording index and clock of up to 4 recordings, with gaps."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    steps = [
        draw(st.lists(st.sampled_from([0.25] * 9 + [2.0, 2.1, 9.0]), min_size=n, max_size=n))
        for n in lengths
    ]
    recordings = np.repeat(np.arange(len(lengths)), lengths)
    return recordings, np.concatenate([np.cumsum(part) for part in steps])


@given(clocks(), st.integers(1, 12), st.data())
def test_windows_cover_every_long_enough_stretch_and_cross_nothing(
    rows: tuple[np.ndarray, np.ndarray], window: int, data: st.DataObject
) -> None:
    recordings, seconds = rows
    stride = data.draw(st.integers(1, window))
    starts = window_starts(recordings, seconds, window, stride, 2.0)
    assert (np.diff(starts) > 0).all()
    covered = np.zeros(len(recordings), int)
    for start in starts:
        inside = slice(start, start + window)
        assert len(seconds[inside]) == window
        assert len(set(recordings[inside])) == 1
        assert (np.diff(seconds[inside]) <= 2.0).all()
        covered[inside] += 1
    segment = np.cumsum(
        (np.diff(recordings, prepend=0) != 0) | (np.diff(seconds, prepend=0.0) > 2.0)
    )
    lengths = pd.Series(segment).map(pd.Series(segment).value_counts()).to_numpy()
    np.testing.assert_array_equal(covered > 0, lengths >= window)

    row_mask = row_to_window_mask(starts, window)
    spoken = np.zeros(len(recordings), int)
    np.add.at(spoken, (starts[:, None] + np.arange(window))[row_mask], 1)
    np.testing.assert_array_equal(spoken, covered > 0)


def test_the_window_speaks_in_whose_middle_the_row_lies() -> None:
    assert window_starts(np.zeros(10), np.arange(10.0), 4, 3, 1.0).tolist() == [0, 3, 6]
    row_mask = row_to_window_mask(np.array([0, 2, 4]), 4)
    assert row_mask.tolist() == [
        [True, True, True, False],
        [False, True, True, False],
        [False, True, True, True],
    ]
