"""Small splits, each row's block a letter, for the tests of the baselines."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts

WINDOW = 16


def split_of(recordings: list[tuple[int, str]], step_seconds: float = 0.25, **more: Any) -> Split:
    """A split of (operation, a letter per row: its block); it has only the fields given in `more`
    and those that every baseline needs."""
    texts = np.array([letter for _, letters in recordings for letter in letters])
    lengths = [len(letters) for _, letters in recordings]
    blocks, block = np.unique(texts, return_inverse=True)
    recording = np.arange(len(lengths), dtype=np.int16).repeat(lengths)
    seconds = np.concatenate([np.arange(length) * step_seconds for length in lengths])
    return cast(
        Split,
        SimpleNamespace(
            block=block.astype(np.int32),
            blocks=blocks,
            operation=np.array([o for o, _ in recordings], np.int16).repeat(lengths),
            seconds=seconds,
            recording=recording,
            window_start=window_starts(recording, seconds, WINDOW, 4, 5.0),
            **more,
        ),
    )


def every_row(split: Split) -> NDArray[np.int64]:
    """All rows, to be answered for."""
    return np.arange(len(split.block))
