"""A sweep without networks, as an observer sees it."""

from typing import Any

import pytest
from sweep_documents import RATE
from tiny_sweep import TinySweep
from trivial_runs import EPOCHS, objective

from gcodefp import status
from gcodefp.sweeps.local_engine import LocalEngine
from gcodefp.sweeps.observer import Observer, Overview
from gcodefp.sweeps.run_folder import RunFolder
from gcodefp.sweeps.sweep_file import read_sweep


def created(sweep: TinySweep, **changes: Any) -> TinySweep:
    parameters = {"learning_rate": RATE, "max_epochs": {"value": EPOCHS}}
    document = {"method": "random", "run_cap": 4, "parameters": parameters, **changes}
    assert sweep.create(**document) == 0
    return sweep


def observer(sweep: TinySweep) -> Observer:
    file = read_sweep(sweep.folder / "sweep.json")
    return Observer(file, sweep.folder / "runs" / file.sweep_id)


def overview(sweep: TinySweep) -> Overview:
    return observer(sweep).overview()


def work(sweep: TinySweep) -> None:
    """All that is left to do, in this process."""
    file = read_sweep(sweep.folder / "sweep.json")
    folder = sweep.folder / "runs" / file.sweep_id
    LocalEngine(file.specification, file.seed, file.total, folder).work(objective, lambda: None)


def begin(sweep: TinySweep, number: int) -> RunFolder:
    """A run with hyperparameters, as an agent leaves it that is killed before the first epoch."""
    run = sweep.run(number)
    run.assign({"learning_rate": 0.01, "max_epochs": EPOCHS}, {})
    return run


def flags(sweep: TinySweep, *more: str) -> list[str]:
    return ["--sweep", f"{sweep.folder}/sweep.json", "--runs", f"{sweep.folder}/runs", *more]


def shown(sweep: TinySweep, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    assert status.main(flags(sweep, *more)) == 0
    return capsys.readouterr().out
