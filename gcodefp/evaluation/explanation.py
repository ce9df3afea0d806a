"""Explains the predictions of a checkpoint: sensor occlusion, calibration, and a signal excerpt.

Sensor occlusion (Zeiler and Fergus 2014): the channels of one group or node are hidden in every
test recording, as node_dropout does in training, and the split is scored without retraining. The
loss of accuracy shows what this network uses, not what another one could do without these sensors:
of two redundant sensors it may need neither, or both.

Calibration: whether blocks with a confidence of 70 % are correct in 70 % of cases. The expected
calibration error is the mean distance between confidence and accuracy over bins of rows with
similar confidence (Naeini et al. 2015, Obtaining well calibrated probabilities using Bayesian
binning; Guo et al. 2017, On calibration of modern neural networks). The bins have about equal
numbers of rows. As a mean of absolute values it is biased upwards, and so is its interval.

Shapes: N rows, C channels, K recordings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Statistic,
    estimate,
    paired_difference,
    with_interval,
)
from gcodefp.evaluation.decode import SplitPredictions, decode_windows, predict_split
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.metrics import RowPredictions, ScoredPredictions, compute_metrics
from gcodefp.evaluation.names import (
    ALL,
    GROUP,
    MODEL,
    NODE,
    OCCLUSION_METRICS,
    PREDICTORS,
    WHOLE,
    WITH_CONFIDENCE,
)
from gcodefp.model.data import to_tensors
from gcodefp.model.trainer import describe_device
from gcodefp.programs.table import UNKNOWN
from gcodefp.recordings.columns import channel_group

Metrics = Mapping[str, Statistic]


class ChannelSet(NamedTuple):
    """A set of channels that is hidden together.

    Attributes:
        kind: ALL, GROUP or NODE.
        name: of the group or node; empty for all.
        channels: their indices.
    """

    kind: str
    name: str
    channels: tuple[int, ...]


def sensor_node(channel: str) -> str | None:
    """The sensor node of a channel; motor currents have none."""
    return channel.rpartition(".")[0] or None


def channel_sets(channels: Sequence[str]) -> list[ChannelSet]:
    """All channels; then each group and each node, if there are several."""
    sets = [ChannelSet(ALL, "", tuple(range(len(channels))))]
    for kind, name_of in ((GROUP, channel_group), (NODE, sensor_node)):
        indices: dict[str, list[int]] = {}
        for index, channel in enumerate(channels):
            if (name := name_of(channel)) is not None:
                indices.setdefault(name, []).append(index)
        if len(indices) > 1:
            sets += [ChannelSet(kind, name, tuple(members)) for name, members in indices.items()]
    return sets


def occlude_channels(split: Split, channels: Sequence[int]) -> Split:
    """The split with these channels invalid in every row."""
    signals, valid = split.signals.copy(), split.valid.copy()
    signals[:, list(channels)] = 0.0
    valid[:, list(channels)] = False
    return replace(split, signals=signals, valid=valid)


class SensorScores(NamedTuple):
    """OCCLUSION_METRICS of MODEL.

    Attributes:
        complete: with all sensors.
        occluded: each channel set, and the metrics while it is hidden.
    """

    complete: Metrics
    occluded: Sequence[tuple[ChannelSet, Metrics]]


def score_occluded_sensors(decoder: Decoder, split: Split, device: torch.device) -> SensorScores:
    """Scores a split with all sensors, and with each channel set occluded."""
    return SensorScores(
        _score_windows(decoder, split, device),
        [
            (hidden, _score_windows(decoder, occlude_channels(split, hidden.channels), device))
            for hidden in channel_sets(decoder.description.scaler.channels)
        ],
    )


def _score_windows(decoder: Decoder, split: Split, device: torch.device) -> Metrics:
    description = decoder.description
    decoded = decode_windows(decoder, to_tensors(split, description, device))
    rows = np.flatnonzero(decoded.is_covered)
    predictions = RowPredictions(decoded.blocks[rows], decoded.operation[rows])
    return compute_metrics(
        ScoredPredictions(predictions, split, rows, description.vocabulary, description.programs),
        OCCLUSION_METRICS,
    )


def describe_sensor_scores(scores: SensorScores, channels: Sequence[str]) -> dict[str, Any]:
    """The key `sensors` of explanation.json.

    `differences` are the metric with the channel set hidden minus the metric with all sensors, on
    the same resamples of recordings; below 0 is a loss.
    """

    def intervals(metrics: Metrics) -> dict[str, Any]:
        return {name: with_interval(metric)._asdict() for name, metric in metrics.items()}

    return {
        "trained_again": False,
        "complete": intervals(scores.complete),
        "without": [
            {
                "kind": channel_set.kind,
                "name": channel_set.name,
                "channels": [channels[index] for index in channel_set.channels],
                "scores": intervals(metrics),
                "differences": {
                    name: paired_difference(metric, scores.complete[name])._asdict()
                    for name, metric in metrics.items()
                },
            }
            for channel_set, metrics in scores.occluded
        ],
    }


BINS = 10


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error over B bins; a `Statistic`.

    Attributes:
        gaps: (K, B) sum over a recording's rows in a bin of correct (0 or 1) minus confidence.
        rows: (K,) rows of each recording.
    """

    recordings: NDArray[np.integer]
    gaps: NDArray[np.floating]
    rows: NDArray[np.integer]

    @property
    def n(self) -> int:
        return int(self.rows.sum())

    def resampled(self, multiplicity: NDArray[np.integer]) -> NDArray[np.floating]:
        return np.abs(multiplicity @ self.gaps).sum(axis=1) / (multiplicity @ self.rows)


