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
    DatasetDescription,
    Split,
    read_description,
    read_split,
)
from gcodefp.errors import UserError
from gcodefp.evaluation.baselines.baseline_input import BaselineInput, Predictions
from gcodefp.evaluation.baselines.suite import run_baselines
from gcodefp.evaluation.bootstrap import CONFIDENCE_LEVEL, RESAMPLES, with_interval
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.decode import SplitPredictions, predict_split
from gcodefp.evaluation.decoder import Decoder, read_decoder
from gcodefp.evaluation.metrics import LabelledPredictions, SequencePredictions, compute_metrics
from gcodefp.evaluation.names import MODEL, PREDICTORS, WHOLE, WHOLE_SUFFIX
from gcodefp.evaluation.sequences import executed_blocks
from gcodefp.evaluation.toolpaths import reconstructed_program
from gcodefp.evaluation.window_lengths import STRIDE_ROWS, CentreDecoder, evaluate_window_lengths
from gcodefp.files import write_arrays, write_text
from gcodefp.model.checkpoint import check_dataset, read_checkpoint
from gcodefp.model.trainer import describe_device

logger = logging.getLogger("gcodefp.evaluate")


class EvaluationInputs(NamedTuple):
    """A checkpoint with its decoder, the dataset that it was trained on, and splits of it."""

    decoder: Decoder
    description: DatasetDescription  # of dataset.json, which never carries the checkpoint's control
    splits: dict[str, Split]  # name -> split


def open_evaluation(
    checkpoint: Path,
    dataset: Path,
    splits: Mapping[str, Path],
    device: torch.device,
    control: str | None = None,
    is_fitted: bool = True,
) -> EvaluationInputs:
    """Reads a checkpoint, dataset.json and splits (name -> NPZ), which must belong together.

    Raises UserError: as `open_decoder`, or the checkpoint was trained on another dataset.
    """
    decoder = open_decoder(checkpoint, device, control, is_fitted)
    description = read_description(dataset)
    check_dataset(decoder.checkpoint, description.with_control(control), checkpoint)
    loaded = {name: read_split(path, description, name) for name, path in splits.items()}
    return EvaluationInputs(decoder, description, loaded)


def open_decoder(
    path: Path, device: torch.device, control: str | None = None, is_fitted: bool = True
) -> Decoder:
    """Reads a checkpoint and its decoder.

    Args:
        control: the negative control that it was trained for; None: none.
        is_fitted: whether a decoder.npz beside the checkpoint counts.

    Raises UserError: a file cannot be read, or the checkpoint is of another control.
    """
    checkpoint = read_checkpoint(path, device)
    if (actual := checkpoint.description.control) != control:
        own, needed = (f"control {name}" if name else "no control" for name in (actual, control))
        raise UserError(
            f"{path}: was trained for {own}; name the checkpoint that was trained for {needed}"
            + "; this one belongs to python -m gcodefp.control" * bool(actual)
        )
    return read_decoder(checkpoint, path, device) if is_fitted else Decoder(checkpoint)


class Evaluation(NamedTuple):
    """The predictions for a split, those of the baselines too, and what metrics.json says of it."""

    decoding: SplitPredictions
    content: dict[str, Any]


def evaluate_split(
    decoder: Decoder,
    test: Split,
    train: Split | None,
    val: Split | None,
    device: torch.device,
    threads: int,
    stride_rows: int = STRIDE_ROWS,
    doubtful: Sequence[str] = (),
) -> Evaluation:
    """Decodes and scores a split.

    Args:
        train: for the baselines; without it there are none.
        val: for the baselines' options; without it they have their defaults.
        threads: processor cores that the baselines may use.
        stride_rows: from one window to the next, in the scores by window length.
        doubtful: names of recordings with a doubtful lag.
    """
    description, programs = decoder.description, decoder.programs
    decoding = predict_split(decoder, test, device)
    decoders: dict[str, CentreDecoder] = {MODEL: decoder.decode_centres}
    tuned: dict[str, Any] = {}
    if train:
        if val is None:
            logger.warning("without --val the options of the baselines are defaults, not tuned")
        inputs = BaselineInput(train, test, decoding.rows, programs, description.window, threads)
        predictions, baseline_decoders, tuned = run_baselines(inputs, val)
        decoding, decoders = _with_baselines(decoding, predictions), decoders | baseline_decoders
    scored = labelled_predictions(decoding, test, description)
    in_test = test.recordings[np.unique(test.recording)]
    content = _describe_inputs(decoding, test, description, device) | {
        "decoder": decoder.describe(),
        "models": {
            name: {
                metric: with_interval(statistic)._asdict()
                for metric, statistic in compute_metrics(each).items()
            }
            for name, each in scored.items()
        },
        "ladder": evaluate_window_lengths(decoders, test, programs, stride_rows, doubtful),
        "doubtful_lags": [name for name in doubtful if name in in_test],
        "baselines": tuned,
        **break_down(scored, description),
    }
    return Evaluation(decoding, content)


