"""Figures of sweeps: what they show of tables that are made here, and that odd ones are drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from result_files import results_of, spoilt, true_blocks, write_results
from sweep_results import OPTIMIZER, RATE, SEARCHED, decided_by_rate, swept

from gcodefp.reporting.figures.all_figures import DRAWN_BY
from gcodefp.reporting.figures.contours import GRID, smoothed
from gcodefp.reporting.figures.curves import head_columns
from gcodefp.reporting.figures.early_stopping import bands, metric_map, saved_share
from gcodefp.reporting.figures.progress import best_over_runs, best_over_time
from gcodefp.reporting.figures.style import paper_style, save
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import which_runs
from gcodefp.reporting.wording import logged_metric

STEMS = ("head_curves", "best_so_far", "slices", "parallel_coordinates", "importance", "contours",
         "early_stopping", "timeline")  # fmt: skip
BEGIN = 1.8e9
HYPERBAND = {"as_written": {"early_terminate": {"type": "hyperband", "min_iter": 1}}}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four runs, one of them killed and taken over."""
    return results_of(write_results(tmp_path_factory.mktemp("made"), spoilt(0.3), true_blocks()))


# The best so far


def test_the_best_so_far_is_that_of_a_hand_computation(results: Results) -> None:
    steps = best_over_time(results)
    assert [(row.run, row.utc_seconds - BEGIN) for row in steps.itertuples()] == [
        ("0000", 3), ("0001", 3), ("0001", 6), ("0001", 9),
    ]  # fmt: skip
    assert steps["value"].tolist() == pytest.approx([0.2, 0.21, 0.41, 0.61])
    runs = results.runs.sort_values("run")
    assert best_over_runs(results, runs).tolist() == [0.40, 0.61, 0.61, 0.61]
    minimized = replace(results, winner={**results.winner, "goal": "minimize"})
    assert best_over_runs(minimized, runs).tolist() == [0.40, 0.40, 0.20, 0.20]


# Maps


def test_the_map_of_early_stopping_has_every_epoch(results: Results) -> None:
    assert metric_map(results)[:3] == pytest.approx(
        np.array([[0.21, 0.41, 0.61], [0.2, 0.4, 0.6], [0.22, np.nan, np.nan]]), nan_ok=True
    )
    # Of runs that did not fail, 7 of 9 epochs were trained.
    assert saved_share(results) == pytest.approx(2 / 9)
    assert bands(results) == ()
    assert bands(replace(results, sweep={**results.sweep, **HYPERBAND}))[:3] == (1, 3, 9)


