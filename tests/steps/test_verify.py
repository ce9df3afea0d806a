"""Whether `verify` finds what is wrong, in results that the stages themselves have made."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_results import finish
from learning_data import dataset_flags

from gcodefp import agent, protocols, repeat_best, select_best, verify
from gcodefp.files import sha256
from gcodefp.verify import ResultsFolder, changed_inputs, changed_run_inputs

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that were moved after they were made."""
    folder = tmp_path_factory.mktemp("finished")
    return finish(folder).rename(folder / "moved")


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def change_arrays(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    edit(arrays)
    np.savez_compressed(path, **arrays)


def verified(capsys: Output, results: Path, *stages: str) -> str:
    """What is printed of checks that do not hold; of the stages, only these run again."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "STAGES", stages)
        code = verify.main([str(results), "--device", "cpu"])
    out = capsys.readouterr().out
    wrong = "".join(re.findall(r"^NOT ok.*\n(?: {10}.*\n)*", out, re.MULTILINE))
    assert code == bool(wrong)
    return wrong


def test_untouched_results_hold_and_stay_untouched(finished: Path, capsys: Output) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    capsys.readouterr()
    assert verify.main([str(finished), "--device", "cpu", "--train"]) == 0
    *lines, end = capsys.readouterr().out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert end == f"{finished}: every check is ok"
    assert [line[10:] for line in lines[3:]] == [f"{s}, rerun" for s in (*verify.STAGES, "train")]
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_quick_skips_scoring_alone(
    results: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(results / "evaluation/metrics.json", lambda content: content.update(rows=1))
    monkeypatch.setattr(verify, "STAGES", ("select_best", *verify.SCORING, "fit_detector"))
    assert verify.main([str(results), "--quick"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"skipped   (\w+), rerun: --quick", out) == [*verify.SCORING, "fit_detector"]


def test_edited_best_figures_and_page_are_found(results: Path, capsys: Output) -> None:
    winner = json.loads((results / "best/run.json").read_text(encoding="utf-8"))["run"]
    other = {"0000": "0001", "0001": "0000"}[winner]
    run = next(results.glob(f"runs/*/{other}/run.json"))
    original = run.read_text(encoding="utf-8")
    change(run, lambda content: content.update(best_value=0.99))
    assert "0.99" in verified(capsys, results, "select_best")
    run.write_text(original, encoding="utf-8")
    replace(results / "best/curves.csv", "\n0000,2,", "\n0000,3,")
    first, second, third = sorted((results / "figures").glob("*.svg"))[:3]
    shutil.copy(first, second)
    shutil.copy(first.with_suffix(".png"), third.with_suffix(".png"))
    third.unlink()
    replace(results / "report.html", "Which program", "Wrong program")
    problems = verified(capsys, results, "select_best", "figures", "report")
    assert "NOT ok    select_best, rerun" in problems
    assert "best/curves.csv: row 2.epoch is '3'" in problems
    assert f"figures/{second.name}: text is " in problems
    assert f"figures/{third.stem}.png: pixels " in problems
    assert f"figures/{third.name}: is missing" in problems
    assert f"figures/{first.stem}." not in problems


def test_every_changed_number_is_named(results: Path, capsys: Output) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["models"]["majority"]["token"]["high"] += 1e-4
        content["models"]["gcodefp"]["gcode"]["n"] += 1
        content["controls"][0]["fails"] = "perhaps"

    def edit_explanation(content: dict[str, Any]) -> None:
        content["sensors"]["without"][1]["scores"]["gcode"]["value"] += 0.01
        content["calibration"]["gcodefp"]["bins"][0]["right"]["n"] += 1

    def edit_predictions(arrays: dict[str, Any]) -> None:
        arrays["whole_position_mm"][3] += 1
        arrays.pop("model_line")

    def edit_arrays(arrays: dict[str, Any]) -> None:
        arrays["whole_confidence"][2] *= 0.5

    program = min((results / "evaluation/gcode").glob("*.nc"))
    shutil.copy(program, program.with_name("extra.nc"))
    replace(program, "\nG", "\nM")
    change(results / "evaluation/metrics.json", edit)
    change_arrays(results / "evaluation/predictions.npz", edit_predictions)
    change(results / "explanation/explanation.json", edit_explanation)
    change_arrays(results / "explanation/explanation.npz", edit_arrays)
    change(next(results.glob("controls/*/control.json")), lambda content: content.update(rows=1))
    problems = verified(capsys, results, *verify.SCORING)
    predictions = results / "evaluation/predictions.npz"
    predictions.write_bytes(predictions.read_bytes()[:-200])
    truncated = verified(capsys, results, "evaluate")
    assert "evaluation/predictions.npz: cannot be read" in truncated
    assert "metrics.json: models.majority.token.high is " in truncated
    for text in (
        "metrics.json: models.majority.token.high is ", "models.gcodefp.gcode.n is ",
        "controls[0].fails is 'perhaps', recomputed True", "whole_position_mm differs in 1 of",
        "predictions.npz: model_line is missing", f"{program.name}: text is ",
        "extra.nc: should not", "sensors.without[1].scores.gcode.value is ", "bins[0].right.n is ",
        "control.json: rows is",
        "whole_confidence differs in 1 of",
    ):  # fmt: skip
        assert text in problems, text


def test_another_device_or_library_may_round_otherwise(results: Path, capsys: Output) -> None:
    metrics, explanation = results / "evaluation/metrics.json", "explanation/explanation.json"

    def edit(content: dict[str, Any]) -> None:
        content["device"] = "Some GPU"
        content["models"]["gcodefp"]["token"]["value"] *= 1.001

    def edit_explanation(content: dict[str, Any]) -> None:
        content["provenance"]["packages"]["torch"] = "1.0"
        content["sensors"]["complete"]["token"]["value"] *= 1.001
        content["calibration"]["gcodefp"]["bins"] = []

    change(metrics, edit)
    change(results / explanation, edit_explanation)
    assert "evaluate, rerun" not in (problems := verified(capsys, results, *verify.SCORING))
    assert "explain, rerun" not in problems
    change(metrics, lambda content: content.pop("device"))
    problems = verified(capsys, results, "evaluate")
    assert "evaluation/metrics.json: has no device, as it was edited" in problems
    change(metrics, lambda content: content.update(device="cpu"))
    change(results / explanation, lambda content: content["sensors"]["complete"].pop("token"))
    problems = verified(capsys, results, *verify.SCORING)
    assert "metrics.json: models.gcodefp.token.value is" in problems
    assert "explanation.json: sensors.complete.token is missing" in problems


def test_missing_and_torn_files_hide_no_other_problem(results: Path, capsys: Output) -> None:
    (results / "evaluation/metrics.json").write_text("{}", encoding="utf-8")
    (results / "best/run.json").write_text("truncated", encoding="utf-8")
    (results / "explanation/explanation.json").unlink()
    (results / "dataset/train.npz").write_bytes(b"")
    problems = verified(capsys, results, "select_best", "report")
    assert "metrics.json: records no inputs" in problems
    assert "run.json: records no inputs; it is truncated" in problems
    assert "explanation.json: no such file" in problems
    assert "dataset/train.npz is not the file that dataset.json describes" in problems
    assert verify.main([str(results / "figures")]) == 1
    assert "holds no results of the pipeline" in capsys.readouterr().err


def test_changed_input_is_named_with_what_used_it(results: Path) -> None:
    uses = {"dataset/dataset.json": "sweep/sweep.json", "sweep/sweep.json": "best/run.json",
            "controls/sensors_permuted/control.json": "evaluation/metrics.json"}  # fmt: skip
    for name in uses:
        with (results / name).open("a", encoding="utf-8") as handle:
            handle.write("\n")
    problems = "\n".join(changed_inputs(ResultsFolder(results)))
    for name, document in {**uses, "dataset/dataset.json": "evaluation/metrics.json"}.items():
        assert f"{document}: {name} has changed" in problems
    assert "sweep/sweep.json: dataset/dataset.json has changed" in problems


def test_recordings_outside_the_folder_are_compared_too(finished: Path) -> None:
    recordings = finished.parent / "recordings"
    hidden = recordings.rename(finished.parent / "hidden")
    problems = list(changed_inputs(ResultsFolder(finished)))
    hidden.rename(recordings)
    assert len(problems) == 12
    assert f"{recordings / 'face_001_aligned.csv.gz'} is missing" in problems[0]


def test_runs_outlive_a_rewritten_sweep_but_not_other_data(results: Path) -> None:
    run = next(results.glob("runs/*/0001/run.json"))
    for name, count in (("sweep/sweep.json", 0), ("dataset/train.npz", 1)):
        inputs = {str(results / name): "00" * 32}
        change(run, lambda content, inputs=inputs: content["provenance"].update(inputs=inputs))
        assert len(list(changed_run_inputs(ResultsFolder(results)))) == count


def test_repeats_and_protocols_are_made_again_too(results: Path, capsys: Output) -> None:
    """A table of one fold, which lies where the pipeline has folds, with its own dataset."""
    sweep = ["--sweep", str(results / "sweep/sweep.json"), "--runs", str(results / "runs")]
    repeats, best = results / "sweep/repeats/sweep.json", results / "best"
    flags = ["--finalists", "1", "--seeds", "2", "--output", str(repeats)]
    assert repeat_best.main([*sweep, *flags]) == 0
    common = [*dataset_flags(results / "dataset", "train", "val"), "--runs", str(results / "runs")]
    assert agent.main([*common, "--sweep", str(repeats)]) == 0
    both = [*sweep[:2], str(repeats), "--output", str(best)]
    assert select_best.main([*common, *both]) == 0
    fold, table = results / "protocols/recording/0", results / "protocols/protocols.json"
    for name in ("dataset/dataset.json", "evaluation/metrics.json"):
        shutil.copytree((results / name).parent, (fold / name).parent)
        change(fold / name, lambda content: content["provenance"].update(inputs={}))
    inputs = {str(fold / "dataset/dataset.json"): sha256(fold / "dataset/dataset.json")}
    metrics = fold / "evaluation/metrics.json"
    change(metrics, lambda content: content["provenance"].update(inputs=inputs))
    flags = ["--winner", str(best / "run.json"), "--evaluations", str(metrics.parent)]
    assert protocols.main([*flags, "--output", str(table.parent)]) == 0
    problems = verified(capsys, results, "select_best", "protocols")
    assert "select_best" not in problems
    assert "protocols" not in problems
    change(best / "run.json", lambda content: content["seeds"][0].update(mean=0.5))
    change(table, lambda content: content["protocols"][0]["exact"]["gcodefp"].update(value=0.99))
    with (fold / "dataset/dataset.json").open("a", encoding="utf-8") as handle:
        handle.write("\n")
    problems = verified(capsys, results, "select_best", "protocols")
    assert "best/run.json: seeds[0].mean is 0.5" in problems
    assert "protocols/protocols.json: protocols[0].exact.gcodefp.value is 0.99" in problems
    assert "metrics.json: protocols/recording/0/dataset/dataset.json has changed" in problems


@pytest.mark.parametrize(
    ("recorded", "root", "expected"),
    [
        ("results/best/run.json", "results/", "NOW/best/run.json"),
        ("/old/results/best/run.json", "/old/results/", "NOW/best/run.json"),
        ("/data/mill/a.csv", "/old/results/", "/data/mill/a.csv"),
        ("workflow/sweeps/bayes.yaml", "results/", "workflow/sweeps/bayes.yaml"),
        ("a.csv", "", "a.csv"),
    ],
)
def test_recorded_paths_are_located_in_a_moved_folder(
    tmp_path: Path, recorded: str, root: str, expected: str
) -> None:
    (tmp_path / "best").mkdir()
    inputs = {"provenance": {"inputs": {f"{root}sweep/sweep.json": ""}}}
    (tmp_path / "best/run.json").write_text(json.dumps(inputs))
    located = ResultsFolder(tmp_path).located(recorded)
    assert str(located) == expected.replace("NOW", str(tmp_path))
