"""What is found out about a network, on networks and numbers of which it is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning_data import CHANNELS, CPU, RECORDINGS, SENSORS, tiny, tiny_data, tiny_split, varied
from recording_files import recording_table, write_recording

from gcodefp.dataset.channels import fit_scaler
from gcodefp.evaluation.bootstrap import with_interval
from gcodefp.evaluation.calibration import bins_of, calibration_error, describe_calibration
from gcodefp.evaluation.explanation import (
    describe_embedding,
    embed_rows,
    in_plane,
    nearest_of_others,
)
from gcodefp.evaluation.names import ALL, GROUP, JUDGED, MODEL, NODE
from gcodefp.evaluation.sensor_groups import (
    Part,
    describe_saliency,
    describe_sensor_scores,
    parts_of,
    saliency_of,
    score_without_sensors,
    without,
)
from gcodefp.evaluation.split_scores import evaluate_split
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import Tensors, augment, to_tensors
from gcodefp.model.hmm import viterbi_paths
from gcodefp.model.network import SMOOTHING_ROWS, Network
from gcodefp.recordings.cleaning import load_recording

GROUPS = ("imu", "mag", "mic", "motor")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A network that says something else of each row."""
    data = tiny_data(tmp_path)
    return Checkpoint(varied(data), tiny(), data.description, 1, 0.5)


def blind_to(network: Network, channels: list[int]) -> None:
    """Takes away the weights of these channels, and of their moving averages."""
    with torch.no_grad():
        for scale in range(1 + len(SMOOTHING_ROWS)):
            network.stem.weight[:, [CHANNELS * scale + index for index in channels]] = 0.0


# Sensors left out


def test_parts_are_all_channels_the_groups_and_the_nodes() -> None:
    assert parts_of(["a.Ax", "a.Mx", "b.Ay", "spindle", "x_motor"]) == [
        Part(ALL, "", (0, 1, 2, 3, 4)),
        Part(GROUP, "imu", (0, 2)),
        Part(GROUP, "mag", (1,)),
        Part(GROUP, "motor", (3, 4)),
        Part(NODE, "a", (0, 1)),
        Part(NODE, "b", (2,)),
    ]
    assert parts_of(["a.Ax", "a.Ay"]) == [Part(ALL, "", (0, 1))]


