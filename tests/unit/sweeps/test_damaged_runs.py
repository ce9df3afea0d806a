"""Damaged run folders and sweep.json: agents, status and the ranking read or refuse them."""

import io
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fuzzing import fuzz, mutate_document, mutate_text, mutations
from rich.console import Console
from tiny_sweep import TinySweep
from trivial_runs import objective, write_epochs

from gcodefp.errors import UserError
from gcodefp.model import run_files
from gcodefp.status import render
from gcodefp.sweeps import lease, local_engine
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.ranking import select_of_sweeps, tables
from gcodefp.sweeps.run_folder import RunFolder, run_folder
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.sweep_status import StatusReader

TOTAL = 5
REMOVED, FOLDER = b"\0removed", b"\0folder"
"""Contents that stand for no file, and for a folder in its place."""


class Damaged(NamedTuple):
    """One file of a sweep, below its folder, and what stands in it."""

    name: str
    content: bytes


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", -1.0)
    for name in ("POLL_SECONDS", "STORAGE_TIMEOUT_SECONDS"):
        monkeypatch.setattr(local_engine, name, 0.0)


def described(leased: LeasedRun) -> dict[str, Any]:
    """The outcome of a trivial run, with all that run.json has."""
    (leased.lease.files / "metrics.csv").unlink(missing_ok=True)
    run_files.append_work(leased.lease.files / "work.csv", 0)
    unknown = dict.fromkeys(("reason", "best_value", "best_epoch", "epochs", "seconds"))
    content = {**unknown, **objective(leased), "device": "cpu", "host": "here"}
    return {"parameters": None, **content, "hyperparameters": dict(leased.hyperparameters)}


