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

Memory: emissions are computed and used by chunks of rows. Of each chunk the scores before it
are kept, and its rows are computed again on the way back (checkpointing; Tarnas and Hughey 1998,
Bioinformatics 14:401), so that memory grows with the root of the rows.

Shapes: B sequences of T rows, P states, K programs.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
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

MAX_CELLS = 2**24
"""Pairs of a row and a state, of all sequences, that are held at once: 64 MiB of emissions."""


def rows_at_once(states: int, most: int) -> int:
    """How many rows, at least 1 and at most `most`, have MAX_CELLS pairs with these states."""
    return max(1, min(most, MAX_CELLS // states))


class Emissions(NamedTuple):
    """Weighted emission log-likelihoods of B sequences of T rows, computed when they are used."""

    rows: int  # T
    chunk: Callable[[int, int], Tensor]  # first row, end -> (B, end - first, P)


class MarkovChain(NamedTuple):
    """Transitions between the states of programs."""

    # (3, P) the states 0, 1 and 2 steps before and after each state
    previous: Tensor
    following: Tensor
    # (3, P) weights of the transitions from `previous` and to `following`; 0 where a program has no
    # such state
    into: Tensor
    out: Tensor

    def reversed(self) -> "MarkovChain":
        """The chain in reversed time."""
        return MarkovChain(self.following, self.previous, self.out, self.into)


class Decoding(NamedTuple):
    """The most probable states of B sequences, (B, T), and the posteriors of all, (B, T, P)."""

    path: Tensor
    posterior: Tensor


def circular_chain(first_states: Tensor) -> MarkovChain:
    """The first state of a program follows its last one.

    Args:
        first_states: (K + 1,) of the programs, and P.
    """
    offset, start, length = _offsets(first_states)
    steps = torch.arange(3, device=first_states.device)[:, None]
    weights = torch.tensor(CIRCULAR_PROBABILITIES, device=first_states.device)[:, None]
    weights = weights.expand(3, len(offset))
    previous, following = (start + (offset + s) % length for s in (-steps, steps))
    return MarkovChain(previous, following, weights, weights)


def waiting_chain(first_states: Tensor) -> MarkovChain:
    """A path may wait in the first and the last state of a program, and does not begin again.

    Waiting has the weight of all transitions from another state together: however long a path waits
    before its program, the prior weight is the same.
    """
    offset, start, length = _offsets(first_states)
    steps = torch.arange(3, device=first_states.device)[:, None]
    weights = torch.tensor(WAITING_PROBABILITIES, device=first_states.device)[:, None]
    is_end = (offset == 0) | (offset == length - 1)
    has_previous, has_following = offset >= steps, offset + steps < length
    into, out = weights * has_previous, weights * has_following
    into[0, is_end] = out[0, is_end] = sum(WAITING_PROBABILITIES)
    previous = torch.where(has_previous, start + offset - steps, start)
    following = torch.where(has_following, start + offset + steps, start)
    return MarkovChain(previous, following, into, out)


def _offsets(first_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each state (P,): its offset in the program, the program's first state, and its length."""
    state = torch.arange(int(first_states[-1]), device=first_states.device)
    program = torch.searchsorted(first_states, state, right=True) - 1
    start = first_states[program]
    return state - start, start, (first_states[1:] - first_states[:-1])[program]


@torch.no_grad()
def decode_sequences(emissions: Tensor, chain: MarkovChain) -> Decoding:
    """Decodes sequences of one length, by their weighted emission log-likelihoods (B, T, P)."""
    chunks = [chunk.posterior for chunk in posterior_chunks(_computed(emissions), chain)]
    return Decoding(viterbi_paths(emissions, chain), torch.cat(chunks[::-1], dim=1))


def _computed(emissions: Tensor) -> Emissions:
    """Emissions (B, T, P) that are in memory already."""
    return Emissions(emissions.shape[1], lambda first, end: emissions[:, first:end])


def _chunk_bounds(rows: int, least: float) -> list[tuple[int, int]]:
    """First row and end of chunks of about `least` rows, or of the root of all rows, if more."""
    count = max(1, math.floor(rows / max(least, math.sqrt(rows))))
    return list(pairwise(rows * index // count for index in range(count + 1)))


class _KeptScores:
    """The scores (B, P) of the last row of each chunk.

    In one array: kept between the temporary ones, they would fragment the memory.
    """

    def __init__(self, chunks: int) -> None:
        self._chunks = chunks
        self._scores: Tensor | None = None

    def keep(self, chunk: int, scores: Tensor) -> None:
        if self._scores is None:
            self._scores = scores.new_empty(self._chunks, *scores.shape)
        self._scores[chunk] = scores

    def before(self, chunk: int) -> Tensor | None:
        """Of the chunk before; None: there is none."""
        return self._scores[chunk - 1] if chunk and self._scores is not None else None


class PosteriorChunk(NamedTuple):
    """M neighbouring rows of B sequences."""

    posterior: Tensor  # (B, M, P) probability of each state at each row, given all rows
    emission_state: Tensor  # (B, M) the state with the highest emission at each row


@torch.no_grad()
def posterior_chunks(emissions: Emissions, chain: MarkovChain) -> Iterator[PosteriorChunk]:
    """The posteriors of the states, last rows first."""
    # Four arrays of a chunk are float64.
    cells = len(chain.previous[0]) * 8
    bounds = _chunk_bounds(emissions.rows, rows_at_once(cells, emissions.rows))
    kept = _KeptScores(len(bounds))
    for index, (first, end) in enumerate(bounds[:-1]):
        rows = emissions.chunk(first, end).double().transpose(0, 1)
        scored = _scaled_scores(rows, chain, kept.before(index))
        kept.keep(index, deque(scored, maxlen=1).pop())
    behind: Tensor | None = None
    for index, (first, end) in reversed(list(enumerate(bounds))):
        emission = emissions.chunk(first, end)
        rows = emission.double().transpose(0, 1)
        forward = _stacked_scores(rows, chain, kept.before(index))
        backward = _stacked_scores(rows.flip(0), chain.reversed(), behind)
        behind = backward[-1].clone()
        posterior = forward.log_().add_(backward.log_().flip(0)).sub_(rows).softmax(-1)
        yield PosteriorChunk(posterior.transpose(0, 1).float(), emission.argmax(-1))


@torch.no_grad()
def centre_posterior(emission_at: Callable[[int], Tensor], rows: int, chain: MarkovChain) -> Tensor:
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


def _scaled_scores(
    emissions: Iterable[Tensor], chain: MarkovChain, scores: Tensor | None = None
) -> Iterator[Tensor]:
    """Forward probabilities (B, P) of each row, scaled to a largest one of 1.

    A state that is less probable than the smallest number keeps that probability. `scores` are
    those of the row before the first one, if there is one.
    """
    weights: Tensor | None = None
    for emission in emissions:
        smallest = torch.finfo(emission.dtype).tiny ** 0.9
        likelihood = (emission - emission.amax(-1, keepdim=True)).exp_()
        if scores is not None:
            weights = chain.into.to(emission.dtype) if weights is None else weights
            total = weights[0] * scores
            for weight, previous in zip(weights[1:], chain.previous[1:], strict=True):
                total += scores.index_select(1, previous).mul_(weight)
            likelihood *= total
        likelihood /= likelihood.amax(-1, keepdim=True)
        scores = likelihood.clamp_(min=smallest)
        yield scores


def _stacked_scores(rows: Tensor, chain: MarkovChain, scores: Tensor | None) -> Tensor:
    """The same of all rows (T, B, P); in one array, as rows by themselves fragment the memory."""
    stacked = torch.empty(rows.shape, dtype=rows.dtype, device=rows.device)
    for row, row_scores in zip(stacked, _scaled_scores(rows, chain, scores), strict=True):
        row.copy_(row_scores)
    return stacked


@torch.no_grad()
def viterbi_paths(emissions: Tensor, chain: MarkovChain) -> Tensor:
    """Only the paths of `decode_sequences`, (B, T)."""
    return viterbi_path(_computed(emissions), chain)


@torch.no_grad()
def viterbi_path(emissions: Emissions, chain: MarkovChain) -> Tensor:
    """The most probable sequences of states, (B, T)."""
    bounds = _chunk_bounds(emissions.rows, rows_at_once(len(chain.previous[0]), emissions.rows))
    kept = _KeptScores(len(bounds))
    for index, (first, end) in enumerate(bounds):
        scores, choices = _viterbi_chunk(emissions.chunk(first, end), chain, kept.before(index))
        kept.keep(index, scores)
    path = [scores.argmax(-1)]
    for index, (first, end) in reversed(list(enumerate(bounds))):
        if end < emissions.rows:
            _, choices = _viterbi_chunk(emissions.chunk(first, end), chain, kept.before(index))
        for row_choices in choices.flip(0).unbind(0):
            step, skip = (choice.gather(1, path[-1][:, None])[:, 0] for choice in row_choices)
            chosen = torch.where(skip, 2, step.long())
            path.append(chain.previous[chosen, path[-1]])
    return torch.stack(path[::-1], dim=1)


def _viterbi_chunk(
    emissions: Tensor, chain: MarkovChain, scores: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The scores (B, P) of the last row of a chunk (B, rows, P), and how its states were reached.

    Given the scores of the row before, if there is one. The second, of each of the M rows that have
    one before, (M, 2, B, P): whether a step is better than staying, and a skip better than both.
    """
    logs = chain.into.log().to(emissions.dtype)
    rows = list(emissions.unbind(1))
    current = rows.pop(0) if scores is None else scores
    best, other = torch.empty_like(current), torch.empty_like(current)
    shape = (len(rows), 2, *current.shape)
    choices = torch.empty(shape, dtype=torch.bool, device=current.device)
    for row, choice in zip(rows, choices, strict=True):
        # Buffers and pairwise maxima take a quarter of the time of stack and max.
        torch.add(current, logs[0], out=best)
        for is_better, log, previous in zip(choice, logs[1:], chain.previous[1:], strict=True):
            torch.index_select(current, 1, previous, out=other)
            other += log
            torch.gt(other, best, out=is_better)
            torch.maximum(best, other, out=best)
        current = best + row
        current -= current.amax(-1, keepdim=True)
    return current, choices
