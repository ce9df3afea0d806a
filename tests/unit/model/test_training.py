"""Training runs: they learn, are reproducible, keep the best epoch and end early."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import CPU, RECORDINGS, of_no_program, tiny, tiny_data, tiny_split, with_blocks
from numpy.typing import NDArray
from training_runs import GCODE, run, same_weights, weights

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.errors import UserError
from gcodefp.model.checkpoint import FORMAT, read_checkpoint, read_torch, write_torch
from gcodefp.model.epoch import validate
from gcodefp.model.hyperparameters import LOGGED_METRICS, Objective
from gcodefp.model.network import OLD_WEIGHT_NAMES
from gcodefp.model.run_files import Row, read_metrics
from gcodefp.model.trainer import Diverged, TrainingData, train

PLAIN = {"dropout": 0.0, "augmentation_prob": 0.0}


def logged(folder: Path) -> list[Row]:
    return read_metrics(folder / "metrics.csv")


def test_a_small_dataset_is_learnt_and_generalises(data: TrainingData, tmp_path: Path) -> None:
    changed = {"max_epochs": 25, "d_model": 16, "batch_size": 8, **PLAIN}
    result, checkpoint = run(tmp_path, replace(data, val=data.train), **changed)
    metrics = logged(tmp_path)
    assert metrics[0]["val/gcode_acc"] < 0.5
    assert result.best_value > 0.97
    assert metrics[-1]["val/operation_acc"] == 1.0
    assert validate(checkpoint.network, tiny(), data.val)["val/gcode_acc"] > 0.8


@pytest.mark.parametrize(
    ("name", "rate"), [("adam", 0.01), ("adamw", 0.01), ("sgd", 0.1), ("rmsprop", 0.003)]
)
def test_every_optimizer_learns(data: TrainingData, tmp_path: Path, name: str, rate: float) -> None:
    run(tmp_path, data, optimizer=name, learning_rate=rate, max_epochs=24, **PLAIN)
    loss = [row["val/loss"] for row in logged(tmp_path)]
    assert loss[-1] < 0.6 * loss[0]


def test_a_run_logs_all_metrics_in_their_order(data: TrainingData, tmp_path: Path) -> None:
    run(tmp_path, data, max_epochs=2)
    rows = logged(tmp_path)
    assert [list(row) for row in rows] == [["epoch", *LOGGED_METRICS, "seconds"]] * 2
    assert [row["epoch"] for row in rows] == [1, 2]
    assert all(0 <= v <= 1 for row in rows for k, v in row.items() if k.endswith("_acc"))
    for split in ("train", "val"):
        total = sum(v for k, v in rows[0].items() if k.startswith(split) and k.endswith("_loss"))
        assert total == pytest.approx(rows[0][f"{split}/loss"], rel=1e-5)


def test_classes_without_train_rows_have_no_loss_and_are_never_correct(tmp_path: Path) -> None:
    val = tiny_split(RECORDINGS["val"])
    unseen = with_blocks(val, np.full(len(val.block), "G5 P9 Q9 X2 Y1"))
    unseen = replace(of_no_program(unseen), operation=np.full_like(val.operation, UNSEEN))
    result, _ = run(tmp_path, tiny_data(tmp_path / "data", val=unseen), max_epochs=2)
    row = logged(tmp_path)[-1]
    zero = ("command_acc", "operation_acc", "command_loss", "operation_loss")
    zero += ("place_loss", "place_acc", "aligned_acc")
    assert result.best_value == 0
    assert {row[f"val/{name}"] for name in zero} == {0}
    assert row["val/token_type_loss"] > 0


def test_the_seed_decides_every_bit(data: TrainingData, tmp_path: Path) -> None:
    seeds = {"a": 1, "b": 1, "c": 2}
    runs = {
        name: weights(run(tmp_path / name, data, seed=seed, max_epochs=2, dropout=0.3)[1])
        for name, seed in seeds.items()
    }
    rows = {n: [{k: row[k] for k in LOGGED_METRICS} for row in logged(tmp_path / n)] for n in seeds}
    assert rows["a"] == rows["b"] != rows["c"]
    assert same_weights(runs["a"], runs["b"])
    assert not same_weights(runs["a"], runs["c"])


@pytest.mark.parametrize(("goal", "best"), [("maximize", max), ("minimize", min)])
def test_the_checkpoint_is_of_the_best_epoch_by_the_goal(
    data: TrainingData, tmp_path: Path, goal: str, best: Any
) -> None:
    result, checkpoint = run(tmp_path, data, Objective("val/loss", goal), **PLAIN)
    values = [row["val/loss"] for row in logged(tmp_path)]
    assert result.best_value == checkpoint.value == best(values)
    assert result.best_epoch == checkpoint.epoch == values.index(best(values)) + 1
    metrics = validate(checkpoint.network, checkpoint.hyperparameters, data.val)
    assert metrics["val/loss"] == result.best_value
    assert asdict(checkpoint.hyperparameters) == asdict(tiny(**PLAIN))
    assert result.epochs == 4
    # The loss falls here, so that its maximum is the first epoch's.
    assert (result.best_epoch == 1) == (goal == "maximize")


def test_checkpoints_of_earlier_versions_are_loaded(data: TrainingData, tmp_path: Path) -> None:
    _, checkpoint = run(tmp_path, data, max_epochs=1)
    path = tmp_path / "checkpoint.pt"
    content = read_torch(path, FORMAT, CPU)
    earlier = {name: name_before for name_before, name in OLD_WEIGHT_NAMES.items()}
    for name in list(content["weights"]):
        first, dot, rest = name.partition(".")
        weight = content["weights"].pop(name)
        content["weights"][earlier.get(first, first) + dot + rest] = weight
    assert {"place_head.bias", "writer.norm.bias"} <= content["weights"].keys()
    channels = len(content["programs"].pop("noise"))
    content["programs"]["weight"] = torch.full((len(content["programs"]["names"]), channels), 2.0)
    write_torch(path, content)
    read = read_checkpoint(path, CPU)
    assert same_weights(weights(read), weights(checkpoint))
    np.testing.assert_allclose(read.description.programs.noise, np.eye(channels) / 4)


ODD_NOISE = {
    "negative": lambda noise: -noise,
    "zero": lambda noise: 0 * noise,
    "two rows alike": lambda noise: noise[[1, 1, *range(2, len(noise))]],
    "not positive": lambda noise: noise + 9 * np.eye(len(noise))[::-1],
    "tiny": lambda noise: noise * 1e-30,
}


@pytest.mark.parametrize("change", ODD_NOISE.values(), ids=ODD_NOISE)
def test_noise_that_is_no_covariance_is_refused(
    data: TrainingData, tmp_path: Path, change: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    run(tmp_path, data, max_epochs=1)
    path = tmp_path / "checkpoint.pt"
    content = read_torch(path, FORMAT, CPU)
    noise = content["programs"]["noise"].numpy()
    content["programs"]["noise"] = torch.as_tensor(change(noise))
    write_torch(path, content)
    with pytest.raises(UserError, match="noise is no covariance"):
        read_checkpoint(path, CPU)


def test_a_report_stops_the_run(data: TrainingData, tmp_path: Path) -> None:
    reported: list[int] = []

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        reported.append(epoch)
        return epoch == 2

    result = train(tiny(), data, GCODE, tmp_path, report)
    assert (result.stopped, result.epochs, reported) == (True, 2, [1, 2])
    assert len(logged(tmp_path)) == 2
    assert read_checkpoint(tmp_path / "checkpoint.pt", CPU).epoch == result.best_epoch
    # A run that is stopped in its last epoch is complete.
    result = train(tiny(max_epochs=2), data, GCODE, tmp_path / "full", report)
    assert (result.stopped, result.epochs) == (False, 2)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_loss_that_is_not_finite_ends_the_run(
    data: TrainingData, tmp_path: Path, split: str
) -> None:
    tensors = getattr(data, split)
    infinite = torch.where(tensors.signals > 2.0, torch.inf, tensors.signals)
    broken = replace(data, **{split: replace(tensors, signals=infinite)})
    with pytest.raises(Diverged, match=f"{split}/loss is (nan|inf) in epoch 1"):
        run(tmp_path, broken)
    assert not (tmp_path / "checkpoint.pt").exists()
