from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import (
    CPU,
    RECORDINGS,
    of_no_program,
    tiny,
    tiny_data,
    tiny_split,
    with_blocks,
)
from training_runs import GCODE, run, same_weights, weights

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.model.epoch import validate
from gcodefp.model.hyperparameters import METRICS, Objective
from gcodefp.model.run_files import read_metrics
from gcodefp.model.trainer import Diverged, TrainingData, train

NO_CHANCE = {"dropout": 0.0, "augmentation_prob": 0.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


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
    run(tmp_path, data, optimizer=name, learning_rate=rate, max_epochs=24, **NO_CHANCE)
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
    strange = replace(of_no_program(strange), operation=np.full_like(val.operation, UNSEEN))
    result, _ = run(tmp_path, tiny_data(tmp_path / "data", val=strange), max_epochs=2)
    row = read_metrics(tmp_path / "metrics.csv")[-1]
    assert result.best_value == row["val/command_acc"] == row["val/operation_acc"] == 0
    assert row["val/command_loss"] == row["val/operation_loss"] == 0
    assert row["val/place_loss"] == row["val/place_acc"] == row["val/aligned_acc"] == 0
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

    result = train(tiny(), data, GCODE, tmp_path, report)
    assert (result.stopped, result.epochs, told) == (True, 2, [1, 2])
    assert len(read_metrics(tmp_path / "metrics.csv")) == 2
    assert read_checkpoint(tmp_path / "checkpoint.pt", CPU).epoch == result.best_epoch
    # Stopped at its last epoch it did all that it was asked for.
    result = train(tiny(max_epochs=2), data, GCODE, tmp_path / "full", report)
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
