"""Whether `verify` finds what is wrong, in results that the steps themselves have made."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from finished_results import finish
from learning_data import CPU, dataset_flags

from gcodefp import agent, protocols, repeat_best, select_best, verify
from gcodefp.files import sha256
from gcodefp.reporting import verification_again as drawn_again
from gcodefp.reporting.verification import (
    Check,
    ResultsFolder,
    check_inputs,
    differences,
    located,
    table_differences,
)
from gcodefp.reporting.verification_again import (
    check_explanation,
    check_protocols,
    check_scores,
    check_sweeps,
    check_winner,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that were moved after they were made."""
    folder = tmp_path_factory.mktemp("finished")
    return finish(folder).rename(folder / "moved")


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> ResultsFolder:
    """A copy to be spoilt."""
    return ResultsFolder(Path(shutil.copytree(finished, tmp_path / "results")))


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def wrong(checks: list[Check]) -> dict[str, str]:
    """What is not ok, and why."""
    assert all(check.holds is not None for check in checks)
    return {check.name: check.why for check in checks if not check.holds}


def cheap(results: ResultsFolder) -> dict[str, str]:
    """The checks that neither score nor draw."""
    known, sweeps = check_sweeps(results)
    return wrong([known, *check_inputs(results, sweeps), *check_winner(results, sweeps)])


# All of it


