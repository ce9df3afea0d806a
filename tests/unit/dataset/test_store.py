"""The files of a dataset belong together; truncated and foreign ones are refused."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from learning_data import CPU, tiny
from recording_files import (
    ROWS,
    SPLITS,
    preprocess,
    read_dataset,
    write_recording,
    write_recordings,
)

from gcodefp.dataset.store import PROGRAMS_FILE, REBUILD, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.files import sha256
from gcodefp.model.checkpoint import check_dataset, read_checkpoint, write_checkpoint
from gcodefp.model.data import network_sizes
from gcodefp.model.network import Network


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Made from four recordings of each of two programs."""
    recordings = write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(recordings, tmp_path / "dataset") == 0
    return tmp_path / "dataset"


def test_a_split_that_is_not_the_described_one_is_refused(dataset: Path) -> None:
    description, _ = read_dataset(dataset)
    assert description.sha256 == {name: sha256(dataset / f"{name}.npz") for name in SPLITS}
    with pytest.raises(UserError, match=r"test\.npz: is not the val split .*" + REBUILD):
        read_split(dataset / "test.npz", description, "val")
    (dataset / "val.npz").unlink()
    with pytest.raises(UserError, match=r"val\.npz: no such file.*" + REBUILD):
        read_split(dataset / "val.npz", description, "val")
    # A file may be described and still be no dataset.
    for truncated in (b"", b"PK\x03\x04", (dataset / "train.npz").read_bytes()[:-100]):
        (dataset / "train.npz").write_bytes(truncated)
        described = replace(description, sha256={"train": sha256(dataset / "train.npz")})
        with pytest.raises(UserError, match=r"train\.npz: cannot be read .*" + REBUILD):
            read_split(dataset / "train.npz", described, "train")
    path = dataset / "dataset.json"
    path.write_text(path.read_text().replace("gcodefp-dataset-2", "gcodefp-dataset-0"))
    with pytest.raises(UserError, match=r"dataset\.json: format is .*-0'.*" + REBUILD):
        read_description(path)


def test_programs_of_another_dataset_are_refused(dataset: Path, tmp_path: Path) -> None:
    assert preprocess(tmp_path / "recordings", tmp_path / "other", seed=1) == 0
    (dataset / PROGRAMS_FILE).write_bytes((tmp_path / "other" / PROGRAMS_FILE).read_bytes())
    message = rf"programs\.npz: does not belong to .*dataset\.json .*make both again.*{REBUILD}"
    with pytest.raises(UserError, match=message):
        read_description(dataset / "dataset.json")
    (dataset / PROGRAMS_FILE).unlink()
    with pytest.raises(UserError, match=rf"programs\.npz: no such file; .* by: {REBUILD}"):
        read_description(dataset / "dataset.json")


def test_the_digest_changes_with_all_that_training_uses(dataset: Path) -> None:
    description = read_description(dataset / "dataset.json")
    digest = description.training_data_digest()
    for split in SPLITS:
        other = replace(description, sha256={**description.sha256, split: "other"})
        assert (other.training_data_digest() == digest) == (split == "test")
    for key, value in {
        "programs": {**description.document["programs"], "sha256": "other"},
        "position_mm": {"mean": [0, 0, 0], "std": [1, 1, 1]},
        "control": "labels_shuffled",
    }.items():
        other = replace(description, document={**description.document, key: value})
        assert other.training_data_digest() != digest


def test_a_dataset_of_before_zscore_is_not_zscored(dataset: Path) -> None:
    path = dataset / "dataset.json"
    document = json.loads(path.read_text())
    assert document.pop("zscored") is False
    for zscored, expected in ({}, False), ({"zscored": True}, True):
        path.write_text(json.dumps(document | zscored))
        assert read_description(path).scaler.zscored is expected
    path.write_text(json.dumps({**document, "zscored": "yes"}))
    with pytest.raises(UserError, match=r"dataset\.json: zscored: 'yes'.*" + REBUILD):
        read_description(path)


def test_recordings_without_a_position_still_make_a_dataset(tmp_path: Path) -> None:
    recordings = write_recordings(tmp_path / "recordings", {"face": 4})
    for path in recordings.iterdir():
        table = pd.read_csv(path).drop(columns=["posx", "posz"])
        table.loc[:8, "posy"] = [math.nan] * 8 + [math.inf]
        write_recording(path, table)
    assert preprocess(recordings, tmp_path / "dataset") == 0
    description, splits = read_dataset(tmp_path / "dataset")
    is_finite = np.isfinite(description.scale_position(splits["train"].position_mm))
    assert is_finite.sum(axis=0).tolist() == [0, 2 * (ROWS - 9), 0]
    scale = description.document["position_mm"]
    assert np.isfinite([*scale["mean"], *scale["std"]]).all()
    assert (np.array(scale["std"]) > 0).all()


def test_a_checkpoint_holds_the_programs_and_fits_its_own_dataset(
    dataset: Path, tmp_path: Path
) -> None:
    description = read_description(dataset / "dataset.json")
    weights = dict(Network(network_sizes(description), tiny()).state_dict())
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, weights, tiny(), description, 3, 0.5)
    (dataset / PROGRAMS_FILE).unlink()
    checkpoint = read_checkpoint(path, CPU)
    for name, array in vars(description.programs).items():
        np.testing.assert_array_equal(getattr(checkpoint.description.programs, name), array)
        assert getattr(checkpoint.description.programs, name).dtype == array.dtype
    check_dataset(checkpoint, description, path)
    other = replace(description, sha256={**description.sha256, "train": "other"})
    with pytest.raises(UserError, match=r"checkpoint\.pt: was trained on another dataset"):
        check_dataset(checkpoint, other, path)
