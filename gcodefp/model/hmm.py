"""A hidden Markov model over the states of all programs: Viterbi paths and posteriors.

The model is that of Rabiner 1989, section III. From one row to the next a program
advances by one state, sometimes by none or two, and never into another program. The initial state
is uniform. The last state of a program is followed by its first: otherwise a recording as long as
its program could only start at the first state, and its length alone would give the state of every
row. The network gives the emission log-likelihoods. Neighbouring rows share samples and are not
independent, so the emissions are raised to a power below 1.

Shapes: B segments of T rows, P states, K programs.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

EMISSION_EXPONENT = 0.3
"""Power to which emission likelihoods are raised; chosen on a val split."""
TRANSITIONS = (0, 1, 2)
TRANSITION_LOG_PROBS = (math.log(0.05), math.log(0.9), math.log(0.05))
"""Transitions from row to row, in states, and their log probabilities."""


class Decoding(NamedTuple):
    """The decoding of B segments.

    Attributes:
        path: (B, T) the most probable sequence of states (Viterbi).
        posterior: (B, T, P) probability of each state at each row, given the whole segment.
    """

    path: Tensor
    posterior: Tensor


@torch.no_grad()
def decode_segments(emissions: Tensor, first: Tensor) -> Decoding:
    """Decodes segments of one length.

    Args:
        emissions: (B, T, P) emission log-likelihoods.
        first: (K + 1,) first state of each program, and P.
    """
    emissions = EMISSION_EXPONENT * emissions
    previous, following = _neighbours(first, -1), _neighbours(first, 1)
    forward = _forward_pass(emissions, previous)
    backward = _forward_pass(emissions.flip(1), following).flip(1)
    posterior = (forward + backward - emissions).softmax(-1)
    return Decoding(_viterbi_path(emissions, previous), posterior)


@torch.no_grad()
def viterbi_paths(emissions: Tensor, first: Tensor) -> Tensor:
    """Only the paths of `decode_segments`, (B, T)."""
    return _viterbi_path(EMISSION_EXPONENT * emissions, _neighbours(first, -1))


def _neighbours(first: Tensor, direction: int) -> list[Tensor]:
    """For each transition, the state so many steps before (-1) or after (1) each state, (P,)."""
    state = torch.arange(int(first[-1]), device=first.device)
    program = torch.searchsorted(first, state, right=True) - 1
    start, length = first[program], (first[1:] - first[:-1])[program]
    return [start + (state - start + direction * step) % length for step in TRANSITIONS]


def _transitions(scores: Tensor, neighbours: list[Tensor]) -> list[Tensor]:
    """Log scores (B, P) of the previous row after a transition by each of TRANSITIONS."""
    steps = zip(neighbours, TRANSITION_LOG_PROBS, strict=True)
    return [scores.index_select(1, states) + log_probability for states, log_probability in steps]


def _forward_pass(emissions: Tensor, neighbours: list[Tensor]) -> Tensor:
    """Forward log scores, (B, T, P); backward scores if rows are flipped and neighbours follow."""
    scores = torch.empty_like(emissions)
    current = emissions[:, 0]
    scores[:, 0] = current
    for row in range(1, emissions.shape[1]):
        stay, step, skip = _transitions(current, neighbours)
        current = torch.logaddexp(torch.logaddexp(stay, step), skip) + emissions[:, row]
        current = current - current.amax(-1, keepdim=True)
        scores[:, row] = current
    return scores


def _viterbi_path(emissions: Tensor, previous: list[Tensor]) -> Tensor:
    current = emissions[:, 0]
    choices = []
    for row in range(1, emissions.shape[1]):
        # Pairwise maxima take half the time of stack and max.
        best, step, skip = _transitions(current, previous)
        choice = (step > best).to(torch.int8)
        best = torch.maximum(best, step)
        choices.append(choice.masked_fill_(skip > best, 2))
        best = torch.maximum(best, skip)
        current = best + emissions[:, row]
        current = current - current.amax(-1, keepdim=True)
    origin = torch.stack(previous)
    path = [current.argmax(-1)]
    for choice in reversed(choices):
        chosen = choice.gather(1, path[-1][:, None])[:, 0].long()
        path.append(origin[chosen, path[-1]])
    return torch.stack(path[::-1], dim=1)
