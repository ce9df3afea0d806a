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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """Two good runs and, as the first, one that fails."""
    folder = tmp_path_factory.mktemp("trained")
    sweep = TinySweep(tiny_dataset(folder), folder / "sweep")
    rates = {"learning_rate": {"values": [1e30, 0.001, 0.02]}, "optimizer": {"value": "sgd"}}
    assert sweep.create(metric=LOSS, parameters=rates) == 0
    assert sweep.work() == 0
    return sweep


@pytest.fixture
def sweep(trained: TinySweep, tmp_path: Path) -> TinySweep:
    """A copy to be spoilt."""
    shutil.copytree(trained.folder, tmp_path / "sweep")
    return TinySweep(trained.dataset, tmp_path / "sweep")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def change(run: RunFolder, **content: Any) -> None:
    path = run.path / "run.json"
    path.write_text(json.dumps((run.ended() or {}) | content), encoding="utf-8")


def test_the_winner_and_all_runs_are_written(sweep: TinySweep) -> None:
    assert sweep.select() == 0
    best = sweep.folder / "best"
    content = json.loads((best / "run.json").read_text(encoding="utf-8"))
    losses = {n: (sweep.run(n).ended() or {})["best_value"] for n in (1, 2)}
    winner = min(losses, key=lambda n: losses[n])
    other = 3 - winner
    assert content["run"] == f"000{winner}"
    assert content["best_value"] == pytest.approx(content["scored_again"], rel=1e-4)
    assert content["hyperparameters"]["learning_rate"] == (0.001, 0.02)[winner - 1]
    assert (content["metric"], content["goal"], content["runs"]) == ("val/loss", "minimize", 3)
    checkpoint = sweep.run(winner).path / "checkpoint.pt"
    assert (best / "checkpoint.pt").read_bytes() == checkpoint.read_bytes()
    rows = rows_of(best / "runs.csv")
    assert [row["run"] for row in rows] == [f"000{winner}", f"000{other}", "0000"]
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert rows[2]["failure"] == "diverged"
    assert rows[2]["best_value"] == ""
    assert float(rows[2]["learning_rate"]) == 1e30
    curves = rows_of(best / "curves.csv")
    assert [(row["run"], row["epoch"]) for row in curves] == [
        ("0001", "1"), ("0001", "2"), ("0002", "1"), ("0002", "2"),
    ]  # fmt: skip
    written = read_metrics(sweep.run(2).path / "metrics.csv")
    assert float(curves[-1]["val/loss"]) == written[-1]["val/loss"]


def test_the_same_again_gives_the_same(sweep: TinySweep) -> None:
    assert sweep.select() == 0
    before = (sweep.folder / "best/runs.csv").read_bytes()
    assert sweep.select() == 0
    assert (sweep.folder / "best/runs.csv").read_bytes() == before


