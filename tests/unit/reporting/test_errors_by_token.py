"""How often each word is there to be learnt, and how often it is read right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.text import Text
from result_documents import TRAIN_WORDS
from result_files import results_of, true_blocks, write_results

from gcodefp.evaluation.names import MODEL, NEIGHBOUR
from gcodefp.reporting.figures.errors import (
    Decade,
    by_word,
    decades,
    draw_errors_by_token,
    words_title,
)
from gcodefp.reporting.results import Results


def half_read(folder: Path, **train: int) -> Results:
    """Of 12 rows each: G1 X1 always reads G1 X0, Y1 in 9 rows a longer line; the rest is right.

    Args:
        train: how often the train split has a word; the others are those of TRAIN_WORDS.
    """
    written = true_blocks()
    written[written == "G1 X1"] = "G1 X0"
    written[np.flatnonzero(written == "Y1")[:9]] = "G1 Y1"
    results = results_of(write_results(folder, written, true_blocks()))
    words = {word: count for word, count in {**TRAIN_WORDS, **train}.items() if count}
    return replace(results, dataset={**results.dataset, "words": {"train": words}})


def test_words_count_at_their_place_in_the_line(tmp_path: Path) -> None:
    results = half_read(tmp_path, Y1=0)
    found = by_word(results)
    rows = {str(of.word): (of.train, of.test, of.right) for of in found}
    assert rows == {
        "X1": (90, 12, 0), "Y1": (0, 12, 3), "G0": (72, 24, 24), "G1": (1500, 24, 24),
        "G2": (36, 12, 12), "G53": (9, 12, 12), "R1": (9, 12, 12), "X0": (200, 24, 24),
        "X2": (36, 12, 12), "Y0": (72, 24, 24), "Z0": (9, 12, 12),
    }  # fmt: skip
    assert [str(of.word) for of in found[:3]] == ["X1", "Y1", "G0"]
    assert all(of.right == of.test for of in by_word(results, NEIGHBOUR))


def test_words_agree_with_the_scores(tmp_path: Path) -> None:
    """A line's end is a token too: it is right unless the line read is longer."""
    results = half_read(tmp_path)
    found = by_word(results)
    right = sum(of.right for of in found) + 72 - 9
    token = results.evaluation["models"][MODEL]["token"]
    assert token["n"] == sum(of.test for of in found) + 72
    assert token["value"] == right / token["n"]


def test_words_are_put_together_by_powers_of_ten(tmp_path: Path) -> None:
    parts = decades(by_word(half_read(tmp_path, Y1=0, X2=10, R1=1)))
    assert parts == [
        Decade(0, 1, 12, 3),
        Decade(1, 10, 36, 36),
        Decade(10, 100, 84, 72),
        Decade(100, 1000, 24, 24),
        Decade(1000, 10000, 24, 24),
    ]
    assert words_title(parts[:3]) == (
        "Words with under 10 train rows are right in 100\N{NO-BREAK SPACE}% of cases, with 10 or "
        "more in 86\N{NO-BREAK SPACE}%"
    )
    assert words_title(parts[:2]) == "Words by how often the train split has them"


def test_the_words_that_cost_most_are_named(tmp_path: Path) -> None:
    figure = draw_errors_by_token(half_read(tmp_path, Y1=0))
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert "12 of 12; 90 in train" in shown
    assert "9 of 12; never in train" in shown
    assert sum(" of 12; " in text for text in shown) == 2
    assert any("1 of its 11 words are never in the train split (12 rows)" in of for of in shown)


def test_no_word_is_named_where_all_are_right(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    shown = [text.get_text() for text in draw_errors_by_token(results).findobj(Text)]
    assert "no word is ever wrong" in shown
    assert not any(text.endswith(" in train") for text in shown)


def test_a_dataset_that_counts_no_words_is_said_to_count_none(tmp_path: Path) -> None:
    results = half_read(tmp_path)
    silent = {key: of for key, of in results.dataset.items() if key != "words"}
    figure = draw_errors_by_token(replace(results, dataset=silent))
    assert any("counts no words" in text.get_text() for text in figure.findobj(Text))
