"""The table of protocols on the report page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from result_files import results_of, true_blocks, write_results

from gcodefp.evaluation.names import MODEL, NEIGHBOUR, WHOLE
from gcodefp.files import write_json
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.page import render
from gcodefp.reporting.protocols_table import (
    MEASURED,
    PROTOCOLS_FORMAT,
    Line,
    Value,
    described,
    head,
)
from gcodefp.reporting.results import Results

SHARE = Value(0.5, 0.25, 0.75)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    for stem in FIGURES:
        (tmp_path / f"{stem}.svg").write_text("<svg/>")
    return results_of(write_results(tmp_path, true_blocks(), true_blocks()))


def line(protocol: str, leaky: bool) -> Line:
    measured = {metric: {MODEL: SHARE, WHOLE: SHARE} for metric in MEASURED}
    exact = {MODEL: SHARE, WHOLE: SHARE, NEIGHBOUR: Value(0.125, 0.1, 0.2)}
    return Line(protocol, leaky, False, 2, ["face_001"], 40, exact, NEIGHBOUR, measured)


def section(results: Results, folder: Path) -> str:
    """The part of the page between its headings."""
    page = render(results, folder, folder / "protocols.json")
    return re.findall(r'<h2 id="protocols">.*?(?=<h2)', page, re.DOTALL)[0]


def write(results: Results, folder: Path, **changed: object) -> None:
    hyperparameters = {**results.winner["hyperparameters"], **changed}
    winner = {**results.winner, "hyperparameters": hyperparameters}
    lines = [line("recording", False), line("window", True)]
    content = described(lines, ["session: no recording <matches>"], winner)
    origin = {"provenance": results.winner["provenance"]}
    write_json(folder / "protocols.json", PROTOCOLS_FORMAT, origin | content)


def test_without_the_table_the_page_says_how_to_make_it(results: Results, tmp_path: Path) -> None:
    told = section(results, tmp_path)
    assert "<code>snakemake --cores all protocols</code>" in told
    assert "<table" not in told
    assert render(results, tmp_path) == render(results, tmp_path, tmp_path / "protocols.json")


def test_protocols_stand_side_by_side_and_the_leaky_one_is_marked(
    results: Results, tmp_path: Path
) -> None:
    write(results, tmp_path)
    told = section(results, tmp_path)
    assert re.findall(r'<th scope="col">(.*?)</th>', told) == head()
    rows = re.findall(r"<tr>(<td>.*?)</tr>", told)
    assert [row.count("<td>") for row in rows] == [len(head())] * 2
    assert '<b class="dirty">LEAKY, an upper bound</b>' not in rows[0]
    assert '<b class="dirty">LEAKY, an upper bound</b> window' in rows[1]
    assert f"<td>{NEIGHBOUR} 12.5<small>[10.0, 20.0]</small></td>" in rows[0]
    assert "session: no recording &lt;matches&gt;" in told
    assert 'class="mark"' not in told
    assert "<b>protocols/protocols.json</b>" in render(
        results, tmp_path, tmp_path / "protocols.json"
    )


def test_a_table_of_another_winner_is_told(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path, learning_rate=0.1, d_model=32)
    (mark,) = re.findall(r'<p class="mark">(.*?)</p>', section(results, tmp_path))
    assert "d_model 32 (the winner&#39;s: not set)" in mark
    assert "learning_rate 0.1 (the winner&#39;s: 0.002)" in mark
    assert "snakemake --cores all protocols" in mark


def test_a_table_of_other_data_or_code_is_told(results: Results, tmp_path: Path) -> None:
    """A winner of the same hyperparameters, whose sweep was made anew."""
    write(replace(results, winner={**results.winner, "sweeps": ["00000000"]}), tmp_path)
    (mark,) = re.findall(r'<p class="mark">(.*?)</p>', section(results, tmp_path))
    assert "sweep 00000000 (the winner&#39;s: sweep abcd1234)" in mark
    assert "snakemake --cores all protocols" in mark


def test_a_table_of_another_version_is_told(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    path = tmp_path / "protocols.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": "gcodefp-protocols-1"}))
    told = section(results, tmp_path)
    assert 'class="mark"' in told
    assert "<table" not in told