def assign_bins(confidence: NDArray[np.floating], bins: int = BINS) -> NDArray[np.intp]:
    """The bin of each row, (N,): equal numbers of rows, but equal confidences share a bin."""
    ascending = np.sort(confidence)
    first = np.arange(bins) * len(ascending) // bins
    edges = np.unique(ascending[first])
    return np.searchsorted(edges, confidence, side="right") - 1


def calibration_error(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], recording: NDArray[np.integer]
) -> CalibrationError:
    """The expected calibration error of N rows; the bins are the same on every resample.

    Args:
        confidence: (N,) probability of each row's prediction.
        correct: (N,) whether it is correct.
        recording: (N,) index of each row's recording.
    """
    recordings, index = np.unique(recording, return_inverse=True)
    row_bin = assign_bins(confidence)
    gaps = np.zeros((len(recordings), row_bin.max() + 1))
    np.add.at(gaps, (index, row_bin), correct - confidence)
    return CalibrationError(recordings, gaps, np.bincount(index))


def describe_calibration(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], recording: NDArray[np.integer]
) -> dict[str, Any]:
    """An entry of `calibration` in explanation.json; the arguments are those of calibration_error.

    `overconfidence` is the mean confidence minus the accuracy.
    """
    is_correct, ones = correct.astype(np.float64), np.ones(len(correct))
    row_bin = assign_bins(confidence)
    error = calibration_error(confidence, correct, recording)
    return {
        "right": estimate(is_correct, ones, recording)._asdict(),
        "confidence": estimate(confidence, ones, recording)._asdict(),
        "overconfidence": estimate(confidence - is_correct, ones, recording)._asdict(),
        "expected_calibration_error": with_interval(error)._asdict(),
        "bins": [
            {
                "confidence": float(confidence[rows].mean()),
                "lowest": float(confidence[rows].min()),
                "highest": float(confidence[rows].max()),
                "right": estimate(is_correct[rows], ones[rows], recording[rows])._asdict(),
            }
            for rows in (row_bin == index for index in range(row_bin.max() + 1))
        ],
    }


EXCERPT_ROWS = 300


