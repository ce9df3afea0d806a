from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import CPU, RECORDINGS, tiny, tiny_data, tiny_split, untrained, with_blocks
from torch import Tensor

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.learning.checkpoint import Checkpoint, read_checkpoint
from gcodefp.learning.epoch import validate
from gcodefp.learning.hyperparameters import KNOWN
from gcodefp.learning.metrics_file import read_metrics
from gcodefp.learning.objective import METRICS, Objective
from gcodefp.learning.trainer import Diverged, TrainingData, TrainingResult, train

GCODE = Objective("val/gcode_acc", "maximize")
NO_CHANCE = {"dropout": 0.0, "augmentation_prob": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


def go_on(epoch: int, metrics: Mapping[str, float]) -> bool:
    return False


def run(
    folder: Path, data: TrainingData, objective: Objective = GCODE, **changed: Any
) -> tuple[TrainingResult, Checkpoint]:
    result = train(tiny(**changed), data, objective, folder, go_on, CPU)
    return result, read_checkpoint(folder / "checkpoint.pt", CPU)


def weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return dict(checkpoint.network.state_dict())


def same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# Learning


def test_it_can_learn_a_small_dataset_by_heart(data: TrainingData, tmp_path: Path) -> None:
    by_heart = replace(data, val=data.train)
    settings = {"max_epochs": 25, "d_model": 16, "batch_size": 8, **NO_CHANCE}
    result, checkpoint = run(tmp_path, by_heart, **settings)
    metrics = read_metrics(tmp_path / "metrics.csv")
    assert metrics[0]["val/gcode_acc"] < 0.5
    assert result.best_value > 0.97
    assert metrics[-1]["val/operation_acc"] == 1.0
    # And the blocks are told by the signals, so that other recordings are read as well.
    assert validate(checkpoint.network, tiny(), data.val)["val/gcode_acc"] > 0.8


@pytest.mark.parametrize(("name", "rate"), [("adam", 0.01), ("adamw", 0.01), ("sgd", 0.1)])
def test_every_optimizer_learns(data: TrainingData, tmp_path: Path, name: str, rate: float) -> None:
    run(tmp_path, data, optimizer=name, learning_rate=rate, max_epochs=12, **NO_CHANCE)
    loss = [row["val/loss"] for row in read_metrics(tmp_path / "metrics.csv")]
    assert loss[-1] < 0.6 * loss[0]


def test_a_run_logs_exactly_the_metrics_that_a_sweep_can_ask_for(
    data: TrainingData, tmp_path: Path
) -> None:
    run(tmp_path, data, max_epochs=2)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [list(row) for row in rows] == [["epoch", *METRICS, "seconds"]] * 2
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(0 <= v <= 1 for row in rows for k, v in row.items() if k.endswith("_acc"))
    for split in ("train", "val"):
        total = sum(v for k, v in rows[0].items() if k.startswith(split) and k.endswith("_loss"))
        assert total == pytest.approx(rows[0][f"{split}/loss"], rel=1e-5)


def test_what_the_train_split_never_had_is_not_learnt_and_never_right(tmp_path: Path) -> None:
    val = tiny_split(RECORDINGS["val"])
    strange = with_blocks(val, np.full(len(val.block), "G5 P9 Q9 X2 Y1"))
    strange = replace(strange, operation=np.full_like(val.operation, UNSEEN))
    result, _ = run(tmp_path, tiny_data(tmp_path / "data", val=strange), max_epochs=2)
    row = read_metrics(tmp_path / "metrics.csv")[-1]
    assert result.best_value == row["val/command_acc"] == row["val/operation_acc"] == 0
    assert row["val/command_loss"] == row["val/operation_loss"] == 0
    assert row["val/token_type_loss"] > 0


# The same and other runs


def test_the_seed_decides_every_bit(data: TrainingData, tmp_path: Path) -> None:
    settings = {"max_epochs": 2, "dropout": 0.3}
    runs = [run(tmp_path / str(i), data, seed=seed, **settings) for i, seed in enumerate((1, 1, 2))]
    rows = [read_metrics(tmp_path / str(i) / "metrics.csv") for i in range(3)]
    kept = [[{k: r[k] for k in METRICS} for r in of] for of in rows]
    assert kept[0] == kept[1] != kept[2]
    assert same_weights(weights(runs[0][1]), weights(runs[1][1]))
    assert not same_weights(weights(runs[0][1]), weights(runs[2][1]))


CHANGED: dict[str, Any] = {
    "learning_rate": 0.01,
    "batch_size": 8,
    "d_model": 12,
    "nhead": 4,
    "num_layers": 2,
    "dropout": 0.5,
    "weight_decay": 0.5,
    "augmentation_prob": 0.5,
    "noise_std": 0.1,
    "max_epochs": 3,
    "label_smoothing": 0.2,
    "grad_clip": 0.01,
    "optimizer": "adam",
    "momentum": 0.5,
    "command_weight": 5.0,
    "rows_per_window": 3,
    "seed": 7,
}


@pytest.fixture(scope="module")
def as_they_are(
    data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Tensor]]:
    """The weights after two epochs of each optimizer that a change is compared with."""
    return {
        name: weights(run(tmp_path_factory.mktemp(name), data, max_epochs=2, optimizer=name)[1])
        for name in ("adamw", "sgd")
    }


