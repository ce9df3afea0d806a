"""The report page of small files that are built here, as the steps before would write them."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp import report
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import not_failed
from gcodefp.evaluation.names import ELAPSED, MAJORITY, MODEL, NEIGHBOUR, WHOLE
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.page import key_numbers, render, versions
from gcodefp.reporting.page_tables import NOTHING, control_summary, detail_table, main_table
from gcodefp.reporting.wording import KINDS, verdict


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the folder of figures, which the page only takes in."""
    folder = tmp_path_factory.mktemp("figures")
    for stem in FIGURES:
        (folder / f"{stem}.svg").write_text("<svg/>")
    return folder


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A leaky pipeline's files."""
    folder = tmp_path_factory.mktemp("leaky")
    return write_results(folder, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)


def control(fails: bool) -> dict[str, Any]:
    """What metrics.json says of a control."""
    share = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 72, "recordings": 4}
    judged = {
        "limit": MAJORITY, "score": share, "limit_score": share, "difference": share,
        "fails": fails,
    }  # fmt: skip
    return {
        "control": "labels_shuffled", "what": "labels <shuffled>", "fails": fails,
        "answers": {MODEL: judged, WHOLE: {**judged, "limit": ELAPSED, "fails": True}},
    }  # fmt: skip


def test_a_leaky_verdict_does_not_say_never_seen(leaky: list[str]) -> None:
    found = verdict(results_of(leaky))
    assert "never seen" not in found.sentence
    assert found.headline.startswith("No evidence of sensing")


def test_the_report_stands_alone(leaky: list[str], pictures: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    command = [*leaky, "--figures", str(pictures), "--output", str(output)]
    assert report.main(command) == 0
    page = output.read_text()
    assert page.count(get_plotlyjs()) == 1
    own = page.replace(get_plotlyjs(), "")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", own)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", own)
    assert "default-src 'none'; img-src data: blob:;" in own
    assert own.count("data:image/svg+xml;base64,") == len(FIGURES)
    models = results_of(leaky).evaluation["models"]
    for metric in ("gcode", "token", "operation", "program", "gcode_error_rate"):
        assert f"{100 * models[MODEL][metric]['value']:.1f} %" in page
    for name in models:
        assert f"<td>{name}</td>" in page
    for escaped in ("face&lt;b&gt;_001", "&lt;script&gt;loss is nan", "runs &lt;backwards&gt;"):
        assert escaped in page
    assert r"\u003cscript\u003eloss is nan\u003c/script\u003e" in page
    for text in (LEAKY_NOTE, CONTROLLER_NOTE, "with uncommitted changes", "0123456789ab", "bad_001",
                 "python -m gcodefp.step --name &#39;a b&#39;"):  # fmt: skip
        assert text in page
    first = output.read_bytes()
    assert report.main(command) == 0
    assert output.read_bytes() == first


def test_a_number_stands_above_everything_with_what_it_has_to_beat(leaky: list[str]) -> None:
    results = results_of(leaky)
    own, best, gain, ceiling = key_numbers(results)
    score = results.evaluation["models"][MODEL]["gcode"]
    low, high = (100 * score[key] for key in ("low", "high"))
    assert own[:2] == (f"{100 * score['value']:.1f} %", f"[{low:.1f}, {high:.1f}]")
    assert (best.title, best.is_own) == (f"by the best baseline, {NEIGHBOUR}", False)
    points = float(own.value[:-2]) - float(best.value[:-2])
    assert float(gain.value) == pytest.approx(points, abs=0.11)
    assert ceiling.value == "100.0 %"


def test_missing_files_are_named_with_their_remedy(
    leaky: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*leaky, "--figures", str(tmp_path), "--output", str(tmp_path / "r.html")]
    assert report.main(command) == 1
    assert "--forcerun figures" in capsys.readouterr().err
    options = write_results(tmp_path, true_blocks(), true_blocks())
    (tmp_path / "evaluation" / "predictions.npz").unlink()
    with pytest.raises(UserError, match="--forcerun evaluate"):
        results_of(options)
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"id": "another"}))
    options = write_results(tmp_path / "other", true_blocks(), true_blocks())
    with pytest.raises(UserError, match="is of sweep abcd1234"):
        results_of([*options[:3], str(tmp_path / "sweep.json"), *options[4:]])


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"foreign": "/data/other"}, "is of other recordings, /data/other"),
        ({"provenance": {"inputs": {"checkpoint.pt": "00" * 32}}}, "another checkpoint"),
    ],
)
def test_an_evaluation_of_something_else_is_refused(
    tmp_path: Path, changed: dict[str, object], complaint: str
) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    path = tmp_path / "evaluation" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UserError, match=complaint):
        results_of(options)


def test_answers_are_grouped_by_what_they_are_told(leaky: list[str]) -> None:
    models = results_of(leaky).evaluation["models"]
    for table in (main_table(models), detail_table(models)):
        assert [section.title for section in table.sections] == [of.title for of in KINDS.values()]
        rows = {row.name: row for section in table.sections for row in section.rows}
        assert list(rows) == list(models)
        assert all(len(row.cells) == len(table.head) for row in rows.values())
    main = {row.name: row for section in main_table(models).sections for row in section.rows}
    column = main_table(models).head.index("program")
    assert main[MAJORITY].cells[column] == (NOTHING, "")
    assert main[MODEL].cells[column].value == "100.0 %"
    exact = models[MODEL]["gcode"]
    low, high = 100 * exact["low"], 100 * exact["high"]
    assert main[MODEL].cells[0] == (f"{100 * exact['value']:.1f} %", f"[{low:.1f}, {high:.1f}]")
    details = detail_table(models)
    words = details.sections[0].rows[0].cells[details.head.index("X words, mm")]
    assert words.small.endswith(f"n={models[MODEL]['x_error_mm']['n']}")


