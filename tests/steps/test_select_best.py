"""The command `python -m gcodefp.select_best`: the ranking, and what is checked before a winner."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_sweep import TinySweep, tiny_dataset

from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.ranking import EndedRun, ended_runs, ranked
from gcodefp.sweeps.run_folder import RunFolder, run_folder

LOSS = {"name": "val/loss", "goal": "minimize"}
RATES = {"learning_rate": {"values": [1e30, 0.001, 0.02]}, "optimizer": {"value": "sgd"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """Two good runs and, as the first, one that fails."""
    folder = tmp_path_factory.mktemp("trained")
    sweep = TinySweep(tiny_dataset(folder), folder / "sweep")
    assert sweep.create(metric=LOSS, parameters=RATES) == 0
    assert sweep.work() == 0
    return sweep


@pytest.fixture
def sweep(trained: TinySweep, tmp_path: Path) -> TinySweep:
    """A copy that a test may change."""
    shutil.copytree(trained.folder, tmp_path / "sweep")
    return TinySweep(trained.dataset, tmp_path / "sweep")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def change(run: RunFolder, **content: Any) -> None:
    path = run.path / "run.json"
    path.write_text(json.dumps((run.read_outcome() or {}) | content), encoding="utf-8")


def best_of(sweep: TinySweep) -> int:
    return min((1, 2), key=lambda n: (sweep.run(n).read_outcome() or {})["best_value"])


def test_winner_and_tables_are_written(sweep: TinySweep) -> None:
    assert sweep.select() == 0
    best, winner = sweep.folder / "best", best_of(sweep)
    content = json.loads((best / "run.json").read_text(encoding="utf-8"))
    assert content["run"] == f"000{winner}"
    assert content["best_value"] == pytest.approx(content["scored_again"], rel=1e-4)
    assert content["hyperparameters"]["learning_rate"] == (0.001, 0.02)[winner - 1]
    assert (content["metric"], content["goal"], content["runs"]) == ("val/loss", "minimize", 3)
    checkpoint = sweep.run(winner).path / "checkpoint.pt"
    assert (best / "checkpoint.pt").read_bytes() == checkpoint.read_bytes()
    rows = rows_of(best / "runs.csv")
    assert [row["run"] for row in rows] == [f"000{winner}", f"000{3 - winner}", "0000"]
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert (rows[2]["failure"], rows[2]["best_value"]) == ("diverged", "")
    assert float(rows[2]["learning_rate"]) == 1e30
    curves = rows_of(best / "curves.csv")
    assert [(row["run"], row["epoch"]) for row in curves] == [
        ("0001", "1"), ("0001", "2"), ("0002", "1"), ("0002", "2"),
    ]  # fmt: skip
    written = read_metrics(sweep.run(2).path / "metrics.csv")
    assert float(curves[-1]["val/loss"]) == written[-1]["val/loss"]
    before = (best / "runs.csv").read_bytes()
    assert sweep.select() == 0
    assert (best / "runs.csv").read_bytes() == before


@pytest.mark.parametrize("left", ["half done", "not started", "not assigned", "no runs"])
def test_incomplete_sweep_is_an_error(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    run = sweep.run(2)
    (run.path / "run.json").unlink()
    if left != "half done":
        shutil.rmtree(run.path if left != "no runs" else sweep.folder / "runs")
    if left == "not assigned":
        run.path.mkdir()
    assert sweep.select() == 1
    message, count = capsys.readouterr().err, 3 if left == "no runs" else 1
    for part in (str(run.path.parent), f"{count} runs are not over", "0002", "snakemake --cores"):
        assert part in message
    assert not (sweep.folder / "best").exists()


def test_space_that_ended_early_is_complete(trained: TinySweep, tmp_path: Path) -> None:
    sweep = TinySweep(trained.dataset, tmp_path / "small")
    assert sweep.create(method="random", run_cap=4) == 0
    assert sweep.work() == 0
    assert not sweep.run(2).assigned()
    assert sweep.select() == 0
    assert len(rows_of(sweep.folder / "best/runs.csv")) == 2


def test_runs_beyond_a_smaller_total_do_not_count(sweep: TinySweep) -> None:
    assert sweep.create("--run-cap", "2", metric=LOSS, parameters=RATES) == 0
    change(sweep.run(2), best_value=-9.0)
    assert sweep.select() == 0
    assert [row["run"] for row in rows_of(sweep.folder / "best/runs.csv")] == ["0001", "0000"]


def test_changed_weights_are_refused(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    path = sweep.run(best_of(sweep)).path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    random = torch.Generator().manual_seed(0)
    for name, value in content["weights"].items():
        if value.is_floating_point() and "head" in name:
            content["weights"][name] = torch.randn(value.shape, generator=random)
    torch.save(content, path)
    assert sweep.select() == 1
    message = capsys.readouterr().err
    for part in (str(path), "val/loss", "scored again", f"remove {path.parent}"):
        assert part in message
    assert not (sweep.folder / "best").exists()


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("best_epoch", 1), ("best_value", 1e-9), ("learning_rate", 0.003), ("seed", 9)],
)
def test_checkpoint_of_another_run_is_refused(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str], key: str, wrong: float
) -> None:
    """Its value is near enough for the score."""
    path = sweep.run(best_of(sweep)).path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    if key.startswith("best"):
        key, wrong = key.removeprefix("best_"), content["value"] + wrong if wrong < 1 else 1
        assert content[key] != wrong
        content[key] = wrong
    else:
        content["hyperparameters"][key] = wrong
    torch.save(content, path)
    assert sweep.select() == 1
    message = capsys.readouterr().err
    for part in (str(path), key, "another run's checkpoint", f"remove {path.parent}"):
        assert part in message


def test_no_winner_if_all_runs_failed(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2):
        change(sweep.run(number), state="failed", reason="cheese", best_value=None)
    assert sweep.select() == 1
    message = capsys.readouterr().err
    assert "no run was trained to its end" in message
    assert "0000, is: failed, train/loss is nan" in message


def test_stopped_run_does_not_win(sweep: TinySweep) -> None:
    better = best_of(sweep)
    change(sweep.run(better), state="stopped")
    assert sweep.select() == 0
    rows = rows_of(sweep.folder / "best/runs.csv")
    assert [row["state"] for row in rows] == ["finished", "stopped", "failed"]
    assert rows[0]["run"] == f"000{3 - better}"


def run(number: int, value: float | None, parameters: int = 10, state: str = "finished") -> Any:
    content = {"state": state, "best_value": value, "parameters": parameters}
    return EndedRun(run_folder(Path("sweep"), number), content, number)


FAILED_LAST = [run(0, None, state="failed"), run(1, 0.5), run(2, 0.9, state="stopped"),
               run(3, -1.0), run(4, None, state="failed")]  # fmt: skip
TIES = [run(5, 0.5, 20), run(2, 0.5, 20), run(7, 0.5, 10), run(9, 0.5, 10)]


@pytest.mark.parametrize(
    ("runs", "goal", "numbers"),
    [
        (FAILED_LAST, "maximize", [1, 3, 2, 0, 4]),
        (FAILED_LAST, "minimize", [3, 1, 2, 0, 4]),
        (TIES, "maximize", [7, 9, 2, 5]),
        (TIES, "minimize", [7, 9, 2, 5]),
    ],
)
def test_ranking_is_by_state_value_size_and_number(
    runs: list[EndedRun], goal: str, numbers: list[int]
) -> None:
    ranking = ranked(runs[::-1], Objective("val/loss", goal))
    assert [ended.folder.number for ended in ranking] == numbers


def test_only_ended_runs_are_listed(sweep: TinySweep) -> None:
    (sweep.run(1).path / "run.json").unlink()
    folder = sweep.run(0).path.parent
    (folder / "notes.txt").write_text("other file", encoding="utf-8")
    assert [ended.folder.number for ended in ended_runs(folder, 3)] == [0, 2]
    assert ended_runs(folder.with_name("none"), 3) == []
