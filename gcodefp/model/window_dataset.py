"""A split of a dataset as a torch `Dataset` of windows, for training code of your own."""

from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gcodefp.dataset.store import DatasetDescription, Split, read_description, read_split
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.errors import UserError, did_you_mean

SPLITS = ("train", "val", "test")


class WindowDataset(Dataset[dict[str, Tensor]]):
    """The windows of a split.

    An item is a dict of the tensors of a window of T rows and C channels. Its labels are those that
    the sensors measure: they are corrected for the lag of the sensors behind the controller.

        signals      (T, C)  float32, standardised; 0 where invalid
        valid        (T, C)  bool, whether a sample is valid
        block        (T,)    int64, index into `blocks`
        operation    (T,)    int64, index into `operations`; -1 if it is not in the train split
        program      (T,)    int64, index into `programs`; -1 if it is not in the train split
        state        (T,)    float32, HMM state with a fraction; NaN if unknown
        position_mm  (T, 3)  float32, tool position; NaN where unknown
        row_mask     (T,)    bool: of the overlapping windows, each row counts in one
        recording    ()      int64, index into `recordings`

    Attributes:
        channels: names of the C channels.
        blocks, operations, programs, recordings: names of the classes.
        rate_hz: rows per second.
    """

    def __init__(self, split: Split, description: DatasetDescription) -> None:
        self.channels = description.scaler.channels
        self.blocks: list[str] = split.blocks.tolist()
        self.operations = list(description.vocabulary.operations)
        self.programs: list[str] = description.programs.names.tolist()
        self.recordings: list[str] = split.recordings.tolist()
        self.rate_hz = 1 / float(description.programs.step_seconds)
        self._window = description.window
        self._starts = split.window_start.astype(int)
        corrected = split.lag_corrected_row
        self._rows = {
            "signals": torch.as_tensor(split.signals),
            "valid": torch.as_tensor(split.valid),
            "block": torch.as_tensor(split.block[corrected].astype(np.int64)),
            "operation": torch.as_tensor(split.operation.astype(np.int64)),
            "program": torch.as_tensor(split.program.astype(np.int64)),
            "state": torch.as_tensor(split.state),
            "position_mm": torch.as_tensor(split.position_mm[corrected]),
        }
        self._recording = torch.as_tensor(split.recording.astype(np.int64))
        self._row_mask = torch.as_tensor(row_to_window_mask(split.window_start, self._window))

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        start = self._starts[index]
        item = {name: rows[start : start + self._window] for name, rows in self._rows.items()}
        return item | {"row_mask": self._row_mask[index], "recording": self._recording[start]}


def open_dataset(folder: str | PathLike[str], split: str = "train") -> WindowDataset:
    """Opens a split of a dataset, such as results/dataset.

    Args:
        split: train, val or test. Open test after all choices are made.

    Raises UserError: a file is missing or damaged, or there is no such split.
    """
    if split not in SPLITS:
        raise UserError(f"{split!r} is no split; {did_you_mean(split, SPLITS)}")
    description = read_description(Path(folder) / "dataset.json")
    return WindowDataset(read_split(Path(folder) / f"{split}.npz", description, split), description)
