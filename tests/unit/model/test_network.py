"""The network: gradients of its heads, and the decoding of blocks word by word."""

from typing import Any

import numpy as np
import pytest
import torch
from learning_data import WINDOW, tiny, untrained, varied
from torch import Tensor

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PAD, PARAMETER, UNSEEN
from gcodefp.model.epoch import make_optimizer, train_epoch
from gcodefp.model.hyperparameters import HYPERPARAMETERS, LOGGED_METRICS
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData

LONGEST = 4
"""Steps of the longest block, its end included."""
REPORTED = [
    metric.removeprefix("train/").removesuffix("_loss")
    for metric in LOGGED_METRICS
    if metric.startswith("train/") and metric.endswith("_loss")
]


def row_vectors(network: Network, data: TrainingData) -> Tensor:
    """Of every row of every val window, (M, D)."""
    windows = torch.arange(len(data.val.starts))
    return network.encode(data.val.signals[data.val.window_rows(windows)]).flatten(0, 1)


def without_gradient(data: TrainingData, **changed: Any) -> set[str]:
    """Weights that the step of an epoch over the train split does not change."""
    network = untrained(data)
    hyperparameters = tiny(batch_size=len(data.train.starts), **changed)
    train_epoch(network, make_optimizer(network, hyperparameters), hyperparameters, data.train, 1)
    return {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}


def test_every_weight_has_a_gradient_from_the_total_loss(data: TrainingData) -> None:
    assert without_gradient(data) == set()


@pytest.mark.parametrize("head", [head for head in REPORTED if f"{head}_weight" in HYPERPARAMETERS])
def test_a_head_with_weight_zero_is_not_trained(data: TrainingData, head: str) -> None:
    layer = "state" if head == "place" else head
    untouched = without_gradient(data, **{f"{head}_weight": 0.0})
    assert untouched == {f"{layer}_head.weight", f"{layer}_head.bias"}


def test_the_loss_counts_each_word_and_end_once_and_no_padding(data: TrainingData) -> None:
    tokens = torch.as_tensor(data.description.vocabulary.encode(["G1 X2 Y1", "M3"])).long()
    predictions = untrained(data).block_logits(torch.zeros(2, 8), tokens)
    kinds = [COMMAND, PARAMETER, PARAMETER, END, COMMAND, END]
    assert predictions["token_type"][1].tolist() == kinds
    assert [len(predictions[field][1]) for field in FIELDS] == [6, 2, 2, 2]


def test_a_step_depends_on_the_words_before_it_alone(data: TrainingData) -> None:
    network, vector = untrained(data), torch.randn(1, 8)
    tokens = torch.tensor([[[PARAMETER, UNSEEN, 0, 0]] * LONGEST])
    before = network.block_logits(vector, tokens)
    for step in range(LONGEST):
        changed = tokens.clone()
        changed[0, step] = torch.tensor([COMMAND, 1, UNSEEN, UNSEEN])
        after = network.block_logits(vector, changed)["token_type"][0]
        moved = (before["token_type"][0] != after).any(1).tolist()
        assert moved == [i > step for i in range(LONGEST)]
    # Within a step a value depends on its letter, and nothing on the value.
    for index, value_moves in ((2, True), (3, False)):
        changed = tokens.clone()
        changed[0, 2, index] = 1
        after_step = network.block_logits(vector, changed)
        for field, moves in (("parameter_value", value_moves), ("parameter_type", False)):
            assert torch.equal(before[field][0][:2], after_step[field][0][:2])
            assert (not torch.equal(before[field][0][2], after_step[field][0][2])) == moves


@pytest.mark.parametrize("seed", range(3))
def test_decoded_blocks_are_words_then_an_end_and_each_word_is_the_most_probable(
    data: TrainingData, seed: int
) -> None:
    network = varied(data, seed)
    vectors = row_vectors(network, data)
    tokens = network.decode(vectors)
    assert tokens.shape == (len(data.val.starts) * WINDOW, LONGEST, len(FIELDS))
    assert len(np.unique(tokens.numpy(), axis=0)) > 1
    for code in tokens.tolist():
        kinds = [kind for kind, *_ in code]
        words = kinds.index(END) if END in kinds else LONGEST
        assert words >= 1
        assert set(kinds[:words]) <= {COMMAND, PARAMETER}
        assert set(kinds[words + 1 :]) <= {PAD}
        for kind, *fields in code:
            has = {COMMAND: [True, False, False], PARAMETER: [False, True, True]}
            assert [f != UNSEEN for f in fields] == has.get(kind, [False] * 3)
    predictions = network.block_logits(vectors, tokens)
    logits, kinds_decoded = predictions["token_type"]
    logits = logits.detach().clone()
    logits[:, PAD] = -torch.inf
    first = torch.arange(tokens.shape[1]).expand(tokens.shape[:2])[tokens[..., 0] != PAD] == 0
    logits[first, END] = -torch.inf
    assert torch.equal(logits.argmax(-1), kinds_decoded)
    for field in FIELDS[1:]:
        field_logits, classes = predictions[field]
        assert torch.equal(field_logits.argmax(-1), classes)
