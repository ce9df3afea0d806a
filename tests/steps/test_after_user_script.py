"""All stages after the agents, on runs of a user script: metrics of any name, no checkpoint."""

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from gcodefp import (
    compare,
    create_sweep,
    evaluate_script,
    figures,
    narrow,
    repeat_best,
    report,
    select_best,
    status,
    verify,
)
from gcodefp.model.run_files import append_metrics, append_work
from gcodefp.provenance import provenance
from gcodefp.reporting.optuna_studies import Dashboard
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.parameters import dotted, flatten
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.specification import load_specification
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


WAYS = [
    ("score", "all"), ("val-acc.1", "some"), ("eval/f1", "at the end"), ("R²", "none"),
    ("_score", "all"),
]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> FinishedScripts:
    sweep = FinishedScripts(tmp_path_factory.mktemp("finished") / "results")
    assert sweep.create("score") == 0
    sweep.work("all")
    assert sweep.select() == 0
    sweep.publish()
    return sweep


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(("metric", "way"), WAYS)
def test_any_metric_is_ranked_drawn_and_reported(tmp_path: Path, metric: str, way: str) -> None:
    sweep = FinishedScripts(tmp_path / "results")
    early = {"type": "hyperband", "min_iter": 2}
    assert sweep.create(metric, early_terminate=early) == 0
    sweep.work(way)
    assert sweep.select() == 0
    best = json.loads((sweep.folder / "best/run.json").read_text(encoding="utf-8"))
    assert best["scored_again"] is None
    assert best["metric"] == metric
    rows = rows_of(sweep.folder / "best/runs.csv")
    assert len(rows) == RUNS
    assert rows[0]["run"] == best["run"]
    assert rows[-1]["state"] == "failed"
    values = [float(row["best_value"]) for row in rows[:-1]]
    assert values == sorted(values, reverse=True)
    best_run = best["hyperparameters"]
    assert rows[0]["optimizer.type"] == best_run["optimizer.type"]
    assert rows[0]["model.type"] == best_run["model.type"]
    assert rows[0]["config.epochs"] == str(best_run["epochs"])
    assert rows[0]["layers"] == str(best_run["layers"])
    curves = rows_of(sweep.folder / "best/curves.csv")
    assert bool(curves) == (way != "none")
    assert {row["run"] for row in curves} <= {row["run"] for row in rows}
    sweep.publish()
    drawn = sorted(path.stem for path in (sweep.folder / "figures").glob("*.svg"))
    assert drawn == [
        "contours", "early_stopping", "importance", "learning_curves", "system", "timeline"
    ]  # fmt: skip
    page = (sweep.folder / "report.html").read_text(encoding="utf-8")
    assert "was skipped" in page
    for text in (metric, "train.py", "optimizer.type", best["folder"], 'id="provenance"'):
        assert text in page
    for text in ('id="data"', 'id="result"', "test split", "val split", "checkpoint.pt"):
        assert text not in page, text