class Sweep:
    """A sweep with runs that finished, one that failed, and one that is half done."""

    def __init__(self, dataset: Path, folder: Path) -> None:
        self.folder, self.copy = folder / "valid", folder / "copy"
        tiny = TinySweep(dataset, self.folder)
        parameters = {"learning_rate": {"min": 0.001, "max": 0.1}, "dropout": {"values": [0, 0.1]}}
        search = {"method": "bayes", "run_cap": TOTAL, "parameters": parameters}
        search["early_terminate"] = {"type": "hyperband", "min_iter": 1, "eta": 2}
        assert tiny.create(**search) == 0
        unfinished = tiny.run(TOTAL - 1)

        def work_on(leased: LeasedRun) -> dict[str, Any]:
            if leased.folder == unfinished:
                write_epochs(unfinished, [0.1, 0.2])
                raise KeyboardInterrupt
            return described(leased)

        with pytest.raises(KeyboardInterrupt):
            self._engine(self.folder).work(work_on, lambda: None)
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        self.valid = [
            Damaged(str(path.relative_to(self.folder)), path.read_bytes())
            for path in paths
            if path.suffix != ".yaml"
        ]

    def _engine(self, folder: Path) -> LocalEngine:
        sweep = read_sweep(folder / "sweep.json")
        runs = folder / "runs" / sweep.sweep_id
        return LocalEngine(sweep.specification, sweep.seed, sweep.total, runs)

    def read(self, damaged: Damaged) -> None:
        """Status, an agent that ends the sweep, and the tables of select_best."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.folder, self.copy)
        path = self.copy / damaged.name
        path.unlink()
        if damaged.content == FOLDER:
            path.mkdir()
        elif damaged.content != REMOVED:
            path.write_bytes(damaged.content)
        try:
            self._read_all()
        except OSError as error:  # A command ends with one line for it, too.
            raise UserError(str(error)) from None

    def _read_all(self) -> None:
        sweep = read_sweep(self.copy / "sweep.json")
        console = Console(file=io.StringIO(), width=200)
        console.print(
            render(StatusReader(sweep, self.copy / "runs" / sweep.sweep_id).read(), console)
        )
        self._engine(self.copy).work(described, lambda: None)
        selection = select_of_sweeps([sweep], self.copy / "runs")
        tables(selection.ranking)


def mutate(rng: random.Random, damaged: Damaged) -> Damaged:
    kind = rng.random()
    if kind < 0.05:
        return damaged._replace(content=rng.choice((REMOVED, FOLDER)))
    if not damaged.name.endswith(".csv") and kind < 0.8:
        try:
            document = json.loads(damaged.content)
        except ValueError:
            return damaged
        return damaged._replace(content=json.dumps(mutate_document(rng, document)).encode())
    return damaged._replace(content=mutate_text(rng, damaged.content))


@pytest.fixture(scope="module")
def sweep(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_engine, "POLL_SECONDS", 0.0)
        return Sweep(dataset, tmp_path_factory.mktemp("sweep"))


def damages(sweep: Sweep, *suffixes: str) -> Iterator[Damaged]:
    valid = [d for d in sweep.valid if not suffixes or d.name.endswith(suffixes)]
    return mutations(valid, mutate)


@pytest.mark.filterwarnings("ignore")
def test_fuzz_run_folders(sweep: Sweep) -> None:
    assert {Path(d.name).name for d in sweep.valid} == {
        *("sweep.json", "run.json", "hyperparameters.json", "metrics.csv", "work.csv"),
        *("lease.1", "lease.2"),
    }
    fuzz(sweep.read, damages(sweep)).check()


# What a message says


def spoil(sweep: Sweep, folder: Path, name: str, **changes: Any) -> RunFolder:
    """A copy of the sweep in which a file of run 0 has other values."""
    shutil.copytree(sweep.folder, folder)
    run = run_folder(next((folder / "runs").iterdir()), 0)
    path = run.path / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
    return run


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"state": "won"}, "state: 'won'"),
        ({"best_value": None}, "run.json: is finished, and has no best_value"),
        ({"best_value": True}, "best_value: True"),
        ({"epochs": 4.5}, "epochs: 4.5"),
        ({"epochs": 5}, "has epochs 1 2 3 4 instead of 1 to 5"),
        ({"hyperparameters": [1]}, "hyperparameters: [1]"),
    ],
)
def test_damaged_outcome_is_named_with_its_key_and_the_fix(
    sweep: Sweep, tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    run = spoil(sweep, tmp_path / "sweep", "run.json", **changes)
    with pytest.raises(UserError) as caught:
        run.read_outcome()
    for text in (str(run.path), part, "remove this run's folder"):
        assert text in str(caught.value)


@pytest.mark.parametrize("epochs", ["1 2 4", "3 4", "1 2 3 4 3", "1 2 2 4", "0 1 2 3", ""])
def test_run_whose_epochs_are_not_1_to_n_does_not_count(
    sweep: Sweep, tmp_path: Path, epochs: str
) -> None:
    run = spoil(sweep, tmp_path / "sweep", "run.json")
    lines = [f"{epoch},0.5,1.0\n" for epoch in epochs.split()]
    (run.path / "metrics.csv").write_text("epoch,val/gcode_acc,seconds\n" + "".join(lines))
    with pytest.raises(UserError, match=f"has epochs {epochs or 'none'} instead of 1 to 4"):
        run.read_outcome()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        *(({"id": text}, "id: ") for text in ("../../x", "a/b", "", "..", ".", "x" * 99, "a\nb")),
        ({"runs": 10**9}, "runs: 1000000000"),
        ({"runs": -1}, "runs: -1"),
        ({"seed": 1.5}, "seed: 1.5"),
        ({"as_written": []}, "as_written: []"),
        ({"rules": {"width": 0}}, "rules.width: 0"),
        ({"rules": {"colour": 1}}, "rules.colour: 1"),
    ],
)
def test_damaged_sweep_file_is_refused(
    sweep: Sweep, tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    path = tmp_path / "sweep.json"
    document = json.loads((sweep.folder / "sweep.json").read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_sweep(path)
    for text in (str(path), part, "create_sweep"):
        assert text in str(caught.value)
