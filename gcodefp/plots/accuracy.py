"""Accuracies and axis errors with their intervals, the baselines beside them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.files import MODEL
from gcodefp.findings.results import Results
from gcodefp.findings.words import AXIS_ERRORS, METRICS
from gcodefp.plots.style import COLUMN_INCHES, LOOKS, add_head, new_figure

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]


def draw_accuracy(results: Results) -> Figure:
    """Each metric of the network and of the baselines, with 95 % intervals."""
    scores: Scores = results.evaluation["models"]
    figure = new_figure(COLUMN_INCHES, 3.7)
    axes = figure.subplots()
    _draw_intervals(axes, scores, METRICS)
    for row, metric in enumerate(METRICS):
        value = scores[MODEL][metric]["value"]
        text = "-" if value is None else f"{value:.2f}"
        axes.annotate(text, (1.02, row), xycoords=("axes fraction", "data"), size=7, va="center",
                      weight="bold", color=LOOKS[MODEL].colour)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_xlabel("share that is right, with 95 % interval")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  columnspacing=1.0, handletextpad=0.4)  # fmt: skip
    add_head(figure, "Accuracy beside what it has to beat", tested_on(results), results.marks)
    return figure


def draw_axis_errors(results: Results) -> Figure:
    """Mean distance of written from true X, Y and Z words, in mm."""
    scores: Scores = results.evaluation["models"]
    figure = new_figure(COLUMN_INCHES, 2.4)
    axes = figure.subplots()
    _draw_intervals(axes, scores, AXIS_ERRORS)
    for index, name in enumerate(_ordered(scores)):
        for row, metric in enumerate(AXIS_ERRORS):
            count = scores[name][metric]["n"]
            axes.annotate(
                f"n={count:,}" if count else "no such word",
                (1.01, row + _offset(index, len(scores))),
                xycoords=("axes fraction", "data"), size=6, va="center", color=_look(name).colour,
            )  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_xlabel("mean absolute error (mm), with 95 % interval")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3,
                  columnspacing=1.0, handletextpad=0.4)  # fmt: skip
    add_head(
        figure,
        "How far written positions are off",
        f"{tested_on(results)}; over the n words that both the written and the true line have",
        results.marks,
    )
    return figure


def tested_on(results: Results) -> str:
    """`test split: 6 recordings, 1,212 rows`."""
    evaluation = results.evaluation
    return f"test split: {evaluation['recordings']} recordings, {evaluation['rows']:,} rows"


def _draw_intervals(axes: Axes, scores: Scores, metrics: Mapping[str, str]) -> None:
    """One row a metric, one mark with its interval a model; what has no value is left out."""
    for row in range(1, len(metrics), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f3f3f3", zorder=0)
    for index, name in enumerate(_ordered(scores)):
        rows = [row for row, m in enumerate(metrics) if scores[name][m]["value"] is not None]
        found = [scores[name][list(metrics)[row]] for row in rows]
        value, low, high = (np.array([f[k] for f in found]) for k in ("value", "low", "high"))
        look = _look(name)
        axes.errorbar(
            value, np.array(rows) + _offset(index, len(scores)),
            # A percentile interval need not hold the value it is for.
            xerr=np.maximum([value - low, high - value], 0),
            fmt=look.marker, color=look.colour, label=name, markersize=4.2, capsize=1.8,
            elinewidth=0.9, markerfacecolor=look.colour if look.filled else "white",
            clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set_yticks(range(len(metrics)), list(metrics.values()))
    axes.set_ylim(len(metrics) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")


def _ordered(scores: Scores) -> Sequence[str]:
    return [name for name in LOOKS if name in scores]


def _look(name: str) -> Any:
    return LOOKS[name]


def _offset(index: int, count: int) -> float:
    return (index - (count - 1) / 2) * 0.24
