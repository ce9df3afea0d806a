"""A run that is cut off goes on as if nothing had happened."""

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from learning_data import RECORDINGS as NAMES
from learning_data import TINY, shuffled, tiny, tiny_data, tiny_split, write_dataset
from same_runs import check_same_folder

from gcodefp.errors import UserError
from gcodefp.model import trainer
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import (
    append_metrics,
    append_work,
    read_metrics,
    read_work,
    truncate_metrics,
)
from gcodefp.model.trainer import TrainingData, TrainingResult, train

GCODE = Objective("val/gcode_acc", "maximize")
RANDOMNESS = {"dropout": 0.2, "augmentation_prob": 0.5, "optimizer": "adamw"}
Rows = list[dict[str, float]]


class Killed(BaseException):
    """Stands for SIGKILL: no code catches it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


def run(
    folder: Path, data: TrainingData, kill_at: int = 0, **changed: Any
) -> tuple[TrainingResult, Rows]:
    """Trains, killed in the report of epoch `kill_at`; the rows are those reported."""
    rows: Rows = []

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        assert epoch == metrics["epoch"]
        rows.append({k: v for k, v in metrics.items() if k != "seconds"})
        if epoch == kill_at:
            raise Killed
        return False

    return train(tiny(**RANDOMNESS, **changed), data, GCODE, folder, report), rows


@pytest.fixture(scope="module")
def undisturbed(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, data)
    return folder


def kill_in(monkeypatch: pytest.MonkeyPatch, name: str, when: Callable[[Any], bool]) -> None:
    """Lets a function of the trainer die before it does anything, when its last argument says."""
    original = getattr(trainer, name)

    def dying(*arguments: Any) -> Any:
        if when(arguments[-1]):
            raise Killed
        return original(*arguments)

    monkeypatch.setattr(trainer, name, dying)


# Killed and started again


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_run_killed_between_epochs(
    data: TrainingData, tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RANDOMNESS, "optimizer", optimizer)
    whole, rows = run(tmp_path / "whole", data)
    for epoch in (2, 3):
        with pytest.raises(Killed):
            run(tmp_path / "killed", data, kill_at=epoch)
    result, resumed_rows = run(tmp_path / "killed", data)
    check_same_folder(tmp_path / "whole", tmp_path / "killed")
    assert resumed_rows == rows, "earlier epochs are reported too, once each"
    work = read_work(tmp_path / "killed" / "work.csv")
    assert [moment["epoch"] for moment in work] == [0, 1, 2, 2, 3, 3, *range(4, 1 + whole.epochs)]
    assert {(moment["host"], moment["pid"]) for moment in work} == {(platform.node(), os.getpid())}
    assert work == sorted(work, key=lambda moment: moment["utc_seconds"])
    assert result.seconds > 0
    for field in ("stopped", "epochs", "best_epoch", "best_value", "weight_count"):
        assert getattr(result, field) == getattr(whole, field)


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("write_torch", lambda content: content["state"]["epoch"] == 3),
        ("write_torch", lambda content: content["state"]["epoch"] == 1),
        ("append_metrics", lambda row: row["epoch"] == 3),
        ("write_checkpoint", lambda value: True),
    ],
)
def test_run_killed_between_two_files(
    data: TrainingData,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    when: Callable[[Any], bool],
) -> None:
    with monkeypatch.context() as patch:
        kill_in(patch, name, when)
        with pytest.raises(Killed):
            run(tmp_path, data)
    assert not (tmp_path / "checkpoint.pt").exists()
    run(tmp_path, data)
    check_same_folder(undisturbed, tmp_path)


@pytest.mark.parametrize("left", [1, 40, -2, -1])
def test_run_killed_while_it_wrote_a_line(
    data: TrainingData, tmp_path: Path, undisturbed: Path, left: int
) -> None:
    with pytest.raises(Killed):
        run(tmp_path, data, kill_at=2)
    path = tmp_path / "metrics.csv"
    line = (undisturbed / "metrics.csv").read_text().splitlines(keepends=True)[3]
    path.write_text(path.read_text() + line[:left])
    assert len(read_metrics(path)) == 2
    run(tmp_path, data)
    check_same_folder(undisturbed, tmp_path)


@pytest.mark.parametrize("written", ["", "epo", "epoch,train/loss\n", "epoch,train/loss\n1,0."])
def test_run_killed_while_it_wrote_its_first_line(
    data: TrainingData, tmp_path: Path, undisturbed: Path, written: str
) -> None:
    (tmp_path / "metrics.csv").write_text(written)
    names = (".last.pt.17.tmp", ".metrics.csv.18.tmp", ".checkpoint.pt.19.tmp")
    for name in (*names, ".lease.20.tmp"):
        (tmp_path / name).write_bytes(b"half")
    run(tmp_path, data)
    check_same_folder(undisturbed, tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    expected = {"last.pt", "metrics.csv", "work.csv", "checkpoint.pt", ".lease.20.tmp"}
    assert files == expected, "half-written files of the trainer are removed, no others"


def test_run_that_is_over_is_the_same_when_started_again(
    data: TrainingData, tmp_path: Path, undisturbed: Path
) -> None:
    first, _ = run(tmp_path, data)
    second, rows = run(tmp_path, data)
    assert second == first
    assert len(rows) == TINY["max_epochs"]
    check_same_folder(undisturbed, tmp_path)


def test_run_stopped_and_killed_before_its_checkpoint_stays_stopped(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(epoch: int, metrics: Mapping[str, float]) -> bool:
        return epoch == 2

    with monkeypatch.context() as patch:
        kill_in(patch, "write_checkpoint", lambda value: True)
        with pytest.raises(Killed):
            train(tiny(), data, GCODE, tmp_path, stop)
    result = train(tiny(), data, GCODE, tmp_path, stop)
    assert (result.stopped, result.epochs) == (True, 2)
    assert len(read_metrics(tmp_path / "metrics.csv")) == 2


# Another run's state


def test_state_of_another_run_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, data, kill_at=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    train_split = shuffled(tiny_split(NAMES["train"]))
    other_data = tiny_data(tmp_path.parent / f"{tmp_path.name}_data", train=train_split)
    message = r"last\.pt: belongs to a run with other .* choose another folder"
    with pytest.raises(UserError, match=message):
        run(tmp_path, data, learning_rate=0.021)
    with pytest.raises(UserError, match=message):
        run(tmp_path, other_data)
    # Its best value is one of another metric.
    loss = Objective("val/loss", "minimize")
    with pytest.raises(UserError, match=message):
        train(tiny(**RANDOMNESS), data, loss, tmp_path, lambda *_: False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_run_goes_on_with_an_equal_dataset(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "run", data, kill_at=2)
    write_dataset(tmp_path / "data")
    run(tmp_path / "run", tiny_data(tmp_path / "data"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"nonsense" * 99])
def test_torn_state_is_an_error(data: TrainingData, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"last\.pt: is not a gcodefp checkpoint"):
        run(tmp_path, data)


# work.csv and metrics.csv


@pytest.mark.parametrize("line", ["", "utc_sec", "1.8e9,he", "\0\0\0", "1.8e9,here,7,1\n1.8"])
def test_cut_line_of_work_costs_itself_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / "work.csv"
    path.write_text(line)
    append_work(path, 2)
    append_work(path, 3)
    assert [moment["epoch"] for moment in read_work(path)][-2:] == [2, 3]
    assert len(read_work(path)) == 2 + line.count("\n")


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    rows = [{"epoch": i, "a/b": 1 / 3 * i, "c": 1e-300 * i} for i in range(1, 5)]
    for row in rows:
        append_metrics(path, row)
    text = path.read_text()
    assert read_metrics(path) == rows
    assert truncate_metrics(path, 9) == rows
    assert path.read_text() == text
    assert truncate_metrics(path, 2) == read_metrics(path) == rows[:2]
    append_metrics(path, rows[2])
    append_metrics(path, rows[3])
    assert path.read_text() == text
    assert truncate_metrics(path, 0) == []
    assert not path.exists()
