"""The stage `fit_decoder` as the pipeline starts it: decoder.npz, its use, controls, refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation_commands import LEARNT, evaluate
from learning_data import (
    CPU,
    RECORDINGS,
    dataset_flags,
    shuffled,
    tiny_flags,
    tiny_split,
    write_dataset,
)

from gcodefp.control import main as control_step
from gcodefp.dataset.controls import LABELS_SHUFFLED, SENSORS_PERMUTED
from gcodefp.evaluation.decoder import ARRAYS, DECODER_FILE, read_decoder
from gcodefp.evaluation.decoder_fitting import NETWORK_WEIGHTS, TEMPLATE_WEIGHTS, fit_decoder
from gcodefp.files import read_arrays, sha256
from gcodefp.fit_decoder import main
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.train import main as train_step

PAIRS = len(NETWORK_WEIGHTS) * len(TEMPLATE_WEIGHTS) - 1


def fit(checkpoint: Path, dataset: Path, output: Path, *flags: str) -> int:
    files = dataset_flags(dataset, "train", "val")
    return main(["--checkpoint", str(checkpoint), *files, "--output", str(output), *flags])


def copied(checkpoint: Path, folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(checkpoint, folder))


def test_the_step_writes_the_decoder_that_later_steps_read(
    learnable: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = copied(checkpoint, tmp_path / "run")
    decoder_file = own.with_name(DECODER_FILE)
    assert fit(own, learnable, decoder_file) == 0
    log = capsys.readouterr().err
    arrays = read_arrays(decoder_file, list(ARRAYS), "")
    assert str(arrays["checkpoint"]) == sha256(checkpoint)
    assert len(arrays["tried"]) == PAIRS
    decoder = read_decoder(read_checkpoint(own, CPU), own, CPU)
    best = decoder.tried[decoder.tried[:, 2].argmax()]
    assert [decoder.network_weight, decoder.template_weight] == pytest.approx(best[:2].tolist())
    assert f"chosen: {decoder.summary}" in log
    fitted = fit_decoder(
        decoder.checkpoint, *(tiny_split(RECORDINGS[name]) for name in ("train", "val")), CPU
    )
    np.testing.assert_array_equal(fitted.tried, decoder.tried)
    np.testing.assert_array_equal(fitted.template_matches, decoder.template_matches)
    assert evaluate(own, learnable, tmp_path / "evaluation") == 0
    inputs = json.loads((tmp_path / "evaluation/metrics.json").read_text())["provenance"]["inputs"]
    assert inputs[str(decoder_file)] == sha256(decoder_file)


def test_the_same_files_give_the_same_bytes(
    learnable: Path, checkpoint: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / name / DECODER_FILE for name in ("one", "other")]
    for output in outputs:
        assert fit(checkpoint, learnable, output) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    # No label and no sample of the test split has a part in it.
    other = write_dataset(
        tmp_path / "dataset", test=shuffled(tiny_split(("face_030", "pocket_030")))
    )
    assert fit(checkpoint, other, tmp_path / DECODER_FILE) == 0
    assert (tmp_path / DECODER_FILE).read_bytes() == outputs[0].read_bytes()


def test_a_control_is_fitted_with_its_own_labels(
    learnable: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = ["--control", LABELS_SHUFFLED]
    splits = dataset_flags(learnable, "train", "val")
    flags = [*splits, *tiny_flags(**{**LEARNT, "max_epochs": 2}), *control]
    assert train_step([*flags, "--output", str(tmp_path / "run")]) == 0
    own = tmp_path / "run/checkpoint.pt"
    assert fit(own, learnable, own.with_name(DECODER_FILE), *control) == 0
    decoder = read_decoder(read_checkpoint(own, CPU), own, CPU)
    assert decoder.templates is not None
    honest = tmp_path / "honest" / DECODER_FILE
    assert fit(checkpoint, learnable, honest) == 0
    within, within_honest = (
        read_arrays(path, ["tried"], "")["tried"][:, 3].max()
        for path in (own.with_name(DECODER_FILE), honest)
    )
    assert within_honest - within >= 0.25
    # The stage `control` decodes with it.
    output = tmp_path / "control.json"
    tests = [*dataset_flags(learnable, "train", "test"), "--checkpoint", str(own), *control]
    assert control_step([*tests, "--output", str(output)]) == 0
    inputs = json.loads(output.read_text())["provenance"]["inputs"]
    assert str(own.with_name(DECODER_FILE)) in inputs
    capsys.readouterr()
    for path, more, message in (
        (own, [], f"was trained for control {LABELS_SHUFFLED}; name the checkpoint that"),
        (checkpoint, control, "was trained for no control; name the checkpoint that"),
    ):
        assert fit(path, learnable, tmp_path / "refused.npz", *more) == 1
        assert f"{path}: {message}" in capsys.readouterr().err
    assert not (tmp_path / "refused.npz").exists()
    with pytest.raises(SystemExit):
        fit(own, learnable, tmp_path / "refused.npz", "--control", SENSORS_PERMUTED)
