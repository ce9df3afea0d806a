"""Calibration of a decoder: what its last templates know, what it refuses, how certain it is.

The weights of a decoder are chosen on the val split. After that nothing of val is left to choose:
the templates are fitted again, to train and val recordings together.

- A recording that runs none of the programs is refused. The measure is how well it fits the
  templates, compared with train and val recordings, each by templates of other recordings
  (cross-conformal prediction, Vovk 2015).
- The probabilities of blocks have a temperature (Guo et al. 2017), chosen on val.

Shapes: N rows, C channels, R recordings, P states, X distinct texts of blocks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from gcodefp.dataset.store import Split, join_splits
from gcodefp.evaluation.decode import decode_batches
from gcodefp.evaluation.decoder import Decoder, fit_decoder
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import to_tensors
from gcodefp.model.hmm import Chain, Emissions, viterbi_path
from gcodefp.model.templates import (
    RecordingFeatures,
    Templates,
    fit_to_features,
    recording_features,
)
from gcodefp.programs.lag_marginal import state_texts, text_probabilities

FOLDS = 8
"""Of the recordings of each program, in turn fitted by templates of the other folds."""
FALSE_ALARM_RATE = 0.05
FIT_WEIGHT = 0.1
"""Weight of the templates' log-likelihood in the path of `template_fit`."""
TEMPERATURES = (1.0, 1.25, 1.5, 1.75, 2.0)
LEAST_PROBABILITY = 1e-4


class Refusal(NamedTuple):
    """Whether a recording runs none of the programs of the train split.

    Attributes:
        fit: of the recording, as `template_fit`.
        p_value: of recordings like those of train and val, a share of at most p has a p-value of at
            most p, but for the few per cent by which templates of fewer recordings fit worse.
        false_alarm_rate: share of recordings of the programs that are refused. With R recordings
            it is at least 1 / (R + 1).
    """

    fit: float
    p_value: float
    false_alarm_rate: float

    @property
    def is_refused(self) -> bool:
        return self.p_value <= self.false_alarm_rate


def calibrate_decoder(
    checkpoint: Checkpoint, train: Split, val: Split, device: torch.device
) -> Decoder:
    """Fits and calibrates the decoder of a checkpoint."""
    decoder = fit_decoder(checkpoint, train, val, device)
    if len(decoder.tried):
        decoder = decoder._replace(temperature=_choose_temperature(decoder, val, device))
    programs, channels = decoder.programs, train.signals.shape[1]
    recordings = recording_features(join_splits(train, val), programs)
    with threadpool_limits(1):  # The order of summation determines the last bits.
        templates = fit_to_features(recordings, programs, channels).to(device)
        fits = _cross_fits(decoder, recordings, device)
    return decoder._replace(templates=templates, fits=fits)


def refusal(decoder: Decoder, signals: Tensor) -> Refusal | None:
    """Whether a recording (N, C) runs none of the programs; None without templates."""
    count = len(decoder.fits)
    if decoder.templates is None or not count:
        return None
    fit = template_fit(decoder.templates, decoder.chain(signals.device), signals)
    p_value = (1 + int((decoder.fits <= fit).sum())) / (1 + count)
    return Refusal(fit, p_value, max(FALSE_ALARM_RATE, 1 / (1 + count)))


@torch.no_grad()
def template_fit(templates: Templates, chain: Chain, signals: Tensor) -> float:
    """How well a recording (N, C) fits the programs, at most 0.

    The mean over rows of a log-likelihood ratio: that of the state on the Viterbi path, over that
    of the row's own best state. Both are the templates', and so is the path.
    """
    projected = templates.project(signals[None])
    highest: dict[int, Tensor] = {}

    def weighted(first: int, end: int) -> Tensor:
        likelihood = templates.compare(projected[:, first:end])
        highest[first] = likelihood.amax(-1)
        return likelihood.mul_(FIT_WEIGHT)

    path = viterbi_path(Emissions(len(signals), weighted), chain)
    every_highest = torch.cat([highest[first] for first in sorted(highest)], dim=1)
    return float((templates.compare_path(projected, path) - every_highest).mean())


def _cross_fits(
    decoder: Decoder, recordings: Sequence[RecordingFeatures], device: torch.device
) -> NDArray[np.float32]:
    """The fit of each recording whose program other folds have too, (R,)."""
    program = np.array([recording.program for recording in recordings])
    # The recordings of a program are spread over the folds.
    rank = [int((program[:index] == own).sum()) for index, own in enumerate(program.tolist())]
    fold = np.array(rank) % FOLDS
    fits = []
    for number in range(FOLDS):
        is_other = fold != number
        is_own = ~is_other & np.isin(program, program[is_other])
        if not is_own.any():
            continue
        others = [recording for recording, is_in in zip(recordings, is_other, strict=True) if is_in]
        channels = others[0].signals.shape[1]
        templates = fit_to_features(others, decoder.programs, channels).to(device)
        for index in np.flatnonzero(is_own).tolist():
            signals = torch.as_tensor(recordings[index].signals, device=device)
            fits.append(template_fit(templates, decoder.chain(device), signals))
    return np.array(fits, np.float32)


def _choose_temperature(decoder: Decoder, val: Split, device: torch.device) -> float:
    """The temperature with the highest mean log probability of the true blocks of val rows."""
    texts = state_texts(decoder.programs)
    scores = [np.zeros((len(TEMPERATURES), 0))]
    for batch in decode_batches(decoder, to_tensors(val, decoder.description, device)):
        true = val.blocks[val.block[batch.rows]]
        index = np.minimum(np.searchsorted(texts.texts, true), len(texts.texts) - 1)
        row = np.flatnonzero(texts.texts[index] == true)
        probabilities = [
            text_probabilities(batch.posterior, texts, temperature)[row, index[row]]
            for temperature in TEMPERATURES
        ]
        scores.append(np.log(np.maximum(probabilities, LEAST_PROBABILITY)))
    joined = np.concatenate(scores, axis=1)
    return TEMPERATURES[int(joined.sum(1).argmax())]
