"""Damaged checkpoints and states of unfinished runs are read or refused, with one message."""

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from fuzzing import ODD_VALUES, fuzz, mutations
from learning_data import CPU, tiny, tiny_data
from training_runs import GCODE, go_on, same_weights, weights

from gcodefp.errors import UserError
from gcodefp.model import checkpoint as checkpoint_module
from gcodefp.model import trainer
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.model.data import network_sizes
from gcodefp.model.epoch import validate
from gcodefp.model.trainer import TrainingData, train

EPOCHS = 2


class Stopped(BaseException):
    """Stands for SIGKILL."""


class Files(NamedTuple):
    """What torch.save wrote of one run, and where damaged copies are read."""

    data: TrainingData
    checkpoint: Path
    state: Path

    def read_checkpoint(self, content: Any) -> None:
        """Reads it, and predicts with it."""
        path = self.checkpoint.with_name("damaged.pt")
        torch.save(content, path)
        read = read_checkpoint(path, CPU)
        programs = read.description.programs
        assert len(programs.template @ programs.noise) == len(programs.program_of_state())
        assert (programs.position_mm * programs.mm_per_unit[:, None]).shape == (len(programs), 3)
        for of_program in (programs.lag_program, programs.executed_program):
            assert set(programs.names[of_program]) <= set(programs.names)
        if network_sizes(read.description) == network_sizes(self.data.description):
            validate(read.network, read.hyperparameters, self.data.val)

    def read_state(self, content: Any) -> None:
        """Goes on with the run, which must end as it would have without a kill."""
        path = self.state.with_name("damaged.pt")
        torch.save(content, path)
        run = trainer._Run(HYPERPARAMETERS, self.data, GCODE)
        run.resume(path)
        run.next_epoch(lambda _: {})


HYPERPARAMETERS = tiny(max_epochs=EPOCHS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("run")
    data = tiny_data(folder / "data")

    def stop(epoch: int, metrics: Any) -> bool:
        raise Stopped

    with pytest.raises(Stopped):
        train(HYPERPARAMETERS, data, GCODE, folder / "unfinished", stop)
    train(HYPERPARAMETERS, data, GCODE, folder / "run", go_on)
    return Files(data, folder / "run/checkpoint.pt", folder / "unfinished/last.pt")


def mutate(rng: random.Random, content: Any) -> Any:
    """One change of a key, a value or a tensor."""
    changed = copy.deepcopy(content)
    nodes = [node for node in containers(changed) if node]
    tensors = changed.get("weights") if isinstance(changed, dict) else None
    node = (
        tensors
        if isinstance(tensors, dict) and tensors and rng.random() < 0.6
        else rng.choice(nodes)
    )
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    kind = rng.randrange(12)
    value = node[key]
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)
    elif isinstance(value, torch.Tensor):
        node[key] = changed_tensor(rng, value)
    elif isinstance(value, float | int) and kind < 11:
        node[key] = type(value)(value * rng.choice((0, 1, 1.001, 2, 10, -1)))
    else:
        node[key] = rng.choice(ODD_VALUES)
    return changed


def changed_tensor(rng: random.Random, tensor: torch.Tensor) -> Any:
    changed: list[Callable[[], Any]] = [
        lambda: tensor[..., None],
        lambda: tensor.reshape(-1)[: tensor.numel() // 2],
        lambda: tensor.to(rng.choice((torch.float64, torch.int32, torch.bool, torch.float16))),
        *[lambda: tensor * 2, lambda: tensor + 1, lambda: tensor.flip(0)] * 4,
        lambda: torch.zeros_like(tensor),
        lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor + 1,
        lambda: tensor.tolist(),
    ]
    return rng.choice(changed)() if tensor.ndim else tensor + 1


def containers(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        yield node
        for child in list(node.values() if isinstance(node, dict) else node):
            yield from containers(child)


def damages(path: Path) -> Iterator[Any]:
    return mutations([torch.load(path, weights_only=True)], mutate)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["checkpoint", "state"])
def test_fuzz_checkpoints(files: Files, kind: str) -> None:
    fuzz(getattr(files, f"read_{kind}"), damages(getattr(files, kind))).check()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", ["check_document", "check_arrays", "check_weights"])
def test_a_reader_without_its_check_is_found(
    files: Files, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_module, check, lambda *_: None)
    stream = damages(files.checkpoint)
    assert any(fuzz(files.read_checkpoint, stream, 10).faults for _ in range(50))


def test_one_wrong_byte_is_noticed_or_changes_nothing(files: Files) -> None:
    """torch.load itself reads another weight, without a word."""
    content, path = bytearray(files.checkpoint.read_bytes()), files.checkpoint.with_name("byte.pt")
    valid, refused = weights(read_checkpoint(files.checkpoint, CPU)), 0
    for at in range(200, len(content), len(content) // 60):
        content[at] ^= 1
        path.write_bytes(content)
        content[at] ^= 1
        try:
            read = read_checkpoint(path, CPU)
        except UserError:
            refused += 1
        else:
            assert same_weights(valid, weights(read)), at
    assert refused > 30


# What a message says


def damaged(files: Files, change: Callable[[Any], object]) -> Any:
    content = torch.load(files.checkpoint, weights_only=True)
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda c: c.pop("weights"), "weights: is missing"),
        (lambda c: c.pop("programs"), "programs: is missing"),
        (lambda c: c["programs"].pop("first"), "programs has not the keys names, first"),
        (lambda c: c["programs"].update(line=c["programs"]["line"][1:]), "block has shape"),
        (lambda c: c.update(epoch=0), "epoch: 0"),
        (lambda c: c.update(value="0.5"), "value: '0.5'"),
        (lambda c: c.update(value=float("nan")), "value: nan"),
        (lambda c: c["dataset"].pop("vocabulary"), "dataset.vocabulary: is missing"),
        (lambda c: c["dataset"]["channels"].pop(), "template has shape"),
        (lambda c: c["hyperparameters"].update(d_model=10**6), "weights do not fit"),
        (lambda c: c["hyperparameters"].update(num_layers=10**6), "weights do not fit"),
        (lambda c: c["weights"]["state_head.bias"].fill_(torch.nan), "state_head.bias has NaN"),
        (lambda c: c["weights"].pop("state_head.bias"), "state_head.bias"),
    ],
)
def test_damaged_checkpoint_is_named_with_its_key_and_the_fix(
    files: Files, change: Callable[[Any], object], part: str
) -> None:
    with pytest.raises(UserError) as caught:
        files.read_checkpoint(damaged(files, change))
    for text in ("damaged.pt: ", part, "run the stage that made it again"):
        assert text in str(caught.value)
