"""A checkpoint, asked why it says what it says of a split."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES, estimate
from gcodefp.evaluation.calibration import describe_calibration
from gcodefp.evaluation.decode import SplitDecoding, predict_split
from gcodefp.evaluation.metrics import estimate_median
from gcodefp.evaluation.names import CONFIDENT, MODEL, PREDICTORS, WHOLE
from gcodefp.evaluation.sensor_groups import (
    SensorScores,
    describe_channels,
    describe_saliency,
    describe_sensor_scores,
    saliency_of,
    score_without_sensors,
)
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import Tensors, to_tensors
from gcodefp.model.trainer import describe_device
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH
from gcodefp.programs.table import UNKNOWN, Programs

# Where the network puts rows: the vectors that its encoder gives them, laid out in a plane.
#
# Neighbours stay neighbours in the plane (t-SNE; van der Maaten and Hinton 2008); distances and
# the sizes of clusters mean nothing. What is counted, is counted in the encoder's own space.

MAX_POINTS = 2000
PERPLEXITY = 30.0
ROWS_AT_A_TIME = 256


class Embedding(NamedTuple):
    """M rows of a split, spread evenly over those that are scored.

    Attributes:
        rows: (M,) rows of the split.
        xy: (M, 2) where they are in the plane.
        progress: (M,) share of the program that is over, as the sensors see it; where the program
            was never learnt, share of the recording's time.
        nearest: (M,) the row of another recording whose vector is the nearest, as an index of
            `rows`; -1 if there is no other recording.
    """

    rows: NDArray[np.intp]
    xy: NDArray[np.float32]
    progress: NDArray[np.float32]
    nearest: NDArray[np.intp]


def embed_rows(
    checkpoint: Checkpoint, data: Tensors, test: Split, rows: NDArray[np.intp]
) -> Embedding:
    """Lays out the scored rows (N,) of a split, or MAX_POINTS of them."""
    picked = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAX_POINTS)).astype(np.intp))
    chosen = rows[picked]
    vectors = encoded_rows(checkpoint, data)[chosen]
    return Embedding(
        chosen,
        in_plane(vectors),
        _progress(test, checkpoint.description.programs, chosen),
        nearest_of_others(vectors, test.recording[chosen]),
    )


@torch.no_grad()
def encoded_rows(checkpoint: Checkpoint, data: Tensors) -> NDArray[np.float32]:
    """The vector of every row, from the window that speaks for it, (N, D); 0 where none does."""
    network = checkpoint.network
    vectors = np.zeros((len(data.signals), checkpoint.hyperparameters.d_model), np.float32)
    for batch in torch.arange(len(data.starts), device=data.starts.device).split(WINDOWS_PER_BATCH):
        rows, row_mask = data.rows_of(batch), data.row_mask[batch]
        encoded = network.encode(data.signals[rows])[row_mask]
        vectors[rows[row_mask].cpu().numpy()] = encoded.cpu().numpy()
    return vectors


def in_plane(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (M, 2) for vectors (M, D); the same vectors give the same points."""
    if not np.ptp(vectors, axis=0).any():  # All rows alike: a network that looks at nothing.
        return np.zeros((len(vectors), 2), np.float32)
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    layout = TSNE(init="pca", perplexity=perplexity, random_state=0)
    # The order in which threads add up would decide the last bits, and these the layout.
    with threadpool_limits(1):
        points: NDArray[np.float32] = layout.fit_transform(vectors)
    return points


def nearest_of_others(
    vectors: NDArray[np.float32], recording: NDArray[np.integer]
) -> NDArray[np.intp]:
    """For each of M vectors (M, D) the nearest one of another recording; -1 if there is none."""
    if len(np.unique(recording)) < 2:
        return np.full(len(vectors), -1, np.intp)
    exact = vectors.astype(np.float64)
    squares = (exact**2).sum(axis=1)
    found = []
    for some in np.split(np.arange(len(exact)), range(ROWS_AT_A_TIME, len(exact), ROWS_AT_A_TIME)):
        distance = squares - 2 * exact[some] @ exact.T
        distance[recording[some][:, None] == recording] = np.inf
        found.append(distance.argmin(axis=1))
    return np.concatenate(found)


