"""Figures as tests see them, also of results of which only a part is left."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from gcodefp.evaluation.names import BASELINE, PREDICTORS
from gcodefp.reporting.figures.paper import draw_figure, paper_style
from gcodefp.reporting.results import Results


def drawn(stem: str, results: Results) -> Figure:
    with paper_style():
        figure = draw_figure(stem, results)
        figure.draw_without_rendering()
    return figure


def texts(figure: Figure) -> list[str]:
    """Without the line breaks, which depend on the fonts."""
    every = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return [" ".join(text.replace("\N{NO-BREAK SPACE}", " ").split()) for text in every if text]


def one_recording(results: Results, index: int) -> Results:
    """The rows of one test recording, and no baselines."""
    decoded = results.predictions
    rows = decoded.recording == index

    def chosen(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: chosen(part) for name, part in value.items()}
        return value[rows] if len(value) == len(rows) else value

    predictions = replace(decoded, **{name: chosen(value) for name, value in vars(decoded).items()})
    assert len(np.unique(predictions.recording)) == 1
    models = results.evaluation["models"]
    models = {name: scores for name, scores in models.items() if PREDICTORS[name].kind != BASELINE}
    evaluation = {**results.evaluation, "models": models, "recordings": 1, "rows": int(rows.sum())}
    return replace(results, predictions=predictions, evaluation=evaluation)
