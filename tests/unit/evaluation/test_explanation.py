"""Sensor occlusion and calibration, on networks and numbers of which the result is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import CHANNELS, CPU, RECORDINGS, SENSORS, tiny, tiny_data, tiny_split, varied
from recording_files import recording_table, write_recording

from gcodefp.dataset.channels import fit_scaler
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.explanation import (
    ChannelSet,
    assign_bins,
    calibration_error,
    channel_sets,
    describe_calibration,
    describe_sensors,
    excerpt_arrays,
    explain_split,
    occlude_channels,
)
from gcodefp.evaluation.names import ALL, GROUP, MODEL, NODE, OCCLUSION_METRICS
from gcodefp.evaluation.split_evaluation import evaluate_split
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import augment
from gcodefp.model.network import SMOOTHING_ROWS
from gcodefp.recordings.cleaning import load_recording

GROUPS = ("imu", "mag", "mic", "motor")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A network whose predictions differ from row to row."""
    data = tiny_data(tmp_path)
    return Checkpoint(varied(data), tiny(), data.description, 1, 0.5)


# Sensor occlusion


def test_parts_are_all_channels_the_groups_and_the_nodes() -> None:
    assert channel_sets(["a.Ax", "a.Mx", "b.Ay", "spindle", "x_motor"]) == [
        ChannelSet(ALL, "", (0, 1, 2, 3, 4)),
        ChannelSet(GROUP, "imu", (0, 2)),
        ChannelSet(GROUP, "mag", (1,)),
        ChannelSet(GROUP, "motor", (3, 4)),
        ChannelSet(NODE, "a", (0, 1)),
        ChannelSet(NODE, "b", (2,)),
    ]
    assert channel_sets(["a.Ax", "a.Ay"]) == [ChannelSet(ALL, "", (0, 1))]


def test_occluded_channels_equal_missing_ones(tmp_path: Path) -> None:
    """Those of a recording without their columns, and of a training that hides their node."""
    table = recording_table(seed=3)
    complete = load_recording(write_recording(tmp_path / "pocket_001.csv", table), GROUPS, 1)
    columns = [name for name in table if name.startswith("spindle2.")]
    path = write_recording(tmp_path / "pocket_002.csv", table.drop(columns=columns))
    lacking = load_recording(path, GROUPS, 1)
    scaler = fit_scaler([complete], 0.5, centered=True)
    signals, valid = scaler.apply(complete), scaler.valid(complete)
    split = replace(tiny_split(["face_001"]), signals=signals, valid=valid)
    (part,) = (part for part in channel_sets(scaler.channels) if part.name == "spindle2")
    hidden = occlude_channels(split, part.channels)
    np.testing.assert_array_equal(hidden.signals, scaler.apply(lacking))
    np.testing.assert_array_equal(hidden.valid, scaler.valid(lacking))
    assert split.valid.all()
    assert split.signals.any(axis=0).all()
    nodes = torch.zeros(signals.shape[1], dtype=torch.long)
    batch = torch.as_tensor(signals)[None]
    trained = augment(batch, nodes, 1.0, 0.0, 1.0, torch.Generator().manual_seed(0))
    channels = list(part.channels)
    np.testing.assert_array_equal(trained[0, :, channels], hidden.signals[:, channels])


def test_a_group_that_the_network_ignores_makes_no_difference(checkpoint: Checkpoint) -> None:
    parts = {part.name: part for part in channel_sets(SENSORS)}
    with torch.no_grad():  # The weights of the channels and of their moving averages.
        for scale in range(1 + len(SMOOTHING_ROWS)):
            ignored = [CHANNELS * scale + index for index in parts["mag"].channels]
            checkpoint.network.stem.weight[:, ignored] = 0.0
    test = tiny_split(RECORDINGS["test"])
    explanation = explain_split(Decoder(checkpoint), test, CPU)
    document = describe_sensors(explanation, SENSORS)
    differences = {entry["name"]: entry["differences"] for entry in document["without"]}
    models = evaluate_split(Decoder(checkpoint), test, None, None, CPU, 1).content["models"]
    for metric in OCCLUSION_METRICS:
        assert differences["mag"][metric] == {"value": 0, "low": 0, "high": 0, "recordings": 3}
        assert document["complete"][metric] == models[MODEL][metric]
    # The other group is then all that it uses.
    assert differences["imu"] == differences[""]
    assert differences["imu"]["gcode"]["value"] != 0
    for entry in document["without"]:
        assert entry["channels"] == [SENSORS[index] for index in parts[entry["name"]].channels]
        for metric, difference in entry["differences"].items():
            gain = entry["scores"][metric]["value"] - document["complete"][metric]["value"]
            assert difference["value"] == pytest.approx(gain)


@pytest.mark.parametrize("zscored", [False, True])
def test_excerpt_samples_have_units_unless_they_are_zscored(
    checkpoint: Checkpoint, zscored: bool
) -> None:
    decoder, test = Decoder(checkpoint), tiny_split(RECORDINGS["test"])
    description = decoder.description
    scaler = replace(description.scaler, std=(2.0,) * CHANNELS, mean=(5.0,) * CHANNELS)
    scaler = replace(scaler, zscored=zscored)
    arrays = excerpt_arrays(
        predict_split(decoder, test, CPU), test, replace(description, scaler=scaler)
    )
    scaled = arrays["excerpt_scaled"]
    expected = scaled if zscored else 2 * scaled + 5
    np.testing.assert_allclose(arrays["excerpt_samples"], expected, rtol=1e-6)


# Calibration


def test_calibration_error_of_four_rows() -> None:
    confidence = np.array([0.9, 0.6, 0.9, 0.6])
    correct, recording = np.array([True, True, False, True]), np.array([0, 0, 1, 1])
    result = describe_calibration(confidence, correct, recording)
    assert [entry["confidence"] for entry in result["bins"]] == pytest.approx([0.6, 0.9])
    assert [entry["right"]["value"] for entry in result["bins"]] == [1.0, 0.5]
    assert [entry["right"]["n"] for entry in result["bins"]] == [2, 2]
    assert result["right"]["value"] == 0.75
    assert result["overconfidence"]["value"] == pytest.approx(0.0)
    # The first recording alone: 0.1 and 0.4; the second: 0.9 and 0.4.
    error = calibration_error(confidence, correct, recording)
    assert error.resampled(np.array([[2, 0], [0, 2]])).tolist() == pytest.approx([0.25, 0.65])
    interval = result["expected_calibration_error"]
    assert interval["value"] == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    assert (interval["low"], interval["high"]) == pytest.approx((0.25, 0.65))
    assert interval["n"] == 4


def test_bins_have_equal_counts_but_part_no_equal_confidences() -> None:
    assert np.bincount(assign_bins(np.linspace(0, 1, 50))).tolist() == [5] * 10
    assert assign_bins(np.full(30, 0.7)).tolist() == [0] * 30
    ties = assign_bins(np.array([1.0] * 15 + [0.1, 0.2, 0.3, 0.4, 0.5]))
    assert len(set(ties[:15])) == 1
    assert len(set(ties.tolist())) == 4
