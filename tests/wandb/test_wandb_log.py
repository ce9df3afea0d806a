import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gcodefp.sweeps.wandb_log import wandb_log

ENDED = {"state": "finished", "best_value": 0.5, "best_epoch": 1}


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("the service is gone")


@pytest.mark.parametrize("broken", ["init", "log", "log_artifact", "finish"])
def test_error_in_wandb_costs_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    nothing = {name: lambda *_, **__: None for name in ("log", "log_artifact", "finish")}
    run = SimpleNamespace(id="x", summary={}, offline=True, **nothing)
    if broken != "init":
        setattr(run, broken, fail)
    (tmp_path / "checkpoint.pt").write_bytes(b"weights")
    with wandb_log(fail if broken == "init" else lambda: run) as log:
        log.epoch(1, {"val/loss": 1.0})
        log.end(ENDED, tmp_path / "checkpoint.pt", tmp_path)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["the service is gone" in record.getMessage() for record in warnings] == [True]


def test_error_of_the_run_is_not_swallowed() -> None:
    codes: list[int] = []
    run = SimpleNamespace(finish=lambda exit_code: codes.append(exit_code))
    with pytest.raises(ValueError, match="mine"), wandb_log(lambda: run):
        raise ValueError("mine")
    assert codes == [1]
