"""Reading stretches with the programs, against all paths that there are."""

from itertools import accumulate, product

import pytest
import torch
from torch import Tensor

from gcodefp.model.hmm import EVIDENCE_WEIGHT, STEP_LOGS, STEPS, decode_segments, viterbi_paths

FIRST = torch.tensor([0, 4, 7])
"""Two programs, of four and of three places."""
ROWS = 4
Scored = tuple[list[tuple[int, ...]], Tensor]


def place_logs(seed: int, rows: int = ROWS, states: int = 7, segments: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    # Large enough that now and then the evidence wants what the programs do not have.
    return (10 * torch.randn(segments, rows, states, generator=random)).log_softmax(-1)


def all_paths(logs: Tensor) -> Scored:
    """Every sequence of places that the programs allow, with the logarithm of its probability."""
    paths, scores = [], []
    for start in range(7):
        first, length = (0, 4) if start < 4 else (4, 3)
        for steps in product(STEPS, repeat=len(logs) - 1):
            path = [first + (start - first + done) % length for done in accumulate((0, *steps))]
            evidence = sum(float(logs[row, state]) for row, state in enumerate(path))
            moves = sum(STEP_LOGS[STEPS.index(step)] for step in steps)
            paths.append(tuple(path))
            scores.append(EVIDENCE_WEIGHT * evidence + moves)
    return paths, torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("rows", [1, 2, ROWS])
@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_likeliest_and_the_posterior_that_of_all_paths(
    seed: int, rows: int
) -> None:
    logs = place_logs(seed, rows)
    paths, scores = all_paths(logs[0])
    read = decode_segments(logs, FIRST)
    assert tuple(read.path[0].tolist()) == paths[int(scores.argmax())]
    assert torch.equal(viterbi_paths(logs, FIRST), read.path)
    expected = torch.zeros(rows, 7, dtype=torch.float64)
    for path, share in zip(paths, scores.softmax(0), strict=True):
        expected[torch.arange(rows), torch.tensor(path)] += share
    torch.testing.assert_close(read.posterior[0].double(), expected, rtol=1e-4, atol=1e-6)


def test_the_oracle_tells_programs_from_no_programs() -> None:
    """The test above says something only if the evidence alone would go wrong."""
    logs = place_logs(0, segments=20)
    alone = logs.argmax(-1)
    read = decode_segments(logs, FIRST)
    assert (alone != read.path).any(1).float().mean() > 0.5
    assert len({tuple(path) for path in read.path.tolist()}) > 10
    assert (read.path >= 4).any()
    assert (read.path < 4).any()


FIRST_OF_FOUR = torch.tensor([0, 1, 13, 15, 40])


@pytest.mark.parametrize("rows", [2, 9, 60])
def test_no_path_crosses_the_border_of_a_program(rows: int) -> None:
    logs = place_logs(1, rows, 40, segments=64)
    read = decode_segments(logs, FIRST_OF_FOUR)
    program = torch.searchsorted(FIRST_OF_FOUR, read.path, right=True)
    assert (program == program[:, :1]).all()
    # Nor does the posterior: how likely each program is does not change from row to row.
    of = torch.stack([part.sum(-1) for part in read.posterior.split([1, 12, 2, 25], dim=-1)])
    torch.testing.assert_close(of, of[:, :, :1].expand_as(of), rtol=0, atol=1e-4)
    torch.testing.assert_close(of.sum(0), torch.ones(64, rows))


def test_evidence_for_the_border_leads_nobody_over_it() -> None:
    # It goes up to the last place of the first program and on to the first of the second.
    logs = torch.full((1, 6, 40), -40.0)
    for row, state in enumerate([10, 11, 12, 13, 14, 15]):
        logs[0, row, state] = 0.0
    path = decode_segments(logs, FIRST_OF_FOUR).path[0].tolist()
    assert path[:3] == [10, 11, 12]
    assert set(path[3:]) <= set(range(1, 13))


def test_behind_its_end_a_program_starts_again() -> None:
    logs = torch.full((1, 6, 7), -40.0)
    for row, state in enumerate([5, 6, 4, 5, 6, 4]):
        logs[0, row, state] = 0.0
    assert viterbi_paths(logs, FIRST)[0].tolist() == [5, 6, 4, 5, 6, 4]


@pytest.mark.parametrize("rows", [35, 40, 45])
def test_a_stretch_does_not_tell_by_its_length_where_it_is(rows: int) -> None:
    """Without evidence every place is as likely at every row, however long the stretch is."""
    first = torch.tensor([0, 40])
    posterior = decode_segments(torch.zeros(1, rows, 40), first).posterior
    torch.testing.assert_close(posterior, torch.full((1, rows, 40), 1 / 40))


def test_a_stretch_is_read_alike_alone_and_among_others() -> None:
    logs = place_logs(2, 30, 40, segments=5)
    together = decode_segments(logs, FIRST_OF_FOUR)
    for index in range(len(logs)):
        alone = decode_segments(logs[index : index + 1], FIRST_OF_FOUR)
        assert torch.equal(alone.path[0], together.path[index])
        torch.testing.assert_close(alone.posterior[0], together.posterior[index])


def test_long_stretches_stay_finite_and_are_found() -> None:
    rows, states = 500, 1500
    first = torch.tensor([0, 700, states])
    true = 705 + torch.arange(rows)
    logs = place_logs(3, rows, states) / 10
    logs[0, torch.arange(rows), true] += 4.0
    read = decode_segments(logs.log_softmax(-1), first)
    assert read.posterior.isfinite().all()
    torch.testing.assert_close(read.posterior.sum(-1), torch.ones(1, rows))
    assert (read.path[0] == true).float().mean() > 0.95
    assert (read.posterior[0].argmax(-1) == true).float().mean() > 0.95
