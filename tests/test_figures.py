"""Figures and report on small files that are built here, as the steps before would write them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from result_files import (
    results_of,
    spoilt,
    true_blocks,
    write_results,
)

from gcodefp import figures, report
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.files import (
    MODEL,
)
from gcodefp.findings.results import CONTROLLER_NOTE
from gcodefp.findings.verdict import verdict
from gcodefp.plots.confusion import confusions
from gcodefp.plots.style import SUFFIXES
from gcodefp.reporting.captions import CAPTIONS, TITLES


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A leaky pipeline's files with its figures, which show everything that a figure can."""
    folder = tmp_path_factory.mktemp("leaky")
    options = write_results(folder, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)
    assert figures.main([*options, "--output", str(folder / "figures")]) == 0
    return folder, options


def test_every_figure_is_drawn_and_marked(drawn: tuple[Path, list[str]]) -> None:
    folder = drawn[0] / "figures"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(f"{stem}.{suffix}" for stem in TITLES for suffix in SUFFIXES)
    for stem in TITLES:
        image = (folder / f"{stem}.png").read_bytes()
        assert image.startswith(b"\x89PNG")
        assert len(image) > 10_000
        text = (folder / f"{stem}.svg").read_text()
        shown = " ".join(re.findall(r">([^<>]+)</(?:text|tspan)>", text))
        for note in (LEAKY_NOTE, CONTROLLER_NOTE):
            assert note in shown


def test_the_same_files_give_the_same_bytes(
    drawn: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {stem: figures.FIGURES[stem] for stem in ("toolpath", "accuracy")}
    monkeypatch.setattr(figures, "FIGURES", few)
    assert figures.main([*drawn[1], "--output", str(tmp_path)]) == 0
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (drawn[0] / "figures" / path.name).read_bytes(), path.name


def test_confusions_count_word_by_word(tmp_path: Path) -> None:
    written = true_blocks()
    rows = np.flatnonzero(written == "Y1")
    written[rows[0]] = "X1"  # Another parameter.
    written[rows[1]] = "G1 X1"  # Another kind, and no end where the end should be.
    written[np.flatnonzero(written == "G53 G0 Z0")[0]] = "G1"
    found = confusions(results_of(write_results(tmp_path, written, true_blocks())))
    types = found["token type"]
    assert types.true == ["command", "parameter", "end"]
    assert types.written == [*types.true, "nothing"]
    # The block of three words that became one: its words are an end and nothing, nothing its end.
    assert types.counts.tolist() == [[71, 0, 1, 0], [1, 106, 0, 1], [0, 1, 70, 1]]
    parameters = found["parameter type"]
    y_row = parameters.counts[parameters.true.index("Y")]
    assert dict(zip(parameters.written, y_row.tolist(), strict=True)) == {
        "R": 0, "X": 1, "Y": 34, "Z": 0, "other\nkind": 1,
    }  # fmt: skip
    assert found["operation"].counts.tolist() == [[36, 0], [0, 36]]


def test_confusions_agree_with_the_scores(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.4), true_blocks()))
    scores = results.evaluation["models"][MODEL]
    for name, metric in (("token type", "token_type"), ("command", "command")):
        counts = confusions(results)[name].counts
        assert np.trace(counts) / counts.sum() == pytest.approx(scores[metric]["value"])


def test_a_leaky_verdict_does_not_say_never_seen(drawn: tuple[Path, list[str]]) -> None:
    found = verdict(results_of(drawn[1]))
    assert "never seen" not in found.sentence
    assert found.headline.startswith("No evidence of sensing")


def test_the_report_stands_alone(drawn: tuple[Path, list[str]]) -> None:
    folder, options = drawn
    output = folder / "report.html"
    command = [*options, "--figures", str(folder / "figures"), "--output", str(output)]
    assert report.main(command) == 0
    page = output.read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert not re.search(r"url\(|@import|<script|<link", page)
    assert page.count("data:image/svg+xml;base64,") == len(TITLES)
    model = results_of(options).evaluation["models"][MODEL]
    for metric in ("gcode", "token", "operation"):
        assert f"{100 * model[metric]['value']:.1f} %" in page
    for escaped in ("face&lt;b&gt;_001", "&lt;script&gt;loss is nan", "runs &lt;backwards&gt;"):
        assert escaped in page
    for text in (LEAKY_NOTE, CONTROLLER_NOTE, "with uncommitted changes", "0123456789ab", "bad_001",
                 "python -m gcodefp.step --name &#39;a b&#39;"):  # fmt: skip
        assert text in page
    first = output.read_bytes()
    assert report.main(command) == 0
    assert output.read_bytes() == first


def test_missing_files_are_named_with_their_remedy(
    drawn: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*drawn[1], "--figures", str(tmp_path), "--output", str(tmp_path / "r.html")]
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


def test_snakemake_captions_say_the_same() -> None:
    folder = Path(__file__).parent.parent / "workflow" / "report"
    assert {path.stem for path in folder.glob("*.rst")} == {*CAPTIONS, "workflow"}
    for stem, caption in CAPTIONS.items():
        assert " ".join((folder / f"{stem}.rst").read_text().split()) == caption
    assert set(figures.FIGURES) == set(CAPTIONS) == set(TITLES)
