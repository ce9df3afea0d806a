"""The picture of the sensors' clocks, and what its title says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text
from result_documents import LAG_SECONDS, RECORDINGS, dataset_document
from result_files import results_of, true_blocks, write_results

from gcodefp.reporting.figures.dataset import draw_clocks, lags_of
from gcodefp.reporting.results import Results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder: Path = tmp_path_factory.mktemp("clocks")
    return results_of(write_results(folder, true_blocks(), true_blocks()))


def told(results: Results, lags: list[float | None]) -> str:
    """All texts of the figure if the recordings had these lags."""
    document: dict[str, Any] = dataset_document(False)
    for of, lag in zip(document["recordings"].values(), lags, strict=True):
        of["lag_seconds"] = lag
    figure = draw_clocks(replace(results, dataset=document))
    figure.draw_without_rendering()
    texts = " ".join(artist.get_text() for artist in figure.findobj(match=Text))
    return " ".join(texts.split())


def test_lags_are_those_of_the_recordings_whose_program_is_known() -> None:
    document = dataset_document(False)
    document["splits"]["test"]["recordings"] = [RECORDINGS[1], RECORDINGS[3]]
    lags = lags_of(document)
    assert lags.seconds.tolist() == list(LAG_SECONDS[:3])
    assert lags.operation.tolist() == ["face<b>", "face<b>", "pocket"]
    assert lags.tested.tolist() == [False, True, False]
    assert lags.unknown == 1


def test_no_recording_of_a_leaky_dataset_is_for_the_test_alone() -> None:
    assert not lags_of(dataset_document(True)).tested.any()


def test_the_title_says_what_is_seen(results: Results) -> None:
    found = told(results, [0.0, 2.25, -0.75, None])
    assert "one in two by over 3.0 rows, one by 9" in found
    assert "3 recordings" in found
    assert "1 more" in found
    assert "to within one row" in told(results, [0.0, 0.25, -0.1, 0.0])
    assert "one by 4000" in told(results, [0.0, 1000.0, -0.75, None])


def test_unknown_clocks_are_no_error(results: Results) -> None:
    assert "could be compared" in told(results, [None] * 4)
