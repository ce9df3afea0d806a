"""The split by time: what was recorded last is the test."""

from itertools import chain
from pathlib import Path
from random import Random

import pytest
from recording_files import preprocess, read_dataset, write_recordings

from gcodefp.dataset.split import SPLITS, split_chronological
from gcodefp.errors import UserError


def numbered(operation: str, *numbers: object) -> dict[str, str]:
    return {f"{operation}_{number}": operation for number in numbers}


def test_the_last_recordings_of_each_operation_are_the_test() -> None:
    names = numbered("face", *(f"{n:03}" for n in range(1, 11))) | numbered("pocket", 1, 2, 3)
    splits = split_chronological(names, 0.2, 0.3)
    assert splits["test"] == ["face_008", "face_009", "face_010", "pocket_3"]
    assert splits["val"] == ["face_006", "face_007", "pocket_2"]
    assert sorted(chain(*splits.values())) == sorted(names)
    shuffled = list(names.items())
    Random(0).shuffle(shuffled)
    assert split_chronological(dict(shuffled), 0.2, 0.3) == splits


def test_ten_comes_after_nine() -> None:
    splits = split_chronological(numbered("face", 8, 9, 10, 11), 0.25, 0.25)
    assert (splits["test"], splits["val"]) == (["face_11"], ["face_10"])


def test_numbers_in_the_name_of_the_operation_do_not_matter() -> None:
    splits = split_chronological(numbered("face150025", 1, 2, 3), 0.3, 0.3)
    assert [splits[name] for name in SPLITS] == [
        ["face150025_1"],
        ["face150025_2"],
        ["face150025_3"],
    ]


def test_one_of_few_recordings_only_trains() -> None:
    splits = split_chronological(numbered("face", 1, 2, 3) | numbered("drill", 1, 2), 0.3, 0.3)
    assert splits["train"] == ["drill_1", "drill_2", "face_1"]
    with pytest.raises(UserError, match="no recording is left for val"):
        split_chronological(numbered("face", 1, 2), 0.3, 0.3)


def test_preprocess_splits_so(tmp_path: Path) -> None:
    write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(tmp_path / "recordings", tmp_path / "d", split="chronological") == 0
    description, splits = read_dataset(tmp_path / "d")
    assert description.document["split"]["by"] == "chronological"
    assert not description.leaky
    assert splits["test"].recordings.tolist() == ["face_004", "pocket_004"]
    assert splits["val"].recordings.tolist() == ["face_003", "pocket_003"]
