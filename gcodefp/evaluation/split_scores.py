"""A checkpoint and its baselines, asked about a split and scored by the same rules."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE, Description, Split
from gcodefp.evaluation.baselines import RowPredictions, run_baselines
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, Statistic
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.decode import SplitDecoding, predict_split
from gcodefp.evaluation.metrics import measure_rows, measure_segments, with_intervals
from gcodefp.evaluation.names import PREDICTORS, WHOLE
from gcodefp.evaluation.sequences import ExecutedBlocks
from gcodefp.evaluation.toolpaths import reconstructed_program
from gcodefp.files import replacing, write_text
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.trainer import describe_device


class Evaluated(NamedTuple):
    """What was said of a split, and how much of it is right.

    Attributes:
        reading: what the network read.
        answers: name -> answers of the rows of the reading, baselines among them.
        scores: name -> metric -> its value and interval.
    """

    reading: SplitDecoding
    answers: Mapping[str, RowPredictions]
    scores: Mapping[str, Mapping[str, Estimate]]


def evaluate_split(
    checkpoint: Checkpoint, test: Split, train: Split | None, device: torch.device, threads: int
) -> Evaluated:
    """Reads and scores a split.

    Args:
        train: for the baselines; without it there are none.
        threads: processor cores that the baselines may use.
    """
    reading = predict_split(checkpoint, test, device)
    window = checkpoint.description.window
    baselines = run_baselines(train, test, reading.rows, window, threads) if train else {}
    answers = {**reading.of_rows, **baselines}
    measured = measure(reading, answers, test, checkpoint.description)
    return Evaluated(reading, answers, {name: with_intervals(of) for name, of in measured.items()})


def measure(
    reading: SplitDecoding,
    answers: Mapping[str, RowPredictions],
    test: Split,
    description: Description,
    names: Collection[str] = tuple(PREDICTORS),
) -> dict[str, dict[str, Statistic]]:
    """Every metric of the network's and the baselines' answers, by the same rules.

    Args:
        answers: of the rows of the reading, by name.
        names: the answers that are wanted.
    """
    position = {row: index for index, row in enumerate(reading.rows.tolist())}
    in_windows = np.array([position[row] for row in reading.windows.rows.tolist()])
    executed = ExecutedBlocks(description.programs)
    metrics = {}
    for name in PREDICTORS:
        if name not in answers or name not in names:
            continue
        metrics[name] = measure_rows(answers[name], test, reading.rows, description.vocabulary)
        known = reading.of_segments.get(name)
        segments, of = known or (reading.windows, answers[name].take(in_windows))
        metrics[name] |= measure_segments(of, test, segments, executed)
    return metrics


def describe_evaluation(
    evaluated: Evaluated,
    test: Split,
    description: Description,
    device: torch.device,
    controls: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What metrics.json says of a split, wherever its recordings come from.

    Args:
        controls: what each control.json says.
    """
    reading = evaluated.reading
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "split": description.document["split"],
        "device": describe_device(device),
        "recordings": len(np.unique(test.recording[reading.rows])),
        "rows": len(reading.rows),
        "segments": int(reading.windows.segment.max()) + 1,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "controls": list(controls),
        "models": {
            name: {metric: e._asdict() for metric, e in of.items()}
            for name, of in evaluated.scores.items()
        },
        **break_down(evaluated.answers, test, reading.rows, description),
    }


# The lines that whole recordings executed, and those that were read from them, in order.
#
# Lines too short for a row of their own are filled in, as for the G-code error rate.


class Sequences(NamedTuple):
    """Of one recording.

    Attributes:
        executed: each line, and the row of the split that it begins in; None if it has none.
        read: each line.
    """

    executed: list[tuple[str, int | None]]
    read: list[str]


def sequences_of(
    reading: SplitDecoding, test: Split, description: Description
) -> dict[int, Sequences]:
    """Index of each recording that was read as a whole -> its lines."""
    filling = ExecutedBlocks(description.programs)
    segments, answers = reading.of_segments[WHOLE]
    recording = test.recording[segments.rows]
    found = {}
    for index in np.unique(recording).tolist():
        own = np.flatnonzero(recording == index)
        rows, of = segments.rows[own], answers.take(own)
        assert of.program is not None, "places are of programs"
        assert of.line is not None, "places have lines"
        true_blocks = test.blocks[test.block[rows]]
        executed = filling.with_rows(test.program[rows], test.line[rows], true_blocks)
        found[index] = Sequences(
            [(block, None if row is None else int(rows[row])) for block, row in executed],
            filling.of_rows(of.program, of.line, of.blocks),
        )
    return found


def sequence_arrays(
    reading: SplitDecoding, test: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays `executed_...` and `reconstructed_...` of predictions.npz."""
    of = sequences_of(reading, test, description)
    executed = [(i, block, row) for i, found in of.items() for block, row in found.executed]
    read = [(i, block) for i, found in of.items() for block in found.read]
    seconds = [np.nan if row is None else test.seconds[row] for _, _, row in executed]
    return {
        "executed_recording": np.array([i for i, _, _ in executed], test.recording.dtype),
        "executed_block": np.array([block for _, block, _ in executed]),
        "executed_seconds": np.array(seconds, np.float64),
        "reconstructed_recording": np.array([i for i, _ in read], test.recording.dtype),
        "reconstructed_block": np.array([block for _, block in read]),
    }


def write_predictions(
    folder: Path, evaluated: Evaluated, test: Split, description: Description
) -> None:
    """Writes predictions.npz and gcode/*.nc."""
    arrays: dict[str, Any] = prediction_arrays(evaluated, test, description)
    with replacing(folder / "predictions.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    for name, text in reconstructed_programs(evaluated.reading, test, description).items():
        write_text(folder / "gcode" / f"{name}.nc", text)


def prediction_arrays(
    evaluated: Evaluated, test: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays of predictions.npz; those of answers are named by files.ANSWERS."""
    rows = evaluated.reading.rows
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
    for name, of in evaluated.answers.items():
        said = of._asdict()
        known = {what: said[what] for what in said if said[what] is not None}
        array = PREDICTORS[name].array
        for what, values in known.items():
            arrays[f"{array}_{'block' if what == 'blocks' else what}"] = values
    return arrays | sequence_arrays(evaluated.reading, test, description)


def reconstructed_programs(
    reading: SplitDecoding, test: Split, description: Description
) -> dict[str, str]:
    """Recording -> the text of its .nc file."""
    inputs = description.document["controller_is_input"]
    notes = [
        text
        for text, holds in ((LEAKY_NOTE, description.leaky), (CONTROLLER_NOTE, inputs))
        if holds
    ]
    names = test.recordings.tolist()
    return {
        names[index]: reconstructed_program(of.read, names[index], notes)
        for index, of in sequences_of(reading, test, description).items()
    }
