"""Explains the predictions of a checkpoint: sensor occlusion, calibration, and a signal excerpt.

Sensor occlusion (Zeiler and Fergus 2014): the channels of one group or node are occluded in every
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
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import DatasetDescription, Split
from gcodefp.evaluation.bootstrap import (
    CONFIDENCE_LEVEL,
    RESAMPLES,
    Statistic,
    estimate,
    paired_difference,
    with_interval,
)
from gcodefp.evaluation.decode import SplitPredictions, decode_windows, predict_split
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.metrics import LabelledPredictions, RowPredictions, compute_metrics
from gcodefp.evaluation.names import (
    ALL,
    GCODEFP,
    GROUP,
    MODEL,
    NODE,
    OCCLUSION_METRICS,
    PREDICTORS,
    WHOLE,
)
from gcodefp.model.data import to_tensors
from gcodefp.model.trainer import describe_device
from gcodefp.programs.table import UNKNOWN
from gcodefp.recordings.columns import channel_group

BINS = 10
EXCERPT_ROWS = 300

Metrics = Mapping[str, Statistic]
"""OCCLUSION_METRICS of MODEL."""


class ChannelSet(NamedTuple):
    """A set of channels that is occluded together."""

    kind: str  # ALL, GROUP or NODE
    name: str  # of the group or node; empty for all
    channels: tuple[int, ...]  # their indices


class Explanation(NamedTuple):
    """The predictions for a split, and its scores with all sensors and with each set occluded."""

    decoding: SplitPredictions
    complete: Metrics
    occluded: Sequence[tuple[ChannelSet, Metrics]]


def explain_split(decoder: Decoder, split: Split, device: torch.device) -> Explanation:
    """Decodes a split, and scores it under sensor occlusion."""
    return Explanation(
        predict_split(decoder, split, device),
        _estimate_windows(decoder, split, device),
        [
            (
                occluded,
                _estimate_windows(decoder, occlude_channels(split, occluded.channels), device),
            )
            for occluded in channel_sets(decoder.description.scaler.channels)
        ],
    )


def describe_explanation(
    explanation: Explanation, split: Split, description: DatasetDescription, device: torch.device
) -> dict[str, Any]:
    """The content of explanation.json, except provenance."""
    decoding, scaler = explanation.decoding, description.scaler
    true, recording = split.blocks[split.block[decoding.rows]], split.recording[decoding.rows]
    channels = [
        {**channel, "group": channel_group(channel["name"]), "node": sensor_node(channel["name"])}
        for channel in description.document["channels"]
    ]
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "device": describe_device(device),
        "recordings": len(np.unique(recording)),
        "rows": len(decoding.rows),
        "window": description.window,
        "confidence": CONFIDENCE_LEVEL,  # of the intervals
        "resamples": RESAMPLES,
        "centered": scaler.centered,
        "zscored": scaler.zscored,
        "channels": channels,
        "sensors": describe_sensors(explanation, scaler.channels),
        "calibration": {
            name: describe_calibration(
                decoding.confidence[name], decoding.predictions[name].blocks == true, recording
            )
            for name in GCODEFP
        },
        "excerpt": _describe_excerpt(decoding, split, description),
    }


def explanation_arrays(
    explanation: Explanation, split: Split, description: DatasetDescription
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
    for name in GCODEFP:
        array = PREDICTORS[name].array
        arrays[f"{array}_confidence"] = decoding.confidence[name]
        arrays[f"{array}_right"] = decoding.predictions[name].blocks == true
    return arrays | excerpt_arrays(decoding, split, description)


# Sensor occlusion


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


def _estimate_windows(decoder: Decoder, split: Split, device: torch.device) -> Metrics:
    description = decoder.description
    decoded = decode_windows(decoder, to_tensors(split, description, device))
    rows = np.flatnonzero(decoded.is_covered)
    predictions = RowPredictions(decoded.blocks[rows], decoded.operation[rows])
    return compute_metrics(
        LabelledPredictions(predictions, split, rows, description.vocabulary, description.programs),
        OCCLUSION_METRICS,
    )


def describe_sensors(explanation: Explanation, channels: Sequence[str]) -> dict[str, Any]:
    """The key `sensors` of explanation.json.

    `differences` are the metric with the channel set occluded minus the metric with all sensors, on
    the same resamples of recordings; below 0 is a loss.
    """

    def intervals(metrics: Metrics) -> dict[str, Any]:
        return {name: with_interval(metric)._asdict() for name, metric in metrics.items()}

    complete = explanation.complete
    return {
        "trained_again": False,
        "complete": intervals(complete),
        "without": [
            {
                "kind": occluded.kind,
                "name": occluded.name,
                "channels": [channels[index] for index in occluded.channels],
                "scores": intervals(metrics),
                "differences": {
                    name: paired_difference(metric, complete[name])._asdict()
                    for name, metric in metrics.items()
                },
            }
            for occluded, metrics in explanation.occluded
        ],
    }


# Calibration


def assign_bins(confidence: NDArray[np.floating]) -> NDArray[np.intp]:
    """The bin of each row, (N,): equal numbers of rows, but equal confidences share a bin."""
    ascending = np.sort(confidence)
    edges = np.unique(ascending[np.arange(BINS) * len(ascending) // BINS])
    return np.searchsorted(edges, confidence, side="right") - 1


def calibration_error(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], recording: NDArray[np.integer]
) -> Statistic:
    """The expected calibration error of N rows; the bins are the same on every resample.

    Args:
        confidence: (N,) probability of each row's prediction.
        correct: (N,) whether it is correct.
        recording: (N,) index of each row's recording.
    """
    recordings, index = np.unique(recording, return_inverse=True)
    row_bin, rows = assign_bins(confidence), np.bincount(index)
    gaps = np.zeros((len(recordings), row_bin.max() + 1))
    np.add.at(gaps, (index, row_bin), correct - confidence)
    return Statistic(
        recordings,
        len(confidence),
        lambda times: np.abs(times @ gaps).sum(axis=1) / (times @ rows),
    )


def describe_calibration(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], recording: NDArray[np.integer]
) -> dict[str, Any]:
    """An entry of `calibration` in explanation.json; the arguments are those of calibration_error.

    `overconfidence` is the mean confidence minus the accuracy.
    """
    is_correct, row_bin = correct.astype(np.float64), assign_bins(confidence)

    def mean(values: NDArray[np.floating], rows: Any = slice(None)) -> dict[str, Any]:
        return estimate(values[rows], np.ones(len(values))[rows], recording[rows])._asdict()

    error = with_interval(calibration_error(confidence, correct, recording))
    return {
        "right": mean(is_correct),
        "confidence": mean(confidence),
        "overconfidence": mean(confidence - is_correct),
        "expected_calibration_error": error._asdict(),
        "bins": [
            {
                "confidence": float(confidence[rows].mean()),
                "lowest": float(confidence[rows].min()),
                "highest": float(confidence[rows].max()),
                "right": mean(is_correct, rows),
            }
            for rows in (row_bin == index for index in range(row_bin.max() + 1))
        ],
    }


# Excerpt


def _excerpt_rows(decoding: SplitPredictions, split: Split) -> NDArray[np.intp]:
    """Indices of scored rows: the middle of the recording with the median accuracy.

    Recordings are ranked as in the toolpath figure: by block accuracy of WHOLE, best first, ties by
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
    decoding: SplitPredictions, split: Split, description: DatasetDescription
) -> dict[str, NDArray[Any]]:
    """The arrays `excerpt_...` of explanation.npz."""
    index, scaler = _excerpt_rows(decoding, split), description.scaler
    rows = decoding.rows[index]
    valid, scaled = split.valid[rows], split.signals[rows]
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


def _describe_excerpt(
    decoding: SplitPredictions, split: Split, description: DatasetDescription
) -> dict[str, Any]:
    """The key `excerpt` of explanation.json: the recording of the excerpt."""
    row = decoding.rows[_excerpt_rows(decoding, split)[0]]
    recording, program, operation = split.recording[row], split.program[row], split.operation[row]
    lag = float(split.lag_seconds[recording])
    return {
        "recording": str(split.recordings[recording]),
        "operation": description.vocabulary.operations[operation] if operation >= 0 else None,
        "program": str(description.programs.names[program]) if program != UNKNOWN else None,
        "lag_seconds": lag if np.isfinite(lag) else None,
    }
