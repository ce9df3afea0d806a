"""Panels of intervals: metrics of all predictors, and the losses under sensor occlusion."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.metrics import METRICS, SHARE
from gcodefp.evaluation.names import ALL, GROUP, MODEL, NODE, PREDICTORS, PRIMARY
from gcodefp.evaluation.verdicts import MIN_RECORDINGS, significant_sign
from gcodefp.reporting.claims import best_baseline
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import KINDS, MAIN_METRICS, METRIC_TITLES, group_title

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]

ROW_INCHES = 0.165
NUMBER_POINTS = 19
"""From the right end of a panel to the right edge of its numbers."""
COLUMNS = 5
"""Panels side by side."""
TITLE_LETTERS = 15
HEADROOM = 1.05
"""Of a panel without a largest possible value, relative to the largest one shown."""


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
    caption="The main metrics on the test split: which program, where in it, and which lines "
    "(shares of rows, unless a unit is given). The G-code error rate and the segment F1 are of "
    "segments of one window; for whole recordings, of whole recordings. Bars are 95 % intervals "
    "from a bootstrap over recordings. gcodefp and the baselines may be compared; privileged "
    "baselines and the upper bound are provided with more information.",
)
def draw_accuracy(results: Results) -> Figure:
    """A panel for each metric that was measured; the predictors share their rows."""
    scores = results.evaluation["models"]
    panels = [
        metric
        for metric in MAIN_METRICS
        if any(metrics[metric]["value"] is not None for metrics in scores.values())
    ]
    rows = _rows(scores)
    lines = -(-len(panels) // COLUMNS)
    fig = paper.new_figure(paper.PAGE_INCHES, lines * (ROW_INCHES * rows.total + 0.75))
    grid = fig.subplots(lines, -(-len(panels) // lines), sharey=True, squeeze=False)
    for axes, panel in zip_longest(grid.flat, panels):
        if panel:
            _draw_panel(axes, scores, panel, rows)
        else:
            axes.set_axis_off()
    _name_rows(grid[:, 0], rows)
    subtitle = f"{paper.tested_on(results)}; 95 % intervals over recordings; dashed: gcodefp"
    paper.add_head(fig, _title(scores), subtitle, results.warnings)
    return fig


def _title(scores: Scores) -> str:
    """The primary metric of gcodefp and of the best baseline."""
    names, baseline = ["gcodefp"], best_baseline(scores)
    shares = [scores[MODEL][PRIMARY]["value"]]
    if baseline is not None:
        names.append(f"the best baseline ({baseline})")
        shares.append(scores[baseline][PRIMARY]["value"])
    parts = [f"{n} {paper.percent(share or 0.0)}" for n, share in zip(names, shares, strict=True)]
    return f"{METRIC_TITLES[PRIMARY].capitalize()}: {', '.join(parts)}"


def _rows(scores: Scores) -> _Rows:
    predictors: dict[str, int] = {}
    titles: dict[str, int] = {}
    for kind, group in KINDS.items():
        names = [name for name in PREDICTORS if name in scores and PREDICTORS[name].kind == kind]
        if names:
            titles[group.title] = first = len(predictors) + len(titles)
            predictors |= {name: first + 1 + i for i, name in enumerate(names)}
    return _Rows(predictors, titles)


def _draw_panel(axes: Axes, scores: Scores, metric: str, rows: _Rows) -> None:
    """A marker with its interval for each predictor; a dash where there is no value."""
    unit = METRICS[metric].unit
    model = scores[MODEL][metric]["value"]
    if model is not None:
        axes.axvline(model, color=paper.MODEL_BLUE, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)
    for name, row in rows.predictors.items():
        score = scores[name][metric]
        text = _number(score["value"])
        paper.write_beside(axes, row, text, NUMBER_POINTS, "right", is_bold=name == MODEL)
        if score["value"] is None:
            continue
        style = paper.KIND_STYLES[PREDICTORS[name].kind]
        axes.plot([score["low"], score["high"]], [row, row], color=style.colour, linewidth=0.9,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
        axes.plot(score["value"], row, style.marker, color=style.colour, markersize=3.6,
                  markerfacecolor=style.colour if style.filled else "white",
                  markeredgewidth=0.8, clip_on=False, zorder=3)  # fmt: skip
    title = METRICS[metric].title + ("" if unit == SHARE else f" ({unit})")
    is_bounded = unit == SHARE and METRICS[metric].higher_is_better
    better = "more" if METRICS[metric].higher_is_better else "less"
    paper.finish_interval_panel(axes, fill(title, TITLE_LETTERS), f"{better} is better", ticks=2)
    ends = [scores[name][metric]["high"] or 0.0 for name in rows.predictors]
    axes.set_xlim(0, 1.0 if is_bounded else HEADROOM * max(ends) or 1.0)
    axes.set_ylim(rows.total - 0.4, -0.4)


def _number(value: float | None) -> str:
    """Three digits, at least one behind the point."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


