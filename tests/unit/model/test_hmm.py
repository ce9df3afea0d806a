"""Decoding with the hidden Markov model, compared with an enumeration of all paths."""

import math
from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch
from torch import Tensor

from gcodefp.model import hmm
from gcodefp.model.hmm import (
    CIRCULAR_PROBABILITIES,
    WAITING_PROBABILITIES,
    Emissions,
    centre_posterior,
    circular_chain,
    decode_sequences,
    posterior_chunks,
    viterbi_path,
    viterbi_paths,
    waiting_chain,
)

FIRST = torch.tensor([0, 4, 7])
"""Two programs, of four and of three states."""
FIRST_OF_FOUR = torch.tensor([0, 1, 13, 15, 40])
CHAINS = {"circular": circular_chain, "waiting": waiting_chain}
Transition = Callable[[int, int, int, int], float]


def random_emissions(seed: int, rows: int, states: int = 7, segments: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    # Large enough that now and then the emissions contradict the programs.
    return (10 * torch.randn(segments, rows, states, generator=random)).log_softmax(-1)


def emissions_for(states: list[int], count: int) -> Tensor:
    """Emissions that all but exclude every other state, (1, T, P)."""
    emissions = torch.full((1, len(states), count), -40.0)
    emissions[0, torch.arange(len(states)), torch.tensor(states)] = 0.0
    return emissions


def circular_weight(before: int, after: int, first: int, length: int) -> float:
    """The weight of a transition within a program, word for word."""
    weights = [w for step, w in enumerate(CIRCULAR_PROBABILITIES)
               if first + (before - first + step) % length == after]  # fmt: skip
    return sum(weights)


def waiting_weight(before: int, after: int, first: int, length: int) -> float:
    stay, advance, skip = WAITING_PROBABILITIES
    waits = before == after and before in (first, first + length - 1)
    return (
        sum(WAITING_PROBABILITIES)
        if waits
        else {0: stay, 1: advance, 2: skip}.get(after - before, 0.0)
    )


WEIGHTS: dict[str, Transition] = {"circular": circular_weight, "waiting": waiting_weight}


def all_paths(emissions: Tensor, weight: Transition) -> tuple[list[tuple[int, ...]], Tensor]:
    """Every sequence of states that the programs allow, with its log weight."""
    paths, scores = [], []
    for first, length in ((0, 4), (4, 3)):
        for path in product(range(first, first + length), repeat=len(emissions)):
            weights = [weight(*pair, first, length) for pair in pairwise(path)]
            if all(weights):
                emission = sum(float(emissions[row, state]) for row, state in enumerate(path))
                paths.append(path)
                scores.append(emission + sum(map(math.log, weights)))
    return paths, torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("kind", CHAINS)
def test_path_and_posterior_are_those_of_all_paths(kind: str, rows: int) -> None:
    contradicted, chain = 0, CHAINS[kind](FIRST)
    for seed in range(15):
        emissions = 0.3 * random_emissions(seed, rows)
        paths, scores = all_paths(emissions[0], WEIGHTS[kind])
        decoding = decode_sequences(emissions, chain)
        if kind == "waiting":  # Of a circle of three states two transitions can be one.
            assert tuple(decoding.path[0].tolist()) == paths[int(scores.argmax())]
        assert torch.equal(viterbi_paths(emissions, chain), decoding.path)
        expected = torch.zeros(rows, 7, dtype=torch.float64)
        for path, share in zip(paths, scores.softmax(0), strict=True):
            expected[torch.arange(rows), torch.tensor(path)] += share
        posterior = decoding.posterior[0].double()
        torch.testing.assert_close(posterior, expected, rtol=1e-4, atol=1e-6)
        centre = centre_posterior(emissions.transpose(0, 1).__getitem__, rows, chain)
        torch.testing.assert_close(centre[0].double(), expected[rows // 2], rtol=1e-4, atol=1e-6)
        contradicted += not torch.equal(emissions.argmax(-1), decoding.path)
    assert contradicted > 5 or rows == 1, "the emissions alone would often be wrong"


@pytest.mark.parametrize("rows", [35, 40, 45])
def test_the_length_of_a_segment_carries_no_information(rows: int) -> None:
    first = torch.tensor([0, 40])
    posterior = decode_sequences(torch.zeros(1, rows, 40), circular_chain(first)).posterior
    torch.testing.assert_close(posterior, torch.full((1, rows, 40), 1 / 40))
    # In the waiting chain all starts are alike: of the inner states none stands out at any row.
    inner = decode_sequences(torch.zeros(1, rows, 40), waiting_chain(first)).posterior[0, :, 3:-3]
    assert inner.amax() < 1.02 * inner.amin()


@pytest.mark.parametrize("rows", [1, 2, 3, 50, 101])
@pytest.mark.parametrize("kind", CHAINS)
def test_blocks_of_rows_are_decoded_as_all_rows_at_once(
    kind: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = CHAINS[kind](FIRST_OF_FOUR)
    emissions = 0.3 * random_emissions(4, rows, 40, segments=2)
    together = decode_sequences(emissions, chain)
    monkeypatch.setattr(hmm, "MAX_CELLS", 1)
    sizes = []

    def block(first: int, end: int) -> Tensor:
        sizes.append(end - first)
        return emissions[:, first:end]

    path = viterbi_path(Emissions(rows, block), chain)
    posteriors = [part.posterior for part in posterior_chunks(Emissions(rows, block), chain)]
    assert torch.equal(path, together.path)
    assert torch.equal(torch.cat(posteriors[::-1], dim=1), together.posterior)
    assert max(sizes) <= 2 * math.sqrt(rows), "so much is held at once"


def test_long_segments_stay_finite_and_are_decoded() -> None:
    rows, states = 500, 1500
    true = 705 + torch.arange(rows)
    emissions = random_emissions(3, rows, states) / 10
    emissions[0, torch.arange(rows), true] += 4.0
    chain = waiting_chain(torch.tensor([0, 700, states]))
    decoding = decode_sequences(0.3 * emissions.log_softmax(-1), chain)
    torch.testing.assert_close(decoding.posterior.sum(-1), torch.ones(1, rows))
    assert (decoding.path[0] == true).float().mean() > 0.95
    assert (decoding.posterior[0].argmax(-1) == true).float().mean() > 0.95