def test_the_surface_is_a_mean_of_the_runs_nearby() -> None:
    x, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    surface = smoothed(x, y, np.array([0.0, 0.0, 1.0, 1.0]))
    assert surface[0, 0] == pytest.approx(0, abs=0.01)
    assert surface[0, -1] == pytest.approx(1, abs=0.01)
    assert np.isnan(surface[GRID // 2, GRID // 2])


def test_heads_have_their_accuracy_or_else_their_loss(results: Results) -> None:
    assert head_columns(swept(results, 2, SEARCHED).curves) == {
        "position": "val/position_loss", "token_type": "val/token_type_acc",
        "command": "val/command_acc",
    }  # fmt: skip


def test_learning_curves_are_of_the_columns_that_there_are(results: Results) -> None:
    def drawn(*without: str) -> tuple[list[str], set[str]]:
        with paper_style():
            made = replace(results, curves=results.curves.drop(columns=list(without)))
            figure = DRAWN_BY["learning_curves"](made)
        titles = [text for axes in figure.axes if (text := axes.get_title("left"))]
        return titles, {str(line.get_label()) for axes in figure.axes for line in axes.lines}

    metric, loss = (logged_metric(name) for name in ("val/gcode_acc", "val/loss"))
    titles, labels = drawn()
    assert titles == [metric, loss]
    assert "winner, train split" in labels
    assert drawn("val/loss")[0] == [metric]
    titles, labels = drawn("train/loss")
    assert titles == [metric, loss]
    assert "winner, train split" not in labels
    assert drawn("val/loss", "val/gcode_acc") == ([], set())


def test_heads_that_write_words_have_no_line_of_the_train_split(results: Results) -> None:
    made = swept(results, 3, SEARCHED)
    curves = made.curves.assign(
        **{"val/place_loss": 1.0, "val/place_acc": 0.5, "train/place_acc": 0.6}
    )
    with paper_style():
        figure = DRAWN_BY["head_curves"](replace(made, curves=curves))
    dashed = {
        axes.get_title("left"): [line.get_ydata()[0] for line in axes.lines if line.is_dashed()]
        for axes in figure.axes
        if axes.axison
    }
    assert dashed == {"token type": [], "command": [], "place": [0.6], "position, loss": [8.0]}
    text = " ".join(shown(figure)).replace("\n", " ")
    assert "accuracy, or loss where the panel says so, val split" in text


# Odd sweeps


def without_work(results: Results) -> Results:
    return replace(results, work=results.work.iloc[:0])


ODD: dict[str, tuple[Callable[[Results], Results], dict[str, str]]] = {
    "made": (
        lambda r: r,
        {"timeline": "a run was cut off once and no epoch trained twice",
         "head_curves": "no accuracy and no loss of single heads",
         "importance": "Only 3 runs have a value"},
    ),
    "one run": (
        lambda r: swept(r, 1, SEARCHED),
        {"early_stopping": "no early termination", "slices": "There is one run only",
         "parallel_coordinates": "There is one run only",
         "importance": "Only one run has a value", "contours": "No hyperparameter",
         "best_so_far": "the only run of sweep abcd1234"},
    ),
    "three runs": (
        lambda r: swept(r, 3, {"learning_rate": RATE}),
        {"contours": "Only one hyperparameter", "slices": "The metric against learning_rate"},
    ),
    "all failed but one": (
        lambda r: swept(r, 6, SEARCHED, dict.fromkeys(range(1, 6), "failed")),
        {"best_so_far": "1 finished, 5 failed", "importance": "Only one run has a value"},
    ),
    "nothing varied": (
        lambda r: swept(r, 3, {"d_model": {"value": 8}}),
        {"slices": "same values", "parallel_coordinates": "same values"},
    ),
    "no number": (
        lambda r: swept(r, 12, {"optimizer": OPTIMIZER, "loss": {"values": ["a" * 20, "b" * 20]}},
                        method="grid"),
        {"contours": "No hyperparameter", "slices": "grid search"},
    ),
    "trained elsewhere": (
        lambda r: without_work(swept(r, 12, SEARCHED, {3: "stopped"}, **HYPERBAND)),
        {"timeline": "trained elsewhere", "best_so_far": "trained elsewhere",
         "early_stopping": "1 of 12 runs was stopped early"},
    ),
    "conditional": (
        lambda r: swept(r, 20, SEARCHED, {3: "stopped", 4: "failed"}, decided_by_rate,
                        rules={"conditions": {"momentum": "optimizer == 'sgd'"}}, **HYPERBAND),
        {"parallel_coordinates": "none", "slices": "runs have it",
         "importance": "stands out from chance", "timeline": "2 processes trained for"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_sweeps_are_drawn_within_the_paper(results: Results, case: str) -> None:
    make, said = ODD[case]
    made = make(results)
    for stem in STEMS:
        with paper_style():
            figure = DRAWN_BY[stem](made)
            figure.draw_without_rendering()
            assert not sticking_out(figure), stem
        if stem in said:
            text = " ".join(shown(figure)).replace("\n", " ")
            assert said[stem] in text, (stem, text)


def shown(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible()]


def sticking_out(figure: Figure) -> list[str]:
    """Texts that are not whole within the figure; ticks beyond an axis's ends are not drawn."""
    drawn = list(figure.texts)
    for legend in figure.legends:
        drawn += legend.get_texts()
    for axes in figure.axes:
        if axes.axison:
            drawn += [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    bounds = figure.bbox.padded(1)
    found = []
    for text in drawn:
        if text.get_visible() and text.get_text():
            box = text.get_window_extent()
            if not (bounds.contains(box.x0, box.y0) and bounds.contains(box.x1, box.y1)):
                found.append(text.get_text())
    return found


@pytest.mark.parametrize("stem", ["importance", "contours", "timeline"])
def test_the_same_sweep_gives_the_same_bytes(results: Results, tmp_path: Path, stem: str) -> None:
    made = swept(results, 13, SEARCHED, {3: "stopped", 4: "failed"}, **HYPERBAND)
    for folder in ("once", "again"):
        with paper_style():
            save(DRAWN_BY[stem](made), tmp_path / folder, stem, made.marks)
    for suffix in ("svg", "png"):
        once, again = (tmp_path / folder / f"{stem}.{suffix}" for folder in ("once", "again"))
        assert once.read_bytes() == again.read_bytes()


def test_a_figure_says_of_which_sweeps_its_runs_are(results: Results) -> None:
    ended = "2 finished, 1 stopped early, 1 failed"
    assert which_runs(results) == f"all 4 runs of sweep abcd1234, random search: {ended}"
    two = of_two_sweeps(results)
    assert which_runs(two) == f"all 4 runs of 2 sweeps (abcd1234, ef567890): {ended}"
    for made in (results, two):
        with paper_style():
            texts = " ".join(shown(DRAWN_BY["learning_curves"](made))).replace("\n", " ")
        assert which_runs(made) in texts


def test_the_first_sweeps_bands_are_not_drawn_over_all_sweeps(results: Results) -> None:
    made = swept(results, 6, SEARCHED, **HYPERBAND)
    two = of_two_sweeps(made)
    assert (bands(made)[0], bands(two)) == (1, ())
    with paper_style():
        texts = [shown(DRAWN_BY["early_stopping"](of)) for of in (made, two)]
    assert ["runs compared" in text for text in texts] == [True, False]
    assert "No run was stopped early" in texts[1]


def of_two_sweeps(results: Results) -> Results:
    return replace(results, winner={**results.winner, "sweeps": ["abcd1234", "ef567890"]})
