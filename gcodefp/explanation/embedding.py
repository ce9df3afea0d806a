"""Where the network puts rows: the vectors that its encoder gives them, laid out in a plane.

Neighbours stay neighbours in the plane (t-SNE; van der Maaten and Hinton 2008); distances and the
sizes of clusters mean nothing. What is counted, is counted in the encoder's own space.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from gcodefp.dataset.store import Split
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.medians import estimate_median
from gcodefp.learning.checkpoint import Checkpoint
from gcodefp.learning.predict import WINDOWS_PER_BATCH
from gcodefp.learning.tensors import Tensors
from gcodefp.programs.table import UNKNOWN, Programs

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
        rows, speaks = data.rows_of(batch), data.speaks[batch]
        encoded = network.encode(data.signals[rows])[speaks]
        vectors[rows[speaks].cpu().numpy()] = encoded.cpu().numpy()
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
    apart = np.abs(test.place[nearest] - test.place[rows]) * float(programs.step_seconds)
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
    of_program = (test.place[rows] - first) / np.maximum(length - 1, 1)
    last = np.array(
        [test.seconds[test.recording == of].max() for of in range(len(test.recordings))]
    )
    of_time = test.seconds[rows] / np.maximum(last[test.recording[rows]], 1e-9)
    known = (program != UNKNOWN) & np.isfinite(of_program)
    return np.clip(np.where(known, of_program, of_time), 0, 1).astype(np.float32)
