"""A sweep that trains, under kill -9 and on a full disk, has the results of an undisturbed one."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from same_runs import check_same_run
from small_disk import small_disk
from tiny_sweep import TinySweep, tiny_dataset
from worker_pool import PoolConfig, WorkerPool, run_pool

from gcodefp.sweeps.local_engine import KILLS_IN_A_ROW

TOTAL = 24
SEED = 20250
LEAST_KILLS, MOST_KILLS = 5, 20
LEASE_SECONDS = 2.0
SEARCH: dict[str, Any] = {
    "method": "bayes",
    "metric": {"name": "val/loss", "goal": "minimize"},
    "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    "parameters": {
        "max_epochs": {"value": 4},
        "batch_size": {"value": 64},
        "learning_rate": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        "dropout": {"distribution": "uniform", "min": 0.0, "max": 0.5},
    },
    "run_cap": TOTAL,
}
FILES = {"checkpoint.pt", "hyperparameters.json", "metrics.csv", "run.json", "system.csv",
         "work.csv"}  # fmt: skip


def pool_config(sweep: TinySweep, name: str, **more: Any) -> PoolConfig:
    return PoolConfig(str(sweep.folder / name), "train", {"flags": sweep.flags()}, **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TinySweep:
    """The sweep, trained by a single agent."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweep = TinySweep(tiny_dataset(folder / "data"), folder / "sweep")
    assert sweep.create("--width", "4", **SEARCH) == 0
    run_pool(pool_config(sweep, "pool", agents=1))
    return sweep


def same_sweep(undisturbed: TinySweep, folder: Path, runs: int = TOTAL) -> TinySweep:
    """The same sweep, by its id, in another folder."""
    folder.mkdir(exist_ok=True)
    document = json.loads((undisturbed.folder / "sweep.json").read_text(encoding="utf-8"))
    (folder / "sweep.json").write_text(json.dumps(document | {"runs": runs}), encoding="utf-8")
    return TinySweep(undisturbed.dataset, folder)


def count_ended(runs: Path) -> int:
    return len(list(runs.glob("*/*/run.json")))


def check_all_same(undisturbed: TinySweep, sweep: TinySweep) -> None:
    folder = sweep.run(0).path.parent
    assert [path.name for path in sorted(folder.iterdir())] == [f"{n:04d}" for n in range(TOTAL)]
    for number in range(TOTAL):
        check_same_run(undisturbed.run(number), sweep.run(number))
        names = {path.name for path in sweep.run(number).path.glob("[!.]*")}
        assert names == FILES


def test_search_and_early_termination_matter_in_the_undisturbed_sweep(
    undisturbed: TinySweep,
) -> None:
    contents = [undisturbed.run(number).read_outcome() or {} for number in range(TOTAL)]
    assert {content["state"] for content in contents} == {"finished", "stopped"}
    assert len({content["best_value"] for content in contents}) == TOTAL


def test_killed_agents_change_nothing(undisturbed: TinySweep, tmp_path: Path) -> None:
    sweep = same_sweep(undisturbed, tmp_path)
    pool = run_pool(pool_config(sweep, "pool", kills=MOST_KILLS, kill_seconds=0.4, seed=SEED))
    assert len(pool.killed()) >= LEAST_KILLS, pool.describe()
    assert pool.resumed(), pool.describe()
    pool.check_ends(TOTAL)
    check_all_same(undisturbed, sweep)


def test_agents_that_stand_still_and_agents_that_are_killed_change_nothing(
    undisturbed: TinySweep, tmp_path: Path
) -> None:
    """STOPS=300 has as many stops and kills at least, in several sweeps."""
    stops = kills = losses = rounds = 0
    stop_count = int(os.environ.get("STOPS", "12"))
    while min(stops, kills) < stop_count:
        sweep = same_sweep(undisturbed, tmp_path / str(rounds))
        hosts = {"own_hosts": True, "lease_seconds": LEASE_SECONDS, "deadline_seconds": 600}
        often: dict[str, Any] = {
            "kills": min(stop_count, 30),
            "stops": min(stop_count, 30),
            "kill_seconds": 0.8,
        }
        # Whoever takes a run over cannot tell a holder that stands still from a killed one.
        often["patches"] = {"gcodefp.sweeps.training.KILLS_IN_A_ROW": 1000}
        pool = run_pool(pool_config(sweep, "pool", **hosts, **often, seed=SEED + rounds))
        check_all_same(undisturbed, sweep)
        stops, kills = stops + len(pool.events("stopped")), kills + len(pool.killed())
        losses, rounds = losses + pool.log().count("taken over by another"), rounds + 1
        shutil.rmtree(sweep.folder)
        print(f"{rounds} sweeps, {stops} stops, {kills} kills, {losses} leases lost", flush=True)
    assert losses


