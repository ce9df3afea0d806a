"""The evaluation of a split: reads its inputs, scores predictors, and writes its files."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import (
    CONTROLLER_NOTE,
    LEAKY_NOTE,
    Description,
    Split,
    read_description,
    read_split,
)
from gcodefp.errors import UserError
from gcodefp.evaluation.baselines import Baselines, run_baselines
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, Statistic, with_interval
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.decode import SplitPredictions, predict_split
from gcodefp.evaluation.decoder import Decoder, read_decoder
from gcodefp.evaluation.ladder import STRIDE_ROWS, measure_ladder
from gcodefp.evaluation.metrics import (
    RowPredictions,
    ScoredPredictions,
    SegmentPredictions,
    compute_metrics,
)
from gcodefp.evaluation.names import MODEL, PREDICTORS, WHOLE, WHOLE_SUFFIX
from gcodefp.evaluation.sequences import ExecutedBlocks
from gcodefp.evaluation.toolpaths import reconstructed_program
from gcodefp.files import write_arrays, write_text
from gcodefp.model.checkpoint import Checkpoint, check_dataset, read_checkpoint
from gcodefp.model.trainer import describe_device

logger = logging.getLogger("gcodefp.evaluate")


class EvaluationInputs(NamedTuple):
    """A checkpoint with its decoder, the dataset that it was trained on, and splits of it.

    Attributes:
        description: of dataset.json, which never carries the checkpoint's control.
        splits: name -> split.
    """

    decoder: Decoder
    description: Description
    splits: Mapping[str, Split]


def open_evaluation(
    checkpoint: Path,
    dataset: Path,
    splits: Mapping[str, Path],
    device: torch.device,
    control: str | None = None,
) -> EvaluationInputs:
    """Reads a checkpoint, dataset.json and splits, and checks that they belong together.

    Args:
        splits: name -> NPZ.
        control: the negative control that the checkpoint must be trained for.

    Raises:
        UserError: a file is missing or cannot be read, the checkpoint is of another control, or it
            was trained on another dataset.
    """
    loaded = open_decoder(checkpoint, device, control)
    description = read_description(dataset)
    check_dataset(loaded.checkpoint, description.with_control(control), checkpoint)
    loaded_splits = {name: read_split(path, description, name) for name, path in splits.items()}
    return EvaluationInputs(loaded, description, loaded_splits)


def open_decoder(path: Path, device: torch.device, control: str | None = None) -> Decoder:
    """Reads a checkpoint as `open_checkpoint`, and its decoder."""
    return read_decoder(open_checkpoint(path, device, control), path, device)


def open_checkpoint(path: Path, device: torch.device, control: str | None = None) -> Checkpoint:
    """Reads a checkpoint and checks its control.

    Raises:
        UserError: it cannot be read, or was trained for another control (None: for none).
    """
    checkpoint = read_checkpoint(path, device)
    trained_control = checkpoint.description.control
    if trained_control == control:
        return checkpoint
    if control is None:
        raise UserError(
            f"{path}: was trained for control {trained_control}; it is not a model of the signals "
            "and belongs to python -m gcodefp.control"
        )
    trained_for = f"control {trained_control}" if trained_control else "no control"
    raise UserError(
        f"{path}: was trained for {trained_for}; "
        f"name the checkpoint that was trained for control {control}"
    )


class Evaluation(NamedTuple):
    """The predictions for a split and their scores.

    Attributes:
        predictions: name -> predictions of the rows of the decoding, including baselines.
        scores: name -> metric -> its value and interval.
        tuned: baseline -> its options, chosen on the val split.
        ladder, decoder, doubtful_lags: for metrics.json.
    """

    decoding: SplitPredictions
    predictions: Mapping[str, RowPredictions]
    scores: Mapping[str, Mapping[str, Estimate]]
    tuned: Mapping[str, Mapping[str, Any]]
    ladder: Sequence[Mapping[str, Any]]
    decoder: Mapping[str, Any]
    doubtful_lags: Sequence[str]


def evaluate_split(
    decoder: Decoder,
    test: Split,
    train: Split | None,
    device: torch.device,
    threads: int,
    val: Split | None = None,
    ladder_stride_rows: int = STRIDE_ROWS,
    doubtful: Sequence[str] = (),
) -> Evaluation:
    """Decodes and scores a split.

    Args:
        train: for the baselines; without it there are none.
        threads: processor cores that the baselines may use.
        val: for the baselines' options; without it they have their defaults.
        ladder_stride_rows: from one window of the ladder to the next.
        doubtful: names of recordings with a doubtful lag.
    """
    decoding = predict_split(decoder, test, device)
    window, programs = decoder.description.window, decoder.programs
    baselines = Baselines({}, {}, {})
    if train:
        if val is None:
            logger.warning("without --val the options of the baselines are defaults, not tuned")
        baselines = run_baselines(train, val, test, decoding.rows, programs, window, threads)
        # As gcodefp's, the segments of whole recordings are whole recordings.
        recordings = decoding.by_segment[WHOLE].segments
        whole = {
            name: SegmentPredictions(recordings, predictions)
            for name, predictions in baselines.predictions.items()
            if name.endswith(WHOLE_SUFFIX)
        }
        decoding = decoding._replace(by_segment={**decoding.by_segment, **whole})
    predictions = {**decoding.predictions, **baselines.predictions}
    scores = {
        name: {metric: with_interval(statistic) for metric, statistic in statistics.items()}
        for name, statistics in score_predictors(
            decoding, predictions, test, decoder.description
        ).items()
    }
    ladder = measure_ladder(
        {MODEL: decoder.listen, **baselines.listeners},
        test,
        programs,
        ladder_stride_rows,
        doubtful,
    )
    in_test = [name for name in doubtful if name in test.recordings[np.unique(test.recording)]]
    return Evaluation(
        decoding, predictions, scores, baselines.tuned, ladder, decoder.describe(), in_test
    )


def score_predictors(
    decoding: SplitPredictions,
    predictions: Mapping[str, RowPredictions],
    split: Split,
    description: Description,
    names: Collection[str] = tuple(PREDICTORS),
) -> dict[str, dict[str, Statistic]]:
    """Every metric of the named predictors.

    Args:
        predictions: of the rows of the decoding, by name.
    """
    index = np.searchsorted(decoding.rows, decoding.windows.rows)
    scores = {}
    for name in (name for name in PREDICTORS if name in predictions and name in names):
        by_segment = decoding.by_segment.get(name) or SegmentPredictions(
            decoding.windows, predictions[name].take(index)
        )
        scored = ScoredPredictions(
            predictions[name], split, decoding.rows, description.vocabulary, description.programs,
            by_segment,
        )  # fmt: skip
        scores[name] = compute_metrics(scored)
    return scores


def describe_evaluation(
    evaluation: Evaluation,
    test: Split,
    description: Description,
    device: torch.device,
    controls: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of metrics.json that does not depend on paths.

    Args:
        controls: content of each control.json.
    """
    rows = evaluation.decoding.rows
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "split": description.document["split"],
        "device": describe_device(device),
        "recordings": len(np.unique(test.recording[rows])),
        "train_recordings": len(description.document["splits"]["train"]["recordings"]),
        "rows": len(rows),
        "segments": int(evaluation.decoding.windows.segment.max()) + 1,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "controls": list(controls),
        "decoder": evaluation.decoder,
        "models": {
            name: {metric: estimate._asdict() for metric, estimate in estimates.items()}
            for name, estimates in evaluation.scores.items()
        },
        "ladder": evaluation.ladder,
        "doubtful_lags": evaluation.doubtful_lags,
        "baselines": evaluation.tuned,
        **break_down(evaluation.predictions, test, rows, description),
    }


