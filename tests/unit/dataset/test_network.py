from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import WINDOW, tiny, tiny_data, untrained, varied
from torch import Tensor

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PAD, PARAMETER, UNSEEN
from gcodefp.model.epoch import make_optimizer, train_epoch
from gcodefp.model.hyperparameters import KNOWN, METRICS
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData

LONGEST = 4
"""Steps of the longest block, its end included."""
REPORTED = [
    metric.removeprefix("train/").removesuffix("_loss")
    for metric in METRICS
    if metric.startswith("train/") and metric.endswith("_loss")
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


def row_vectors(network: Network, data: TrainingData) -> Tensor:
    """Of every row of every val window, (M, D)."""
    windows = torch.arange(len(data.val.starts))
    return network.encode(data.val.signals[data.val.rows_of(windows)]).flatten(0, 1)


# Gradients


def gradients(data: TrainingData, **changed: Any) -> dict[str, bool]:
    """Weight -> whether the one step of an epoch over the train split moves it."""
    network = untrained(data)
    settings = tiny(batch_size=len(data.train.starts), **changed)
    train_epoch(network, make_optimizer(network, settings), settings, data.train, 1)
    return {n: p.grad is not None and bool(p.grad.any()) for n, p in network.named_parameters()}


def test_every_weight_has_a_gradient_from_the_total_loss(data: TrainingData) -> None:
    moved = gradients(data)
    assert [name for name, moves in moved.items() if not moves] == []


@pytest.mark.parametrize("head", REPORTED)
def test_a_reported_head_has_weights_that_learn_unless_they_count_nothing(
    data: TrainingData, head: str
) -> None:
    layer = "state" if head == "place" else head
    weights = {f"{layer}_head.weight", f"{layer}_head.bias"}
    assert weights <= gradients(data).keys()
    if f"{head}_weight" in KNOWN:
        moved = gradients(data, **{f"{head}_weight": 0.0})
        assert {name for name, moves in moved.items() if not moves} == weights


@pytest.mark.parametrize("field", FIELDS)
def test_a_head_learns_from_its_own_loss(data: TrainingData, field: str) -> None:
    network = untrained(data)
    rows = torch.arange(len(data.train.signals))
    vectors = torch.randn(len(rows), 8)
    logits, target = network.block_logits(vectors, data.train.codes)[field]
    torch.nn.functional.cross_entropy(logits, target).backward()
    with_gradient = {n for n, p in network.named_parameters() if p.grad is not None}
    heads = {name for name in with_gradient if "_head." in name}
    assert heads == {f"{field}_head.weight", f"{field}_head.bias"}


def test_the_loss_counts_each_word_and_end_once_and_no_padding(data: TrainingData) -> None:
    network = untrained(data)
    texts = ["G1 X2 Y1", "M3"]
    codes = torch.as_tensor(data.description.vocabulary.encode(texts)).long()
    answers = network.block_logits(torch.zeros(2, 8), codes)
    assert answers["token_type"][1].tolist() == [
        *(COMMAND, PARAMETER, PARAMETER, END),
        *(COMMAND, END),
    ]
    assert [len(answers[field][1]) for field in FIELDS] == [6, 2, 2, 2]


# Words are written from left to right


def test_a_step_depends_on_the_words_before_it_and_on_none_after(data: TrainingData) -> None:
    network = untrained(data)
    vector = torch.randn(1, 8)
    codes = torch.tensor([[[PARAMETER, UNSEEN, 0, 0]] * LONGEST])
    before = network.block_logits(vector, codes)
    for step in range(LONGEST):
        changed = codes.clone()
        changed[0, step] = torch.tensor([COMMAND, 1, UNSEEN, UNSEEN])
        after = network.block_logits(vector, changed)
        moved = (before["token_type"][0] != after["token_type"][0]).any(1).tolist()
        assert moved == [i > step for i in range(LONGEST)]


def test_a_value_depends_on_its_letter_and_a_letter_on_no_value(data: TrainingData) -> None:
    network = untrained(data)
    vector = torch.randn(1, 8)
    codes = torch.tensor([[[PARAMETER, UNSEEN, 0, 0]] * LONGEST])
    before = network.block_logits(vector, codes)
    for index, expected in ((2, True), (3, False)):
        changed = codes.clone()
        changed[0, 2, index] = 1
        after = network.block_logits(vector, changed)
        for field, moves in (("parameter_value", expected), ("parameter_type", False)):
            assert torch.equal(before[field][0][:2], after[field][0][:2])
            assert (not torch.equal(before[field][0][2], after[field][0][2])) == moves


# What is written is a block


@pytest.mark.parametrize("seed", range(4))
def test_written_blocks_have_words_then_an_end_then_nothing(data: TrainingData, seed: int) -> None:
    network = varied(data, seed)
    codes = network.decode(row_vectors(network, data)).numpy()
    assert codes.shape == (len(data.val.starts) * WINDOW, LONGEST, len(FIELDS))
    assert len(np.unique(codes, axis=0)) > 1
    for code in codes:
        kinds = code[:, 0].tolist()
        words = kinds.index(END) if END in kinds else LONGEST
        assert words >= 1
        assert set(kinds[:words]) <= {COMMAND, PARAMETER}
        assert set(kinds[words + 1 :]) <= {PAD}
        for kind, *fields in code.tolist():
            has = {COMMAND: [True, False, False], PARAMETER: [False, True, True]}
            assert [f != UNSEEN for f in fields] == has.get(kind, [False] * 3)
    assert all(data.description.vocabulary.decode(codes))


@pytest.mark.parametrize(
    ("wanted", "written"),
    [
        (END, [COMMAND, END, PAD, PAD]),
        (PAD, [COMMAND, END, PAD, PAD]),
        (PARAMETER, [PARAMETER] * LONGEST),
        (COMMAND, [COMMAND] * LONGEST),
    ],
)
def test_a_block_has_a_word_and_an_end_in_time(
    data: TrainingData, wanted: int, written: Sequence[int]
) -> None:
    network = untrained(data)
    with torch.no_grad():
        network.token_type_head.weight.zero_()
        # After the kind that is wanted most come the end and the command.
        network.token_type_head.bias.copy_(torch.tensor([0.0, 3.0, 2.0, 1.0]))
        network.token_type_head.bias[wanted] = 9.0
    codes = network.decode(torch.randn(3, 8))
    assert codes[..., 0].tolist() == [list(written)] * 3


@pytest.mark.parametrize("seed", range(4))
def test_the_words_written_are_those_most_likely_after_each_other(
    data: TrainingData, seed: int
) -> None:
    network = varied(data, seed)
    vectors = row_vectors(network, data)
    codes = network.decode(vectors)
    answers = network.block_logits(vectors, codes)
    logits, kinds = answers["token_type"]
    logits = logits.detach().clone()
    logits[:, PAD] = -torch.inf
    first = torch.arange(codes.shape[1]).expand(codes.shape[:2])[codes[..., 0] != PAD] == 0
    logits[first, END] = -torch.inf
    assert torch.equal(logits.argmax(-1), kinds)
    for field in FIELDS[1:]:
        logits, classes = answers[field]
        assert torch.equal(logits.argmax(-1), classes)
