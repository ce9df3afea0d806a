"""Decoding with the hidden Markov model, compared with an enumeration of all paths."""

from itertools import accumulate, product

import pytest
import torch
from torch import Tensor

from gcodefp.model.hmm import (
    EMISSION_EXPONENT,
    TRANSITION_LOG_PROBS,
    TRANSITIONS,
    decode_segments,
    viterbi_paths,
)

FIRST = torch.tensor([0, 4, 7])
"""Two programs, of four and of three states."""
FIRST_OF_FOUR = torch.tensor([0, 1, 13, 15, 40])


def random_emissions(seed: int, rows: int, states: int = 7, segments: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    # Large enough that now and then the emissions contradict the programs.
    return (10 * torch.randn(segments, rows, states, generator=random)).log_softmax(-1)


def emissions_for(states: list[int], count: int) -> Tensor:
    """Emissions that all but exclude every other state, (1, T, P)."""
    emissions = torch.full((1, len(states), count), -40.0)
    emissions[0, torch.arange(len(states)), torch.tensor(states)] = 0.0
    return emissions


def all_paths(emissions: Tensor) -> tuple[list[tuple[int, ...]], Tensor]:
    """Every sequence of states that the programs allow, with its log probability."""
    paths, scores = [], []
    for start in range(7):
        first, length = (0, 4) if start < 4 else (4, 3)
        for steps in product(TRANSITIONS, repeat=len(emissions) - 1):
            path = [first + (start - first + done) % length for done in accumulate((0, *steps))]
            emission = sum(float(emissions[row, state]) for row, state in enumerate(path))
            transitions = sum(TRANSITION_LOG_PROBS[TRANSITIONS.index(step)] for step in steps)
            paths.append(tuple(path))
            scores.append(EMISSION_EXPONENT * emission + transitions)
    return paths, torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_path_and_posterior_are_those_of_all_paths(rows: int) -> None:
    contradicted = 0
    for seed in range(15):
        emissions = random_emissions(seed, rows)
        paths, scores = all_paths(emissions[0])
        decoding = decode_segments(emissions, FIRST)
        assert tuple(decoding.path[0].tolist()) == paths[int(scores.argmax())]
        assert torch.equal(viterbi_paths(emissions, FIRST), decoding.path)
        expected = torch.zeros(rows, 7, dtype=torch.float64)
        for path, share in zip(paths, scores.softmax(0), strict=True):
            expected[torch.arange(rows), torch.tensor(path)] += share
        posterior = decoding.posterior[0].double()
        torch.testing.assert_close(posterior, expected, rtol=1e-4, atol=1e-6)
        contradicted += not torch.equal(emissions.argmax(-1), decoding.path)
    assert contradicted > 5 or rows == 1, "the emissions alone would often be wrong"


@pytest.mark.parametrize("rows", [2, 9, 60])
def test_no_path_crosses_the_border_of_a_program(rows: int) -> None:
    decoding = decode_segments(random_emissions(1, rows, 40, segments=64), FIRST_OF_FOUR)
    program = torch.searchsorted(FIRST_OF_FOUR, decoding.path, right=True)
    assert (program == program[:, :1]).all()
    # Nor does the posterior: the probability of a program is the same at every row.
    parts = decoding.posterior.split([1, 12, 2, 25], dim=-1)
    programs = torch.stack([part.sum(-1) for part in parts])
    torch.testing.assert_close(programs, programs[:, :, :1].expand_as(programs), rtol=0, atol=1e-4)
    torch.testing.assert_close(programs.sum(0), torch.ones(64, rows))


def test_a_row_may_repeat_a_state_or_skip_one() -> None:
    states = [10, 10, 12, 13, 15, 15]
    emissions = emissions_for(states, 40)
    assert viterbi_paths(emissions, torch.tensor([0, 40]))[0].tolist() == states
    skips_two = viterbi_paths(emissions_for([10, 13], 40), torch.tensor([0, 40]))[0].tolist()
    assert skips_two[1] - skips_two[0] <= 2


def test_a_program_starts_again_behind_its_end() -> None:
    path = viterbi_paths(emissions_for([5, 6, 4, 5, 6, 4], 7), FIRST)[0].tolist()
    assert path == [5, 6, 4, 5, 6, 4]
    # Emissions that lead over a border do not take the path with them.
    path = viterbi_paths(emissions_for([10, 11, 12, 13, 14, 15], 40), FIRST_OF_FOUR)[0].tolist()
    assert path[:3] == [10, 11, 12]
    assert set(path[3:]) <= set(range(1, 13))


@pytest.mark.parametrize("rows", [35, 40, 45])
def test_the_length_of_a_segment_carries_no_information(rows: int) -> None:
    posterior = decode_segments(torch.zeros(1, rows, 40), torch.tensor([0, 40])).posterior
    torch.testing.assert_close(posterior, torch.full((1, rows, 40), 1 / 40))


def test_a_segment_is_decoded_alike_alone_and_in_a_batch() -> None:
    emissions = random_emissions(2, 30, 40, segments=5)
    together = decode_segments(emissions, FIRST_OF_FOUR)
    for index in range(len(emissions)):
        alone = decode_segments(emissions[index : index + 1], FIRST_OF_FOUR)
        assert torch.equal(alone.path[0], together.path[index])
        torch.testing.assert_close(alone.posterior[0], together.posterior[index])


def test_long_segments_stay_finite_and_are_decoded() -> None:
    rows, states = 500, 1500
    true = 705 + torch.arange(rows)
    emissions = random_emissions(3, rows, states) / 10
    emissions[0, torch.arange(rows), true] += 4.0
    decoding = decode_segments(emissions.log_softmax(-1), torch.tensor([0, 700, states]))
    torch.testing.assert_close(decoding.posterior.sum(-1), torch.ones(1, rows))
    assert (decoding.path[0] == true).float().mean() > 0.95
    assert (decoding.posterior[0].argmax(-1) == true).float().mean() > 0.95