@pytest.mark.parametrize("left", ["half done", "never begun", "not given"])
def test_an_incomplete_sweep_is_told_with_the_command(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    run = sweep.run(2)
    (run.path / "run.json").unlink()
    if left != "half done":
        shutil.rmtree(run.path)
    if left == "not given":
        run.path.mkdir()
    assert sweep.select() == 1
    message = capsys.readouterr().err
    for part in (str(run.path.parent), "1 runs are not over", "0002", "snakemake --cores all"):
        assert part in message
    assert not (sweep.folder / "best").exists()


def test_a_sweep_without_runs_is_told(sweep: TinySweep, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(sweep.folder / "runs")
    assert sweep.select() == 1
    assert "3 runs are not over" in capsys.readouterr().err


def test_a_space_that_ended_early_is_complete(trained: TinySweep, tmp_path: Path) -> None:
    sweep = TinySweep(trained.dataset, tmp_path / "small")
    assert sweep.create(method="random", run_cap=4) == 0
    assert sweep.work() == 0
    assert not sweep.run(2).asked()
    assert sweep.select() == 0
    assert len(rows_of(sweep.folder / "best/runs.csv")) == 2


def test_runs_beyond_a_smaller_total_do_not_count(sweep: TinySweep) -> None:
    assert sweep.create("--run-cap", "2", metric=LOSS, parameters={
        "learning_rate": {"values": [1e30, 0.001, 0.02]}, "optimizer": {"value": "sgd"},
    }) == 0  # fmt: skip
    change(sweep.run(2), best_value=-9.0)
    assert sweep.select() == 0
    assert [row["run"] for row in rows_of(sweep.folder / "best/runs.csv")] == ["0001", "0000"]


def test_weights_that_are_not_what_they_say_are_refused(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep.select() == 0
    winner = json.loads((sweep.folder / "best/run.json").read_text(encoding="utf-8"))["run"]
    path = sweep.run(int(winner)).path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    random = torch.Generator().manual_seed(0)
    for name, value in content["weights"].items():
        if value.is_floating_point() and "head" in name:
            content["weights"][name] = torch.randn(value.shape, generator=random)
    torch.save(content, path)
    shutil.rmtree(sweep.folder / "best")
    capsys.readouterr()
    assert sweep.select() == 1
    message = capsys.readouterr().err
    for part in (str(path), "val/loss", "scored again", f"remove {path.parent}"):
        assert part in message
    assert not (sweep.folder / "best").exists()


def test_a_torn_or_missing_checkpoint_is_told(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        path = sweep.run(number).path / "checkpoint.pt"
        path.write_bytes(path.read_bytes()[:1000])
    assert sweep.select() == 1
    assert "checkpoint.pt: is not a gcodefp checkpoint" in capsys.readouterr().err
    for number in (1, 2):
        (sweep.run(number).path / "checkpoint.pt").unlink()
    assert sweep.select() == 1
    message = capsys.readouterr().err
    assert "checkpoint.pt: no such checkpoint" in message
    assert "Traceback" not in message


def test_if_all_failed_the_reason_is_told(
    sweep: TinySweep, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        change(sweep.run(number), state="failed", reason="made of cheese", best_value=None)
    assert sweep.select() == 1
    message = capsys.readouterr().err
    assert "no run was trained to its end" in message
    assert "0000, it says: failed, train/loss is nan" in message


def test_a_run_that_was_stopped_does_not_win(sweep: TinySweep) -> None:
    values = {n: (sweep.run(n).ended() or {})["best_value"] for n in (1, 2)}
    better = min(values, key=lambda n: values[n])
    change(sweep.run(better), state="stopped")
    assert sweep.select() == 0
    rows = rows_of(sweep.folder / "best/runs.csv")
    assert [row["state"] for row in rows] == ["finished", "stopped", "failed"]
    assert rows[0]["run"] == f"000{3 - better}"


def ended(number: int, value: float | None, parameters: int = 10, state: str = "finished") -> Any:
    content = {"state": state, "best_value": value, "parameters": parameters}
    return EndedRun(run_folder(Path("sweep"), number), content, number)


def test_ranking_for_both_goals() -> None:
    runs = [ended(0, None, state="failed"), ended(1, 0.5), ended(2, 0.9, state="stopped")]
    runs += [ended(3, -1.0), ended(4, None, state="failed")]
    for goal, numbers in (("maximize", [1, 3, 2, 0, 4]), ("minimize", [3, 1, 2, 0, 4])):
        ranking = ranked(runs[::-1], Objective("val/loss", goal))
        assert [run.folder.number for run in ranking] == numbers


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_ties_go_to_the_smaller_model_then_to_the_earlier_run(goal: str) -> None:
    runs = [ended(5, 0.5, 20), ended(2, 0.5, 20), ended(7, 0.5, 10), ended(9, 0.5, 10)]
    numbers = [run.folder.number for run in ranked(runs, Objective("val/loss", goal))]
    assert numbers == [7, 9, 2, 5]


def test_only_runs_that_are_over_are_listed(sweep: TinySweep) -> None:
    (sweep.run(1).path / "run.json").unlink()
    folder = sweep.run(0).path.parent
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    assert [run.folder.number for run in ended_runs(folder, 3)] == [0, 2]
    assert ended_runs(folder.with_name("none"), 3) == []
