"""Reads whole stretches: the likeliest way through the programs, and how likely each place is.

A hidden Markov model (Rabiner 1989, section III) whose states are the places of all programs. From
one row to the next a program goes on by one place, sometimes by none or two, never into another
program. Where a stretch starts is not known. Behind its last place a program starts again:
otherwise a recording that is as long as its program could only start where the program does, and
would tell by its length alone where it is at each row. The network says how well
each row fits each place. Neighbouring rows rest on the same samples, so they count less than
independent ones would.

Shapes: B stretches of T rows, P places.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

EVIDENCE_WEIGHT = 0.3
"""Power to which each row's likelihoods are taken; chosen on a val split."""
STEPS = (0, 1, 2)
STEP_LOGS = (math.log(0.05), math.log(0.9), math.log(0.05))
"""How many places a row goes on, and the logarithm of how often."""


class Decoding(NamedTuple):
    """What is read from B stretches.

    Attributes:
        path: (B, T) the likeliest sequence of places (Viterbi).
        posterior: (B, T, P) probability of each place at each row, given the whole stretch.
    """

    path: Tensor
    posterior: Tensor


@torch.no_grad()
def decode_segments(evidence: Tensor, first: Tensor) -> Decoding:
    """Decodes stretches of one length.

    Args:
        evidence: (B, T, P) of each place at each row, as `Network.emission_log_likelihood` has it.
        first: (programs + 1,) first place of each program, and P.
    """
    evidence = EVIDENCE_WEIGHT * evidence
    before, after = _states_off(first, -1), _states_off(first, 1)
    forward = _sweep(evidence, before)
    backward = _sweep(evidence.flip(1), after).flip(1)
    posterior = (forward + backward - evidence).softmax(-1)
    return Decoding(_viterbi_path(evidence, before), posterior)


@torch.no_grad()
def viterbi_paths(evidence: Tensor, first: Tensor) -> Tensor:
    """Only the path of `decode_segments`, (B, T)."""
    return _viterbi_path(EVIDENCE_WEIGHT * evidence, _states_off(first, -1))


def _states_off(first: Tensor, direction: int) -> list[Tensor]:
    """For each of STEPS, the place that lies so many before (-1) or after (1) each place, (P,)."""
    state = torch.arange(int(first[-1]), device=first.device)
    program = torch.searchsorted(first, state, right=True) - 1
    start, length = first[program], (first[1:] - first[:-1])[program]
    return [start + (state - start + direction * step) % length for step in STEPS]


def _moved(scores: Tensor, neighbours: list[Tensor]) -> list[Tensor]:
    """Scores (B, P) of the row before, as each step brings them to each place."""
    steps = zip(neighbours, STEP_LOGS, strict=True)
    return [scores.index_select(1, states) + log for states, log in steps]


def _sweep(evidence: Tensor, neighbours: list[Tensor]) -> Tensor:
    """Forward (or, on flipped rows, backward) scores with each row's own evidence, (B, T, P)."""
    scores = torch.empty_like(evidence)
    current = evidence[:, 0]
    scores[:, 0] = current
    for row in range(1, evidence.shape[1]):
        one, two, three = _moved(current, neighbours)
        current = torch.logaddexp(torch.logaddexp(one, two), three) + evidence[:, row]
        current = current - current.amax(-1, keepdim=True)
        scores[:, row] = current
    return scores


def _viterbi_path(evidence: Tensor, before: list[Tensor]) -> Tensor:
    current = evidence[:, 0]
    taken = []
    for row in range(1, evidence.shape[1]):
        # Pair by pair: to stack the three and take max takes nearly twice as long.
        best, one, two = _moved(current, before)
        step = (one > best).to(torch.int8)
        best = torch.maximum(best, one)
        taken.append(step.masked_fill_(two > best, 2))
        best = torch.maximum(best, two)
        current = best + evidence[:, row]
        current = current - current.amax(-1, keepdim=True)
    came_from = torch.stack(before)
    path = [current.argmax(-1)]
    for step in reversed(taken):
        chosen = step.gather(1, path[-1][:, None])[:, 0].long()
        path.append(came_from[chosen, path[-1]])
    return torch.stack(path[::-1], dim=1)
