"""Small splits, each row's block a letter, for the tests of the baselines."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation.baselines.baseline_input import BaselineInput

WINDOW = 16
Letters = list[tuple[int, str]]
"""Recordings of (operation, a letter per row: its block)."""


def split_of(recordings: Letters, step_seconds: float = 0.25) -> Split:
    """A split that has only the fields that every baseline needs."""
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
        ),
    )


def task_of(
    train: Letters, test: Letters, steps: tuple[float, float] = (0.25, 0.25)
) -> BaselineInput:
    """Predict all rows of such a test split."""
    splits = split_of(train, steps[0]), split_of(test, steps[1])
    return BaselineInput(*splits, np.arange(len(splits[1].block)), cast(Any, None), WINDOW)
