from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from learning_data import BLOCKS, RECORDINGS, WINDOW, tiny, tiny_data, tiny_split, untrained
from torch import Tensor

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PAD, PARAMETER, UNSEEN
from gcodefp.learning import predict as prediction
from gcodefp.learning.losses import head_losses, total_loss
from gcodefp.learning.network import Network
from gcodefp.learning.predict import predict
from gcodefp.learning.trainer import TrainingData

LONGEST = 4
"""Steps of the longest block, its end included."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


def row_vectors(network: Network, data: TrainingData) -> Tensor:
    """Of every row of every val window, (M, D)."""
    windows = torch.arange(len(data.val.starts))
    return network.encode(data.val.signals[data.val.rows_of(windows)]).flatten(0, 1)


def varied(data: TrainingData, seed: int = 0) -> Network:
    """Untrained networks write much the same for each row; this one does not."""
    network = untrained(data, seed)
    with torch.no_grad():
        network.stem.weight *= 20
        for field in FIELDS:
            getattr(network, f"{field}_head").weight *= 20
    return network


# Gradients


def test_every_weight_has_a_gradient_from_the_total_loss(data: TrainingData) -> None:
    network = untrained(data).train()
    windows = torch.arange(len(data.train.starts))
    rows = data.train.rows_of(windows)
    encoded = network.encode(data.train.signals[rows])
    answers = network.block_logits(encoded.flatten(0, 1), data.train.codes[rows.flatten()])
    answers["operation"] = network.operation_logits(encoded), data.train.operation[rows[:, 0]]
    assert set(answers) == {*FIELDS, "operation"}
    total_loss(head_losses(answers, tiny()), tiny()).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


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


def test_prediction_sees_no_true_word_and_no_true_operation(data: TrainingData) -> None:
    network = varied(data)
    blind = replace(
        data.val,
        codes=torch.full_like(data.val.codes, UNSEEN),
        operation=torch.full_like(data.val.operation, UNSEEN),
    )
    seen, unseen = predict(network, data.val), predict(network, blind)
    assert len(np.unique(seen.codes, axis=0)) > 1
    for one, other in zip(seen, unseen, strict=True):
        assert np.array_equal(one, other)


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


# Prediction over windows


@pytest.mark.parametrize("size", [1, 5])
def test_prediction_does_not_depend_on_the_batch(
    data: TrainingData, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In training mode the batch would matter, by its mean and by dropout.
    network = varied(data)
    whole = predict(network, data.val)
    monkeypatch.setattr(prediction, "WINDOWS_PER_BATCH", size)
    parts = predict(network.train(), data.val)
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one, other)


def test_each_row_is_written_once_by_the_window_around_it(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = varied(data)
    # The first window does not exist, and so its first half lies in none.
    val = replace(data.val, starts=data.val.starts[1:], speaks=data.val.speaks[1:])
    val.speaks[0, : WINDOW // 2] = True
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
    for start, speaks in zip(val.starts.tolist(), val.speaks, strict=True):
        encoded = network.encode(val.signals[None, start : start + WINDOW])
        expected = network.decode(encoded[0][speaks]).numpy()
        assert np.array_equal(written.codes[start : start + WINDOW][speaks], expected)
        operation = network.operation_logits(encoded).argmax().item()
        assert (written.operation[start : start + WINDOW][speaks] == operation).all()


def test_windows_cover_the_tiny_dataset_and_hold_all_blocks() -> None:
    """The tests above say something only if the data does."""
    for recordings in RECORDINGS.values():
        split = tiny_split(recordings)
        assert set(split.block.tolist()) == set(range(len(BLOCKS)))
        starts = split.window_start.tolist()
        assert all(b - a in (WINDOW // 2, WINDOW) for a, b in pairwise(starts))
