"""A sweep without networks, as a reader of its folders sees it."""

from typing import Any

import pytest
from sweep_documents import RATE
from tiny_sweep import TinySweep
from trivial_runs import EPOCHS, objective

from gcodefp import status
from gcodefp.sweeps.local_engine import LocalEngine
from gcodefp.sweeps.run_folder import RunFolder
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.sweep_status import StatusReader, SweepStatus


def created(sweep: TinySweep, **changes: Any) -> TinySweep:
    parameters = {"learning_rate": RATE, "max_epochs": {"value": EPOCHS}}
    document = {"method": "random", "run_cap": 4, "parameters": parameters, **changes}
    assert sweep.create(**document) == 0
    return sweep


def reader(sweep: TinySweep) -> StatusReader:
    file = read_sweep(sweep.folder / "sweep.json")
    return StatusReader(file, sweep.folder / "runs" / file.sweep_id)


def sweep_status(sweep: TinySweep) -> SweepStatus:
    return reader(sweep).read()


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
