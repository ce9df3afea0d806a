"""A hidden Markov model over the states of all programs: Viterbi paths and posteriors.

The algorithms are those of Rabiner 1989, section III. From one row to the next a program advances
by one state, sometimes by none or two, and never into another program. There are two chains:

- `waiting_chain` decodes recordings. A machine waits before its program and after it: a path may
  stay in the first and in the last state of a program as easily as it advances elsewhere. Its start
  is uniform, so the length of a recording alone tells nothing about where in the program a row is.
- `circular_chain` measures val accuracies in training, whose windows are circular too: the first
  state of a program follows its last one.

Emissions are log-likelihoods, weighted by the caller: neighbouring rows share samples and are not
independent, so their weight is below 1.

Shapes: B segments of T rows, P states, K programs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EMISSION_EXPONENT = 0.3
"""Power to which the network's emission likelihoods are raised with the circular chain; chosen on
a val split."""
CIRCULAR_PROBABILITIES = (0.05, 0.9, 0.05)
"""Of staying in a state, advancing by one and by two, in the circular chain."""
WAITING_PROBABILITIES = (0.005, 0.99, 0.005)
"""The same in the waiting chain. Recordings of one program differ by about 1 s in its duration, and
looser transitions follow noise: with 0.05 the share of val rows within 1 s is lower (windows of 64
rows)."""


class Chain(NamedTuple):
    """Transitions between the states of programs.

    Attributes:
        previous, following: (3, P) the states 0, 1 and 2 steps before and after each state.
        into, out: (3, P) weights of the transitions from `previous` and to `following`; 0 where a
            program has no such state.
    """

    previous: Tensor
    following: Tensor
    into: Tensor
    out: Tensor

    def reversed(self) -> "Chain":
        """The chain in reversed time."""
        return Chain(self.following, self.previous, self.out, self.into)


class Decoding(NamedTuple):
    """The decoding of B segments.

    Attributes:
        path: (B, T) the most probable sequence of states (Viterbi).
        posterior: (B, T, P) probability of each state at each row, given the whole segment.
    """

    path: Tensor
    posterior: Tensor


def circular_chain(first: Tensor) -> Chain:
    """The first state of a program follows its last one.

    Args:
        first: (K + 1,) first state of each program, and P.
    """
    offset, start, length = _offsets(first)
    steps = torch.arange(3, device=first.device)[:, None]
    weights = torch.tensor(CIRCULAR_PROBABILITIES, device=first.device)[:, None]
    weights = weights.expand(3, len(offset))
    return Chain(
        start + (offset - steps) % length, start + (offset + steps) % length, weights, weights
    )


def waiting_chain(first: Tensor) -> Chain:
    """A path may wait in the first and the last state of a program, and does not begin again.

    Waiting has the weight of all transitions from another state together: however long a path waits
    before its program, the prior weight is the same.

    Args:
        first: (K + 1,) first state of each program, and P.
    """
    offset, start, length = _offsets(first)
    steps = torch.arange(3, device=first.device)[:, None]
    weights = torch.tensor(WAITING_PROBABILITIES, device=first.device)[:, None]
    is_end = (offset == 0) | (offset == length - 1)
    has_previous, has_following = offset >= steps, offset + steps < length
    into, out = weights * has_previous, weights * has_following
    into[0, is_end] = out[0, is_end] = sum(WAITING_PROBABILITIES)
    previous = torch.where(has_previous, start + offset - steps, start)
    following = torch.where(has_following, start + offset + steps, start)
    return Chain(previous, following, into, out)


def _offsets(first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each state (P,): its offset in the program, the program's first state, and its length."""
    state = torch.arange(int(first[-1]), device=first.device)
    program = torch.searchsorted(first, state, right=True) - 1
    start = first[program]
    return state - start, start, (first[1:] - first[:-1])[program]


@torch.no_grad()
def decode_segments(emissions: Tensor, chain: Chain) -> Decoding:
    """Decodes segments of one length.

    Args:
        emissions: (B, T, P) weighted emission log-likelihoods.
    """
    return Decoding(viterbi_paths(emissions, chain), state_posteriors(emissions, chain))


@torch.no_grad()
def state_posteriors(emissions: Tensor, chain: Chain) -> Tensor:
    """Only the posteriors of `decode_segments`, (B, T, P)."""
    rows = emissions.double().transpose(0, 1)
    forward = torch.stack(list(_scaled_scores(rows, chain)))
    backward = torch.stack(list(_scaled_scores(rows.flip(0), chain.reversed()))).flip(0)
    posterior = (forward.log() + backward.log() - rows).softmax(-1)
    return posterior.transpose(0, 1).float()


@torch.no_grad()
def centre_posterior(emission_at: Callable[[int], Tensor], rows: int, chain: Chain) -> Tensor:
    """Posterior of the states at the centre row, rows // 2, of B windows, (B, P).

    Args:
        emission_at: row of the windows -> (B, P) weighted emission log-likelihoods.
        rows: T, of each window.
    """
    centre = rows // 2
    before = (emission_at(row) for row in range(centre + 1))
    after = (emission_at(row) for row in range(rows - 1, centre - 1, -1))
    forward, backward = (
        deque(_scaled_scores(emissions, direction), maxlen=1).pop().log()
        for emissions, direction in ((before, chain), (after, chain.reversed()))
    )
    return (forward + backward - emission_at(centre)).softmax(-1)


def _scaled_scores(emissions: Iterable[Tensor], chain: Chain) -> Iterator[Tensor]:
    """Forward probabilities (B, P) of each row, scaled to a largest one of 1.

    A state that is less probable than the smallest number keeps that probability.
    """
    scores: Tensor | None = None
    for emission in emissions:
        smallest = torch.finfo(emission.dtype).tiny ** 0.9
        likelihood = (emission - emission.amax(-1, keepdim=True)).exp()
        if scores is not None:
            stay, step, skip = chain.into.to(emission.dtype)
            likelihood = likelihood * (
                stay * scores
                + step * scores.index_select(1, chain.previous[1])
                + skip * scores.index_select(1, chain.previous[2])
            )
        scores = (likelihood / likelihood.amax(-1, keepdim=True)).clamp(min=smallest)
        yield scores


@torch.no_grad()
def viterbi_paths(emissions: Tensor, chain: Chain) -> Tensor:
    """Only the paths of `decode_segments`, (B, T)."""
    stay_log, step_log, skip_log = chain.into.log().to(emissions.dtype)
    current = emissions[:, 0]
    choices = []
    for row in range(1, emissions.shape[1]):
        # Pairwise maxima take half the time of stack and max.
        best = current + stay_log
        step = current.index_select(1, chain.previous[1]) + step_log
        skip = current.index_select(1, chain.previous[2]) + skip_log
        choice = (step > best).to(torch.int8)
        best = torch.maximum(best, step)
        choices.append(choice.masked_fill_(skip > best, 2))
        best = torch.maximum(best, skip)
        current = best + emissions[:, row]
        current = current - current.amax(-1, keepdim=True)
    path = [current.argmax(-1)]
    for choice in reversed(choices):
        chosen = choice.gather(1, path[-1][:, None])[:, 0].long()
        path.append(chain.previous[chosen, path[-1]])
    return torch.stack(path[::-1], dim=1)
