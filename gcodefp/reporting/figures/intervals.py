"""Panels of intervals: metrics of all predictors, and the losses under sensor occlusion."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.metrics import METRICS, SHARE
from gcodefp.evaluation.names import ALL, GROUP, LAG_ORACLE, MODEL, NODE, PREDICTORS, PRIMARY
from gcodefp.evaluation.verdicts import MIN_RECORDINGS, significant_sign
from gcodefp.reporting.claims import best_baseline
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import KINDS, PRIMARY_ROWS, group_title

Scores = Mapping[str, Mapping[str, Mapping[str, Any]]]

ROW_INCHES = 0.165
NUMBER_POINTS = 19
"""From the right end of a panel to the right edge of its numbers."""
LAG_SUFFIX = ", lag oracle"
"""Not repeated below the title of that kind."""


PANELS = (PRIMARY, "program", "gcode", "token", "gcode_error_rate", "position_error_mm")
"""The metrics of the panels."""
TITLE_LETTERS = 14


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
        metric
        for metric in PANELS
        if any(metrics[metric]["value"] is not None for metrics in scores.values())
    ]
    rows = _rows(scores)
    fig = paper.new_figure(paper.PAGE_INCHES, ROW_INCHES * rows.total + 0.65)
    columns = fig.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(columns, panels, strict=True):
        _draw_panel(axes, scores, panel, rows)
    _name_rows(columns[0], rows)
    subtitle = f"{paper.tested_on(results)}; 95 % intervals over recordings; dashed: gcodefp"
    paper.add_head(fig, _title(scores), subtitle, results.warnings)
    return fig


def _title(scores: Scores) -> str:
    """The primary metric of the network and of the best baseline."""
    own = f"gcodefp has {paper.percent(scores[MODEL][PRIMARY]['value'])} of {PRIMARY_ROWS}"
    baseline = best_baseline(scores)
    if baseline is None:
        return own
    return f"{own}, {baseline} {paper.percent(scores[baseline][PRIMARY]['value'])}"


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
    digits = 2 if unit == SHARE else 1
    model = scores[MODEL][metric]["value"]
    if model is not None:
        axes.axvline(model, color=paper.MODEL_BLUE, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)
    for name, row in rows.predictors.items():
        score = scores[name][metric]
        text = "-" if score["value"] is None else f"{score['value']:.{digits}f}"
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
    better = "more" if METRICS[metric].higher_is_better else "less"
    paper.finish_interval_panel(axes, fill(title, TITLE_LETTERS), f"{better} is better", ticks=2)
    ends = [scores[name][metric]["high"] or 0.0 for name in rows.predictors]
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
            label.set_color(paper.KIND_STYLES[PREDICTORS[name].kind].colour)


def _shown(name: str) -> str:
    is_oracle = name in PREDICTORS and PREDICTORS[name].kind == LAG_ORACLE
    return name.removesuffix(LAG_SUFFIX) if is_oracle and name.startswith(MODEL) else name


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
        return "What the network loses without its sensors"
    losses = [group for group in groups if significant_sign(group["differences"]["gcode"]) < 0]
    if not losses:
        return "No kind of sensor is missed beyond chance"
    worst = min(losses, key=_loss)
    share = 100 * sensors["complete"]["gcode"]["value"]
    return (
        f"Without {group_title(worst['name'])} the network loses {-100 * _loss(worst):.0f} of "
        f"its {share:.0f} percentage points of exact lines"
    )