def test_its_runs_are_watched_compared_and_verified(
    finished: FinishedScripts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status.main(finished.flags("--no-watch")) == 0
    shown = capsys.readouterr().out
    assert f"{RUNS} of {RUNS} runs are over: 11 finished, 0 stopped, 1 failed" in shown
    assert "the sweep is over" in shown
    page = Dashboard(finished.folder / "sweep/sweep.json", finished.folder / "runs")
    (content,) = page._studies.values()
    assert content is not None
    assert len(content.trials) == RUNS
    best = max(trial.value for trial in content.trials if trial.value is not None)
    assert f"best so far: {best:.4f}" in shown
    assert content.trials[0].params["layers"] in ("[16]", "[16, 8]")

    runs = finished.folder / "runs"
    sweep_id = read_sweep(finished.folder / "sweep/sweep.json").sweep_id
    names = [f"{sweep_id}/0000", f"{sweep_id}/0001"]
    flags = ["--runs", str(runs), "--output", str(tmp_path / "compared")]
    assert compare.main([*names, *flags]) == 0
    content = json.loads((tmp_path / "compared/compare.json").read_text(encoding="utf-8"))
    assert set(content["at_best_epoch"]) == {"score", "loss.train", "ratio", "run"}
    assert content["at_best_epoch"]["ratio"] == [None, None]
    assert not content["scores"]
    assert not content["conclusions"]
    assert "a user script trained these runs" in capsys.readouterr().out

    assert verify.main([str(finished.folder)]) == 0
    assert "every check is ok" in capsys.readouterr().out
    page_file = finished.folder / "best/runs.csv"
    text = page_file.read_text(encoding="utf-8")
    page_file.write_text(text.replace("sgd", "adam", 1), encoding="utf-8")
    assert verify.main([str(finished.folder)]) == 1
    page_file.write_text(text, encoding="utf-8")
    assert "best/runs.csv" in capsys.readouterr().out


def test_ranges_are_narrowed_and_the_best_repeated_with_other_seeds(
    finished: FinishedScripts, tmp_path: Path
) -> None:
    sweep = FinishedScripts(tmp_path / "results")
    shutil.copytree(finished.folder, sweep.folder)
    narrowed, yaml_file = sweep.folder / "narrowed.yaml", finished.folder / "sweep.yaml"
    assert narrow.main(sweep.flags("--next", yaml_file, "--output", narrowed)) == 0
    before, after = (yaml.safe_load(p.read_text()) for p in (yaml_file, narrowed))
    rates = [d["parameters"]["optimizer"]["parameters"]["lr"] for d in (before, after)]
    assert rates[0]["min"] < rates[1]["min"] < rates[1]["max"] < rates[0]["max"]
    assert load_specification(narrowed).script == load_specification(yaml_file).script

    repeats = sweep.folder / "sweep/repeats.json"
    flags = ["--finalists", 2, "--seeds", 3, "--output", repeats]
    assert repeat_best.main(sweep.flags(*flags)) == 0
    assert read_sweep(repeats).script == read_sweep(sweep.folder / "sweep/sweep.json").script
    sweep.work("all", "repeats.json")
    assert sweep.select("repeats.json") == 0
    best = json.loads((sweep.folder / "best/run.json").read_text(encoding="utf-8"))
    assert [len(group["runs"]) for group in best["seeds"]] == [3, 3]
    assert best["folder"].startswith(read_sweep(repeats).sweep_id)
    rows = rows_of(sweep.folder / "best/runs.csv")
    repeated = [row for row in rows if int(row["run"]) >= RUNS]
    assert {row["seed"] for row in repeated} == {"1", "2", "3"}
    assert len({row["optimizer.lr"] for row in repeated}) == 2


def test_objectives_of_a_program_are_what_it_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = FinishedScripts(tmp_path / "results")
    for flags, message in (
        (["--pareto", "score", "parameters"], "sweep.pareto: 'parameters' is not known"),
        (["--pareto", "score", "ratio"], "'ratio' does not tell whether more or less is better"),
        (["--combined", "both: val/loss + 1"], "train.py logs its metrics itself"),
    ):
        assert sweep.create("score", *flags) == 1
        assert message in capsys.readouterr().err
    for second in ("seconds", "test_loss"):
        assert sweep.create("score", "--pareto", "score", second) == 0
        document = json.loads((sweep.folder / "sweep/sweep.json").read_text(encoding="utf-8"))
        assert document["pareto"] == {"score": "maximize", second: "minimize"}


def test_constraints_of_a_program_know_its_own_parameters_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = FinishedScripts(tmp_path / "results")
    for constraint, message in (
        ("d_model > 3", "'d_model > 3': no hyperparameter 'd_model'; known are: epochs"),
        ("optimizer.rl > 3", "no hyperparameter 'optimizer.rl'; did you mean 'optimizer.lr'?"),
        ("epochs > 9", "no configuration is possible: the constraints must hold ('epochs > 9')"),
    ):
        assert sweep.create("score", "--constraint", constraint) == 1
        assert message in capsys.readouterr().err
    condition = "seed: optimizer.type == 'adam'"
    rules = ["--constraint", "optimizer.lr < 0.05", "--condition", condition]
    assert sweep.create("score", *rules) == 0
    sweep.work("all")
    runs = [run.content["hyperparameters"] for run in ended_runs(sweep.runs)]
    assert len(runs) == RUNS
    assert all(run["optimizer.lr"] < 0.05 for run in runs)
    assert {(run["optimizer.type"], "seed" in run) for run in runs} == {
        ("adam", True), ("sgd", False)
    }  # fmt: skip
    # A parameter that a run does not have has no default either.
    rules = ["--constraint", "seed == 0", "--condition", condition]
    assert sweep.create("score", *rules) == 1
    assert "'seed' has no value there" in capsys.readouterr().err


def test_without_a_seed_there_are_no_repeats(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = FinishedScripts(tmp_path / "results")
    parameters = {name: entry for name, entry in PARAMETERS.items() if name != "seed"}
    assert sweep.create("score", parameters=parameters) == 0
    sweep.work("all")
    flags = ["--finalists", 2, "--seeds", 3, "--output", tmp_path / "repeats.json"]
    assert repeat_best.main(sweep.flags(*flags)) == 1
    message = capsys.readouterr().err
    assert "parameters.seed: is missing" in message
    assert "sweep.seeds_per_winner: 1" in message


EVALUATE = """\
import json, sys
best, run, values = sys.argv[1:]
print("reading", best)
print(json.dumps({"accuracy": 0.5, "rate": json.load(open(values))["optimizer"]["lr"]}))
print(json.load(open(run))["run"], "is done")
"""


def test_users_own_command_evaluates_the_best_run(
    finished: FinishedScripts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script, output = tmp_path / "evaluate it.py", tmp_path / "evaluation.json"
    script.write_text(EVALUATE, encoding="utf-8")
    best = finished.folder / "best/run.json"
    flags = ["--best", best, "--runs", finished.folder / "runs", "--output", output]

    def evaluate(command: str) -> int:
        return evaluate_script.main(list(map(str, [*flags, "--command", command])))

    assert evaluate(f"${{interpreter}} '{script}' ${{best}} ${{run}} ${{args_json_file}}") == 0
    content = json.loads(output.read_text(encoding="utf-8"))
    best_run = json.loads(best.read_text(encoding="utf-8"))["hyperparameters"]
    assert content["result"] == {"accuracy": 0.5, "rate": best_run["optimizer.lr"]}
    finished.publish("--program-evaluation", str(output))
    page = (finished.folder / "report.html").read_text(encoding="utf-8")
    assert "<td>accuracy</td><td>0.5</td>" in page
    assert "was skipped" not in page
    finished.publish()
    for command, problem in (
        ("${interpreter} -c 'print(1)'", "has to print a JSON object"),
        ("echo '{\"accuracy\": 1e999}'", "its numbers finite"),
        ("${interpreter} -c 'raise SystemExit(3)'", "exit code 3"),
        ("${intrepreter} x.py", "${intrepreter}: no such macro"),
        ("no-such-command", "No such file"),
        ("echo %s %d", "it printed:\n%s %d"),
    ):
        assert evaluate(command) == 1
        log = capsys.readouterr().err
        assert problem in log
        assert " evaluate_script: error: " in log
