"""`gcodefp.sweeps.sweep` and `agent` in place of `wandb.sweep` and `wandb.agent`."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import wandb

from gcodefp import cli
from gcodefp.errors import UserError
from gcodefp.sweeps import agent, sweep

# The SDK leaves the file open from which it reads hyperparameters.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONFIG: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {
        "lr": {"values": (1e-05, 0.1)},
        "model": {"parameters": {"depth": {"values": [1, 2]}, "kind": {"value": "cnn"}}},
    },
}


def outcomes(runs: Path) -> list[dict[str, Any]]:
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted(runs.glob("*/*/run.json"))]


def test_function_gets_nested_hyperparameters_and_its_failures_are_kept(tmp_path: Path) -> None:
    configs = []
    before = dict(os.environ)

    def train() -> None:
        with wandb.init(project="mine") as run:
            configs.append(run.config.as_dict())
            for epoch in range(3):
                run.log({"loss": run.config.model["depth"] / (epoch + 1)})
            if run.config.model["depth"] == 2:
                raise ValueError("too deep")

    sweep_id = sweep(CONFIG, project="mine", runs=tmp_path)
    assert sweep(CONFIG, project="mine", runs=tmp_path) != sweep_id
    agent(sweep_id, function=train, count=1, runs=tmp_path)
    assert len(outcomes(tmp_path)) == 1
    agent(f"me/mine/{sweep_id}", function=train, count=20, runs=tmp_path)
    assert configs == [
        {"lr": lr, "model": {"depth": depth, "kind": "cnn"}}
        for lr in (1e-05, 0.1)
        for depth in (1, 2)
    ]
    runs = outcomes(tmp_path)
    assert [run["state"] for run in runs] == ["finished", "failed"] * 2
    assert runs[0]["best_value"] == pytest.approx(1 / 3)
    assert runs[1]["failure"] == "error"
    assert runs[1]["reason"].endswith("ValueError: too deep")
    assert "user_script/function.py" not in runs[1]["reason"]
    assert wandb.run is None
    assert dict(os.environ) == before


def test_hyperband_stops_a_function_and_the_next_run_starts(tmp_path: Path) -> None:
    ends = []

    def train() -> None:
        run = wandb.init()
        depth = run.config["depth"]
        try:
            for _ in range(4 if depth == 1 else 10**6):
                run.log({"loss": depth})
                try:
                    time.sleep(0.02)
                except Exception:
                    raise AssertionError("the stop is no Exception") from None
        except BaseException as error:
            ends.append((depth, type(error).__name__))
            raise

    config = CONFIG | {"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3}}
    config["parameters"] = {"depth": {"values": [1, 2, 3]}}
    agent(sweep(config, runs=tmp_path), train, runs=tmp_path)
    assert [(run["state"], run["epochs"]) for run in outcomes(tmp_path)] == [
        ("finished", 4), ("stopped", 2), ("stopped", 2),
    ]  # fmt: skip
    assert ends == [(2, "RunStopped"), (3, "RunStopped")]


def test_function_may_change_the_folder_but_start_no_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second agent of a process would get the first one's environment and W&B run."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = CONFIG | {"parameters": {"lr": {"value": 1}}}
    sweep_id, other = sweep(config), sweep(config)

    def train() -> None:
        with wandb.init() as run:
            os.chdir(tmp_path / "elsewhere")
            run.log({"loss": 1})
            with pytest.raises(UserError, match="another agent of this process is at work"):
                agent(other, print, runs=tmp_path / "results/runs")

    agent(sweep_id, train)
    assert [run["state"] for run in outcomes(tmp_path / "results/runs")] == ["finished"]
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no such sweep; there is none yet"):
        agent("abc", print, runs=tmp_path)
    with pytest.raises(UserError, match="sweep: metric: is missing"):
        sweep({key: CONFIG[key] for key in ("method", "parameters")}, runs=tmp_path)
    with pytest.raises(UserError, match="sweep: method: 'grip' is none of"):
        sweep(CONFIG | {"method": "grip"}, runs=tmp_path)
    sweep_id = sweep(CONFIG, runs=tmp_path)
    with pytest.raises(UserError, match=f"there are {sweep_id}"):
        agent("abc", print, runs=tmp_path)
    start = f'call gcodefp.sweeps.agent("{sweep_id}", function=train)'
    with pytest.raises(UserError, match=re.escape(start)):
        agent(sweep_id, runs=tmp_path)
    assert cli.main(["agent", sweep_id, "--runs", str(tmp_path)]) == 1
    assert start in capsys.readouterr().err
    assert not list(tmp_path.glob("*/0000"))
    with pytest.raises(UserError, match="3 runs failed in a row"):
        agent(sweep_id, lambda: wandb.no_such_thing, runs=tmp_path)
    assert len(outcomes(tmp_path)) == 3
    with pytest.raises(UserError, match="cannot be called"):
        agent(sweep_id, 3, runs=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="count: 0 is not a whole number from 1"):
        agent(sweep_id, print, count=0, runs=tmp_path)
