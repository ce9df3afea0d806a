"""A trained network's predictions for a split, by each scored decoding."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.metrics import RowPredictions, RowSequences, SequencePredictions
from gcodefp.evaluation.names import GREEDY, MODEL, STATE_ORACLE, WHOLE
from gcodefp.model.data import Tensors, to_tensors
from gcodefp.model.hmm import decode_sequences, rows_at_once
from gcodefp.model.window_decoding import decode_split_windows
from gcodefp.programs.lag_marginal import marginalise_lag, most_probable_blocks, state_texts
from gcodefp.programs.table import Programs

ROWS_PER_CHUNK = 4096
WINDOWS_PER_CHUNK = 16
"""At most, of one computation; fewer if there are many states."""


class SplitPredictions(NamedTuple):
    """Predictions of N rows, by name."""

    rows: NDArray[np.intp]  # (N,) rows of the split that are scored
    predictions: dict[str, RowPredictions]  # name -> predictions of these rows
    windows: RowSequences  # sequences as long as a window, without overlap
    # name -> predictions by sequence, where they differ from those of the rows
    by_sequence: dict[str, SequencePredictions]
    # name in GCODEFP -> (N,) probability of the predicted block
    confidence: dict[str, NDArray[np.float64]]


def predict_split(decoder: Decoder, split: Split, device: torch.device) -> SplitPredictions:
    """Decodes a split; labels are used by the state oracle only."""
    description, programs = decoder.description, decoder.programs
    data = to_tensors(split, description, device)
    greedy = decode_split_windows(decoder.network, data)
    by_window = decode_windows(decoder, data)
    rows = np.flatnonzero(greedy.is_covered)
    operation = greedy.operation[rows]
    whole_state, whole_blocks, whole_confidence = _decode_recordings(decoder, data, split, rows)
    whole_operation = _most_common_operation(operation, split.recording[rows])
    whole = predict_at_states(programs, whole_state, whole_operation)
    in_window = predict_at_states(programs, by_window.path[rows], operation)
    predictions = {
        MODEL: in_window._replace(blocks=by_window.blocks[rows]),
        WHOLE: whole._replace(blocks=whole_blocks),
        GREEDY: RowPredictions(
            np.array(description.vocabulary.decode(greedy.tokens[rows])),
            operation,
            position_mm=description.position_mm(greedy.position[rows]),
        ),
    }
    windows, index = _non_overlapping_windows(split, description.window)
    window_operation = greedy.operation[split.window_start[index]].repeat(description.window)
    recordings = RowSequences(rows, np.unique(split.recording[rows], return_inverse=True)[1])
    by_sequence = {
        MODEL: SequencePredictions(
            windows, predict_at_states(programs, by_window.paths[index].ravel(), window_operation)
        ),
        WHOLE: SequencePredictions(recordings, whole),
    }
    if np.isfinite(split.state[rows]).any():  # A program that is not in the train split has no lag.
        # 0 where a row's program is not in the train split.
        state = np.nan_to_num(np.rint(split.state)).astype(np.int64)
        at_true = predict_at_states(programs, state, split.operation.astype(np.int64))
        predictions[STATE_ORACLE] = at_true.take(rows)._replace(
            blocks=_most_probable_at_states(programs, state[rows])
        )
        by_sequence[STATE_ORACLE] = SequencePredictions(windows, at_true.take(windows.rows))
    confidence = {MODEL: by_window.confidence[rows], WHOLE: whole_confidence}
    return SplitPredictions(rows, predictions, windows, by_sequence, confidence)


def predict_at_states(
    programs: Programs, path: NDArray[np.int64], operation: NDArray[np.int64]
) -> RowPredictions:
    """What is executed in the states of a path (N,)."""
    return RowPredictions(
        programs.block[path],
        operation,
        programs.program_of_state()[path],
        programs.position_mm[path],
        programs.line[path],
        path,
    )


def _most_probable_at_states(programs: Programs, state: NDArray[np.int64]) -> NDArray[np.str_]:
    """The most probable block where the state (N,) is certain and the lag unknown, (N,)."""
    texts, blocks = state_texts(programs), np.empty(len(state), programs.block.dtype)
    size = rows_at_once(len(programs), ROWS_PER_CHUNK)
    for chunk in np.array_split(np.arange(len(state)), -(-len(state) // size)):
        posterior = np.zeros((len(chunk), len(programs)), np.float32)
        posterior[np.arange(len(chunk)), state[chunk]] = 1.0
        blocks[chunk] = most_probable_blocks(marginalise_lag(posterior, programs), texts).blocks
    return blocks


class DecodedBatch(NamedTuple):
    """Some windows of a split, B of T rows, decoded."""

    encoded: Tensor  # (B, T, D) row vectors of the network
    path: Tensor  # (B, T) Viterbi paths
    rows: NDArray[np.int64]  # (M,) rows of the split that are assigned to these windows
    mask: Tensor  # (B, T) where they are
    # (M, P) of the states that the controller reports, the lag marginalised
    posterior: NDArray[np.float32]


@torch.no_grad()
def decode_batches(decoder: Decoder, data: Tensors) -> Iterator[DecodedBatch]:
    """Decodes the windows of a split, a few at a time."""
    chain = decoder.chain(data.signals.device)
    windows = rows_at_once(4 * data.window * len(decoder.programs), WINDOWS_PER_CHUNK)
    for batch in torch.arange(len(data.starts), device=data.starts.device).split(windows):
        rows, mask = data.window_rows(batch), data.row_mask[batch]
        encoded = decoder.network.encode(data.signals[rows])
        decoded = decode_sequences(decoder.window_emissions(encoded, data.signals[rows]), chain)
        posterior = marginalise_lag(decoded.posterior[mask].cpu().numpy(), decoder.programs)
        yield DecodedBatch(encoded, decoded.path, rows[mask].cpu().numpy(), mask, posterior)


class DecodedWindows(NamedTuple):
    """Decoding of the N rows of a split, each from its assigned window."""

    # (N,) whether the row is assigned to a window; other rows have no prediction
    is_covered: NDArray[np.bool_]
    path: NDArray[np.int64]  # (N,) state on the Viterbi path of the row's window
    paths: NDArray[np.int64]  # (W, T) Viterbi path of each window
    blocks: NDArray[np.str_]  # (N,) text of the most probable block, the lag marginalised
    confidence: NDArray[np.float64]  # (N,) its probability
    operation: NDArray[np.int64]  # (N,) class


@torch.no_grad()
def decode_windows(decoder: Decoder, data: Tensors) -> DecodedWindows:
    """State, most probable block and operation of each row, from its assigned window."""
    count, texts = len(data.signals), state_texts(decoder.programs)
    blocks, confidence = np.zeros(count, decoder.programs.block.dtype), np.zeros(count)
    operation, path = np.full(count, UNSEEN, np.int64), np.full(count, UNSEEN, np.int64)
    paths = []
    for batch in decode_batches(decoder, data):
        path[batch.rows] = batch.path[batch.mask].cpu().numpy()
        paths.append(batch.path.cpu().numpy())
        blocks[batch.rows], confidence[batch.rows] = most_probable_blocks(
            batch.posterior, texts, decoder.temperature
        )
        predicted = decoder.network.operation_logits(batch.encoded).argmax(-1)[:, None]
        operation[batch.rows] = predicted.expand_as(batch.mask)[batch.mask].cpu().numpy()
    is_covered = operation != UNSEEN
    return DecodedWindows(is_covered, path, np.concatenate(paths), blocks, confidence, operation)


def _decode_recordings(
    decoder: Decoder, data: Tensors, split: Split, rows: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float64]]:
    """State, most probable block and confidence of N rows, each recording as one sequence."""
    state, confidence = np.zeros(len(rows), np.int64), np.zeros(len(rows))
    blocks = np.zeros(len(rows), decoder.programs.block.dtype)
    for recording in np.unique(split.recording[rows]):
        # Rows beyond a gap in the time stamps that no window crosses are not scored.
        own = np.flatnonzero(split.recording[rows] == recording)
        signals = data.signals[torch.as_tensor(rows[own], device=data.signals.device)]
        decoded = decoder.decode_recording(signals)
        state[own] = decoded.state
        blocks[own], confidence[own] = decoded.blocks
    return state, blocks, confidence


def _most_common_operation(
    operation: NDArray[np.int64], recording: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The most frequent operation of each row's recording, (N,)."""
    index = np.unique(recording, return_inverse=True)[1]
    counts = np.zeros((index.max(initial=-1) + 1, operation.max(initial=-1) + 1), np.int64)
    np.add.at(counts, (index, operation), 1)
    return counts.argmax(axis=1)[index]


def _non_overlapping_windows(split: Split, window: int) -> tuple[RowSequences, NDArray[np.intp]]:
    """Windows that do not overlap, as sequences and by index."""
    indices, end = [], 0
    for index, start in enumerate(split.window_start.tolist()):
        if start >= end:
            indices.append(index)
            end = start + window
    rows = split.window_start[indices][:, None] + np.arange(window)
    return RowSequences(rows.ravel(), np.repeat(np.arange(len(indices)), window)), np.array(indices)