@pytest.mark.parametrize("name", KNOWN)
def test_every_hyperparameter_changes_the_weights(
    data: TrainingData,
    tmp_path: Path,
    as_they_are: dict[str, dict[str, Tensor]],
    name: str,
) -> None:
    optimizer = "sgd" if name == "momentum" else "adamw"
    changed = {"max_epochs": 2, "optimizer": optimizer, name: CHANGED[name]}
    _, checkpoint = run(tmp_path, data, **changed)
    assert not same_weights(weights(checkpoint), as_they_are[optimizer])


def test_momentum_is_of_sgd_alone(
    data: TrainingData, tmp_path: Path, as_they_are: dict[str, dict[str, Tensor]]
) -> None:
    _, checkpoint = run(tmp_path, data, max_epochs=2, momentum=0.1)
    assert same_weights(weights(checkpoint), as_they_are["adamw"])


def test_without_weight_the_command_head_learns_nothing(data: TrainingData, tmp_path: Path) -> None:
    started = untrained(data, seed=3).state_dict()
    _, checkpoint = run(tmp_path, data, seed=3, command_weight=0.0, weight_decay=0.0)
    ended = weights(checkpoint)
    same = {name for name in ended if torch.equal(ended[name], started[name])}
    assert same == {"command_head.weight", "command_head.bias"}


def test_grad_clip_bounds_each_step(data: TrainingData, tmp_path: Path) -> None:
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "max_epochs": 1}
    clip, rate = 1e-3, 0.5
    _, checkpoint = run(tmp_path, data, grad_clip=clip, learning_rate=rate, **settings)
    started = dict(untrained(data).named_parameters())
    moved = {n: p - started[n] for n, p in checkpoint.network.named_parameters()}
    steps = -(-len(data.train.starts) // tiny().batch_size)
    distance = sum(m.square().sum().item() for m in moved.values()) ** 0.5
    assert 0.1 * rate * clip < distance <= 1.01 * rate * clip * steps


def test_weight_decay_shrinks_matrices_only(data: TrainingData, tmp_path: Path) -> None:
    settings = {"max_epochs": 2, "grad_clip": 1e-12, "learning_rate": 0.1, "optimizer": "sgd"}
    started = dict(untrained(data).named_parameters())
    _, checkpoint = run(tmp_path, data, weight_decay=0.9, **settings)
    for name, parameter in checkpoint.network.named_parameters():
        matrix = parameter.ndim >= 2 and not hasattr(
            getattr(checkpoint.network, name.split(".")[0]), "num_embeddings"
        )
        shrunk = parameter.norm() < 0.99 * started[name].norm()
        assert shrunk == matrix, name


# The best epoch


@pytest.mark.parametrize(("goal", "best"), [("maximize", max), ("minimize", min)])
def test_the_checkpoint_is_the_best_epoch_s_by_the_goal(
    data: TrainingData, tmp_path: Path, goal: str, best: Any
) -> None:
    result, checkpoint = run(tmp_path, data, Objective("val/loss", goal), **NO_CHANCE)
    values = [row["val/loss"] for row in read_metrics(tmp_path / "metrics.csv")]
    assert result.best_value == checkpoint.value == best(values)
    assert result.best_epoch == checkpoint.epoch == values.index(best(values)) + 1
    scored = validate(checkpoint.network, checkpoint.hyperparameters, data.val)
    assert scored["val/loss"] == result.best_value
    assert asdict(checkpoint.hyperparameters) == asdict(tiny(**NO_CHANCE))
    assert result.epochs == 4
    # The loss falls here, so that the most is the first epoch's and not the last's.
    assert (result.best_epoch == 1) == (goal == "maximize")


def test_of_equal_epochs_the_first_is_the_best(data: TrainingData, tmp_path: Path) -> None:
    result, _ = run(tmp_path, data, learning_rate=1e-12, max_epochs=3)
    values = [row["val/gcode_acc"] for row in read_metrics(tmp_path / "metrics.csv")]
    assert len(set(values)) == 1
    assert result.best_epoch == 1


# Runs that end early


def test_a_report_that_says_so_stops_the_run(data: TrainingData, tmp_path: Path) -> None:
    told: list[int] = []

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        told.append(epoch)
        return epoch == 2

    result = train(tiny(), data, GCODE, tmp_path, report, CPU)
    assert (result.stopped, result.epochs, told) == (True, 2, [1, 2])
    assert len(read_metrics(tmp_path / "metrics.csv")) == 2
    assert read_checkpoint(tmp_path / "checkpoint.pt", CPU).epoch == result.best_epoch
    # Stopped at its last epoch it did all that it was asked for.
    result = train(tiny(max_epochs=2), data, GCODE, tmp_path / "full", report, CPU)
    assert (result.stopped, result.epochs) == (False, 2)


@pytest.mark.parametrize("where", ["train", "val"])
def test_a_loss_that_is_not_finite_ends_the_run(
    data: TrainingData, tmp_path: Path, where: str
) -> None:
    signals = {"train": data.train, "val": data.val}[where].signals
    infinite = torch.where(signals > 2.0, torch.inf, signals)
    broken = replace(data, **{where: replace(getattr(data, where), signals=infinite)})
    with pytest.raises(Diverged, match=f"{where}/loss is (nan|inf) in epoch 1"):
        run(tmp_path, broken)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_too_large_a_learning_rate_diverges(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"loss is (nan|inf) in epoch \d"):
        run(tmp_path, data, learning_rate=1e30, optimizer="sgd", grad_clip=1e30)
