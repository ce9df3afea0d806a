"""All stages after the agents, on runs of a user script: metrics of any name, no checkpoint."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from finished_scripts import PARAMETERS, RUNS, FinishedScripts

from gcodefp import compare, evaluate_script, narrow, repeat_best, status, verify
from gcodefp.reporting.optuna_studies import Dashboard
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.specification import load_specification
from gcodefp.sweeps.sweep_file import read_sweep

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
