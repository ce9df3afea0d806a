"""What a trained network reads from the sensors of a split, in each of the ways that are scored."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.evaluation.baselines import RowPredictions, at_states
from gcodefp.evaluation.metrics import Segments
from gcodefp.evaluation.names import (
    MODEL,
    MODEL_LAG_ORACLE,
    UPPER_BOUND,
    WHOLE,
    WHOLE_LAG_ORACLE,
    WRITTEN,
)
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import Tensors, to_tensors
from gcodefp.model.hmm import decode_segments
from gcodefp.model.window_decoding import Prediction, predict, whole_emission_log_likelihood
from gcodefp.programs.lag_marginal import MostProbable, marginalise_lag, most_probable_blocks
from gcodefp.programs.table import Programs

ROWS_AT_A_TIME = 4096
WINDOWS_AT_A_TIME = 16
"""Every row has a probability for each of thousands of places."""


class SplitDecoding(NamedTuple):
    """Answers by name.

    Attributes:
        rows: (N,) rows of the split that are scored.
        of_rows: name -> answers of these rows.
        windows: stretches as long as a window, side by side.
        whole: one stretch a recording: all its rows that are scored.
        of_segments: name -> the stretches it was read in, and its answers of their rows.
        confidence: name -> (N,) probability of the block at each row, of those that tell one.
    """

    rows: NDArray[np.intp]
    of_rows: dict[str, RowPredictions]
    windows: Segments
    whole: Segments
    of_segments: dict[str, tuple[Segments, RowPredictions]]
    confidence: dict[str, NDArray[np.float64]]


class WindowDecoding(NamedTuple):
    """What the windows of a split of N rows say, each for its own rows.

    Attributes:
        covered: (N,) whether any window speaks for the row; the others hold nothing of meaning.
        blocks: (N,) text of the likeliest block.
        confidence: (N,) its probability.
        operation: (N,) class.
    """

    covered: NDArray[np.bool_]
    blocks: NDArray[np.str_]
    confidence: NDArray[np.float64]
    operation: NDArray[np.int64]


def predict_split(checkpoint: Checkpoint, test: Split, device: torch.device) -> SplitDecoding:
    """Reads a split; only the answers that say that the clock is known look at its labels."""
    description, programs = checkpoint.description, checkpoint.description.programs
    data = to_tensors(test, description, device)
    read = predict(checkpoint.network, data)
    rows = np.flatnonzero(read.covered)
    whole_path, whole = _read_whole(checkpoint, data, test, rows)
    operation, lag = read.operation[rows], test.lag_seconds[test.recording[rows]]
    of_recording = _most_frequent(operation, test.recording[rows])
    in_windows = decode_windows(checkpoint, data)
    answers = {
        MODEL: at_states(programs, read.path[rows], operation)._replace(
            blocks=in_windows.blocks[rows]
        ),
        WHOLE: at_states(programs, whole_path, of_recording)._replace(blocks=whole.blocks),
        WRITTEN: _written(read, rows, description),
    }
    windows, chosen = _side_by_side(test, description.window)
    recordings = Segments(rows, np.unique(test.recording[rows], return_inverse=True)[1])
    alignment = read.paths[chosen].ravel()
    of_window = np.repeat(read.operation[test.window_start[chosen]], description.window)
    sequences = {
        MODEL: (windows, at_states(programs, alignment, of_window)),
        WHOLE: (recordings, at_states(programs, whole_path, of_recording)),
    }
    if np.isfinite(test.state[rows]).any():  # Of programs never learnt nobody knows a clock.
        late = test.lag_seconds[test.recording[windows.rows]]
        answers |= {
            MODEL_LAG_ORACLE: at_states(programs, read.path[rows], operation, lag),
            WHOLE_LAG_ORACLE: at_states(programs, whole_path, of_recording, lag),
            UPPER_BOUND: _perfect_reported(programs, test, rows),
        }
        sequences |= {
            MODEL_LAG_ORACLE: (windows, at_states(programs, alignment, of_window, late)),
            WHOLE_LAG_ORACLE: (recordings, answers[WHOLE_LAG_ORACLE]),
            UPPER_BOUND: (windows, _perfect(programs, test, windows.rows)),
        }
    confidence = {MODEL: in_windows.confidence[rows], WHOLE: whole.confidence}
    return SplitDecoding(rows, answers, windows, recordings, sequences, confidence)


def _written(read: Prediction, rows: NDArray[np.intp], description: Description) -> RowPredictions:
    blocks = np.array(description.vocabulary.decode(read.codes[rows]))
    position_mm = description.position_mm(read.position[rows])
    return RowPredictions(blocks, read.operation[rows], None, position_mm)


def _perfect(programs: Programs, test: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """What a reader says who knows every place that the sensors see, but not the clock."""
    return at_states(programs, _true_place(test, rows), test.operation[rows].astype(np.int64))


def _perfect_reported(programs: Programs, test: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """The same with the likeliest block at each row."""
    return _perfect(programs, test, rows)._replace(blocks=_reported(programs, test, rows))


def _true_place(test: Split, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,); rows of programs that were never learnt have no place: the first stands in."""
    return np.nan_to_num(np.rint(test.state[rows])).astype(np.int64)


