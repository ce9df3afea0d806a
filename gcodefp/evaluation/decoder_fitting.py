"""Fits a decoder: emission weights, templates, which recordings it rejects, how certain it is.

Emission weights are chosen on the val split, with templates of the train split: a decoder is the
network alone, the templates alone, or both. After that nothing of val is left to choose:
the templates are fitted again, to train and val recordings together.

- A recording that runs none of the programs is rejected. The measure is how well it matches the
  templates, compared with train and val recordings, each by templates of other recordings
  (cross-conformal prediction, Vovk 2015).
- The probabilities of blocks have a temperature (Guo et al. 2017), chosen on val.

Shapes: N rows, C channels, R recordings, P states, W tried pairs of weights, X distinct texts of
blocks.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from gcodefp.dataset.store import Split, join_splits
from gcodefp.evaluation.decode import decode_batches
from gcodefp.evaluation.decoder import Decoder, WindowEmissions
from gcodefp.evaluation.metrics import NEAR_SECONDS
from gcodefp.evaluation.significance import MIN_RECORDINGS
from gcodefp.evaluation.speed import train_speeds
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import to_tensors
from gcodefp.model.hmm import centre_posterior, rows_at_once
from gcodefp.model.templates import (
    LabelledRecording,
    fit_templates,
    fit_to_recordings,
    labelled_recordings,
)
from gcodefp.programs.lag_marginal import state_texts, text_probabilities
from gcodefp.programs.table import UNKNOWN, Programs

NETWORK_WEIGHTS = (0.0, 0.03, 0.1, 0.3)
TEMPLATE_WEIGHTS = (0.0, 0.05, 0.1, 0.2)
"""Weights of the emission log-likelihoods that are tried; both 0 is not."""
MIN_PROBABILITY = 0.01
"""Lower limit in the log score: one recording of a kind that no other shows decides nothing."""
STRIDE_ROWS = 16
WINDOWS_TO_TRY = 16
"""At most, of one computation, with all of their rows; fewer if there are many states."""
PARTS = 8
"""Of the recordings of each program, each in turn matched with templates of the others."""
FALSE_ALARM_RATE = 0.05
TEMPERATURES = (1.0, 1.25, 1.5, 1.75, 2.0)
MIN_BLOCK_PROBABILITY = 1e-4


class Rejection(NamedTuple):
    """Whether a recording runs none of the programs of the train split."""

    fit: float  # `speed.template_match` at the decoder's best speed; files call it fit
    # of recordings like those of train and val, a share of at most p has a p-value of at most p,
    # but for the few per cent by which templates of fewer recordings match worse
    p_value: float
    # share of recordings of the programs that are rejected; of R recordings at least 1 / (R + 1)
    false_alarm_rate: float

    @property
    def is_rejected(self) -> bool:
        return self.p_value <= self.false_alarm_rate


def fit_decoder(checkpoint: Checkpoint, train: Split, val: Split, device: torch.device) -> Decoder:
    """Fits the decoder of a checkpoint to the train and val split."""
    decoder = choose_weights(checkpoint, train, val, device)
    if len(decoder.tried):
        decoder = decoder._replace(temperature=_choose_temperature(decoder, val, device))
    programs, channels = decoder.programs, train.signals.shape[1]
    recordings = labelled_recordings(join_splits(train, val), programs)
    decoder = decoder._replace(speeds=train_speeds(recordings))
    with threadpool_limits(1):  # The order of summation determines the last bits.
        templates = fit_to_recordings(recordings, programs, channels).to(device)
        template_matches = _cross_conformal_matches(decoder, recordings, device)
    return decoder._replace(templates=templates, template_matches=template_matches)


def choose_weights(
    checkpoint: Checkpoint, train: Split, val: Split, device: torch.device
) -> Decoder:
    """Chooses the weights on the val split, with templates that are fitted to the train split.

    The score is the mean logarithm of the probability within NEAR_SECONDS of the true state, at the
    centre rows of val windows: it rewards correct states and calibrated probabilities alike.

    If no val recording runs a program of the train split, the network alone decodes, as without a
    decoder.
    """
    with threadpool_limits(1):  # The order of summation determines the last bits.
        templates = fit_templates(train, checkpoint.description.programs).to(device)
    decoder = Decoder(checkpoint, templates=templates)
    pairs = [pair for pair in product(NETWORK_WEIGHTS, TEMPLATE_WEIGHTS) if any(pair)]
    near: list[NDArray[np.float64]] = []
    for recording in range(len(val.recordings)):
        rows = np.flatnonzero(val.recording == recording)
        if val.program[rows[0]] != UNKNOWN and len(rows) >= decoder.description.window:
            signals = torch.as_tensor(val.signals[rows], device=device)
            near.append(_near_probabilities(decoder, pairs, signals, val.state[rows]))
    near = [probabilities for probabilities in near if probabilities.size]
    if not near:
        return decoder
    # A damaged network makes probabilities that are no numbers.
    scores = [np.log(np.maximum(np.nan_to_num(p), MIN_PROBABILITY)) for p, _ in near]
    correct = np.concatenate([is_near for _, is_near in near], axis=1).mean(1)
    mean = np.concatenate(scores, axis=1).mean(1)
    tried = np.column_stack([np.array(pairs), mean, correct]).astype(np.float32)
    network_weight, template_weight = pairs[one_standard_error_rule(pairs, scores)]
    return decoder._replace(
        network_weight=network_weight, template_weight=template_weight, tried=tried
    )


def one_standard_error_rule(
    pairs: Sequence[tuple[float, float]], scores: Sequence[NDArray[np.floating]]
) -> int:
    """The pair of lowest weights that is within a standard error of the best one.

    Of fewer than MIN_RECORDINGS recordings the error is not known, and the best one is chosen.

    The rule is of Breiman et al. (1984): val recordings are of the sessions of the
    train split, and what is more certain than they call for is wrong in another session. A pair
    uses the network, or the templates, if the best one does.

    Args:
        pairs: W emission weights of network and templates.
        scores: (W, M) of the M windows of each recording.
    """
    count = np.array([each.shape[1] for each in scores])
    total = np.stack([each.sum(1) for each in scores])
    best = int(total.sum(0).argmax())
    if len(scores) < MIN_RECORDINGS:
        return best
    deficit = total[:, best, None] - total
    mean = deficit.sum(0) / count.sum()
    spread = np.square(deficit - mean * count[:, None]).sum(0)
    error = np.sqrt(spread * len(count) / (len(count) - 1)) / count.sum()
    as_good = [
        index
        for index in np.flatnonzero(mean <= error).tolist()
        if [weight > 0 for weight in pairs[index]] == [weight > 0 for weight in pairs[best]]
    ]
    return min(as_good, key=lambda index: sum(pairs[index]))


@torch.no_grad()
def _near_probabilities(
    decoder: Decoder,
    pairs: Sequence[tuple[float, float]],
    signals: Tensor,
    state: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Probability near the true state, and whether the most probable state is near, (2, W, M).

    Args:
        pairs: W emission weights of network and templates.
        signals: (N, C) of one recording with true states (N,); M windows are laid over it.
    """
    window, chain = decoder.description.window, decoder.chain(signals.device)
    windows = WindowEmissions(decoder, signals, window)
    centres = np.arange(window // 2, len(signals) - (window - 1) // 2, STRIDE_ROWS)
    centres = centres[np.isfinite(state[centres])]
    results = np.zeros((2, len(pairs), len(centres)))
    count = rows_at_once(window * len(decoder.programs), WINDOWS_TO_TRY)
    for first in range(0, len(centres), count):
        chunk = slice(first, first + count)
        starts = torch.as_tensor(centres[chunk] - window // 2, device=signals.device)
        network, templates = (
            torch.stack([emissions(row) for row in range(window)])
            for emissions in (partial(windows.network, starts), windows.templates(starts))
        )
        low, high = near_states(state[centres[chunk]], decoder.programs)
        for index, pair in enumerate(pairs):
            emissions = pair[0] * network + pair[1] * templates
            posterior = centre_posterior(emissions.__getitem__, window, chain)
            probability = posterior.double().cpu().numpy()
            best, row = probability.argmax(1), np.arange(len(probability))
            total = np.pad(probability.cumsum(1), ((0, 0), (1, 0)))
            results[0, index, chunk] = total[row, high + 1] - total[row, low]
            results[1, index, chunk] = (low <= best) & (best <= high)
    return results


def near_states(
    state: NDArray[np.floating], programs: Programs
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last state within NEAR_SECONDS of true states (M,), in their programs."""
    program = np.searchsorted(programs.first, state, side="right") - 1
    reach = NEAR_SECONDS / float(programs.step_seconds)
    low = np.maximum(np.ceil(state - reach), programs.first[program])
    high = np.minimum(np.floor(state + reach), programs.first[program + 1] - 1)
    return low.astype(np.int64), high.astype(np.int64)


def rejection(decoder: Decoder, signals: Tensor) -> Rejection | None:
    """Whether a recording (N, C) runs none of the programs; None without templates."""
    count = len(decoder.template_matches)
    if decoder.templates is None or not count:
        return None
    match = decoder.best_match(decoder.templates, signals)[0]
    p_value = (1 + int((decoder.template_matches <= match).sum())) / (1 + count)
    return Rejection(match, p_value, max(FALSE_ALARM_RATE, 1 / (1 + count)))


def _cross_conformal_matches(
    decoder: Decoder, recordings: Sequence[LabelledRecording], device: torch.device
) -> NDArray[np.float32]:
    """The match of each recording whose program other parts have too, (R,)."""
    program = np.array([recording.program for recording in recordings])
    # The recordings of a program are spread over the parts.
    rank = [int((program[:index] == own).sum()) for index, own in enumerate(program.tolist())]
    part = np.array(rank) % PARTS
    template_matches = []
    for number in range(PARTS):
        others = [recordings[index] for index in np.flatnonzero(part != number).tolist()]
        own = np.flatnonzero((part == number) & np.isin(program, program[part != number]))
        if not len(own):
            continue
        channels = others[0].signals.shape[1]
        templates = fit_to_recordings(others, decoder.programs, channels).to(device)
        for index in own.tolist():
            signals = torch.as_tensor(recordings[index].signals, device=device)
            template_matches.append(decoder.best_match(templates, signals)[0])
    return np.array(template_matches, np.float32)


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
        scores.append(np.log(np.maximum(probabilities, MIN_BLOCK_PROBABILITY)))
    joined = np.concatenate(scores, axis=1)
    return TEMPERATURES[int(joined.sum(1).argmax())]
