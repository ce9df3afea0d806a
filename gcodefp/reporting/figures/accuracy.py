"""Metrics of all predictors, with intervals; baselines beside the network."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.names import LAG_ORACLE, MODEL, PREDICTORS
from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.style import (
    KIND_STYLES,
    MODEL_BLUE,
    PAGE_INCHES,
    add_head,
    finish_interval_panel,
    new_figure,
    percent,
    tested_on,
    write_beside,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import KINDS, best_baseline

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]

ROW_INCHES = 0.165
NUMBER_POINTS = 19
"""From the right end of a panel to the right edge of its numbers."""
LAG_SUFFIX = ", lag oracle"
"""Not repeated below the title of that kind."""


class Panel(NamedTuple):
    """One metric.

    Attributes:
        better: which way is better, `more` or `less`.
        digits: decimals of the numbers.
    """

    metric: str
    title: str
    better: str
    digits: int


PANELS = (
    Panel("gcode", "exact line", "more", 2),
    Panel("token", "token", "more", 2),
    Panel("operation", "operation", "more", 2),
    Panel("program", "program", "more", 2),
    Panel("gcode_error_rate", "G-code\nerror rate", "less", 2),
    Panel("position_error_mm", "position\nerror (mm)", "less", 1),
)


class _Rows(NamedTuple):
    """The row of each predictor and of each title of a group, from the top."""

    predictors: dict[str, int]
    titles: dict[str, int]

    @property
    def total(self) -> int:
        return len(self.predictors) + len(self.titles)


@figure(
    "accuracy",
    title="Accuracy",
    category="Test",
    caption="Shares of rows and words that are right on the test split, the edits per line that "
    "lead from the predicted to the executed G-code (in segments of one window; for whole "
    "recordings, in whole recordings), and the median distance of the tool position in mm. Bars "
    "are 95 % intervals from a bootstrap over recordings. gcodefp and the baselines may be "
    "compared; privileged baselines and lag oracles are provided with more information.",
)
def draw_accuracy(results: Results) -> Figure:
    """A panel for each metric that was measured; the predictors share their rows."""
    scores = results.evaluation["models"]
    panels = [
        panel
        for panel in PANELS
        if any(metrics[panel.metric]["value"] is not None for metrics in scores.values())
    ]
    rows = _rows(scores)
    fig = new_figure(PAGE_INCHES, ROW_INCHES * rows.total + 0.65)
    columns = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(columns, panels, strict=True):
        _draw_panel(axes, scores, panel, rows)
    _name_rows(columns[0], rows)
    subtitle = f"{tested_on(results)}; 95 % intervals over recordings; dashed: gcodefp"
    add_head(fig, _title(scores), subtitle, results.warnings)
    return fig


def _title(scores: Scores) -> str:
    """The primary metric of the network and of the best baseline."""
    exact = percent(scores[MODEL]["gcode"]["value"] or 0.0)
    baseline = best_baseline(scores)
    if baseline is None:
        return f"gcodefp predicts {exact} of the lines exactly"
    other = percent(scores[baseline]["gcode"]["value"] or 0.0)
    return f"gcodefp predicts {exact} of the lines exactly, the best baseline ({baseline}) {other}"


def _rows(scores: Scores) -> _Rows:
    predictors: dict[str, int] = {}
    titles: dict[str, int] = {}
    for kind, group in KINDS.items():
        names = [name for name in PREDICTORS if name in scores and PREDICTORS[name].kind == kind]
        if names:
            titles[group.title] = first = len(predictors) + len(titles)
            predictors |= {name: first + 1 + i for i, name in enumerate(names)}
    return _Rows(predictors, titles)


def _draw_panel(axes: Axes, scores: Scores, panel: Panel, rows: _Rows) -> None:
    """A marker with its interval for each predictor; a dash where there is no value."""
    model = scores[MODEL][panel.metric]["value"]
    if model is not None:
        axes.axvline(model, color=MODEL_BLUE, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)
    for name, row in rows.predictors.items():
        score = scores[name][panel.metric]
        text = "-" if score["value"] is None else f"{score['value']:.{panel.digits}f}"
        write_beside(axes, row, text, NUMBER_POINTS, "right", is_bold=name == MODEL)
        if score["value"] is None:
            continue
        style = KIND_STYLES[PREDICTORS[name].kind]
        axes.plot([score["low"], score["high"]], [row, row], color=style.colour, linewidth=0.9,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
        axes.plot(score["value"], row, style.marker, color=style.colour, markersize=3.6,
                  markerfacecolor=style.colour if style.filled else "white",
                  markeredgewidth=0.8, clip_on=False, zorder=3)  # fmt: skip
    finish_interval_panel(axes, panel.title, f"{panel.better} is better", ticks=2)
    ends = [scores[name][panel.metric]["high"] or 0.0 for name in rows.predictors]
    axes.set_xlim(0, max(1.0, *ends))
    axes.set_ylim(rows.total - 0.4, -0.4)


def _name_rows(axes: Axes, rows: _Rows) -> None:
    names: Sequence[str] = [*rows.titles, *rows.predictors]
    shown = [_shown(name) for name in names]
    axes.set_yticks([*rows.titles.values(), *rows.predictors.values()], shown)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_fontsize(6.5)
        if name in rows.titles or name == MODEL:
            label.set_fontweight("bold")
        if name in rows.predictors:
            label.set_color(KIND_STYLES[PREDICTORS[name].kind].colour)


def _shown(name: str) -> str:
    is_oracle = name in PREDICTORS and PREDICTORS[name].kind == LAG_ORACLE
    return name.removesuffix(LAG_SUFFIX) if is_oracle and name.startswith(MODEL) else name