def _reported(programs: Programs, test: Split, rows: NDArray[np.integer]) -> NDArray[np.str_]:
    """The likeliest block at each row, for a reader who knows its place but not the clock."""
    state = _true_place(test, rows)
    blocks = np.empty(len(rows), programs.block.dtype)
    for some in np.array_split(np.arange(len(rows)), -(-len(rows) // ROWS_AT_A_TIME)):
        certain = np.zeros((len(some), len(programs)), np.float32)
        certain[np.arange(len(some)), state[some]] = 1.0
        blocks[some] = most_probable_blocks(marginalise_lag(certain, programs), programs).blocks
    return blocks


@torch.no_grad()
def decode_windows(checkpoint: Checkpoint, data: Tensors) -> WindowDecoding:
    """The likeliest block and the operation of every row, read from the window that speaks for it.

    The same as the answers `gcodefp` of a split that is read freely.
    """
    programs, network = checkpoint.description.programs, checkpoint.network
    count = len(data.signals)
    blocks, confidence = np.zeros(count, programs.block.dtype), np.zeros(count)
    operation = np.full(count, UNSEEN, np.int64)
    for batch in torch.arange(len(data.starts), device=data.starts.device).split(WINDOWS_AT_A_TIME):
        rows, row_mask = data.rows_of(batch), data.row_mask[batch]
        encoded = network.encode(data.signals[rows])
        evidence = network.emission_log_likelihood(encoded)
        posterior = decode_segments(evidence, data.first_state).posterior[row_mask].cpu().numpy()
        chosen = rows[row_mask].cpu().numpy()
        likeliest = most_probable_blocks(marginalise_lag(posterior, programs), programs)
        blocks[chosen], confidence[chosen] = likeliest
        named = network.operation_logits(encoded).argmax(-1)[:, None].expand_as(rows)
        operation[chosen] = named[row_mask].cpu().numpy()
    return WindowDecoding(operation != UNSEEN, blocks, confidence, operation)


def _read_whole(
    checkpoint: Checkpoint, data: Tensors, test: Split, rows: NDArray[np.intp]
) -> tuple[NDArray[np.int64], MostProbable]:
    """Places and likeliest blocks of the scored rows, aligned over all rows of a recording."""
    programs = checkpoint.description.programs
    path = np.zeros(len(test.recording), np.int64)
    blocks = np.zeros(len(test.recording), programs.block.dtype)
    confidence = np.zeros(len(test.recording))
    for recording in np.unique(test.recording[rows]):
        # Rows beyond a gap in the clock that no window crosses are not scored.
        own = rows[test.recording[rows] == recording]
        signals = data.signals[torch.as_tensor(own, device=data.signals.device)]
        evidence = whole_emission_log_likelihood(checkpoint.network, signals, data.window)
        read = decode_segments(evidence[None], data.first_state)
        path[own] = read.path[0].cpu().numpy()
        reported = marginalise_lag(read.posterior[0].cpu().numpy(), programs)
        blocks[own], confidence[own] = most_probable_blocks(reported, programs)
    return path[rows], MostProbable(blocks[rows], confidence[rows])


def _most_frequent(
    operation: NDArray[np.int64], recording: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The operation that most rows of a recording are read as, at each of its rows."""
    of_row = np.unique(recording, return_inverse=True)[1]
    votes = np.zeros((of_row.max(initial=-1) + 1, operation.max(initial=-1) + 1), np.int64)
    np.add.at(votes, (of_row, operation), 1)
    return votes.argmax(axis=1)[of_row]


def _side_by_side(test: Split, window: int) -> tuple[Segments, NDArray[np.intp]]:
    """The windows that do not overlap the one before, and their rows."""
    chosen, end = [], 0
    for index, start in enumerate(test.window_start.tolist()):
        if start >= end:
            chosen.append(index)
            end = start + window
    rows = test.window_start[chosen][:, None] + np.arange(window)
    return Segments(rows.ravel(), np.repeat(np.arange(len(chosen)), window)), np.array(chosen)