class Sequences(NamedTuple):
    """The blocks of one recording in order, including those too short to be reported.

    Attributes:
        executed: each true block, and its first row in the split; None if it has no row.
        predicted: each block.
    """

    executed: list[tuple[str, int | None]]
    predicted: list[str]


def decode_sequences(
    decoding: SplitPredictions, split: Split, description: Description
) -> dict[int, Sequences]:
    """Index of each recording -> its blocks, decoded as a whole."""
    executed_blocks = ExecutedBlocks(description.programs)
    segments, predictions = decoding.by_segment[WHOLE]
    recording = split.recording[segments.rows]
    sequences = {}
    for index in np.unique(recording).tolist():
        in_recording = np.flatnonzero(recording == index)
        rows, predicted = segments.rows[in_recording], predictions.take(in_recording)
        assert predicted.program is not None, "states belong to programs"
        assert predicted.line is not None, "states have lines"
        true_blocks = split.blocks[split.block[rows]]
        executed = executed_blocks.sequence_with_rows(
            split.program[rows], split.line[rows], true_blocks
        )
        sequences[index] = Sequences(
            [(block, None if row is None else int(rows[row])) for block, row in executed],
            executed_blocks.executed_sequence(predicted.program, predicted.line, predicted.blocks),
        )
    return sequences


