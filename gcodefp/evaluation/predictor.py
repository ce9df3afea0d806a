"""A checkpoint that predicts recordings: `gcodefp.load`, and what the command `predict` runs."""

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from gcodefp.command_line import DEVICES
from gcodefp.dataset.store import LEAKY_NOTE, DatasetDescription
from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.prediction import RecordingPrediction, predict_recording
from gcodefp.evaluation.split_evaluation import open_decoder
from gcodefp.model.data import select_device
from gcodefp.model.network import Network
from gcodefp.recordings.columns import canonical_column
from gcodefp.recordings.laboratory.lab_files import RawRecording, recordings_of
from gcodefp.recordings.laboratory.layout import stored_layout
from gcodefp.recordings.loading import UnlabelledRecording, read_unlabelled

CONTROLLER_INPUT_NOTE = "this checkpoint was trained with the controller's reports as input"
ORDER_NOTE = (
    "are the array's columns in the order of `channels`? df[list(model.channels)].to_numpy() is"
)


@dataclass(frozen=True)
class Predictor:
    """A checkpoint, with the decoder.npz beside it if there is one.

    Attributes:
        path: of the checkpoint.
        decoder: the network with its emission models.
        device: on which it computes.
    """

    path: Path
    decoder: Decoder
    device: torch.device

    def __repr__(self) -> str:
        return (
            f"Predictor({str(self.path)!r}: {len(self.channels)} channels at {self.rate_hz:g} Hz, "
            f"{len(self.programs)} programs, on {self.device})"
        )

    @property
    def description(self) -> DatasetDescription:
        """Of the dataset that it was trained on."""
        return self.decoder.description

    @property
    def network(self) -> Network:
        """In evaluation mode; `network(signals)` needs signals as a dataset has them (B, T, C)."""
        return self.decoder.network

    @property
    def channels(self) -> tuple[str, ...]:
        """The C inputs, by their column names."""
        return self.description.scaler.channels

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs of the train split, which it tells apart."""
        return tuple(self.decoder.programs.names.tolist())

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations of the train recordings, such as face or pocket."""
        return tuple(self.description.vocabulary.operations)

    @property
    def rate_hz(self) -> float:
        """Rows per second."""
        return 1 / float(self.decoder.programs.step_seconds)

    @property
    def window_rows(self) -> int:
        """T; a recording needs at least so many rows."""
        return self.description.window

    def predict(
        self,
        recording: str | PathLike[str] | pd.DataFrame | ArrayLike,
        *,
        allow_missing: bool = False,
    ) -> RecordingPrediction:
        """Predicts the program of a recording, and the block of each of its rows.

        Args:
            recording: the path of a CSV file, or of a recording in the layout of the train split;
                a DataFrame with the channels as columns, in the units of the train split, and
                perhaps the time stamps `t_console` (other columns, labels too, are not read); or an
                array (N, C) in the order of `channels`. NaN, or masked, is a missing sample.
                Without time stamps the rows are taken to be at `rate_hz`.
            allow_missing: whether sensor nodes may lack some of their channels.

        Raises UserError: it cannot be read, is shorter than a window, has less than half of the
            channels or a lower row rate than the train split.
        """
        prediction = self.decode(self.read(self._source(recording), allow_missing))
        is_named = isinstance(recording, str | PathLike | pd.DataFrame)
        if not is_named and prediction.mark:
            prediction = replace(prediction, notes=(*prediction.notes, ORDER_NOTE))
        return prediction

    def read(
        self, source: RawRecording | pd.DataFrame, allow_missing: bool = False
    ) -> UnlabelledRecording:
        """The channels of a recording, cleaned and at the row rate of the train split."""
        step_seconds = float(self.decoder.programs.step_seconds)
        return read_unlabelled(source, self.channels, self.window_rows, step_seconds, allow_missing)

    def decode(self, unlabelled: UnlabelledRecording) -> RecordingPrediction:
        """The prediction for what `read` has read."""
        prediction = predict_recording(self.decoder, unlabelled.recording, self.device)
        notes = [LEAKY_NOTE] if self.description.leaky else []
        if self.description.document["controller_is_input"]:
            notes.append(CONTROLLER_INPUT_NOTE)
        return replace(prediction, notes=(*notes, *prediction.notes))

    def _source(
        self, recording: str | PathLike[str] | pd.DataFrame | ArrayLike
    ) -> RawRecording | pd.DataFrame:
        layout = stored_layout(self.description.document)
        if isinstance(recording, pd.DataFrame):
            names = {canonical_column(str(name))[0].casefold() for name in recording.columns}
            if layout and not any(channel.casefold() in names for channel in self.channels):
                raise UserError(
                    "table: it has none of the channels: they are features, such as "
                    f"{self.channels[0]!r}, that the layout of the train split computes from the "
                    "files of a recording; pass its path"
                )
            return recording
        if isinstance(recording, str | PathLike):
            try:
                Path(recording).stat()
                sources = recordings_of([Path(recording)], layout)
            except (FileNotFoundError, NotADirectoryError):
                raise UserError(f"{recording}: no such recording") from None
            except (OSError, ValueError) as error:
                raise UserError(f"{recording}: cannot be read ({error})") from None
            if len(sources) != 1:
                raise UserError(f"{recording}: holds {len(sources)} recordings; predict one by one")
            return sources[0]
        try:
            samples: np.ma.MaskedArray = np.ma.asarray(recording)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"the recording is no array of numbers: {error}") from None
        if samples.ndim != 2 or samples.shape[1] != len(self.channels):
            raise UserError(
                f"the recording has the shape {samples.shape}, the checkpoint needs (rows, "
                f"{len(self.channels)}): one column for each of `channels`"
            )
        return pd.DataFrame(samples, columns=list(self.channels))


def load(
    checkpoint: str | PathLike[str], device: str = "auto", threads: int | None = None
) -> Predictor:
    """Loads a checkpoint, with the decoder.npz beside it if there is one.

    Args:
        device: auto (a CUDA GPU if there is one, else the CPU), cpu, cuda or mps.
        threads: CPU threads of torch in this process, 1 for bit-exact reruns; None leaves them.

    Raises UserError: a file is missing, damaged or of another version, the checkpoint was trained
        for a negative control, or there is no such device.
    """
    path = Path(checkpoint)
    if device not in DEVICES:
        raise UserError(f"device {device!r}: has to be one of {', '.join(DEVICES)}")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UserError(f"threads {threads!r}: has to be a whole number from 1, or None")
    selected = select_device(device, threads or torch.get_num_threads())
    return Predictor(path, open_decoder(path, selected), selected)