def _with_baselines(decoding: SplitPredictions, predictions: Predictions) -> SplitPredictions:
    # As gcodefp's, the sequences of whole recordings are whole recordings.
    recordings = decoding.by_sequence[WHOLE].sequences
    whole = {
        name: SequencePredictions(recordings, each)
        for name, each in predictions.items()
        if name.endswith(WHOLE_SUFFIX)
    }
    return decoding._replace(
        predictions=decoding.predictions | predictions, by_sequence=decoding.by_sequence | whole
    )


def _describe_inputs(
    decoding: SplitPredictions, test: Split, description: DatasetDescription, device: torch.device
) -> dict[str, Any]:
    document = description.document
    return {
        "leaky": description.leaky,
        "controller_is_input": document["controller_is_input"],
        "split": document["split"],
        "device": describe_device(device),
        "recordings": len(np.unique(test.recording[decoding.rows])),
        "train_recordings": len(document["splits"]["train"]["recordings"]),
        "rows": len(decoding.rows),
        "segments": int(decoding.windows.sequence.max()) + 1,
        "confidence": CONFIDENCE_LEVEL,  # of the intervals
        "resamples": RESAMPLES,
    }


def labelled_predictions(
    decoding: SplitPredictions,
    split: Split,
    description: DatasetDescription,
    names: Collection[str] = PREDICTORS,
) -> dict[str, LabelledPredictions]:
    """The named predictors, in the order of the report, ready for any metric."""
    index = np.searchsorted(decoding.rows, decoding.windows.rows)
    scored = {}
    for name in PREDICTORS:
        if name not in names or (predictions := decoding.predictions.get(name)) is None:
            continue
        in_windows = SequencePredictions(decoding.windows, predictions.take(index))
        scored[name] = LabelledPredictions(
            predictions, split, decoding.rows, description.vocabulary, description.programs,
            decoding.by_sequence.get(name, in_windows),
        )  # fmt: skip
    return scored


def write_predictions(
    folder: Path, decoding: SplitPredictions, test: Split, description: DatasetDescription
) -> None:
    """Writes predictions.npz and gcode/*.nc, the reconstructed program of each recording."""
    sequences, predicted = decoding.by_sequence[WHOLE]
    assert predicted.program is not None, "states belong to programs"
    assert predicted.line is not None, "states have lines"
    document = description.document
    notes = [LEAKY_NOTE] * description.leaky + [CONTROLLER_NOTE] * document["controller_is_input"]
    executed: list[tuple[int, str, float]] = []
    reconstructed: list[tuple[int, str]] = []
    recording = test.recording[sequences.rows]
    for index in np.unique(recording).tolist():
        own = np.flatnonzero(recording == index)
        rows = sequences.rows[own]
        true = executed_blocks(
            description.programs, test.program[rows], test.line[rows], test.blocks[test.block[rows]]
        )
        executed += [
            (index, block, np.nan if row is None else test.seconds[rows[row]])
            for block, row in true
        ]
        of_rows = predicted.program[own], predicted.line[own], predicted.blocks[own]
        blocks = [block for block, _ in executed_blocks(description.programs, *of_rows)]
        reconstructed += [(index, block) for block in blocks]
        name = str(test.recordings[index])
        text = reconstructed_program(blocks, name, notes)
        write_text(folder / "gcode" / f"{name}.nc", text)
    dtype = test.recording.dtype
    block_sequences = {
        "executed_recording": np.array([index for index, *_ in executed], dtype),
        "executed_block": np.array([block for _, block, _ in executed]),
        "executed_seconds": np.array([seconds for *_, seconds in executed], np.float64),
        "reconstructed_recording": np.array([index for index, _ in reconstructed], dtype),
        "reconstructed_block": np.array([block for _, block in reconstructed]),
    }
    arrays = _row_arrays(decoding, test, description)
    write_arrays(folder / "predictions.npz", arrays | block_sequences)


def _row_arrays(
    decoding: SplitPredictions, test: Split, description: DatasetDescription
) -> dict[str, NDArray[Any]]:
    """The rows of predictions.npz; arrays of predictors begin with PREDICTORS[...].array."""
    rows = decoding.rows
    of_rows = ("recording", "row", "seconds", "position_mm", "mm_per_unit")
    arrays = {
        "recordings": test.recordings,
        **{name: getattr(test, name)[rows] for name in of_rows},
        "lag_seconds": test.lag_seconds,
        "operations": np.array(description.vocabulary.operations),
        "programs": description.programs.names,
        "true_operation": test.operation[rows],
        "true_program": test.program[rows],
        "true_block": test.blocks[test.block[rows]],
    }
    for name, predictions in decoding.predictions.items():
        for field, values in predictions._asdict().items():
            if values is not None:
                suffix = "block" if field == "blocks" else field
                arrays[f"{PREDICTORS[name].array}_{suffix}"] = values
    return arrays
