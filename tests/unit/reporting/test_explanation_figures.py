"""Figures of explanations, of what is usual and of what hardly is."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from explanation_files import write_explanation
from matplotlib.figure import Figure
from matplotlib.text import Text
from result_documents import dataset_document
from result_files import answers_of, results_of, spoilt, true_blocks, write_results
from result_files import tested_split as results_split

from gcodefp.dataset.store import Split
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import MODEL, WHOLE
from gcodefp.reporting.figures.calibration import draw_calibration
from gcodefp.reporting.figures.sensor_groups import draw_sensor_groups
from gcodefp.reporting.results import Results, read_explanation
from gcodefp.reporting.wording import ENOUGH_RECORDINGS

DRAWN = (draw_calibration, draw_sensor_groups)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("results")
    return results_of(write_results(folder, spoilt(0.3), true_blocks()))


def texts(figure: Figure) -> list[str]:
    found = (artist.get_text() for artist in figure.findobj(match=Text))
    return [" ".join(text.split()) for text in found if text]


def told(results: Results, edit: Callable[[dict[str, Any]], object]) -> Results:
    """The same with something else in explanation.json."""
    document = {**results.explanation.document}
    edit(document)
    return replace(results, explanation=replace(results.explanation, document=document))


def test_the_title_of_the_calibration_is_what_the_interval_allows(results: Results) -> None:
    def title(low: float, high: float, recordings: int = ENOUGH_RECORDINGS) -> str:
        def edit(document: dict[str, Any]) -> None:
            of = document["calibration"]
            over = {"value": (low + high) / 2, "low": low, "high": high, "recordings": recordings}
            document["calibration"] = {**of, MODEL: {**of[MODEL], "overconfidence": over}}

        return " ".join(texts(draw_calibration(told(results, edit))))

    found = results.explanation.document["calibration"][MODEL]
    right = f"{100 * found['right']['value']:.0f} % right"
    assert "surer of its lines than it is right" in title(0.1, 0.2)
    assert "less sure of its lines" in title(-0.2, -0.1)
    assert "may be chance" in title(-0.1, 0.1)
    assert "may be chance" in title(0.1, 0.2, ENOUGH_RECORDINGS - 1)
    assert all(right in title(*of) for of in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)))
    assert f"ECE {found['expected_calibration_error']['value']:.3f}" in title(0.1, 0.2)


def test_every_part_that_was_left_out_has_its_numbers(results: Results) -> None:
    shown = texts(draw_sensor_groups(results))
    for of in results.explanation.document["sensors"]["without"]:
        for difference in of["differences"].values():
            assert f"{100 * difference['value']:+.1f}".replace("-", "\N{MINUS SIGN}") in shown
    for name in ("magnetometers", "microphones", "motor currents", "a", "b", "without any sensor"):
        assert name in shown
    assert any("not trained again" in of for of in shown)


def test_a_loss_that_may_be_chance_is_no_finding(results: Results) -> None:
    def title(high: float, recordings: int) -> str:
        lost = {"value": -0.3, "low": -0.6, "high": high, "recordings": recordings}

        def edit(document: dict[str, Any]) -> None:
            parts = document["sensors"]["without"]
            every = [{**of, "differences": dict.fromkeys(of["differences"], lost)} for of in parts]
            document["sensors"] = {**document["sensors"], "without": every}

        return " ".join(texts(draw_sensor_groups(told(results, edit))))

    assert "loses 30 of its" in title(-0.1, ENOUGH_RECORDINGS)
    assert "beyond doubt" in title(0.0, ENOUGH_RECORDINGS)
    assert "beyond doubt" in title(-0.1, ENOUGH_RECORDINGS - 1)


def test_the_title_names_the_greatest_loss_that_is_beyond_doubt(results: Results) -> None:
    """A greater one that may be chance, or a gain, does not hide it."""

    def title(*differences: tuple[float, float, float]) -> str:
        def edit(document: dict[str, Any]) -> None:
            parts = document["sensors"]["without"]
            groups = [of["name"] for of in parts if of["kind"] == "group"]
            given = dict(zip(groups, differences, strict=True))
            every = []
            for of in parts:
                value, low, high = given.get(of["name"], (0.0, 0.0, 0.0))
                lost = {"value": value, "low": low, "high": high, "recordings": 8}
                every.append({**of, "differences": dict.fromkeys(of["differences"], lost)})
            document["sensors"] = {**document["sensors"], "without": every}

        return " ".join(texts(draw_sensor_groups(told(results, edit))))

    parts = results.explanation.document["sensors"]["without"]
    others = [(0.02, 0.01, 0.03)] * (sum(of["kind"] == "group" for of in parts) - 2)
    chance = (-0.5, -1.0, 0.1)
    assert "loses 30 of its" in title(chance, (-0.3, -0.4, -0.2), *others)
    assert "no kind of sensor" in title(chance, (-0.3, -0.4, 0.2), *others)


@pytest.mark.parametrize("draw", DRAWN)
def test_marks_are_on_every_figure(results: Results, draw: Callable[[Results], Figure]) -> None:
    leaky = MappingProxyType({**results.evaluation, "leaky": True})
    assert any("LEAKY SPLIT" in of for of in texts(draw(replace(results, evaluation=leaky))))


def narrowed(results: Results, folder: Path) -> Results:
    """One channel, one recording of one operation, whose program was never learnt; no lag."""
    test, dataset = results_split(True), dataset_document(False)
    rows = np.flatnonzero(test.recording == 0)
    per_row = {name: of[rows] for name, of in vars(test).items() if len(of) == len(test.row)} | {
        "blocks": test.blocks,
        "block": test.block[rows],
    }
    one = Split(**{**vars(test), **per_row, "window_start": np.zeros(1, int)})
    unknown = np.full(len(rows), -1)
    one = replace(one, program=unknown, state=np.full(len(rows), np.nan), operation=unknown * 0)
    one = replace(one, lag_seconds=np.full(len(test.lag_seconds), np.nan))
    answers: Mapping[str, RowPredictions] = {
        name: answers_of(name, spoilt(0.3), test, True).take(rows) for name in (MODEL, WHOLE)
    }
    write_explanation(folder, {**dataset, "channels": dataset["channels"][:1]}, one, answers)
    return replace(results, explanation=read_explanation(folder))


def test_the_least_that_there_can_be_is_drawn(results: Results, tmp_path: Path) -> None:
    least = narrowed(results, tmp_path)
    document = least.explanation.document
    assert [of["kind"] for of in document["sensors"]["without"]] == ["all"]
    assert document["excerpt"]["lag_seconds"] is None
    shown = [texts(draw(least)) for draw in DRAWN]
    assert "without any sensor" in shown[1]
    for draw in DRAWN:
        draw(least).draw_without_rendering()


def test_rows_of_equal_confidence_are_drawn(results: Results) -> None:
    old = results.explanation
    even = {name: np.full_like(each, 0.5) for name, each in old.confidence.items()}
    for draw in DRAWN:
        equal = replace(results, explanation=replace(old, confidence=even))
        draw(equal).draw_without_rendering()
