"""The figure of axis words that were read against those that were executed."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from result_files import results_of, true_blocks, write_results

from gcodefp.reporting.figures.axis_scatter import (
    AxisWords,
    axis_words,
    dots_of,
    draw_axis_scatter,
    scatter_title,
)

INCH_MM = 25.4


def test_axis_words_are_compared_in_mm_where_both_lines_have_them(tmp_path: Path) -> None:
    """Half the rows of X1 read X0, one of them X1.01, and a quarter of Y1 an X word."""
    written = true_blocks()
    ones, ys = (np.flatnonzero(written == block) for block in ("G1 X1", "Y1"))
    written[ones[::2]] = "G1 X0"
    written[ones[1]] = "G1 X1.01"
    written[ys[::4]] = "X1"
    results = results_of(write_results(tmp_path, written, true_blocks()))
    words = axis_words(results.predictions)
    # Of 12 rows each, X0, X1, X2 and again X0 are executed.
    assert len(words["X"].true_mm) == 48
    assert words["X"].one_sided == 3
    assert np.flatnonzero(words["X"].error_mm).size == 7
    assert words["X"].error_mm.max() == pytest.approx(INCH_MM)
    assert words["X"].near.sum() == 42  # 0.01 inch is near.
    assert len(words["Y"].true_mm) == 33
    assert words["Y"].near.all()
    assert words["Z"].near.sum() == 12
    assert scatter_title(words) == (
        "Read within 0.5 mm of the executed word: X 88\N{NO-BREAK SPACE}%, Y "
        "100\N{NO-BREAK SPACE}%, Z 100\N{NO-BREAK SPACE}% of rows"
    )
    shown = [text.get_text() for text in draw_axis_scatter(results).findobj(Text)]
    assert sum("48 rows, 88\N{NO-BREAK SPACE}% within 0.5 mm" in text for text in shown) == 1


def test_half_a_millimetre_is_near_and_more_is_not() -> None:
    words = AxisWords(np.zeros(3), np.array([0.1 + 0.4, -0.5, 0.5001]), 0)
    assert words.near.tolist() == [True, True, False]


def test_pairs_of_a_cell_are_one_dot_at_their_mean() -> None:
    words = AxisWords(np.array([0.0, 0.2, 80.0]), np.array([50.0, 50.2, 10.0]), 0)
    dots = dots_of(words, 0.0, 90.0)  # Cells of 1 mm.
    assert dots.rows.tolist() == [2, 1]
    assert dots.centre_mm == pytest.approx(np.array([[0.1, 50.1], [80.0, 10.0]]))


def test_lines_without_axis_words_are_said_to_have_none(tmp_path: Path) -> None:
    written = np.full(len(true_blocks()), "M3")
    results = results_of(write_results(tmp_path, written, true_blocks()))
    shown = [text.get_text() for text in draw_axis_scatter(results).findobj(Text)]
    assert any(text.startswith("No row has an X, Y or Z word both") for text in shown)
    for axis, rows in (("X", 48), ("Y", 36), ("Z", 12)):
        below = f"no row has {axis} in both lines;\nin one of the two lines only: {rows}"
        assert below in shown
