"""predictions.npz, and the reconstructed program of each recording."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE, Description, Split
from gcodefp.evaluation.evaluated import Evaluated
from gcodefp.evaluation.files import ANSWERS
from gcodefp.evaluation.reading import Reading
from gcodefp.evaluation.reconstruct import reconstructed_program
from gcodefp.evaluation.sequences import sequence_arrays, sequences_of
from gcodefp.files import replacing, write_text


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
        array = ANSWERS[name].array
        for what, values in known.items():
            arrays[f"{array}_{'block' if what == 'blocks' else what}"] = values
    return arrays | sequence_arrays(evaluated.reading, test, description)


def reconstructed_programs(
    reading: Reading, test: Split, description: Description
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