def test_untouched_results_are_ok_and_stay_untouched(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    capsys.readouterr()
    assert verify.main([str(finished), "--device", "cpu"]) == 0
    *lines, told = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert told == f"{finished}: {len(lines)} checks are ok"
    for name in ("dataset/dataset.json", "control.json", "metrics.json, scored", "report.html"):
        assert any(name in line for line in lines), name
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_quick_look_says_what_it_leaves_out(
    results: ResultsFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "check_drawings", lambda results: [])  # Tested above and below.
    assert verify.main([str(results.path), "--quick"]) == 0
    out = capsys.readouterr().out
    assert "left out  evaluation/metrics.json, scored again: --quick" in out
    assert out.endswith("6 were left out\n")
    replace(results.best / "curves.csv", "\n0000,2,", "\n0000,3,")
    assert verify.main([str(results.path), "--quick"]) == 1
    out, err = capsys.readouterr()
    assert "NOT ok    best/curves.csv: run 0000, epoch 2 is missing" in out
    assert "checks are NOT ok: best/curves.csv\n" in err


def test_a_folder_without_results_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main([str(tmp_path)]) == 1
    assert f"{tmp_path}: holds no results of the pipeline" in capsys.readouterr().err


# Inputs


@pytest.mark.parametrize(
    ("name", "of"),
    [
        (
            "dataset/dataset.json",
            ["sweep/sweep.json", "evaluation/metrics.json", "explanation/explanation.json"],
        ),
        ("sweep/sweep.json", ["best/run.json"]),
        ("dataset/train.npz", ["evaluation/metrics.json"]),
        ("controls/sensors_permuted/control.json", ["evaluation/metrics.json"]),
    ],
)
def test_a_changed_input_is_named_where_it_was_used(
    results: ResultsFolder, name: str, of: list[str]
) -> None:
    with (results.path / name).open("a", encoding="utf-8") as handle:
        handle.write("\n")
    found = cheap(results)
    for document in of:
        assert f"{name} has changed" in found[f"inputs of {document}"]


def test_a_recording_outside_the_folder_is_looked_at_where_it_was(
    finished: Path, results: ResultsFolder
) -> None:
    recordings = finished.parent / "recordings"
    hidden = recordings.rename(finished.parent / "hidden")
    try:
        found = cheap(results)
    finally:
        hidden.rename(recordings)
    assert list(found) == ["inputs of dataset/dataset.json"]
    assert f"{recordings / 'face_001_aligned.csv.gz'} is not here" in found[next(iter(found))]
    assert "and 7 more" in found[next(iter(found))]


def test_runs_outlive_a_sweep_that_was_written_anew(results: ResultsFolder) -> None:
    """As when run_cap is raised; a run of other data does not pass."""
    run = next(results.runs.glob("*/0001/run.json"))
    stale = {str(results.sweep): "00" * 32}
    change(run, lambda content: content["provenance"].update(inputs=stale))
    assert cheap(results) == {}
    stale = {str(results.dataset.with_name("train.npz")): "00" * 32}
    change(run, lambda content: content["provenance"].update(inputs=stale))
    assert "dataset/train.npz has changed" in cheap(results)["inputs of the runs"]


def test_runs_of_the_service_beyond_run_cap_are_looked_at(results: ResultsFolder) -> None:
    run = next(results.runs.glob("*/0001/run.json"))
    stale = {str(results.dataset.with_name("train.npz")): "00" * 32}
    change(run, lambda content: content["provenance"].update(inputs=stale))
    _, (sweep,) = check_sweeps(results)
    for address, found in ((None, False), ("me/mill/abcd1234", True)):
        document = {**sweep.document, "wandb": address}
        checks = wrong(
            check_inputs(results, [dataclasses.replace(sweep, total=1, document=document)])
        )
        assert ("inputs of the runs" in checks) == found


@pytest.mark.parametrize(
    ("recorded", "roots", "found"),
    [
        ("results/best/run.json", ["results"], "/here/best/run.json"),
        ("/old/results/best/run.json", ["/old/results"], "/here/best/run.json"),
        ("/old/results/best/run.json", ["results"], "/here/best/run.json"),
        ("/data/mill/a.csv", ["/old/results", "results"], "/data/mill/a.csv"),
        ("workflow/sweeps/bayes.yaml", ["results"], "workflow/sweeps/bayes.yaml"),
        ("a.csv", ["."], "a.csv"),
    ],
)
def test_recorded_paths_are_found_in_a_folder_that_was_moved(
    recorded: str, roots: list[str], found: str
) -> None:
    results = ResultsFolder(Path("/here"))
    assert located(results, recorded, {PurePath(root) for root in roots}) == Path(found)


# The winner


def test_an_edited_table_of_runs_is_found(results: ResultsFolder) -> None:
    table = results.best / "runs.csv"
    head, first, second = table.read_text(encoding="utf-8").splitlines()
    column = head.split(",").index("best_value")
    cells = second.split(",")
    cells[column] = "0.99"
    table.write_text("\n".join([head, first, ",".join(cells), ""]), encoding="utf-8")
    found = cheap(results)
    assert set(found) == {"best/runs.csv", "runs of best/runs.csv"}
    assert f"its first run is {first[:4]}, but {second[:4]} is better" in found["best/runs.csv"]
    assert f"run {second[:4]}.best_value is '0.99'" in found["runs of best/runs.csv"]


def test_a_better_run_that_was_passed_over_is_found(results: ResultsFolder) -> None:
    winner = json.loads((results.best / "run.json").read_text(encoding="utf-8"))["run"]
    other = {"0000": "0001", "0001": "0000"}[winner]
    path = next(results.runs.glob(f"*/{other}/run.json"))
    change(path, lambda content: content.update(best_value=0.99))
    found = cheap(results)
    assert f"run is '{winner}', it should be '{other}'" in found["best/run.json"]
    assert "is not runs/" in found["best/checkpoint.pt"]


def test_another_checkpoint_is_found(results: ResultsFolder) -> None:
    best = results.best / "checkpoint.pt"
    digests = {path: path.read_bytes() for path in results.runs.glob("*/*/checkpoint.pt")}
    other = next(of for of in digests.values() if of != best.read_bytes())
    best.write_bytes(other)
    found = cheap(results)
    assert "is not the file that best/run.json was made from" in found["best/checkpoint.pt"]
    assert "best/checkpoint.pt has changed" in found["inputs of evaluation/metrics.json"]
    found = wrong(check_scores(results, CPU, 1))
    assert "hyperparameters.learning_rate is" in found["best/run.json, scored again"]
    assert "models.gcodefp." in found["evaluation/metrics.json, scored again"]
    assert "rows" in found["evaluation/predictions.npz, scored again"]


def test_repeats_with_other_seeds_decide(results: ResultsFolder) -> None:
    repeats = results.sweep.parent / "repeats" / "sweep.json"
    sweep = ["--sweep", str(results.sweep), "--runs", str(results.runs)]
    asked = ["--finalists", "1", "--seeds", "2", "--output", str(repeats)]
    assert repeat_best.main([*sweep, *asked]) == 0
    common = dataset_flags(results.dataset.parent, "train", "val")
    assert agent.main([*common, "--sweep", str(repeats), *sweep[2:]]) == 0
    both = [*sweep[:2], str(repeats), *sweep[2:], "--output", str(results.best)]
    assert select_best.main([*common, *both]) == 0
    known, sweeps = check_sweeps(results)
    assert wrong([known, *check_winner(results, sweeps)]) == {}
    change(results.best / "run.json", lambda content: content["seeds"][0].update(mean=0.5))
    assert "seeds[0].mean is 0.5" in wrong(check_winner(results, sweeps))["best/run.json"]
    shutil.rmtree(repeats.parent)
    assert "whose sweep.json is not in" in wrong([check_sweeps(results)[0]])["sweeps"]


# The scores


def test_every_changed_number_is_named(results: ResultsFolder) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["models"]["majority"]["token"]["high"] += 1e-4
        content["models"]["gcodefp"]["gcode"]["n"] += 1
        content["controls"][0]["fails"] = "perhaps"
        content["leaky"] = True

    change(results.evaluation / "metrics.json", edit)
    program = min((results.evaluation / "gcode").glob("*.nc"))
    replace(program, "\nG", "\nM")
    arrays = results.evaluation / "predictions.npz"
    with np.load(arrays) as stored:
        content = dict(stored)
    content["whole_position_mm"][3] += 1
    content.pop("model_line")
    np.savez_compressed(arrays, **content)
    found = wrong(check_scores(results, CPU, 1))
    assert set(found) == {
        "evaluation/metrics.json, scored again",
        "evaluation/predictions.npz, scored again",
        "evaluation/gcode, read again",
    }
    told = found["evaluation/metrics.json, scored again"]
    for name in ("leaky", "controls[0].fails", "majority.token.high", "gcodefp.gcode.n"):
        assert f"{name} is " in told, name
    told = found["evaluation/predictions.npz, scored again"]
    assert "whole_position_mm is another at 1 of" in told
    assert "model_line is missing" in told
    assert program.name in found["evaluation/gcode, read again"]


def test_another_device_is_granted_more(results: ResultsFolder) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["device"] = "Some GPU"
        content["models"]["gcodefp"]["token"]["value"] *= 1.001

    change(results.evaluation / "metrics.json", edit)
    checks = check_scores(results, CPU, 1)
    assert wrong(checks) == {}
    assert all("on cpu instead of Some GPU" in check.why for check in checks)
    change(results.evaluation / "metrics.json", lambda content: content.update(device="cpu"))
    assert set(wrong(check_scores(results, CPU, 1))) == {"evaluation/metrics.json, scored again"}


def test_what_makes_no_sense_is_no_crash(results: ResultsFolder) -> None:
    metrics = results.evaluation / "metrics.json"
    change(metrics, lambda content: content.pop("models"))
    assert (
        "models is missing"
        in wrong(check_scores(results, CPU, 1))["evaluation/metrics.json, scored again"]
    )
    metrics.write_text("{}", encoding="utf-8")
    (results.best / "run.json").write_text("torn", encoding="utf-8")
    assert "format is None" in next(iter(wrong(check_scores(results, CPU, 1)).values()))
    known, sweeps = check_sweeps(results)
    assert known.holds is False
    found = wrong(check_inputs(results, sweeps))
    assert "records no inputs" in found["inputs of evaluation/metrics.json"]
    assert "not JSON" in found["inputs of best/run.json"]


# The explanation


def test_a_changed_explanation_is_found(results: ResultsFolder) -> None:
    assert wrong(check_explanation(results, CPU)) == {}

    def edit(content: dict[str, Any]) -> None:
        content["sensors"]["without"][1]["scores"]["gcode"]["value"] += 0.01
        content["calibration"]["gcodefp"]["bins"][0]["right"]["n"] += 1

    change(results.explanation / "explanation.json", edit)
    arrays = results.explanation / "explanation.npz"
    with np.load(arrays) as stored:
        content = dict(stored)
    content["whole_confidence"][2] *= 0.5
    content.pop("excerpt_read")
    np.savez_compressed(arrays, **content)
    told = wrong(check_explanation(results, CPU))
    document = told.pop("explanation/explanation.json, asked again")
    for name in ("sensors.without[1].scores.gcode.value", "bins[0].right.n"):
        assert f"{name} is " in document, name
    (other,) = told.values()
    assert "whole_confidence is another at 1 of" in other
    assert "excerpt_read is missing" in other


def test_another_device_need_not_find_what_rounding_decides(results: ResultsFolder) -> None:
    def edit(content: dict[str, Any]) -> None:
        content["device"] = "Some GPU"
        content["sensors"]["complete"]["token"]["value"] *= 1.001
        content["sensors"]["without"][0]["differences"]["gcode"]["value"] += 0.001

    path = results.explanation / "explanation.json"
    change(path, edit)
    checks = check_explanation(results, CPU)
    assert wrong(checks) == {}
    assert all("on cpu, explained on Some GPU" in check.why for check in checks)
    change(path, lambda content: content["sensors"]["complete"]["token"].update(value=0.0))
    assert set(wrong(check_explanation(results, CPU))) == {
        "explanation/explanation.json, asked again"
    }


def test_an_explanation_that_is_not_there_is_told(results: ResultsFolder) -> None:
    (results.explanation / "explanation.json").unlink()
    for why in wrong(check_explanation(results, CPU)).values():
        assert "explanation.json: no such file; it is made by" in why
    assert "no such file" in cheap(results)["inputs of explanation/explanation.json"]


# Protocols


def put_together(results: ResultsFolder) -> Path:
    """A table of one fold, which lies where the pipeline has folds, with its own dataset."""
    fold = results.protocols.parent / "recording" / "0"
    shutil.copytree(results.evaluation, fold / "evaluation")
    shutil.copytree(results.dataset.parent, fold / "dataset")
    shutil.copytree(results.best, fold / "run")
    for name in ("dataset/dataset.json", "evaluation/metrics.json", "run/run.json"):
        change(fold / name, lambda content: content["provenance"].update(inputs={}))
    own = [fold / name for name in ("run/checkpoint.pt", "dataset/dataset.json")]
    inputs = {str(path): sha256(path) for path in own}
    metrics = fold / "evaluation/metrics.json"
    change(metrics, lambda content: content["provenance"].update(inputs=inputs))
    asked = ["--winner", str(results.best / "run.json"), "--evaluations", str(metrics.parent)]
    assert protocols.main([*asked, "--output", str(results.protocols.parent)]) == 0
    return fold


def test_a_changed_table_of_protocols_is_found(results: ResultsFolder) -> None:
    assert check_protocols(results) == []
    fold = put_together(results)
    assert wrong(check_protocols(results)) == {}
    assert cheap(results) == {}
    change(
        results.protocols,
        lambda content: content["protocols"][0]["exact"]["gcodefp"].update(value=0.99),
    )
    (told,) = wrong(check_protocols(results)).values()
    assert "protocols[0].exact.gcodefp.value is 0.99, it should be" in told
    with (fold / "dataset/dataset.json").open("a", encoding="utf-8") as handle:
        handle.write("\n")
    name = "protocols/recording/0/evaluation/metrics.json"
    told = cheap(results)[f"inputs of {name}"]
    assert "protocols/recording/0/dataset/dataset.json has changed" in told
    change(fold / "evaluation/metrics.json", lambda content: content.update(leaky=True))
    assert f"{name} has changed" in cheap(results)["inputs of protocols/protocols.json"]
    assert "protocols[0].leaky is False" in next(iter(wrong(check_protocols(results)).values()))


# Figures and report


def test_swapped_figures_and_an_edited_report_are_found(results: ResultsFolder) -> None:
    figures = results.figures
    shutil.copy(figures / "accuracy.svg", figures / "confusion.svg")
    shutil.copy(figures / "accuracy.png", figures / "slices.png")
    (figures / "clocks.svg").unlink()
    replace(results.report, "exactly right", "exactly wrong")
    found = wrong(drawn_again.check_drawings(results))
    told = found["figures"]
    for path, how in (("confusion.svg", "other bytes"), ("slices.png", ""), ("clocks.svg", "")):
        assert f"figures/{path} is not" in told
        assert how in told
    assert "accuracy" not in told
    assert "exactly wrong" in found["report.html"]


def test_a_report_that_is_not_there_is_told_with_the_command(
    results: ResultsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.report.unlink()
    monkeypatch.setattr(drawn_again, "_figures", lambda results, folder: iter(()))
    (figures, page) = drawn_again.check_drawings(results)
    assert figures.holds
    assert page.holds is False
    assert page.why.endswith(
        "report.html: no such file; it is made by: " + drawn_again.REPORT_REBUILD
    )


# Differences


def test_differences_name_their_place() -> None:
    due = {"a": [1, {"b": 2.0}], "c": None, "d": True}
    assert list(differences(due, due)) == []
    found = {"a": [1, {"b": 2.5}], "c": 0, "d": 1, "e": "x"}
    assert list(differences(due, found, 0.1)) == [
        "a[1].b is 2.5, it should be 2.0",
        "c is 0, it should be None",
        "d is 1, it should be True",
        "e should not be there",
    ]
    assert list(differences(due, {"a": [1], "d": True})) == [
        "a is [1], it should be [1, {'b': 2.0}]",
        "c is missing",
    ]
    assert list(differences(100.0, 100.5, 0.01)) == []


def test_the_order_of_a_table_counts() -> None:
    table = "run,value\n1,a\n2,b\n"
    assert list(table_differences(table, table, ["run"])) == []
    (told,) = table_differences(table, "run,value\n2,b\n1,a\n", ["run"])
    assert "another order" in told
