"""Decoding of windows and of whole recordings, and the state prior."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from learning_data import BLOCKS, RECORDINGS, WINDOW, tiny_split, untrained, varied
from torch import Tensor

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model import window_decoding
from gcodefp.model.hmm import EMISSION_EXPONENT, circular_chain, viterbi_paths
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData
from gcodefp.model.window_decoding import (
    MIN_PRIOR_SHARE,
    decode_split_windows,
    encode_recording,
    encode_windows,
    measure_state_prior,
)


@pytest.fixture
def network(data: TrainingData) -> Network:
    return untrained(data)


def test_a_prediction_depends_on_no_label(data: TrainingData) -> None:
    network = varied(data)
    blind = replace(
        data.val,
        tokens=torch.full_like(data.val.tokens, UNSEEN),
        operation=torch.full_like(data.val.operation, UNSEEN),
        block=torch.full_like(data.val.block, UNSEEN),
        state=torch.full_like(data.val.state, torch.nan),
        state_range=torch.full_like(data.val.state_range, UNSEEN),
        position=torch.full_like(data.val.position, torch.nan),
    )
    prediction = decode_split_windows(network, data.val)
    assert len(np.unique(prediction.tokens, axis=0)) > 1
    for array, other in zip(prediction, decode_split_windows(network, blind), strict=True):
        assert np.array_equal(array, other)


@pytest.mark.parametrize("size", [1, 5])
def test_a_prediction_does_not_depend_on_the_batch_or_the_mode(
    data: TrainingData, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, signals = varied(data), data.val.signals[:32]
    prediction = decode_split_windows(network, data.val)
    whole = encode_recording(network, signals, WINDOW)
    small = partial(encode_windows, batch_size=size)
    monkeypatch.setattr(window_decoding, "encode_windows", small)
    # Classes are the same; the last bits of a position are not.
    for array, other in zip(
        prediction, decode_split_windows(network.train(), data.val), strict=True
    ):
        np.testing.assert_allclose(array, other, rtol=0, atol=1e-5)
    parts = encode_recording(network.train(), signals, WINDOW)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


def test_each_row_is_decoded_once_from_the_window_that_it_is_assigned_to(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = varied(data)
    # Without the first window, its first half lies in none.
    val = replace(data.val, starts=data.val.starts[1:], row_mask=data.val.row_mask[1:].clone())
    val.row_mask[0, : WINDOW // 2] = True
    decoded = []

    def counting(vectors: Tensor) -> Tensor:
        decoded.append(len(vectors))
        return Network.decode(network, vectors)

    monkeypatch.setattr(network, "decode", counting)
    prediction = decode_split_windows(network, val)
    monkeypatch.undo()
    covered = np.arange(len(val.signals)) >= WINDOW // 2
    assert np.array_equal(prediction.is_covered, covered)
    assert sum(decoded) == covered.sum()
    assert (prediction.tokens[~covered] == UNSEEN).all()
    for start, mask in zip(val.starts.tolist(), val.row_mask, strict=True):
        window = slice(start, start + WINDOW)
        encoded = network.encode(val.signals[None, window])
        tokens = network.decode(encoded[0][mask]).numpy()
        assert np.array_equal(prediction.tokens[window][mask], tokens)
        operation = network.operation_logits(encoded).argmax().item()
        assert (prediction.operation[window][mask] == operation).all()
        emissions = EMISSION_EXPONENT * network.emission_log_likelihood(encoded)
        path = viterbi_paths(emissions, circular_chain(val.first_state))[0]
        assert np.array_equal(prediction.path[window][mask], path[mask])
        position = network.position_head(encoded[0][mask]).detach().numpy()
        np.testing.assert_allclose(prediction.position[window][mask], position, rtol=0, atol=1e-5)
    # The data must have all blocks for this test to mean something.
    for recordings in RECORDINGS.values():
        assert set(tiny_split(recordings).block.tolist()) == set(range(len(BLOCKS)))


@pytest.mark.parametrize("rows", [WINDOW, WINDOW + 1, 2 * WINDOW + 3, 32])
def test_a_row_of_a_recording_is_decoded_from_all_its_windows(
    data: TrainingData, rows: int
) -> None:
    network, signals = varied(data), data.val.signals[:rows]
    emissions = network.emission_log_likelihood(encode_recording(network, signals, WINDOW))
    assert emissions.shape == (rows, network.sizes.states)
    total, weights = torch.zeros_like(emissions), torch.zeros(rows, 1)
    # A row counts by its distance from the ends of the window.
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0])[:, None]
    for start in {*range(0, rows - WINDOW + 1, WINDOW // 4), rows - WINDOW}:
        window = slice(start, start + WINDOW)
        encoded = network.encode(signals[None, window])[0]
        total[window] += weight * network.emission_log_likelihood(encoded)
        weights[window] += weight
    # Up to a constant of each row.
    expected = (total / weights + network.log_state_prior).log_softmax(-1) - network.log_state_prior
    torch.testing.assert_close(emissions, expected, rtol=1e-4, atol=1e-5)


# The state prior


@torch.no_grad()
def test_the_prior_is_the_mean_probability_of_each_state(
    network: Network, data: TrainingData
) -> None:
    assert not network.log_state_prior.any(), "uniform until it is measured"
    network.state_head.weight *= 2  # Some states are predicted far more often than others.
    measure_state_prior(network, data.train)
    prior = network.log_state_prior.exp()
    torch.testing.assert_close(prior.sum(), torch.tensor(1.0))
    windows = data.train.window_rows(torch.arange(len(data.train.starts)))
    encoded = network.encode(data.train.signals[windows])
    expected = network.state_head(encoded).softmax(-1).mean((0, 1))
    # Train windows overlap, and some of them are encoded: about the mean is enough.
    assert expected.max() > 3 * expected.min()
    torch.testing.assert_close(prior, expected, rtol=0.2, atol=1e-3)


@torch.no_grad()
def test_a_biased_state_gains_nothing(network: Network, data: TrainingData) -> None:
    signals = data.val.signals[None, :32]

    def gain() -> float:
        emissions = network.emission_log_likelihood(network.encode(signals))
        return float((emissions[..., 3] - emissions[..., 0]).mean())

    measure_state_prior(network, data.train)
    before = gain()
    network.state_head.bias[3] += 2.0
    assert gain() == pytest.approx(before + 2.0, abs=1e-3)
    measure_state_prior(network, data.train)
    assert gain() == pytest.approx(before, abs=0.3)
    # Nor does a state that is never predicted.
    network.state_head.bias[3] = -1e4
    measure_state_prior(network, data.train)
    least = MIN_PRIOR_SHARE / network.sizes.states
    assert float(network.log_state_prior[3].exp()) == pytest.approx(least)
    emissions = network.emission_log_likelihood(network.encode(signals))
    assert (emissions.argmax(-1) != 3).all()
