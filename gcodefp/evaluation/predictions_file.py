"""predictions.npz, one entry per row, and the reconstructed program of each recording."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE, Description, Split
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.executed import ExecutedBlocks
from gcodefp.evaluation.files import ANSWERS, WHOLE
from gcodefp.evaluation.reading import Reading
from gcodefp.evaluation.reconstruct import reconstructed_program
from gcodefp.files import replacing, write_text


def write_predictions(
    folder: Path,
    answers: Mapping[str, Answers],
    test: Split,
    reading: Reading,
    description: Description,
) -> None:
    """Writes predictions.npz and gcode/*.nc; arrays are named by files.ANSWERS."""
    rows = reading.rows
    arrays: dict[str, Any] = {
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
    for name, of in answers.items():
        said = of._asdict()
        known = {what: said[what] for what in said if said[what] is not None}
        array = ANSWERS[name].array
        for what, values in known.items():
            arrays[f"{array}_{'block' if what == 'blocks' else what}"] = values
    with replacing(folder / "predictions.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    _write_programs(folder / "gcode", test, reading, description)


def _write_programs(folder: Path, test: Split, reading: Reading, description: Description) -> None:
    inputs = description.document["controller_is_input"]
    notes = [
        text
        for text, holds in ((LEAKY_NOTE, description.leaky), (CONTROLLER_NOTE, inputs))
        if holds
    ]
    executed = ExecutedBlocks(description.programs)
    stretches, answers = reading.of_stretches[WHOLE]
    recording = test.recording[stretches.rows]
    for index in np.unique(recording):
        name = str(test.recordings[index])
        of = answers.take(np.flatnonzero(recording == index))
        assert of.program is not None, "places are of programs"
        assert of.line is not None, "places have lines"
        blocks = executed.of_rows(of.program, of.line, of.blocks)
        write_text(folder / f"{name}.nc", reconstructed_program(blocks, name, notes))
