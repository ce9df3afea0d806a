"""A fitted decoder beside the checkpoint of a trained network."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from evaluation_commands import learn
from learning_data import CPU, RECORDINGS, SENSORS, STEP_SECONDS, tiny_split, write_dataset
from numpy.typing import NDArray

from gcodefp.evaluation.decoder import DECODER_FILE, Decoder, read_decoder, write_decoder
from gcodefp.evaluation.decoder_fitting import fit_decoder
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.recordings.cleaning import Recording

TRAIN, VAL = (tiny_split(RECORDINGS[name]) for name in ("train", "val"))


class Fitted(NamedTuple):
    """The decoder of a trained network, its file, and the checkpoint beside it."""

    decoder: Decoder
    checkpoint: Path

    @property
    def file(self) -> Path:
        return self.checkpoint.with_name(DECODER_FILE)

    def read(self) -> Decoder:
        return read_decoder(self.decoder.checkpoint, self.checkpoint, CPU)


def fit_in(folder: Path) -> Fitted:
    path = learn(write_dataset(folder / "dataset"), folder / "run", max_epochs=30)
    decoder = fit_decoder(read_checkpoint(path, CPU), TRAIN, VAL, CPU)
    write_decoder(path.with_name(DECODER_FILE), decoder, path)
    return Fitted(decoder, path)


def recording_of(signals: NDArray[np.float32]) -> Recording:
    """A recording without labels, with these samples (N, C)."""
    count = len(signals)
    return Recording(
        name="face_9", operation="", row=np.arange(count, dtype=np.int32),
        seconds=np.arange(count) * STEP_SECONDS, blocks=np.full(count, ""),
        lines=np.zeros(count, int), mm_per_unit=np.ones(count, np.float32),
        position_mm=np.zeros((count, 3), np.float32),
        signals=pd.DataFrame(signals, columns=SENSORS),
        environment=np.full((count, 2), np.nan, np.float32), counts=Counter(),
    )  # fmt: skip
