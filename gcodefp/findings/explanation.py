"""What the files of an explanation say: why the winner says what it says of the test split."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.evaluation.files import ANSWERS
from gcodefp.explanation.files import CONFIDENT, EXPLANATION_FORMAT, EXPLANATION_REBUILD
from gcodefp.files import read_json

ANSWER_FIELDS = ("confidence", "right")
"""Arrays that there is one of for each answer of CONFIDENT."""


@dataclass(frozen=True)
class Explanation:
    """N scored rows of the test split, as in predictions.npz; M of them in the embedding.

    C channels; T neighbouring rows of one recording are the excerpt.

    Attributes:
        document: explanation.json.
        recordings: (R,) names.
        recording: (N,) index into `recordings`.
        row: (N,) data row in the CSV file.
        operations: names of the classes.
        confidence: whose answer -> (N,) probability that it gives to its block.
        right: whose answer -> (N,) whether the block is right.
        embedding_index: (M,) which of the N rows.
        embedding_xy: (M, 2) where its vector lies in the plane.
        embedding_operation: (M,) class; -1 if the train split has none of it.
        embedding_progress: (M,) share of the program, or of the recording, that is over.
        channel_saliency: (C,) mean |gradient x input| over the N rows, in nats.
        excerpt_index: (T,) which of the N rows.
        excerpt_row: (T,) data row in the CSV file.
        excerpt_seconds: (T,) since the recording's first row.
        excerpt_scaled: (T, C) as the network sees them; 0 where no valid sample is.
        excerpt_samples: (T, C) in the channel's unit, without the recording's own mean where the
            document says `centered`; NaN where no valid sample is.
        excerpt_valid: (T, C) whether a sample is valid.
        excerpt_line: (T,) line number that the controller reports.
        excerpt_block, excerpt_read: (T,) texts, true and read in windows.
        excerpt_saliency: (T, C) |gradient x input|, in nats.
    """

    document: Mapping[str, Any]
    recordings: NDArray[np.str_]
    recording: NDArray[np.int16]
    row: NDArray[np.int32]
    operations: NDArray[np.str_]
    confidence: Mapping[str, NDArray[np.float64]]
    right: Mapping[str, NDArray[np.bool_]]
    embedding_index: NDArray[np.int64]
    embedding_xy: NDArray[np.float32]
    embedding_operation: NDArray[np.int16]
    embedding_progress: NDArray[np.float32]
    channel_saliency: NDArray[np.float32]
    excerpt_index: NDArray[np.int64]
    excerpt_row: NDArray[np.int32]
    excerpt_seconds: NDArray[np.float64]
    excerpt_scaled: NDArray[np.float32]
    excerpt_samples: NDArray[np.float32]
    excerpt_valid: NDArray[np.bool_]
    excerpt_line: NDArray[np.int64]
    excerpt_block: NDArray[np.str_]
    excerpt_read: NDArray[np.str_]
    excerpt_saliency: NDArray[np.float32]


def read_explanation(folder: Path) -> Explanation:
    """Reads explanation.json and explanation.npz.

    Raises:
        UserError: one is missing, or cannot be read.
    """
    document = read_json(folder / "explanation.json", EXPLANATION_FORMAT, EXPLANATION_REBUILD)
    path = folder / "explanation.npz"
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {EXPLANATION_REBUILD}")
    plain = [
        of for of in Explanation.__dataclass_fields__ if of not in ("document", *ANSWER_FIELDS)
    ]
    try:
        # NumPy leaves a file that it opens itself open when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            there: dict[str, Any] = {
                field: {name: arrays[f"{ANSWERS[name].array}_{field}"] for name in CONFIDENT}
                for field in ANSWER_FIELDS
            }
            return Explanation(document, **{field: arrays[field] for field in plain}, **there)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); make it anew: {EXPLANATION_REBUILD}"
        ) from None
