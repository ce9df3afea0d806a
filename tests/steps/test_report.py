"""The report page of small files that are written here, as the stages before would write them."""

import html
import importlib
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from protocol_files import write_protocols
from result_documents import PROVENANCE
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp import report
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import leak_warnings
from gcodefp.evaluation.names import ELAPSED, FILTER, MAJORITY, MODEL, NEIGHBOUR, PRIMARY, WHOLE
from gcodefp.evaluation.significance import MIN_FOLDS
from gcodefp.reporting.conclusions import one_fold
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.page import render, versions
from gcodefp.reporting.page_tables import window_length_table
from gcodefp.reporting.results import Results
from gcodefp.reporting.templates import FOLDER
from gcodefp.reporting.wording import (
    METRIC_TITLES,
    NOTHING,
    PREDICTOR_KINDS,
    interval,
    interval_text,
)

SHARE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 72, "recordings": 4}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for the folder of figures, which the page only embeds."""
    folder = tmp_path_factory.mktemp("figures")
    for stem in FIGURES:
        (folder / f"{stem}.svg").write_text("<svg/>")
    return folder


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A leaky pipeline's files."""
    folder = tmp_path_factory.mktemp("leaky")
    return write_results(folder, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)


def without_libraries(page: str) -> str:
    """The page without the files of others, each of which it has once."""
    for path in FOLDER.glob("*.min.*"):
        text = path.read_text(encoding="utf-8")
        assert page.count(text) == 1
        page = page.replace(text, "")
    return page


def control(fails: bool) -> dict[str, Any]:
    """A control of metrics.json."""
    score = {
        "limit": MAJORITY, "score": SHARE, "limit_score": SHARE, "difference": SHARE,
        "fails": fails,
    }  # fmt: skip
    return {
        "control": "labels_shuffled", "what": "labels <shuffled>", "fails": fails,
        "answers": {MODEL: score, WHOLE: {**score, "limit": ELAPSED, "fails": True}},
    }  # fmt: skip


