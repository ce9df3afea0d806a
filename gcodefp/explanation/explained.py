"""A checkpoint, asked why it says what it says of a split."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from gcodefp.evaluation.files import ANSWERS
from gcodefp.evaluation.reading import Reading, read_split_freely
from gcodefp.explanation.calibration import describe_calibration
from gcodefp.explanation.channels import describe_channels
from gcodefp.explanation.embedding import Embedding, describe_embedding, embed_rows
from gcodefp.explanation.excerpt import describe_excerpt, excerpt_arrays
from gcodefp.explanation.files import CONFIDENT
from gcodefp.explanation.saliency import describe_saliency, saliency_of
from gcodefp.explanation.sensor_groups import (
    SensorScores,
    describe_sensor_scores,
    score_without_sensors,
)
from gcodefp.learning.checkpoint import Checkpoint
from gcodefp.learning.outcome import describe_device
from gcodefp.learning.tensors import to_tensors


class Explained(NamedTuple):
    """What was found out.

    Attributes:
        saliency: (N, C) of all rows of the split.
    """

    reading: Reading
    sensors: SensorScores
    embedding: Embedding
    saliency: NDArray[np.float32]


def explain_split(checkpoint: Checkpoint, test: Split, device: torch.device) -> Explained:
    """Reads a split as often as needed; labels only tell what is right."""
    data = to_tensors(test, checkpoint.description, device)
    reading = read_split_freely(checkpoint, test, device)
    return Explained(
        reading,
        score_without_sensors(checkpoint, test, device),
        embed_rows(checkpoint, data, test, reading.rows),
        saliency_of(checkpoint.network, data),
    )


def describe_explanation(
    explained: Explained, test: Split, description: Description, device: torch.device
) -> dict[str, Any]:
    """What explanation.json says."""
    reading = explained.reading
    channels = describe_channels(description.document)
    true, recording = test.blocks[test.block[reading.rows]], test.recording[reading.rows]
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "device": describe_device(device),
        "recordings": len(np.unique(recording)),
        "rows": len(reading.rows),
        "window": description.window,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "centered": description.scaler.centered,
        "channels": channels,
        "sensors": describe_sensor_scores(explained.sensors, description.scaler.channels),
        "calibration": {
            name: describe_calibration(
                reading.confidence[name], reading.of_rows[name].blocks == true, recording
            )
            for name in CONFIDENT
        },
        "embedding": describe_embedding(explained.embedding, test, description.programs),
        "saliency": describe_saliency(explained.saliency[reading.rows].mean(axis=0), channels),
        "excerpt": describe_excerpt(reading, test, description),
    }


def explanation_arrays(
    explained: Explained, test: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays of explanation.npz; N rows as in predictions.npz."""
    reading, embedding = explained.reading, explained.embedding
    true = test.blocks[test.block[reading.rows]]
    arrays: dict[str, NDArray[Any]] = {
        "recordings": test.recordings,
        "recording": test.recording[reading.rows],
        "row": test.row[reading.rows],
        "operations": np.array(description.vocabulary.operations),
        "embedding_index": np.searchsorted(reading.rows, embedding.rows),
        "embedding_xy": embedding.xy,
        "embedding_operation": test.operation[embedding.rows],
        "embedding_progress": embedding.progress,
        "channel_saliency": explained.saliency[reading.rows].mean(axis=0),
    }
    for name in CONFIDENT:
        array = ANSWERS[name].array
        arrays[f"{array}_confidence"] = reading.confidence[name]
        arrays[f"{array}_right"] = reading.of_rows[name].blocks == true
    return arrays | excerpt_arrays(reading, test, description, explained.saliency)
