"""A sweep that really trains, under kill -9 and on a full disk: as if nothing had happened."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chaos_crew import Crew, Orders, run_crew
from tiny_sweep import TinySweep, tiny_dataset

from gcodefp.model.run_files import read_metrics
from gcodefp.sweeps.run_folder import ENDED, RunFolder
from gcodefp.sweeps.training import KILLS_IN_A_ROW

TOTAL = 24
SEED = 20250
LEAST_KILLS, MOST_KILLS = 5, 20
NOT_COMPARED = ("provenance", "seconds", "host")
PARAMETERS = {
    "max_epochs": {"value": 4},
    "batch_size": {"value": 64},
    "learning_rate": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
    "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
}
SEARCH: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    "parameters": PARAMETERS,
    "run_cap": TOTAL,
}


def orders_for(sweep: TinySweep, name: str, **more: Any) -> Orders:
    flags = {"flags": sweep.flags()}
    return Orders(str(sweep.folder / name), "train", flags, **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """The sweep, done by a single agent."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweep = TinySweep(tiny_dataset(folder / "data"), folder / "sweep")
    assert sweep.create("--width", "4", **SEARCH) == 0
    run_crew(orders_for(sweep, "crew", agents=1))
    return sweep


def again(undisturbed: TinySweep, folder: Path, runs: int = TOTAL) -> TinySweep:
    """The same sweep, by its id, in another folder."""
    sweep = TinySweep(undisturbed.dataset, folder)
    folder.mkdir(exist_ok=True)
    document = json.loads((undisturbed.folder / "sweep.json").read_text(encoding="utf-8"))
    (folder / "sweep.json").write_text(json.dumps(document | {"runs": runs}), encoding="utf-8")
    return sweep


def ended_runs(runs: Path) -> int:
    return len(list(runs.glob("*/*/run.json")))


def metrics_without_seconds(run: RunFolder) -> list[str]:
    lines = (run.path / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",seconds")
    return [line.rpartition(",")[0] for line in lines]


def checkpoint(run: RunFolder) -> dict[str, Any]:
    return torch.load(run.path / "checkpoint.pt", weights_only=True)


def check_same(first: RunFolder, second: RunFolder) -> None:
    """Bit by bit, but for when and where it was."""
    assert first.assigned() == second.assigned()
    outcomes = [dict(run.ended() or {}) for run in (first, second)]
    assert outcomes[0]["state"] in ENDED
    for outcome in outcomes:
        for name in NOT_COMPARED:
            del outcome[name]
    assert outcomes[0] == outcomes[1]
    epochs = [row["epoch"] for row in read_metrics(second.path / "metrics.csv")]
    assert epochs == list(range(1, outcomes[1]["epochs"] + 1))
    assert metrics_without_seconds(first) == metrics_without_seconds(second)
    one, other = checkpoint(first), checkpoint(second)
    for part in ("weights", "programs"):
        arrays, other_arrays = one.pop(part), other.pop(part)
        assert arrays.keys() == other_arrays.keys()
        for name, value in arrays.items():
            # Texts are lists; numbers are tensors, in which an unknown position is NaN.
            np.testing.assert_array_equal(value, other_arrays[name], err_msg=name)
    assert one == other


def check_all_same(undisturbed: TinySweep, sweep: TinySweep) -> None:
    folder = sweep.run(0).path.parent
    assert [path.name for path in sorted(folder.iterdir())] == [f"{n:04d}" for n in range(TOTAL)]
    for number in range(TOTAL):
        check_same(undisturbed.run(number), sweep.run(number))
        names = {path.name for path in sweep.run(number).path.iterdir()}
        assert {name for name in names if not name.startswith(".")} == {
            "checkpoint.pt",
            "hyperparameters.json",
            "metrics.csv",
            "run.json",
            "work.csv",
        }


def test_the_undisturbed_sweep_is_worth_comparing_with(undisturbed: TinySweep) -> None:
    """Early termination and the search do something in it."""
    contents = [undisturbed.run(number).ended() or {} for number in range(TOTAL)]
    assert {content["state"] for content in contents} == {"finished", "stopped"}
    assert len({content["best_value"] for content in contents}) == TOTAL