def describe_embedding(embedding: Embedding, test: Split, programs: Programs) -> dict[str, Any]:
    """As it stands in explanation.json.

    `same_operation`: how often the nearest row of another recording is of the same operation, over
    the rows whose operation is in the train split and another recording has too.
    `apart_seconds`: how far the two are apart in their program, the median over those that are of
    the same one.
    """
    rows, nearest = embedding.rows, embedding.rows[embedding.nearest]
    recording, operation = test.recording[rows], test.operation[rows]
    counted = np.array([len(np.unique(recording[operation == of])) > 1 for of in operation])
    counted &= operation >= 0  # All that are not in the train split have the same number.
    same = test.operation[nearest] == operation
    together = (test.program[nearest] == test.program[rows]) & (test.program[rows] != UNKNOWN)
    together &= embedding.nearest >= 0
    apart = np.abs(test.state[nearest] - test.state[rows]) * float(programs.step_seconds)
    return {
        "method": "t-SNE",
        "rows": len(rows),
        "same_operation": estimate(same & counted, counted, recording)._asdict(),
        "apart_seconds": estimate_median(np.where(together, apart, np.nan), recording)._asdict(),
    }


def _progress(test: Split, programs: Programs, rows: NDArray[np.integer]) -> NDArray[np.float32]:
    program = test.program[rows]
    first = programs.first[program]
    length = programs.first[program + 1] - first
    of_program = (test.state[rows] - first) / np.maximum(length - 1, 1)
    last = np.array(
        [test.seconds[test.recording == of].max() for of in range(len(test.recordings))]
    )
    of_time = test.seconds[rows] / np.maximum(last[test.recording[rows]], 1e-9)
    known = (program != UNKNOWN) & np.isfinite(of_program)
    return np.clip(np.where(known, of_program, of_time), 0, 1).astype(np.float32)


MAX_ROWS = 300


def excerpt_rows(reading: SplitDecoding, test: Split) -> NDArray[np.intp]:
    """Indices of the reading's rows: the middle of the recording of median accuracy.

    Accuracy and ranking are those of the toolpath figure (findings.moves): exact lines of whole
    recordings, best first, ties by name; of the two middle ones the worse.
    """
    recording = test.recording[reading.rows]
    right = reading.of_rows[WHOLE].blocks == test.blocks[test.block[reading.rows]]
    ranking = sorted(
        np.unique(recording).tolist(),
        key=lambda of: (-right[recording == of].mean(), str(test.recordings[of])),
    )
    own = np.flatnonzero(recording == ranking[len(ranking) // 2])
    first = max(0, len(own) - MAX_ROWS) // 2
    return own[first : first + MAX_ROWS]


def excerpt_arrays(
    reading: SplitDecoding,
    test: Split,
    description: Description,
    saliency: NDArray[np.float32],
) -> dict[str, NDArray[Any]]:
    """The arrays `excerpt_...` of explanation.npz, of T rows.

    Args:
        saliency: (N, C) of all rows of the split.
    """
    index = excerpt_rows(reading, test)
    rows = reading.rows[index]
    valid, scaled = test.valid[rows], test.signals[rows]
    scaler = description.scaler
    samples = scaled.astype(np.float64) * np.array(scaler.std) + np.array(scaler.mean)
    return {
        "excerpt_index": index,
        "excerpt_row": test.row[rows],
        "excerpt_seconds": test.seconds[rows],
        "excerpt_scaled": scaled,
        "excerpt_samples": np.where(valid, samples, np.nan).astype(np.float32),
        "excerpt_valid": valid,
        "excerpt_line": test.line[rows],
        "excerpt_block": test.blocks[test.block[rows]],
        "excerpt_read": reading.of_rows[MODEL].blocks[index],
        "excerpt_saliency": saliency[rows],
    }


def describe_excerpt(
    reading: SplitDecoding, test: Split, description: Description
) -> dict[str, Any]:
    """What explanation.json says of the recording that the excerpt is of."""
    recording = int(test.recording[reading.rows[excerpt_rows(reading, test)[0]]])
    first = int(np.flatnonzero(test.recording == recording)[0])
    program, lag = int(test.program[first]), float(test.lag_seconds[recording])
    operation = int(test.operation[first])
    return {
        "recording": str(test.recordings[recording]),
        "operation": description.vocabulary.operations[operation] if operation >= 0 else None,
        "program": str(description.programs.names[program]) if program != UNKNOWN else None,
        "lag_seconds": lag if np.isfinite(lag) else None,
    }


class Explained(NamedTuple):
    """What was found out.

    Attributes:
        saliency: (N, C) of all rows of the split.
    """

    reading: SplitDecoding
    sensors: SensorScores
    embedding: Embedding
    saliency: NDArray[np.float32]


def explain_split(checkpoint: Checkpoint, test: Split, device: torch.device) -> Explained:
    """Reads a split as often as needed; labels only tell what is right."""
    data = to_tensors(test, checkpoint.description, device)
    reading = predict_split(checkpoint, test, device)
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
        array = PREDICTORS[name].array
        arrays[f"{array}_confidence"] = reading.confidence[name]
        arrays[f"{array}_right"] = reading.of_rows[name].blocks == true
    return arrays | excerpt_arrays(reading, test, description, explained.saliency)