def excerpt_rows(decoding: SplitPredictions, split: Split) -> NDArray[np.intp]:
    """Indices of scored rows: the middle of the recording with the median accuracy.

    Recordings are ranked as in the toolpath figure: by exact lines of WHOLE, best first, ties by
    name; of two medians the worse.
    """
    recording = split.recording[decoding.rows]
    correct = decoding.predictions[WHOLE].blocks == split.blocks[split.block[decoding.rows]]
    ranking = sorted(
        np.unique(recording).tolist(),
        key=lambda index: (-correct[recording == index].mean(), str(split.recordings[index])),
    )
    recording_rows = np.flatnonzero(recording == ranking[len(ranking) // 2])
    first = max(0, len(recording_rows) - EXCERPT_ROWS) // 2
    return recording_rows[first : first + EXCERPT_ROWS]


def excerpt_arrays(
    decoding: SplitPredictions, split: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays `excerpt_...` of explanation.npz."""
    index = excerpt_rows(decoding, split)
    rows = decoding.rows[index]
    valid, scaled = split.valid[rows], split.signals[rows]
    scaler = description.scaler
    samples = scaled.astype(np.float64)
    if not scaler.zscored:  # Else the recording's own deviation is not kept.
        samples = samples * np.array(scaler.std) + np.array(scaler.mean)
    return {
        "excerpt_index": index,
        "excerpt_row": split.row[rows],
        "excerpt_seconds": split.seconds[rows],
        "excerpt_scaled": scaled,
        "excerpt_samples": np.where(valid, samples, np.nan).astype(np.float32),
        "excerpt_valid": valid,
        "excerpt_line": split.line[rows],
        "excerpt_block": split.blocks[split.block[rows]],
        "excerpt_read": decoding.predictions[MODEL].blocks[index],
    }


def describe_excerpt(
    decoding: SplitPredictions, split: Split, description: Description
) -> dict[str, Any]:
    """The key `excerpt` of explanation.json: the recording of the excerpt."""
    row = decoding.rows[excerpt_rows(decoding, split)[0]]
    recording, program, operation = split.recording[row], split.program[row], split.operation[row]
    lag = float(split.lag_seconds[recording])
    return {
        "recording": str(split.recordings[recording]),
        "operation": description.vocabulary.operations[operation] if operation >= 0 else None,
        "program": str(description.programs.names[program]) if program != UNKNOWN else None,
        "lag_seconds": lag if np.isfinite(lag) else None,
    }


class Explanation(NamedTuple):
    """The predictions for a split, and the scores under sensor occlusion."""

    decoding: SplitPredictions
    sensors: SensorScores


def explain_split(decoder: Decoder, split: Split, device: torch.device) -> Explanation:
    """Decodes a split, and scores it under sensor occlusion."""
    return Explanation(
        predict_split(decoder, split, device), score_occluded_sensors(decoder, split, device)
    )


def describe_explanation(
    explanation: Explanation, split: Split, description: Description, device: torch.device
) -> dict[str, Any]:
    """The content of explanation.json, except provenance."""
    decoding = explanation.decoding
    true, recording = split.blocks[split.block[decoding.rows]], split.recording[decoding.rows]
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "device": describe_device(device),
        "recordings": len(np.unique(recording)),
        "rows": len(decoding.rows),
        "window": description.window,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "centered": description.scaler.centered,
        "zscored": description.scaler.zscored,
        "channels": [
            {
                **channel,
                "group": channel_group(channel["name"]),
                "node": sensor_node(channel["name"]),
            }
            for channel in description.document["channels"]
        ],
        "sensors": describe_sensor_scores(explanation.sensors, description.scaler.channels),
        "calibration": {
            name: describe_calibration(
                decoding.confidence[name], decoding.predictions[name].blocks == true, recording
            )
            for name in WITH_CONFIDENCE
        },
        "excerpt": describe_excerpt(decoding, split, description),
    }


def explanation_arrays(
    explanation: Explanation, split: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays of explanation.npz; N rows as in predictions.npz."""
    decoding = explanation.decoding
    true = split.blocks[split.block[decoding.rows]]
    arrays: dict[str, NDArray[Any]] = {
        "recordings": split.recordings,
        "recording": split.recording[decoding.rows],
        "row": split.row[decoding.rows],
        "operations": np.array(description.vocabulary.operations),
    }
    for name in WITH_CONFIDENCE:
        array = PREDICTORS[name].array
        arrays[f"{array}_confidence"] = decoding.confidence[name]
        arrays[f"{array}_right"] = decoding.predictions[name].blocks == true
    return arrays | excerpt_arrays(decoding, split, description)
