"""What every answer gets right and how far it is off, with intervals, the baselines beside it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from gcodefp.evaluation.names import LAG_ORACLE, MODEL, PREDICTORS
from gcodefp.reporting.figures.style import (
    INK,
    KIND_LOOKS,
    PAGE_INCHES,
    RIGHT,
    add_head,
    new_figure,
    percent,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import KINDS, METRICS

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]

ROW_INCHES = 0.165
NUMBER_POINTS = 21
"""From the end of a panel to the right edge of its numbers."""
KNOWN_SUFFIX = ", lag oracle"
"""Goes without saying below the title of that kind."""


class Panel(NamedTuple):
    """One metric.

    Attributes:
        title: in as many lines as it needs.
        better: which way is better, `more` or `less`.
        format: of the numbers.
        reach: the axis ends there, or where the intervals do.
    """

    metric: str
    title: str
    better: str
    format: str
    reach: float


class _Layout(NamedTuple):
    """Where each answer and each title of a group stands, from the top."""

    answers: dict[str, int]
    titles: dict[str, int]

    @property
    def rows(self) -> int:
        return len(self.answers) + len(self.titles)


def forest_inches(scores: Scores) -> float:
    """How high the panels have to be."""
    return ROW_INCHES * _layout(scores).rows + 0.65


def draw_forest(figure: FigureBase, scores: Scores, panels: Sequence[Panel]) -> None:
    """Fills a figure, or a part of one, with panels that share their rows."""
    layout = _layout(scores)
    every = figure.subplots(1, len(panels), sharey=True)
    for axes, panel in zip(every, panels, strict=True):
        _draw_panel(axes, scores, panel, layout)
    _name_rows(every[0], layout)


def _layout(scores: Scores) -> _Layout:
    answers: dict[str, int] = {}
    titles: dict[str, int] = {}
    for kind, group in KINDS.items():
        names = [name for name in PREDICTORS if name in scores and PREDICTORS[name].kind == kind]
        if names:
            titles[group.title] = len(answers) + len(titles)
            answers |= {name: len(answers) + len(titles) + i for i, name in enumerate(names)}
    return _Layout(answers, titles)


def _draw_panel(axes: Axes, scores: Scores, panel: Panel, layout: _Layout) -> None:
    """A mark with its interval for each answer; what has no value gets a dash for a number."""
    model = scores[MODEL][panel.metric]["value"]
    if model is not None:
        axes.axvline(model, color=RIGHT, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)
    for name, row in layout.answers.items():
        score = scores[name][panel.metric]
        _write(axes, row, score["value"], panel, bold=name == MODEL)
        if score["value"] is None:
            continue
        look = KIND_LOOKS[PREDICTORS[name].kind]
        axes.plot([score["low"], score["high"]], [row, row], color=look.colour, linewidth=0.9,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
        axes.plot(score["value"], row, look.marker, color=look.colour, markersize=3.6,
                  markerfacecolor=look.colour if look.filled else "white",
                  markeredgewidth=0.8, clip_on=False, zorder=3)  # fmt: skip
    axes.set_title(panel.title, size=7, linespacing=1.15)
    axes.set_xlabel(f"{panel.better} is better", size=6)
    ends = [scores[name][panel.metric]["high"] or 0.0 for name in layout.answers]
    axes.set_xlim(0, max(panel.reach, *ends))
    axes.set_ylim(layout.rows - 0.4, -0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=2, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _write(axes: Axes, row: int, value: float | None, panel: Panel, bold: bool) -> None:
    axes.annotate(
        "-" if value is None else panel.format.format(value), (1, row), (NUMBER_POINTS, 0),
        xycoords=("axes fraction", "data"), textcoords="offset points", size=6,
        va="center_baseline", ha="right", color=INK, weight="bold" if bold else "normal",
        annotation_clip=False,
    )  # fmt: skip


def _name_rows(axes: Axes, layout: _Layout) -> None:
    rows = {**layout.titles, **layout.answers}
    names = [
        name.removesuffix(KNOWN_SUFFIX)
        if name in PREDICTORS and PREDICTORS[name].kind == LAG_ORACLE and name.startswith(MODEL)
        else name
        for name in rows
    ]
    axes.set_yticks(list(rows.values()), names)
    for label, name in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontsize(6.5)
        if name in layout.titles or name == MODEL:
            label.set_fontweight("bold")
        if name in layout.answers:
            label.set_color(KIND_LOOKS[PREDICTORS[name].kind].colour)


SHARES = (
    Panel("gcode", "exact line", "more", "{:.2f}", 1.0),
    Panel("token", "token", "more", "{:.2f}", 1.0),
    Panel("operation", "operation", "more", "{:.2f}", 1.0),
    Panel("program", "program", "more", "{:.2f}", 1.0),
    Panel("gcode_error_rate", "G-code\nerror rate", "less", "{:.2f}", 1.0),
)
DISTANCES = (
    Panel("position_error_mm", "tool position\n(median)", "less", "{:.1f}", 1.0),
    Panel("toolpath_distance_mm", "toolpath\n(median)", "less", "{:.1f}", 1.0),
    Panel("x_error_mm", "X words\n(mean)", "less", "{:.1f}", 1.0),
    Panel("y_error_mm", "Y words\n(mean)", "less", "{:.1f}", 1.0),
    Panel("z_error_mm", "Z words\n(mean)", "less", "{:.1f}", 1.0),
)


def draw_accuracy(results: Results) -> Figure:
    """Shares that are right, and the error rate of the G-code read as a sequence."""
    return _draw(results, SHARES, "What is read right, beside what it has to beat", "shares")


def draw_axis_errors(results: Results) -> Figure:
    """Distance of tool positions, toolpaths and X, Y and Z words from the true ones."""
    return _draw(
        results, DISTANCES, "How far positions are off, beside what has to be beaten", "mm"
    )


def tested_on(results: Results) -> str:
    """`test split: 6 recordings, 1,212 rows`."""
    evaluation = results.evaluation
    recordings, rows = evaluation["recordings"], evaluation["rows"]
    return f"test split: {recordings} recording{'s' * (recordings != 1)}, {rows:,} rows"


def _draw(results: Results, panels: Sequence[Panel], title: str, unit: str) -> Figure:
    scores = results.evaluation["models"]
    figure = new_figure(PAGE_INCHES, forest_inches(scores))
    draw_forest(figure, scores, panels)
    add_head(
        figure,
        title,
        f"{tested_on(results)}; {unit}, with 95 % intervals; dashed: gcodefp",
        results.marks,
    )
    return figure


OF_WORDS = ("token_type", "command", "parameter_type", "parameter_value")
"""The parts of a word, each with a head of its own."""
DECKS = (
    {
        "token_type": "token type",
        "command": "command",
        "parameter_type": "parameter type",
        "parameter_value": "parameter value",
    },
    {
        "command_balanced": "command, balanced",
        "token": "token",
        "operation": "operation",
        "program": "program",
    },
)
"""Metric -> title of its panel; more panels beside each other have no room for their numbers."""


def draw_heads(results: Results) -> Figure:
    """A panel for each head, the answers and their baselines under each other in all of them."""
    scores = results.evaluation["models"]
    figure = new_figure(PAGE_INCHES, len(DECKS) * forest_inches(scores))
    for deck, titles in zip(
        figure.subfigures(len(DECKS), 1, squeeze=False)[:, 0], DECKS, strict=True
    ):
        panels = [Panel(of, title, "more", "{:.2f}", 1.0) for of, title in titles.items()]
        draw_forest(deck, scores, panels)
    add_head(
        figure,
        heads_title(scores),
        f"{tested_on(results)}; shares, with 95 % intervals; dashed: gcodefp",
        results.marks,
    )
    return figure


def heads_title(scores: Scores) -> str:
    """Names the parts of words that the network reads best and worst; the first of equals."""
    values = {metric: scores[MODEL][metric]["value"] for metric in OF_WORDS}
    known = {metric: value for metric, value in values.items() if value is not None}
    if not known or min(known.values()) == max(known.values()):
        return "What is read right, head by head"
    best, worst = (pick(known, key=lambda metric: known[metric]) for pick in (max, min))
    return (
        f"Of the words, the {METRICS[best]} is read best ({percent(known[best])}), the "
        f"{METRICS[worst]} worst ({percent(known[worst])})"
    )
