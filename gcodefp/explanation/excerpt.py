"""A stretch of one test recording, to be looked at row by row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.files import MODEL, WHOLE
from gcodefp.evaluation.reading import Reading
from gcodefp.programs.table import UNKNOWN

MAX_ROWS = 300


def excerpt_rows(reading: Reading, test: Split) -> NDArray[np.intp]:
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
    reading: Reading,
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


def describe_excerpt(reading: Reading, test: Split, description: Description) -> dict[str, Any]:
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
