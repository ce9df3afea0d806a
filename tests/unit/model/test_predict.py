"""What is predicted from the signals of windows and of whole recordings."""

from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from learning_data import BLOCKS, RECORDINGS, WINDOW, tiny_data, tiny_split, varied
from torch import Tensor

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model import window_decoding as prediction
from gcodefp.model.hmm import viterbi_paths
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData
from gcodefp.model.window_decoding import encode_windows, predict, whole_emission_log_likelihood


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


def test_prediction_sees_no_true_word_and_no_true_operation(data: TrainingData) -> None:
    network = varied(data)
    blind = replace(
        data.val,
        codes=torch.full_like(data.val.codes, UNSEEN),
        operation=torch.full_like(data.val.operation, UNSEEN),
        block=torch.full_like(data.val.block, UNSEEN),
        state=torch.full_like(data.val.state, torch.nan),
        state_range=torch.full_like(data.val.state_range, UNSEEN),
        position=torch.full_like(data.val.position, torch.nan),
    )
    seen, unseen = predict(network, data.val), predict(network, blind)
    assert len(np.unique(seen.codes, axis=0)) > 1
    for one, other in zip(seen, unseen, strict=True):
        assert np.array_equal(one, other)


# Prediction over windows


@pytest.mark.parametrize("size", [1, 5])
def test_prediction_does_not_depend_on_the_batch(
    data: TrainingData, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In training mode the batch would matter, by its mean and by dropout.
    network = varied(data)
    whole = predict(network, data.val)
    monkeypatch.setattr(prediction, "encode_windows", partial(encode_windows, batch_size=size))
    parts = predict(network.train(), data.val)
    for one, other in zip(whole, parts, strict=True):
        # Classes are the same; the last bits of a position are not.
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_each_row_is_written_once_by_the_window_around_it(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = varied(data)
    # The first window does not exist, and so its first half lies in none.
    val = replace(data.val, starts=data.val.starts[1:], row_mask=data.val.row_mask[1:])
    val.row_mask[0, : WINDOW // 2] = True
    decoded = []

    def counting(vectors: Tensor) -> Tensor:
        decoded.append(len(vectors))
        return Network.decode(network, vectors)

    monkeypatch.setattr(network, "decode", counting)
    written = predict(network, val)
    monkeypatch.undo()
    covered = np.arange(len(val.signals)) >= WINDOW // 2
    assert np.array_equal(written.covered, covered)
    assert sum(decoded) == covered.sum()
    assert (written.codes[~covered] == UNSEEN).all()
    for start, row_mask in zip(val.starts.tolist(), val.row_mask, strict=True):
        encoded = network.encode(val.signals[None, start : start + WINDOW])
        expected = network.decode(encoded[0][row_mask]).numpy()
        assert np.array_equal(written.codes[start : start + WINDOW][row_mask], expected)
        operation = network.operation_logits(encoded).argmax().item()
        assert (written.operation[start : start + WINDOW][row_mask] == operation).all()
        path = viterbi_paths(network.emission_log_likelihood(encoded), val.first_state)[0]
        assert np.array_equal(written.path[start : start + WINDOW][row_mask], path[row_mask])
        position = network.position_head(encoded[0][row_mask]).detach().numpy()
        np.testing.assert_allclose(
            written.position[start : start + WINDOW][row_mask], position, rtol=0, atol=1e-5
        )


def test_windows_cover_the_tiny_dataset_and_hold_all_blocks() -> None:
    """The tests above say something only if the data does."""
    for recordings in RECORDINGS.values():
        split = tiny_split(recordings)
        assert set(split.block.tolist()) == set(range(len(BLOCKS)))
        starts = split.window_start.tolist()
        assert all(b - a in (WINDOW // 2, WINDOW) for a, b in pairwise(starts))


# Whole recordings


def test_a_recording_of_one_window_is_that_window(data: TrainingData) -> None:
    network = varied(data)
    signals = data.val.signals[:WINDOW]
    evidence = whole_emission_log_likelihood(network, signals, WINDOW)
    expected = network.emission_log_likelihood(network.encode(signals[None]))[0]
    torch.testing.assert_close(evidence, expected)


@pytest.mark.parametrize("rows", [WINDOW + 1, 2 * WINDOW + 3, 32])
def test_every_row_of_a_recording_is_read_from_all_windows_around_it(
    data: TrainingData, rows: int
) -> None:
    network = varied(data)
    signals = data.val.signals[:rows]
    evidence = whole_emission_log_likelihood(network, signals, WINDOW)
    assert evidence.shape == (rows, network.sizes.states)
    total, counted = torch.zeros_like(evidence), torch.zeros(rows, 1)
    for start in {*range(0, rows - WINDOW + 1, WINDOW // 4), rows - WINDOW}:
        window = slice(start, start + WINDOW)
        # A row counts by its distance from the ends of the window.
        weight = torch.tensor([1.0, 2.0, 3.0, 4.0, 4.0, 3.0, 2.0, 1.0])[:, None]
        total[window] += weight * network.emission_log_likelihood(
            network.encode(signals[None, window])[0]
        )
        counted[window] += weight
    torch.testing.assert_close(evidence, total / counted, rtol=1e-4, atol=1e-5)


def test_whole_recordings_do_not_depend_on_the_batch(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = varied(data)
    whole = whole_emission_log_likelihood(network, data.val.signals[:32], WINDOW)
    monkeypatch.setattr(prediction, "encode_windows", partial(encode_windows, batch_size=2))
    parts = whole_emission_log_likelihood(network.train(), data.val.signals[:32], WINDOW)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)
