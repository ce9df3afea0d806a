"""A fitted decoder beside the checkpoint of a trained network."""

from pathlib import Path
from typing import NamedTuple

from evaluation_steps import learn
from learning_data import CPU, RECORDINGS, tiny_split, write_dataset

from gcodefp.evaluation.calibration import calibrate_decoder
from gcodefp.evaluation.decoder import (
    DECODER_FILE,
    Decoder,
    read_decoder,
    write_decoder,
)
from gcodefp.model.checkpoint import read_checkpoint

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
    decoder = calibrate_decoder(read_checkpoint(path, CPU), TRAIN, VAL, CPU)
    write_decoder(path.with_name(DECODER_FILE), decoder, path)
    return Fitted(decoder, path)
