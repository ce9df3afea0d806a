"""The figure of what of a line is read right, head by head."""

from pathlib import Path

import numpy as np
from matplotlib.text import Text
from result_files import results_of, true_blocks, write_results

from gcodefp.evaluation.names import MODEL
from gcodefp.reporting.figures.accuracy import draw_heads, heads_title


def test_heads_name_the_best_and_the_worst_part_of_words(tmp_path: Path) -> None:
    """Everything is right, but the number in half the rows of G1 X1 and G1 X0."""
    written = true_blocks()
    for one, other in (("G1 X1", "G1 X0"), ("G1 X0", "G1 X1")):
        written[np.flatnonzero(true_blocks() == one)[::2]] = other
    results = results_of(write_results(tmp_path, written, true_blocks()))
    scores = results.evaluation["models"]
    # 12 rows of each of 6 blocks with 2, 1, 1, 3, 1 and 1 parameters; 6 + 6 are wrong.
    assert scores[MODEL]["parameter_value"]["value"] == 96 / 108
    assert heads_title(scores) == (
        "Of the words, the token type is read best (100\N{NO-BREAK SPACE}%), the parameter value "
        "worst (89\N{NO-BREAK SPACE}%)"
    )
    shown = [text.get_text() for text in draw_heads(results).findobj(Text)]
    for head in ("token type", "command", "parameter type", "parameter value", "token",
                 "command, balanced", "operation", "program"):  # fmt: skip
        assert head in shown
    assert f"{96 / 108:.2f}" in shown


def test_heads_that_are_all_alike_have_no_best_one(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    assert heads_title(results.evaluation["models"]) == "What is read right, head by head"
