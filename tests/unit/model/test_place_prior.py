"""The place prior: how often the network names a place whatever it sees."""

from pathlib import Path

import pytest
import torch
from learning_data import tiny_data, untrained
from training_runs import run

from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData
from gcodefp.model.window_decoding import MIN_PRIOR_SHARE, measure_state_prior


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def network(data: TrainingData) -> Network:
    return untrained(data)


def mean_share(network: Network, data: TrainingData) -> torch.Tensor:
    """Of each place, over all rows of all train windows."""
    network.eval()
    windows = torch.arange(len(data.train.starts))
    with torch.no_grad():
        encoded = network.encode(data.train.signals[data.train.rows_of(windows)])
        return network.state_head(encoded).softmax(-1).mean((0, 1))


def test_before_it_is_measured_all_places_are_alike(network: Network) -> None:
    assert not network.log_state_prior.any()


def test_it_is_the_mean_probability_of_each_place(network: Network, data: TrainingData) -> None:
    with torch.no_grad():
        network.state_head.weight *= 2  # Some places are named far more often than others.
    measure_state_prior(network, data.train)
    prior = network.log_state_prior.exp()
    torch.testing.assert_close(prior.sum(), torch.tensor(1.0))
    # Train windows overlap, and some of them are read: about the mean is enough.
    expected = mean_share(network, data)
    assert expected.max() > 3 * expected.min()
    torch.testing.assert_close(prior, expected, rtol=0.2, atol=1e-3)


def test_a_checkpoint_has_that_of_its_own_weights(data: TrainingData, tmp_path: Path) -> None:
    _, checkpoint = run(tmp_path, data)
    kept = checkpoint.network.log_state_prior.clone()
    assert kept.any()
    measure_state_prior(checkpoint.network, data.train)
    torch.testing.assert_close(checkpoint.network.log_state_prior, kept)


def test_a_place_that_the_network_is_fond_of_gains_nothing(
    network: Network, data: TrainingData
) -> None:
    measure_state_prior(network, data.train)
    signals = data.val.signals[None, :32]
    with torch.no_grad():
        before = network.emission_log_likelihood(network.encode(signals))
        network.state_head.bias[3] += 2.0
        fond = network.emission_log_likelihood(network.encode(signals))
        measure_state_prior(network, data.train)
        after = network.emission_log_likelihood(network.encode(signals))
    gain = ((of[..., 3] - of[..., 0]).mean() for of in (before, fond, after))
    none, much, left = (float(of) for of in gain)
    assert much == pytest.approx(none + 2.0, abs=1e-3)
    assert left == pytest.approx(none, abs=0.3)


def test_a_place_that_is_never_named_outweighs_nothing(
    network: Network, data: TrainingData
) -> None:
    with torch.no_grad():
        network.state_head.bias[3] = -1e4
    measure_state_prior(network, data.train)
    assert network.log_state_prior.isfinite().all()
    least = MIN_PRIOR_SHARE / network.sizes.states
    assert float(network.log_state_prior[3].exp()) == pytest.approx(least)
    with torch.no_grad():
        evidence = network.emission_log_likelihood(network.encode(data.val.signals[None, :32]))
    assert (evidence.argmax(-1) != 3).all()
