"""Results of sweeps as tables that are made here, for the figures of sweeps."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from gcodefp.reporting.results import Results
from gcodefp.sweeps.parameters import read_parameter

RATE = {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}
MOMENTUM = {"min": 0.5, "max": 0.99}
OPTIMIZER = {"values": ["adamw", "sgd"]}
SEARCHED = {"learning_rate": RATE, "momentum": MOMENTUM, "optimizer": OPTIMIZER}
METRIC = "val/gcode_acc"
EPOCHS = 4


def swept(
    results: Results,
    runs: int,
    parameters: dict[str, Any],
    states: dict[int, str] | None = None,
    value: Any = None,
    goal: str = "maximize",
    **sweep: Any,
) -> Results:
    """Results of other runs of another sweep.

    Args:
        results: what the rest is taken from.
        parameters: as in a sweep's YAML.
        states: of runs that did not finish; stopped ones have half of the epochs.
        value: best value from the hyperparameters; by default it is random.
        sweep: further keys of sweep.json.
    """
    random = np.random.default_rng(0)
    drawn = {name: read_parameter(entry, name) for name, entry in parameters.items()}
    rows, curves, work = [], [], []
    for number in range(runs):
        given = {name: parameter.value(random.random()) for name, parameter in drawn.items()}
        best = value(given) if value else random.random()
        state = (states or {}).get(number, "finished")
        epochs = {"finished": EPOCHS, "stopped": EPOCHS // 2, "failed": 1}[state]
        rows.append({"run": f"{number:04d}", "sweep": "abcd1234", "state": state, **given,
                     "best_value": best, "max_epochs": EPOCHS, "epochs": epochs,
                     "best_epoch": epochs, "seconds": 10.0 * epochs, "parameters": 100,
                     "reason": state})  # fmt: skip
        curves += [
            {"run": f"{number:04d}", "epoch": epoch, METRIC: best * epoch / epochs,
             "train/loss": 1.0, "val/loss": 1.0}
            for epoch in range(1, epochs + 1)
        ]  # fmt: skip
        work += work_of(number, epochs)
    table = pd.DataFrame(rows).astype({"best_value": float, "epochs": float})
    table.loc[table["state"] == "failed", ["best_value", "epochs"]] = np.nan
    order = table["state"].map({"finished": 0, "stopped": 1, "failed": 2})
    sign = -1 if goal == "maximize" else 1
    ranking = np.lexsort([(sign * table["best_value"]).fillna(0), order])
    table = table.iloc[ranking].reset_index(drop=True)
    best_run = {"run": table["run"][0], "best_value": table["best_value"][0], "best_epoch": EPOCHS,
              "goal": goal, "runs": runs}  # fmt: skip
    described = {name: parameter.describe() for name, parameter in drawn.items()}
    return replace(
        results,
        runs=table,
        curves=pd.DataFrame(curves),
        work=pd.DataFrame(work, columns=["run", "utc_seconds", "host", "pid", "epoch"]),
        sweep={**results.sweep, "parameters": described, **sweep},
        best_run={**results.best_run, **best_run},
    )


def work_of(number: int, epochs: int) -> list[tuple[str, float, str, int, int]]:
    """Two agents take turns; an epoch takes ten seconds, the next run begins after a minute."""
    begin, host = 1.8e9 + 60 * (number // 2), f"node{number % 2}.cluster"
    return [(f"{number:04d}", begin + 10 * epoch, host, 7, epoch) for epoch in range(epochs + 1)]


def decided_by_rate(given: dict[str, Any]) -> float:
    return -abs(np.log10(given["learning_rate"]) + 3)
