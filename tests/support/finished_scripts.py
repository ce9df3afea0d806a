"""A sweep of a user script, whose runs are made here: metrics of any name, no checkpoint."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from gcodefp import create_sweep, figures, report, select_best
from gcodefp.model.run_files import append_metrics, append_work
from gcodefp.provenance import provenance
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.parameters import dotted, flatten
from gcodefp.sweeps.sweep_file import read_sweep

RUNS = 12
PARAMETERS = {
    "optimizer": {
        "parameters": {
            "type": {"values": ["adam", "sgd"]},
            "lr": {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1},
        }
    },
    "model": {"parameters": {"type": {"values": ["linear", "mlp"]}}},
    "layers": {"values": [[16], [16, 8]]},
    "epochs": {"min": 3, "max": 5},
    "max_epochs": {"value": "few"},
    "seed": {"value": 0},
}
"""Two that are called `type`, lists as values, one that is called as a fact of every run, and one
that is called as a number of our trainer's."""


class FinishedScripts(NamedTuple):
    """Its files lie in `folder` as in a results folder."""

    folder: Path

    def flags(self, *more: object) -> list[str]:
        where = ["--sweep", self.folder / "sweep/sweep.json", "--runs", self.folder / "runs"]
        return list(map(str, [*where, *more]))

    def create(self, metric: str, *more: str, **changes: Any) -> int:
        """Writes the YAML and its script, and sweep.json."""
        document = {
            "program": "train.py", "method": "random", "run_cap": RUNS, "parameters": PARAMETERS,
            "metric": {"name": metric, "goal": "maximize"}, **changes,
        }  # fmt: skip
        self.folder.mkdir(exist_ok=True)
        (self.folder / "train.py").write_text("print('not started here')\n", encoding="utf-8")
        path = self.folder / "sweep.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        flags = ["--sweep", path, "--seed", 1, "--output", self.folder / "sweep/sweep.json", *more]
        return create_sweep.main(list(map(str, flags)))

    @property
    def runs(self) -> Path:
        sweep = read_sweep(self.folder / "sweep/sweep.json")
        return self.folder / "runs" / sweep.sweep_id

    def work(self, way: str, sweep: str = "sweep.json") -> None:
        """Ends all runs, as a runner of programs would; `way` is how they log their metric."""
        file = read_sweep(self.folder / "sweep" / sweep)
        engine = LocalEngine(
            file.specification, file.seed, file.total, self.folder / "runs" / file.sweep_id
        )
        metric = file.specification.objective.metric
        origin = {"sweep": file.sweep_id, "provenance": provenance([self.folder / "train.py"])}
        engine.work(lambda run: _outcome(run, metric, way) | origin, lambda: None)

    def select(self, *sweeps: str) -> int:
        paths = [self.folder / "sweep" / name for name in ("sweep.json", *sweeps)]
        flags = ["--sweep", *paths, "--runs", self.folder / "runs"]
        return select_best.main(list(map(str, [*flags, "--output", self.folder / "best"])))

    def publish(self, *more: str) -> None:
        """Figures and report."""
        shown = ["--sweep", self.folder / "sweep/sweep.json", "--best", self.folder / "best"]
        drawn = [*shown, "--output", self.folder / "figures"]
        assert figures.main(list(map(str, drawn))) == 0
        page = ["--figures", self.folder / "figures", "--output", self.folder / "report.html"]
        assert report.main(list(map(str, [*shown, *page, *more]))) == 0


def _outcome(run: LeasedRun, metric: str, way: str) -> dict[str, Any]:
    values = flatten(run.hyperparameters)
    best = _value(values)
    rows = values["epochs"]
    for step in range(1, rows + 1):
        append_work(run.lease.files / "work.csv", step - 1)
        value = best * step / rows
        if (way == "at the end" and step < rows) or (way == "some" and step % 2):
            value = math.nan
        if way != "none":
            row = {"epoch": step, "loss.train": 1.0 / step, "ratio": math.inf, metric: value}
            row |= {"run": 7.0}  # As our own column is called.
            append_metrics(run.lease.files / "metrics.csv", row)
    content = {
        "state": "finished", "hyperparameters": {dotted(k): v for k, v in values.items()},
        "failure": None, "reason": "exit code 0", "best_value": best, "best_epoch": rows,
        "epochs": rows, "seconds": 2.5, "parameters": None, "device": None, "host": "here",
    }  # fmt: skip
    if way == "none":
        content |= {"best_epoch": None, "epochs": None}
    if way == "some" and rows % 2:
        content |= {"best_epoch": rows - 1, "best_value": best * (rows - 1) / rows}
    if run.folder.number == 3:
        content |= {"state": "failed", "failure": "exit code 1", "best_value": None}
    return content


def _value(values: dict[str, Any]) -> float:
    rate = math.log10(values["optimizer/lr"])
    return 0.9 - 0.1 * abs(rate + 2) - 0.05 * (values["optimizer/type"] == "sgd")