def _name_rows(panels: Iterable[Axes], rows: _Rows) -> None:
    names = [*rows.titles, *rows.predictors]
    for axes in panels:
        axes.set_yticks([*rows.titles.values(), *rows.predictors.values()], names)
        for label, name in zip(axes.get_yticklabels(), names, strict=True):
            label.set_fontsize(6.5)
            if name in rows.titles or name == MODEL:
                label.set_fontweight("bold")
            if name in rows.predictors:
                label.set_color(paper.KIND_STYLES[PREDICTORS[name].kind].colour)


Row = JsonContent | str
"""Occluded sensors, or the heading of several such rows."""
MIN_ROWS = 3
HEADINGS = {GROUP: "without one kind of sensor", NODE: "without one sensor node", ALL: None}
LOSS_POINTS = 4
MINUS = "\N{MINUS SIGN}"


@figure(
    "sensor_groups",
    title="Sensor occlusion",
    category="Test",
    caption="The loss on the test split when the channels of one kind of sensor, of one sensor "
    "node, or of all are missing, as those of a sensor that dropped out are: differences to all "
    "sensors on the same rows, with 95 % intervals from a bootstrap over recordings. The network "
    "is not trained again: this shows what its predictions depend on, not what a network trained "
    "without these sensors could predict.",
)
def draw_sensor_groups(results: Results) -> Figure:
    """A panel for each metric; a row for each kind of sensor and each node that is occluded."""
    sensors = results.explanation.document["sensors"]
    rows = _loss_rows(sensors["without"])
    metrics = [name for name, score in sensors["complete"].items() if score["value"] is not None]
    fig = paper.new_figure(paper.PAGE_INCHES, ROW_INCHES * max(MIN_ROWS, len(rows)) + 0.75)
    panels = fig.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_losses(axes, rows, metric, sensors["complete"][metric]["value"])
    _name_loss_rows(panels[0], rows)
    significance = "filled and bold: without 0"
    if results.evaluation["recordings"] < MIN_RECORDINGS:
        significance = f"of fewer than {MIN_RECORDINGS} recordings: any may be chance"
    subtitle = (
        f"{paper.tested_on(results)}, predicted with these channels missing, without training again"
        f"; difference to all sensors in percentage points, with 95 % intervals ({significance})"
    )
    paper.add_head(fig, _loss_title(sensors), subtitle, results.warnings)
    return fig


def _loss_rows(without: Sequence[JsonContent]) -> list[Row]:
    """Headings and excluded sensors from the top, the greatest loss first."""
    rows: list[Row] = []
    for kind, heading in HEADINGS.items():
        entries = [entry for entry in without if entry["kind"] == kind]
        if entries and heading:
            rows.append(heading)
        entries.sort(key=lambda entry: (_loss(entry), entry["name"]))
        rows += entries
    return rows


def _loss(entry: JsonContent) -> float:
    return float(entry["differences"]["gcode"]["value"] or 0.0)


def _draw_losses(axes: Axes, rows: Sequence[Row], metric: str, complete: float) -> None:
    axes.axvline(0, color=paper.FAINT, linewidth=0.7, zorder=1)
    for row, entry in enumerate(rows):
        if isinstance(entry, str):
            continue
        difference = entry["differences"][metric]
        if difference["value"] is None:
            paper.write_beside(axes, row, "-", LOSS_POINTS, "left", is_bold=False)
            continue
        value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
        is_significant = bool(significant_sign(difference))
        axes.plot([low, high], [row, row], color=paper.MODEL_BLUE, linewidth=0.9, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(value, row, "o", color=paper.MODEL_BLUE, markersize=3.8, markeredgewidth=0.8,
                  zorder=3,
                  markerfacecolor=paper.MODEL_BLUE if is_significant else "white")  # fmt: skip
        text = f"{value:+.1f}".replace("-", MINUS)
        paper.write_beside(axes, row, text, LOSS_POINTS, "left", is_significant)
    title = f"{METRICS[metric].title}\n(all sensors: {100 * complete:.0f} %)"
    paper.finish_interval_panel(axes, title, "percentage points", ticks=4)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.06)


def _name_loss_rows(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(
        range(len(rows)), [row if isinstance(row, str) else _sensor_name(row) for row in rows]
    )
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontsize(6.5)
        label.set_fontweight("bold" if isinstance(row, str) else "normal")


def _sensor_name(entry: JsonContent) -> str:
    if entry["kind"] == ALL:
        return "without any sensor"
    return group_title(entry["name"]) if entry["kind"] == GROUP else paper.short_name(entry["name"])


def _loss_title(sensors: JsonContent) -> str:
    groups = [entry for entry in sensors["without"] if entry["kind"] == GROUP]
    if not groups:
        return "What gcodefp loses without its sensors"
    losses = [group for group in groups if significant_sign(group["differences"]["gcode"]) < 0]
    if not losses:
        return "No kind of sensor is missed beyond chance"
    worst = min(losses, key=_loss)
    share = 100 * sensors["complete"]["gcode"]["value"]
    return (
        f"Without {group_title(worst['name'])} gcodefp loses {-100 * _loss(worst):.0f} of "
        f"its {share:.0f} percentage points of exact lines"
    )