def test_controls_that_fail_take_one_line(tmp_path: Path, pictures: Path) -> None:
    options = write_results(tmp_path, spoilt(0.3), spoilt(0.7, seed=1), controls=[control(True)])
    results = results_of(options)
    page = render(results, pictures)
    assert "The controls fail, as they must: labels &lt;shuffled&gt;." in page
    assert 'class="mark"' not in page
    assert not results.marks


def test_a_control_that_does_not_fail_is_told_in_red(tmp_path: Path, pictures: Path) -> None:
    controls = [control(True), control(False)]
    options = write_results(tmp_path, true_blocks(), spoilt(0.7, seed=1), controls=controls)
    results = results_of(options)
    assert len(results.marks) == 1
    assert verdict(results).headline.startswith("No evidence of sensing")
    page = render(results, pictures)
    assert page.count('class="mark"') == 2
    assert "as they must" not in page
    (sentence,) = not_failed(control(False))
    summary = control_summary(results.evaluation)
    assert summary is not None
    assert summary["not_failed"] == [sentence]
    assert page.count("DOES NOT FAIL") == 1


def test_without_controls_nothing_is_said_of_them(leaky: list[str], pictures: Path) -> None:
    results = results_of(leaky)
    evaluation = {key: of for key, of in results.evaluation.items() if key != "controls"}
    assert control_summary(evaluation) is None
    assert 'id="controls"' not in render(replace(results, evaluation=evaluation), pictures)


def test_versions_are_those_of_every_step(leaky: list[str]) -> None:
    """An explanation that was made later, with other packages."""
    results = results_of(leaky)
    document = results.explanation.document
    later = {**document["provenance"], "packages": {"numpy": "2.1", "wandb": None}}
    changed = replace(results.explanation, document={**document, "provenance": later})
    found = dict(versions(replace(results, explanation=changed), {**later, "python": "3.12.1"}))
    assert found["numpy"] == "2.0 and 2.1"
    assert found["python"] == "3.11.0 and 3.12.1"
    assert found["wandb"] == "not installed"


def test_a_better_run_that_was_stopped_is_not_claimed_to_be_worse(
    leaky: list[str], pictures: Path
) -> None:
    results = results_of(leaky)
    runs = results.runs.copy()
    runs.loc[runs["state"] == "stopped", "best_value"] = 0.9
    page = render(replace(results, runs=runs), pictures)
    assert "Run 0001 of 4 is the best of the runs trained to their end: " in page


def test_a_winner_that_another_program_trained_has_gaps(leaky: list[str], pictures: Path) -> None:
    """As W&B may bring it, where no summary of ours is found."""
    results = results_of(leaky)
    given = {k: v for k, v in results.winner["hyperparameters"].items() if k != "seed"}
    gaps = dict.fromkeys(("parameters", "seconds", "device"))
    page = render(
        replace(results, winner={**results.winner, **gaps, "hyperparameters": given}), pictures
    )
    assert "- parameters, - s on -.</p>" in page
    assert "The winner has - parameters and took - s.</p>" in page
    assert "winning run -. Training code" in page
    assert "1,000 parameters, 10 s on cpu.</p>" in render(results, pictures)


def test_the_commands_on_the_page_fit_any_results_folder(
    leaky: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the key `results` calls it: what they read is named below this page's folder."""
    results = results_of(leaky)
    commands = re.findall(r"<code>python -m gcodefp\.(.*?)</code>", render(results, pictures))
    assert [of.split()[0] for of in commands] == ["predict", "train", "verify"]
    for command in commands:
        name, *words = command.split()
        assert "results" not in command
        assert "RESULTS" in command
        with pytest.raises(SystemExit):
            importlib.import_module(f"gcodefp.{name}").main(["--help"])
        known = capsys.readouterr().out
        assert all(word in known for word in words if word.startswith("--"))
    assert "--configfile" in render(results, pictures)


def test_one_epoch_that_was_trained_again_is_told_in_the_singular(
    leaky: list[str], pictures: Path
) -> None:
    results = results_of(leaky)
    work = results.work.copy()
    work.loc[(work["run"] == "0000") & (work["pid"] == 2), "epoch"] -= 1
    assert "as work on a run ended" not in render(results, pictures)
    assert "One epoch was trained again, as work on a run ended" in render(
        replace(results, work=work), pictures
    )


def test_a_method_is_told_as_that_of_the_first_of_several_sweeps(
    leaky: list[str], pictures: Path
) -> None:
    results = results_of(leaky)
    two = replace(results, winner={**results.winner, "sweeps": ["abcd1234", "ef567890"]})
    assert "4 runs; method random" in render(results, pictures)
    assert "4 runs of 2 sweeps, the first of them with method random" in render(two, pictures)