def test_run_that_kills_its_process_fails_and_the_sweep_goes_on(
    undisturbed: TinySweep, tmp_path: Path
) -> None:
    sweep = TinySweep(undisturbed.dataset, tmp_path)
    rates = {"learning_rate": {"values": [0.01, 0.02, 0.03]}, "max_epochs": {"value": 1}}
    assert sweep.create(parameters=rates) == 0
    arguments = {"flags": sweep.flags(), "deadly": [1]}
    pool = run_pool(PoolConfig(str(tmp_path / "pool"), "train", arguments, agents=1))
    assert len(pool.killed()) == KILLS_IN_A_ROW
    contents = [sweep.run(number).read_outcome() or {} for number in range(3)]
    assert [content["state"] for content in contents] == ["finished", "failed", "finished"]
    assert contents[1]["failure"] == "killed"
    assert f"killed {KILLS_IN_A_ROW} times" in contents[1]["reason"]


# A full disk

PAGE = 4096
SPARED = 4 * PAGE


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Takes all free space until the block ends, again and again with a little to spare.

    A run.json fits into that, and a checkpoint does not.
    """
    is_done, path = threading.Event(), disk / "ballast"

    def fill() -> None:
        with path.open("wb", buffering=0) as ballast:
            while not is_done.wait(0.02):
                with suppress(OSError):
                    while ballast.write(bytes(PAGE)):
                        pass
                if ballast.tell() > SPARED:
                    ballast.seek(ballast.truncate(ballast.tell() - SPARED))

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
        path.unlink()


def patient_config(sweep: TinySweep, name: str, patience_seconds: float) -> PoolConfig:
    engine = "gcodefp.sweeps.local_engine"
    patience = {f"{engine}.STORAGE_TIMEOUT_SECONDS": patience_seconds}
    return pool_config(sweep, name, patches={f"{engine}.POLL_SECONDS": 0.05, **patience})


def fill_after(pool: WorkerPool, runs: Path, ended: int) -> Any:
    pool.wait_for(lambda: count_ended(runs) >= ended)
    return full(runs)


def check_files_are_whole(runs: Path) -> None:
    """Every file is whole; one that its agent moves or drops meanwhile is none (os.walk skips)."""
    readers = {".json": lambda path: json.loads(path.read_text(encoding="utf-8"))}
    readers[".pt"] = lambda path: torch.load(path, weights_only=True)
    whole = 0
    for folder, _, names in os.walk(runs):
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            with suppress(FileNotFoundError):
                whole += path.suffix in readers and bool(readers[path.suffix](path))
    assert whole


def test_full_disk_changes_nothing_however_long(undisturbed: TinySweep, tmp_path: Path) -> None:
    half, runs = same_sweep(undisturbed, tmp_path, TOTAL // 2), tmp_path / "runs"
    with small_disk(runs, 24):
        with WorkerPool(patient_config(half, "patient", 100.0)) as patient:
            with fill_after(patient, runs, 4):
                patient.wait_for(lambda: patient.log().count("trying again") >= 8)
                check_files_are_whole(runs)
            assert set(patient.wait()) == {0}
        assert "No space left on device" in patient.log()
        whole = same_sweep(undisturbed, tmp_path)
        impatient = WorkerPool(patient_config(whole, "impatient", 0.5))
        with impatient, fill_after(impatient, runs, TOTAL // 2 + 3):
            assert set(impatient.wait()) == {1}
            check_files_are_whole(runs)
        no_space = f"{whole.run(0).path.parent}: [Errno 28] No space left"
        for part in (no_space, "for it to be fixed", "nothing is lost"):
            assert part in impatient.log()
        assert count_ended(runs) < TOTAL
        last = run_pool(pool_config(whole, "last"))
        assert last.resumed()
        check_all_same(undisturbed, whole)