def sequence_arrays(sequences: Mapping[int, Sequences], split: Split) -> dict[str, NDArray[Any]]:
    """The arrays `executed_...` and `reconstructed_...` of predictions.npz."""
    executed = [(index, *pair) for index, pairs in sequences.items() for pair in pairs.executed]
    predicted = [(index, block) for index, part in sequences.items() for block in part.predicted]
    seconds = [np.nan if row is None else split.seconds[row] for _, _, row in executed]
    dtype = split.recording.dtype
    return {
        "executed_recording": np.array([index for index, *_ in executed], dtype),
        "executed_block": np.array([block for _, block, _ in executed]),
        "executed_seconds": np.array(seconds, np.float64),
        "reconstructed_recording": np.array([index for index, _ in predicted], dtype),
        "reconstructed_block": np.array([block for _, block in predicted]),
    }


def write_predictions(
    folder: Path, evaluation: Evaluation, test: Split, description: Description
) -> None:
    """Writes predictions.npz and gcode/*.nc, the reconstructed program of each recording."""
    sequences = decode_sequences(evaluation.decoding, test, description)
    arrays = prediction_arrays(evaluation, test, description) | sequence_arrays(sequences, test)
    write_arrays(folder / "predictions.npz", arrays)
    controller = description.document["controller_is_input"]
    candidates = ((LEAKY_NOTE, description.leaky), (CONTROLLER_NOTE, controller))
    notes = [note for note, is_needed in candidates if is_needed]
    for index, sequence in sequences.items():
        name = str(test.recordings[index])
        text = reconstructed_program(sequence.predicted, name, notes)
        write_text(folder / "gcode" / f"{name}.nc", text)


def prediction_arrays(
    evaluation: Evaluation, test: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The rows of predictions.npz; arrays of predictors begin with PREDICTORS[...].array."""
    rows = evaluation.decoding.rows
    arrays = {
        "recordings": test.recordings,
        "recording": test.recording[rows],
        "row": test.row[rows],
        "seconds": test.seconds[rows],
        "position_mm": test.position_mm[rows],
        "mm_per_unit": test.mm_per_unit[rows],
        "lag_seconds": test.lag_seconds,
        "operations": np.array(description.vocabulary.operations),
        "programs": description.programs.names,
        "true_operation": test.operation[rows],
        "true_program": test.program[rows],
        "true_block": test.blocks[test.block[rows]],
    }
    for name, predictions in evaluation.predictions.items():
        for field, values in predictions._asdict().items():
            if values is not None:
                suffix = "block" if field == "blocks" else field
                arrays[f"{PREDICTORS[name].array}_{suffix}"] = values
    return arrays