def test_killed_agents_change_nothing(undisturbed: TinySweep, tmp_path: Path) -> None:
    sweep = again(undisturbed, tmp_path)
    done = run_crew(orders_for(sweep, "crew", kills=MOST_KILLS, kill_seconds=0.4, seed=SEED))
    assert len(done.killed()) >= LEAST_KILLS, done.story()
    assert done.resumed(), done.story()
    done.check_ends(TOTAL)
    check_all_same(undisturbed, sweep)


def test_a_run_that_kills_its_process_is_ended_and_the_sweep_goes_on(
    undisturbed: TinySweep, tmp_path: Path
) -> None:
    sweep = TinySweep(undisturbed.dataset, tmp_path)
    rates = {"learning_rate": {"values": [0.01, 0.02, 0.03]}, "max_epochs": {"value": 1}}
    assert sweep.create(parameters=rates) == 0
    told = {"flags": sweep.flags(), "deadly": [1]}
    done = run_crew(Orders(str(tmp_path / "crew"), "train", told, agents=1))
    assert len(done.killed()) == KILLS_IN_A_ROW
    contents = [sweep.run(number).ended() or {} for number in range(3)]
    assert [content["state"] for content in contents] == ["finished", "failed", "finished"]
    assert contents[1]["failure"] == "killed"
    assert f"killed {KILLS_IN_A_ROW} times" in contents[1]["reason"]


# A full disk

PAGE = 4096
LITTLE = 4 * PAGE


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own at this folder; skips where nobody may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """A ballast takes the space there is, and what becomes free, until the block ends.

    A little is left again and again: a run.json fits, and a checkpoint does not.
    """
    done, path = threading.Event(), disk / "ballast"

    def fill() -> None:
        with path.open("wb", buffering=0) as ballast:
            while not done.wait(0.02):
                with suppress(OSError):
                    while ballast.write(bytes(PAGE)):
                        pass
                if ballast.tell() > LITTLE:
                    ballast.seek(ballast.truncate(ballast.tell() - LITTLE))

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink()


def on_small_disk(sweep: TinySweep, name: str, patience: float, **more: Any) -> Orders:
    engine = "gcodefp.sweeps.local_engine"
    patches = {f"{engine}.POLL_SECONDS": 0.05, f"{engine}.STORAGE_PATIENCE_SECONDS": patience}
    return orders_for(sweep, name, patches=patches, **more)


def fill_after(made: Crew, sweep: TinySweep, ended: int) -> Any:
    runs = sweep.folder / "runs"
    made.wait_for(lambda: ended_runs(runs) >= ended)
    return full(runs)


def check_nothing_torn(runs: Path) -> None:
    """What is there under its name is whole; last.pt is what an open run goes on from."""
    for path in runs.rglob("[!.]*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    for path in runs.rglob("[!.]*.pt"):
        assert torch.load(path, weights_only=True)


def test_a_disk_full_for_a_while_or_for_long_changes_nothing(
    undisturbed: TinySweep, tmp_path: Path
) -> None:
    half, runs = again(undisturbed, tmp_path, TOTAL // 2), tmp_path / "runs"
    with small_disk(runs):
        with Crew(on_small_disk(half, "patient", 100.0)) as patient:
            with fill_after(patient, half, 4):
                patient.wait_for(lambda: patient.log().count("trying again") >= 8)
                check_nothing_torn(runs)
            assert set(patient.wait()) == {0}
        assert "No space left on device" in patient.log()
        whole = again(undisturbed, tmp_path)
        impatient = Crew(on_small_disk(whole, "impatient", 0.5))
        with impatient, fill_after(impatient, whole, TOTAL // 2 + 3):
            assert set(impatient.wait()) == {1}
            check_nothing_torn(runs)
        for part in (
            f"{whole.run(0).path.parent}: [Errno 28] No space left",
            "for it to be fixed",
            "nothing is lost",
        ):
            assert part in impatient.log()
        assert ended_runs(runs) < TOTAL
        last = run_crew(orders_for(whole, "last"))
        assert last.resumed()
        check_all_same(undisturbed, whole)