def test_report_stands_alone(
    leaky: list[str], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    command = [*leaky, "--figures", str(pictures), "--output", str(output)]
    assert report.main(command) == 0
    page = output.read_text()
    own = without_libraries(page)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", own)
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest", own)
    assert "default-src 'none'; img-src data: blob:;" in own
    assert own.count("data:image/svg+xml;base64,") == len(FIGURES) - 3, "4 runs, one objective"
    models = results_of(leaky).evaluation["models"]
    for metric in ("within_1s", "gcode", "token", "operation", "program", "gcode_error_rate"):
        assert f'<th scope="col">{escape(METRIC_TITLES[metric])}, %</th>' in page
        assert f"<td>{100 * models[MODEL][metric]['value']:.1f}<small>[" in page
    for metric in ("program_time_error_s", "position_error_mm"):
        assert f"<td>{models[MODEL][metric]['value']:.2f}<small>[" in page
    for text in (
        *(f"<td>{name}</td>" for name in models),
        *("face&lt;b&gt;_001", "&lt;script&gt;loss is nan", "runs &lt;backwards&gt;"),
        *(LEAKY_NOTE, CONTROLLER_NOTE, "with uncommitted changes", "0123456789ab", "bad_001"),
        "python -m gcodefp.step --name &#39;a b&#39;",
        *(f"<b>{kind.title}" for kind in PREDICTOR_KINDS.values()),
        f", n={models[MODEL]['token']['n']}</small>",
        f"<td>{MAJORITY}</td><td>{NOTHING}<small></small></td>",
    ):
        assert text in page
    first = output.read_bytes()
    capsys.readouterr()
    assert report.main(command) == 0
    assert output.read_bytes() == first
    # These end the output of `make run`; warnings stand before them.
    lines = [line.partition(" report: ")[2] for line in capsys.readouterr().err.splitlines()]
    words = ("searched: ", "how good: ", "conclusion: No evidence", "next: ", f"report: {output}")
    assert all(map(str.startswith, lines[-len(words) :], words))
    assert interval(models[MODEL][PRIMARY]) in lines[-4]


def test_paths_of_this_machine_are_published_only_if_wanted(pictures: Path, tmp_path: Path) -> None:
    """In commands, inputs, reasons and the table of protocols; figures are made of the same."""
    root, home = "/home/zoey lee/run 1", "/home/zoey lee"
    options = write_results(tmp_path, spoilt(0.3), true_blocks())
    inputs = {f"{root}/dataset/dataset.json": "ab" * 32, f"{home}/data/face_1.csv": "cd" * 32}
    argv = ["step.py", "--recordings", f"{home}/data", "--output", f"{root}/best", "--x", "../y/z"]
    reason = f"cannot read {root}/runs/1: or {home.replace(' ', '_')}/a/b.csv, 9 mm/min"
    for name in ("dataset.json", "sweep.json", "best/run.json", "evaluation/metrics.json",
                 "explanation/explanation.json"):  # fmt: skip
        document = json.loads((tmp_path / name).read_text())
        document["provenance"] |= {"argv": argv, "inputs": inputs}
        if name == "dataset.json":
            document["left_out"] = [{"recording": "bad_001", "reason": reason}]
        (tmp_path / name).write_text(json.dumps(document))
    table = tmp_path / "best/runs.csv"
    table.write_text(table.read_text().replace("early termination", f'"{reason}"'))
    best_run = {**results_of(options).best_run, "sweeps": [f"{root}/sweep"]}
    write_protocols(tmp_path / "protocols.json", best_run)
    command = [*options, "--figures", str(pictures), "--output", str(tmp_path / "report.html")]
    command += ["--protocols", str(tmp_path / "protocols.json")]
    for flags, is_shown in (([], False), (["--show-paths"], True)):
        assert report.main([*command, *flags]) == 0
        page = (tmp_path / "report.html").read_text()
        assert ("zoey" in without_libraries(page)) == is_shown
        assert ("RESULTS/runs/1: or …/b.csv, 9 mm/min" in page) == (not is_shown)
        assert "../y/z" in page


def test_a_command_for_another_folder_is_shown_as_typed_there(
    results: Results, pictures: Path
) -> None:
    home = "/home/zoey lee"
    words = ["gcodefp", "run", "--directory", f"{home}/study", "--configfile"]
    words += [f"{home}/study/{name}" for name in ("a b.yaml", "../cfg/lab.yaml")]
    words += ["/data/c.yaml", "--", "protocols"]
    typed = replace(results, protocols_command=shlex.join(words), roots=set())
    shown = "gcodefp run --configfile 'a b.yaml' ../cfg/lab.yaml …/c.yaml -- protocols"

    def command(results: Results) -> str:
        shown = re.findall('id="protocols" data-command="(.*?)"', render(results, pictures))
        return html.unescape(shown[0])

    assert command(typed) == shown
    again = replace(typed, protocols_command=command(typed))
    assert command(again) == command(typed), "as verify makes the page"
    assert command(replace(typed, roots=None)) == shlex.join(words)


def test_the_first_screen_answers_what_is_asked_and_names_caveats(
    results: Results, pictures: Path
) -> None:
    page = render(results, pictures)
    assert "Simulated" not in page
    models, count = results.evaluation["models"], results.evaluation["recordings"]
    windows, whole = models[MODEL], models[WHOLE]
    program, where, executed, caveats = one_fold(results).answers.values()
    assert program == f"Correct in {count} of {count} test recordings."
    assert f"{interval(windows[PRIMARY])} of the time from windows of 1 s (4 rows)" in where
    assert f"{interval(whole[PRIMARY])} with whole recordings" in where
    assert interval(whole["gcode_error_rate"]) in executed
    assert interval(whole["segment_f1"]) in executed
    assert caveats.startswith(f"{count} test recordings of one fold and one training")
    assert "doubtful" not in caveats
    assert page.index(f"<dd>{program}") < page.index(f"<dd>{caveats}") < page.index("<section")
    worse = {**models, WHOLE: {**whole, "program": SHARE}}
    evaluation = {**results.evaluation, "models": worse, "doubtful_lags": ["face_1", "face_2"]}
    dataset = {**results.dataset, "simulated": True}
    simulated = replace(results, evaluation=evaluation, dataset=dataset)
    program, _, _, caveats = one_fold(simulated).answers.values()
    assert program == f"Correct in {interval(SHARE)} of the time in {count} test recordings."
    assert "the lag, and so the true time, is doubtful in 2" in caveats
    assert "<b>Simulated recordings.</b>" in render(simulated, pictures)


def test_missing_files_are_named_with_their_remedy(
    leaky: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*leaky, "--figures", str(tmp_path), "--output", str(tmp_path / "r.html")]
    assert report.main(command) == 1
    assert "--forcerun figures" in capsys.readouterr().err
    options = write_results(tmp_path, true_blocks(), true_blocks())
    (tmp_path / "evaluation/predictions.npz").unlink()
    with pytest.raises(UserError, match="--forcerun evaluate"):
        results_of(options)


@pytest.mark.parametrize(
    ("name", "changed", "complaint"),
    [
        ("sweep.json", {"id": "another"}, "is of sweep abcd1234"),
        ("evaluation/metrics.json", {"external": "/data/x"}, "is of other recordings, /data/x"),
        ("evaluation/metrics.json",
         {"provenance": {**PROVENANCE, "inputs": {"checkpoint.pt": "00" * 32}}},
         "another checkpoint"),
    ],
)  # fmt: skip
def test_files_of_other_results_are_refused(
    tmp_path: Path, name: str, changed: dict[str, object], complaint: str
) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    path = tmp_path / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(UserError, match=complaint):
        results_of(options)


def test_window_lengths_are_a_table_of_windows(leaky: list[str]) -> None:
    evaluation = results_of(leaky).evaluation
    table = window_length_table(evaluation)
    assert table["header"] == ["16 rows, 4 s", "32 rows, 8 s", "64 rows, 16 s", "whole recording"]
    near, program = table["sections"]
    assert [near["title"], program["title"]] == ["within 1 s, %", "program, %"]
    assert [name for name, _ in near["rows"]] == [MODEL, FILTER]
    assert near["rows"][1][1][0] == ("40.0", "[30.0, 50.0]")
    assert [cell.value for cell in program["rows"][0][1]] == ["59.0", "74.0", "84.0", "99.0"]
    empty = window_length_table({"ladder": [], "doubtful_lags": []})
    assert empty == {"header": [], "sections": []}
    doubtful = window_length_table({**evaluation, "doubtful_lags": ["face_003"]})["sections"]
    assert doubtful[::2] == [{**near, "note": "all recordings"}, program]
    assert doubtful[1]["note"].startswith("without face_003, whose lag")
    assert doubtful[1]["rows"][0][1][0].value == "57.0"


@pytest.mark.parametrize("fails", [True, False])
def test_leaky_control_is_marked(tmp_path: Path, pictures: Path, fails: bool) -> None:
    controls = [control(True), control(fails)]
    options = write_results(tmp_path, true_blocks(), spoilt(0.7, seed=1), controls=controls)
    results = results_of(options)
    page = render(results, pictures)
    assert ("No negative control has a leak: labels &lt;shuffled&gt;" in page) == fails
    assert one_fold(results).conclusion.startswith("No evidence") == (not fails)
    assert page.count('class="warning"') == (0 if fails else 2)
    assert page.count("<td>LEAK</td>") == (not fails)
    assert all(str(escape(sentence)) in page for sentence in leak_warnings(controls[1]))
    evaluation = {**results.evaluation, "controls": []}
    assert 'id="controls"' not in render(replace(results, evaluation=evaluation), pictures)


def test_versions_are_those_of_every_stage(leaky: list[str]) -> None:
    """An explanation that was made later, with other packages."""
    own = results_of(leaky).best_run["provenance"]
    later = {**own, "packages": {"numpy": "2.1", "wandb": None}, "python": "3.12.1"}
    rows = dict(versions([own, later])["rows"])
    assert rows["numpy"] == "2.0 and 2.1"
    assert rows["python"] == "3.11.0 and 3.12.1"
    assert rows["wandb"] == "not installed"


def test_details_of_sweep_best_run_and_costs(leaky: list[str], pictures: Path) -> None:
    results = results_of(leaky)
    page = render(results, pictures)
    assert "1,000 parameters, 9.5 s on cpu.</p>" in page
    assert "This val score does not compare with the test numbers" in page
    assert "4 runs; method random" in page
    assert "trained again, as a process" not in page
    runs, work = results.runs.copy(), results.work.copy()
    # A better run that was stopped does not make the best run another one.
    runs.loc[runs["state"] == "stopped", "best_value"] = 0.9
    work.loc[(work["run"] == "0000") & (work["pid"] == 2), "epoch"] -= 1
    # As W&B may bring it, where no summary of ours is found.
    best_run = {**results.best_run, "sweeps": ["abcd1234", "ef567890"]}
    best_run |= dict.fromkeys(("parameters", "seconds", "device"))
    best_run["hyperparameters"] = {"learning_rate": 0.002}
    del best_run["epochs"]
    page = render(replace(results, runs=runs, work=work, best_run=best_run), pictures)
    assert "Run 0001 of 4 is the best of the runs trained to their end: " in page
    assert "One epoch was trained again, as a process" in page
    assert "- parameters, - s on -.</p>" in page
    assert "best run -. Training code" in page
    assert " at epoch 3 of -" in page
    assert "4 runs of 2 sweeps, the first of them with method random" in page


def test_commands_on_the_page_fit_any_results_folder(
    leaky: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = render(results_of(leaky), pictures)
    commands = re.findall(r"<code>python -m gcodefp\.(.*?)</code>", page)
    assert [command.split()[0] for command in commands] == ["predict", "train", "verify"]
    for command in commands:
        name, *words = command.split()
        assert "results" not in command
        assert "RESULTS" in command
        with pytest.raises(SystemExit):
            importlib.import_module(f"gcodefp.{name}").main(["--help"])
        usage = capsys.readouterr().out
        assert all(word in usage for word in words if word.startswith("--"))


# The section of protocols


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return results_of(write_results(tmp_path, true_blocks(), spoilt(0.5)))


def conclusions(page: str) -> list[tuple[str, str]]:
    """Kind and conclusion of each conclusion at the top."""
    return re.findall(r'<section class="conclusion ?(.*?)">\n<strong>(.*?)</strong>', page)


def section(page: str) -> str:
    """The part of the page between its headings."""
    return re.findall(r'<h2 id="protocols".*?(?=<h2)', page, re.DOTALL)[0]


def test_protocols_stand_side_by_side_and_the_leaky_one_is_marked(
    results: Results, pictures: Path, tmp_path: Path
) -> None:
    write_protocols(tmp_path / "protocols.json", results.best_run)
    page = render(results, pictures, tmp_path / "protocols.json")
    assert "<b>protocols/protocols.json</b>" in page
    text = section(page)
    rows = re.findall(r"<tr>(<td>.*?)</tr>", text)
    assert [row.count("<td>") for row in rows] == [text.count("<th ")] * 2
    assert '<b class="dirty">LEAKY, too optimistic</b>' not in rows[0]
    assert '<b class="dirty">LEAKY, too optimistic</b> window' in rows[1]
    share = results.evaluation["models"][NEIGHBOUR][PRIMARY]
    mean = f"{100 * share['value']:.1f}"
    assert f"<td>{NEIGHBOUR} {mean}<small>[{mean}, {mean}]</small></td>" in rows[0]
    # The leaky one has a single fold, and so the interval of its recordings.
    value, _, limits = interval_text(share).partition(" ")
    assert f"<td>{NEIGHBOUR} {value}<small>{limits}</small></td>" in rows[1]
    assert "session: no recording &lt;matches&gt;" in text
    assert 'class="warning"' not in text


@pytest.mark.parametrize(
    ("write", "mark"),
    [
        (lambda path, best_run: None, None),
        (lambda path, best_run: path.write_text("{}"), "cannot read protocols.json"),
        (lambda path, best_run: write_protocols(path, {**best_run, "sweeps": ["00000000"]}),
         "sweep 00000000 (the best run&#39;s: abcd1234)"),
        (lambda path, run: write_protocols(path, {**run, "hyperparameters": {"d_model": 32}}),
         "d_model 32 (the best run&#39;s: not set)"),
    ],
)  # fmt: skip
def test_missing_unreadable_or_other_table_of_protocols_is_reported(
    results: Results, pictures: Path, tmp_path: Path, write: Callable[..., object], mark: str | None
) -> None:
    path = tmp_path / "protocols.json"
    write(path, results.best_run)
    page = render(results, pictures, path)
    # What another best run has earned is not shown as this one's.
    assert conclusions(page) == [("", one_fold(results).conclusion)]
    text = section(page)
    marks = re.findall(r'<p class="warning">(.*?)</p>', text)
    assert [mark in shown for shown in marks] == ([True] if mark else [])
    assert "snakemake --cores all protocols" in text


def test_the_conclusions_of_the_protocols_stand_above_the_numbers_of_one_fold(
    results: Results, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "protocols.json"
    write_protocols(path, results.best_run)
    page = render(results, pictures, path)
    rival = f"gcodefp beats the best baseline, {NEIGHBOUR}, on new recordings"
    assert [kind for kind, _ in conclusions(page)] == ["beats", "beats"]
    assert all(rival in conclusion for _, conclusion in conclusions(page))
    assert "means over 5 folds by recording, each with a training of its own" in page
    assert "supports no conclusion" not in page
    assert page.index('<section class="conclusion') < page.index("The best baseline for windows")
    write_protocols(path, results.best_run, count=MIN_FOLDS - 1)
    page = render(results, pictures, path)
    assert [kind for kind, _ in conclusions(page)] == ["undecided", "undecided"]
    assert "beats" not in "".join(conclusion for _, conclusion in conclusions(page))


def test_a_page_with_warnings_colours_no_conclusion(
    leaky: list[str], pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folds may be sound where the page's own split is not; the log has the conclusions too."""
    options = write_results(tmp_path, spoilt(0.3), spoilt(0.5))
    path, output = tmp_path / "protocols.json", tmp_path / "report.html"
    flags = ["--figures", str(pictures), "--protocols", str(path), "--output", str(output)]
    assert report.main([*options, *flags]) == 0
    log = capsys.readouterr().err
    assert "One fold (" in log
    assert "supports no conclusion" in log
    write_protocols(path, results_of(options).best_run)
    assert report.main([*leaky, *flags]) == 0
    assert "From windows gcodefp " in capsys.readouterr().err
    page = output.read_text()
    assert [kind for kind, _ in conclusions(page)] == ["", ""]
    assert all(text.startswith("No evidence") for _, text in conclusions(page))
