"""How well a recording matches the programs, and at which speed it ran them.

A path through a program seldom waits in a state or skips one. Where train recordings of a program
ran at different speeds, others are decoded at that of these at which they match best.

Shapes: N rows of a recording, C channels.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from gcodefp.model.hmm import Emissions, MarkovChain, viterbi_path
from gcodefp.model.templates import LabelledRecording, Templates
from gcodefp.programs.lag import interpolate_rows

PATH_WEIGHT = 0.1
"""Weight of the templates' log-likelihood in the path of `template_match`."""
MIN_SPEED_CHANGE = 1.25
"""Train recordings that differ less from the program's time need no other speed: simulated ones
do by 1.14 at most."""
MAX_SPEED_RATIO = 1.1
"""At most, of neighbouring speeds that are tried."""


@torch.no_grad()
def template_match(templates: Templates, chain: MarkovChain, signals: Tensor) -> float:
    """How well a recording (N, C) matches the programs, at most 0.

    The mean over rows of a log-likelihood ratio: that of the state on the Viterbi path, over that
    of the row's own best state. Both are the templates', and so is the path.
    """
    _, likelihood, highest = _path_likelihood(templates, chain, signals)
    return float((likelihood - highest).mean())


def _path_likelihood(
    templates: Templates, chain: MarkovChain, signals: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The Viterbi path, its log-likelihoods, and those of each row's own best state; (N,) each."""
    projected = templates.project(signals[None])
    highest: dict[int, Tensor] = {}

    def weighted(first: int, end: int) -> Tensor:
        likelihood = templates.log_prob(projected[:, first:end])
        highest[first] = likelihood.amax(-1)
        return likelihood.mul_(PATH_WEIGHT)

    path = viterbi_path(Emissions(len(signals), weighted), chain)
    every_highest = torch.cat([highest[first] for first in sorted(highest)], dim=1)
    return path[0], templates.path_log_prob(projected, path)[0], every_highest[0]


@torch.no_grad()
def without_rest(templates: Templates, chain: MarkovChain, signals: Tensor) -> Tensor:
    """A recording (N, C) without the rows at which the machine rests at either end, as in training.

    There the Viterbi path waits in one state, and rows differ from their own median no more than
    the rows between from their states. Where these are no nearer to their states than to their
    median either, no program is recognised, and all rows stay.
    """
    path, likelihood, _ = _path_likelihood(templates, chain, signals)
    changes = (torch.nonzero(path.diff()).flatten() + 1).tolist()
    if len(changes) < 2:
        return signals

    def at_median(rows: Tensor) -> float:
        if not len(rows):
            return -math.inf
        projected = templates.project(rows[None])[0]
        return float(templates.log_prob_at(projected, projected.median(0).values).mean())

    first, end = changes[0], changes[-1]
    usual = float(likelihood[first:end].mean())
    if usual <= at_median(signals[first:end]):
        return signals
    # Nearer to the program it is not certain where rest ends; so little of it changes little.
    reach = templates.reach
    start = first if at_median(signals[: max(0, first - reach)]) >= usual else 0
    return signals[start : end if at_median(signals[end + reach :]) >= usual else None]


def at_speed(signals: Tensor, speed: float) -> Tensor:
    """A recording (N, C) of a machine at some speed as if it had run at 1, (N * speed, C)."""
    if speed == 1:
        return signals
    row = np.linspace(0, len(signals) - 1, round(len(signals) * speed))
    rows = interpolate_rows(signals.cpu().numpy(), row)
    return torch.as_tensor(rows, dtype=torch.float32, device=signals.device)


def train_speeds(recordings: Sequence[LabelledRecording]) -> tuple[float, ...]:
    """Speeds from the lowest to the highest of train recordings, in states a row; most often none.

    1 itself is not among them.
    """
    # Labels that a control has shuffled do not ascend.
    ascending = [r.state_rows for r in recordings if (np.diff(r.state_rows) > 0).all()]
    ratios = [(len(p) - 1) / (p[-1] - p[0]) for p in ascending if len(p) > 1] or [1.0]
    speeds: list[float] = []
    for end in (min(ratios), max(ratios)):
        change = abs(math.log(end))
        if change >= math.log(MIN_SPEED_CHANGE):
            steps = math.ceil(change / math.log(MAX_SPEED_RATIO))
            speeds += np.geomspace(1.0, end, steps + 1)[1:].tolist()
    return tuple(sorted(speeds))


def best_template_match(
    templates: Templates, chain: MarkovChain, signals: Tensor, speeds: Iterable[float], window: int
) -> tuple[float, float]:
    """The highest `template_match` of a recording (N, C), and the speed that has it, the first one.

    Args:
        speeds: those at which it is shorter than a window are not tried, except the first.
    """
    first, *others = speeds
    tried = [first, *(s for s in others if round(len(signals) * s) >= window)]
    matches = [template_match(templates, chain, at_speed(signals, speed)) for speed in tried]
    best = int(np.argmax(matches))
    return matches[best], tried[best]
