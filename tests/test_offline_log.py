from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gcodefp.sweep import offline_log as module
from gcodefp.sweep.run_folder import RunFolder


def fail(*_: Any, **__: Any) -> None:
    raise RuntimeError("the service is gone")


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
def test_trouble_in_wandb_costs_no_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    run = SimpleNamespace(log=lambda *_, **__: None, finish=lambda **__: None)
    if broken != "init":
        setattr(run, broken, fail)
    monkeypatch.setattr(module, "_begin", fail if broken == "init" else lambda *_: run)
    with module.offline_log(RunFolder(tmp_path / "0000"), "project", {}) as log:
        log(1, {"val/loss": 1.0})
    assert "the service is gone" in caplog.text


def test_an_error_of_the_run_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    run = SimpleNamespace(finish=lambda exit_code: codes.append(exit_code))
    monkeypatch.setattr(module, "_begin", lambda *_: run)
    with (
        pytest.raises(ValueError, match="mine"),
        module.offline_log(RunFolder(tmp_path / "0000"), "project", {}),
    ):
        raise ValueError("mine")
    assert codes == [1]
