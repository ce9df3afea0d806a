"""Figures of small files that are built here, as the steps before would write them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp import figures
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    SENSORS,
)
from gcodefp.reporting.captions import FOLDER, caption
from gcodefp.reporting.catalogue import FIGURES
from gcodefp.reporting.figures import all_figures
from gcodefp.reporting.figures.accuracy import draw_accuracy, draw_axis_errors
from gcodefp.reporting.figures.confusion import confusions
from gcodefp.reporting.figures.style import SUFFIXES
from gcodefp.reporting.figures.toolpath import draw_toolpath, draw_toolpaths
from gcodefp.reporting.wording import KINDS


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
    assert names == sorted(f"{stem}.{suffix}" for stem in FIGURES for suffix in SUFFIXES)
    for stem in FIGURES:
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
    few = {stem: all_figures.DRAWN_BY[stem] for stem in ("toolpath", "accuracy")}
    monkeypatch.setattr(all_figures, "DRAWN_BY", few)
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
    assert found["program"].true == ["face", "pocket"]
    assert found["program"].counts.tolist() == [[36, 0], [0, 36]]


def test_confusions_agree_with_the_scores(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.4), true_blocks()))
    scores = results.evaluation["models"][MODEL]
    for name, metric in (("token type", "token_type"), ("command", "command")):
        counts = confusions(results)[name].counts
        assert np.trace(counts) / counts.sum() == pytest.approx(scores[metric]["value"])


def texts(figure: Figure) -> list[str]:
    """All texts of a figure."""
    found = (artist.get_text() for artist in figure.findobj(match=Text))
    return [text for text in found if text]


def test_every_answer_is_drawn_with_its_number(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.3), spoilt(0.6, seed=1)))
    models = results.evaluation["models"]
    shown = texts(draw_accuracy(results))
    for name, of in models.items():
        assert name in shown
        assert f"{of['gcode']['value']:.2f}" in shown
    assert {group.title for group in KINDS.values()} < set(shown)
    # Baselines name no program, so a dash stands for it.
    silent = [name for name, of in models.items() if of["program"]["value"] is None]
    assert set(silent) == {NEIGHBOUR, MAJORITY, ELAPSED}
    assert shown.count("-") == len(silent)
    distances = texts(draw_axis_errors(results))
    assert f"{models[MODEL]['position_error_mm']['value']:.1f}" in distances


def test_accuracy_can_do_without_baselines(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.3), true_blocks()))
    models = results.evaluation["models"]
    alone = {name: of for name, of in models.items() if PREDICTORS[name].kind == SENSORS}
    results = replace(results, evaluation={**results.evaluation, "models": alone})
    shown = texts(draw_accuracy(results))
    assert KINDS[SENSORS].title in shown
    assert KINDS[BASELINE].title not in shown


def test_a_pipeline_without_positions_is_drawn(tmp_path: Path) -> None:
    options = write_results(tmp_path, spoilt(0.3), spoilt(0.6, seed=1), reported=False)
    results = results_of(options)
    assert results.evaluation["models"][MODEL]["position_error_mm"]["value"] is None
    for draw in (draw_axis_errors, draw_toolpath, draw_toolpaths):
        draw(results).draw_without_rendering()


def test_a_path_that_nobody_could_read_is_drawn(tmp_path: Path) -> None:
    """No block has X or Y, so there is nowhere to go."""
    written = np.full(len(true_blocks()), "M3")
    results = results_of(write_results(tmp_path, written, true_blocks(), reported=False))
    assert any("never read" in text for text in texts(draw_toolpath(results)))


def test_every_figure_has_a_caption_and_is_drawn() -> None:
    assert {path.stem for path in FOLDER.glob("*.rst")} == set(FIGURES) == set(all_figures.DRAWN_BY)
    assert all(caption(stem).endswith(".") for stem in FIGURES)