def test_a_hidden_sensor_is_what_a_missing_one_is(tmp_path: Path) -> None:
    """In the files of a recording that lacks its columns, and in a training that hides its node."""
    table = recording_table(seed=3)
    path = write_recording(tmp_path / "pocket_001.csv", table)
    whole = load_recording(path, GROUPS, 1)
    node = [name for name in table if name.startswith("spindle2.")]
    lacking = load_recording(
        write_recording(tmp_path / "pocket_002.csv", table.drop(columns=node)), GROUPS, 1
    )
    scaler = fit_scaler([whole], 0.5, centered=True)
    split = replace(
        tiny_split(["face_001"]), signals=scaler.apply(whole), valid=scaler.valid(whole)
    )
    (part,) = (of for of in parts_of(scaler.channels) if of.name == "spindle2")
    hidden = without(split, part.channels)
    np.testing.assert_array_equal(hidden.signals, scaler.apply(lacking))
    np.testing.assert_array_equal(hidden.valid, scaler.valid(lacking))
    assert split.valid.all()
    assert split.signals.any(axis=0).all()
    signals = torch.as_tensor(split.signals)[None]
    nodes = torch.zeros(signals.shape[2], dtype=torch.long)
    trained = augment(signals, nodes, 1.0, 0.0, 1.0, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(
        trained[0, :, list(part.channels)], hidden.signals[:, list(part.channels)]
    )


def test_a_group_that_the_network_ignores_makes_no_difference(checkpoint: Checkpoint) -> None:
    parts = {of.name: of for of in parts_of(SENSORS)}
    blind_to(checkpoint.network, list(parts["mag"].channels))
    scores = score_without_sensors(checkpoint, tiny_split(RECORDINGS["test"]), CPU)
    found = describe_sensor_scores(scores, SENSORS)
    differences = {of["name"]: of["differences"] for of in found["without"]}
    for metric in JUDGED:
        assert differences["mag"][metric] == {"value": 0, "low": 0, "high": 0, "recordings": 3}
    # Then what is left is all that it looks at.
    assert differences["imu"] == differences[""]
    assert differences["imu"]["gcode"]["value"] != 0
    for of in found["without"]:
        for metric, difference in of["differences"].items():
            apart = of["scores"][metric]["value"] - found["complete"][metric]["value"]
            assert difference["value"] == pytest.approx(apart)
        assert of["channels"] == [SENSORS[index] for index in parts[of["name"]].channels]


def test_with_all_sensors_it_scores_what_the_evaluation_scores(checkpoint: Checkpoint) -> None:
    test = tiny_split(RECORDINGS["test"])
    models = evaluate_split(checkpoint, test, None, CPU, 1).scores
    complete = score_without_sensors(checkpoint, test, CPU).complete
    for metric in JUDGED:
        assert with_interval(complete[metric]) == models[MODEL][metric]


# Calibration


def test_calibration_error_of_a_case_made_by_hand() -> None:
    confidence = np.array([0.9, 0.6, 0.9, 0.6])
    right = np.array([True, True, False, True])
    found = describe_calibration(confidence, right, np.array([0, 0, 1, 1]))
    assert [of["confidence"] for of in found["bins"]] == pytest.approx([0.6, 0.9])
    assert [of["right"]["value"] for of in found["bins"]] == [1.0, 0.5]
    assert [of["right"]["n"] for of in found["bins"]] == [2, 2]
    assert found["expected_calibration_error"]["value"] == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    assert found["right"]["value"] == 0.75
    assert found["overconfidence"]["value"] == pytest.approx(0.0)
    # Of the first recording alone: 0.1 and 0.4 off; of the second: 0.9 and 0.4.
    error = calibration_error(confidence, right, np.array([0, 0, 1, 1]))
    assert error.of(np.array([[2, 0], [0, 2]])).tolist() == pytest.approx([0.25, 0.65])
    interval = found["expected_calibration_error"]
    assert (interval["low"], interval["high"]) == pytest.approx((0.25, 0.65))
    assert interval["n"] == 4


def test_who_is_as_sure_as_right_is_calibrated() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(200_000)
    right = random.random(200_000) < confidence
    found = describe_calibration(confidence, right, np.arange(200_000) % 7)
    assert found["expected_calibration_error"]["value"] < 0.01
    assert [of["right"]["n"] for of in found["bins"]] == [20_000] * 10


def test_bins_have_equal_counts_but_part_no_equal_confidences() -> None:
    assert np.bincount(bins_of(np.linspace(0, 1, 50))).tolist() == [5] * 10
    assert bins_of(np.full(30, 0.7)).tolist() == [0] * 30
    some = bins_of(np.array([1.0] * 15 + [0.1, 0.2, 0.3, 0.4, 0.5]))
    assert len(set(some[:15])) == 1
    assert len(set(some.tolist())) == 4


# Saliency


def told(network: Network, data: Tensors, signals: torch.Tensor, path: torch.Tensor) -> float:
    """The sum of the log probabilities of a path's places, row by row."""
    total = 0.0
    for window in range(len(data.starts)):
        rows = data.rows_of(torch.tensor([window]))
        evidence = network.emission_log_likelihood(network.encode(signals[rows]))[0]
        for at in data.row_mask[window].nonzero()[:, 0].tolist():
            total += float(evidence[at, path[window, at]])
    return total


@torch.no_grad()
def test_saliency_is_what_a_sample_changes_times_the_sample(checkpoint: Checkpoint) -> None:
    network = checkpoint.network.double()
    data = to_tensors(tiny_split(["face_005", "pocket_005"]), checkpoint.description, CPU)
    data = replace(data, signals=data.signals.double())
    with torch.enable_grad():
        found = saliency_of(network, data)
    windows = data.rows_of(torch.arange(len(data.starts)))
    evidence = network.emission_log_likelihood(network.encode(data.signals[windows]))
    path = viterbi_paths(evidence, data.first_state)
    assert found.shape == tuple(data.signals.shape)
    for row, channel in ((5, 0), (13, 3), (33, 6)):  # All but the first in two windows.
        step = torch.zeros_like(data.signals)
        step[row, channel] = 1e-5
        up, down = (told(network, data, data.signals + of, path) for of in (step, -step))
        sample = float(data.signals[row, channel])
        assert found[row, channel] == pytest.approx(abs((up - down) / 2e-5 * sample), rel=1e-4)


def test_saliency_is_0_where_nothing_was_measured_or_is_looked_at(checkpoint: Checkpoint) -> None:
    blind_to(checkpoint.network, [3])
    test = without(tiny_split(RECORDINGS["test"]), [1, 4])
    found = saliency_of(checkpoint.network, to_tensors(test, checkpoint.description, CPU))
    assert found.any(axis=0).tolist() == [True, False, True, False, False, True, True]
    assert (found >= 0).all()


def test_shares_add_up_by_group_and_node() -> None:
    names = (("a.Ax", "imu", "a"), ("a.Mx", "mag", "a"), ("spindle", "motor", None))
    channels = [{"name": name, "group": group, "node": node} for name, group, node in names]
    found = describe_saliency(np.array([1.0, 2.0, 1.0]), channels)
    assert found["channels"] == {"a.Ax": 0.25, "a.Mx": 0.5, "spindle": 0.25}
    assert found["groups"] == {"imu": 0.25, "mag": 0.5, "motor": 0.25}
    assert found["nodes"] == {"a": 0.75}
    assert describe_saliency(np.zeros(3), channels)["nodes"] == {"a": 0.0}


# Embedding


def test_the_nearest_row_is_of_another_recording() -> None:
    vectors = np.array([[0.0], [0.1], [5.0], [0.3], [5.2]], np.float32)
    recording = np.array([0, 0, 0, 1, 1])
    assert nearest_of_others(vectors, recording).tolist() == [3, 3, 4, 1, 2]
    assert nearest_of_others(vectors, np.zeros(5, int)).tolist() == [-1] * 5


def test_rows_alike_share_their_operation_and_place(checkpoint: Checkpoint) -> None:
    """The vectors stand in for an encoder that knows operation and place."""
    test = tiny_split(["pocket_005", "pocket_006", "face_005"])
    rows = np.arange(len(test.row))
    data = to_tensors(test, checkpoint.description, CPU)
    found = embed_rows(checkpoint, data, test, rows)
    assert found.progress[[0, 31, 32, 64]].tolist() == [0, 1, 0, 0]
    known = np.stack([test.operation * 100.0, test.state], axis=1)
    found = found._replace(nearest=nearest_of_others(known, test.recording))
    told = describe_embedding(found, test, checkpoint.description.programs)
    # The only recording of face has no other one to be alike.
    assert told["same_operation"]["value"] == 1.0
    assert told["same_operation"]["n"] == 64
    assert told["apart_seconds"]["value"] == 0.0
    moved = found._replace(nearest=np.roll(rows, 33))
    told = describe_embedding(moved, test, checkpoint.description.programs)
    assert told["same_operation"]["value"] < 1.0
    alone = found._replace(nearest=np.full(len(rows), -1))
    alike = replace(test, recording=np.zeros_like(test.recording))
    told = describe_embedding(alone, alike, checkpoint.description.programs)
    assert told["same_operation"]["value"] is None
    assert told["apart_seconds"]["value"] is None


def test_operations_that_are_not_in_the_train_split_are_not_one_operation(
    checkpoint: Checkpoint,
) -> None:
    test = tiny_split(["pocket_005", "pocket_006", "face_005", "face_006"])
    rows = np.arange(len(test.row))
    foreign = replace(test, operation=np.where(test.recording < 2, test.operation, -1))
    found = embed_rows(checkpoint, to_tensors(test, checkpoint.description, CPU), foreign, rows)
    alike = found._replace(nearest=np.roll(rows, len(rows) // 4))
    same = describe_embedding(alike, foreign, checkpoint.description.programs)["same_operation"]
    assert (same["n"], same["recordings"]) == (64, 2)
    assert same["value"] == 0.5


def test_the_plane_is_the_same_each_time_and_finds_clusters() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 5)).astype(np.float32)
    vectors[30:] += 20
    plane = in_plane(vectors)
    assert plane.tobytes() == in_plane(vectors).tobytes()
    distance = np.linalg.norm(plane[:, None] - plane, axis=2) + 1e9 * np.eye(60)
    assert ((distance.argmin(axis=1) < 30) == (np.arange(60) < 30)).all()
    assert in_plane(np.ones((20, 5), np.float32)).tolist() == [[0.0, 0.0]] * 20
