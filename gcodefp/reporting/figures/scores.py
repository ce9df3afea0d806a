"""Scores with intervals: of all predictors, without sensors, by window length, and of detection."""

from collections.abc import Sequence
from itertools import cycle, zip_longest
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from gcodefp.evaluation.metrics import METRICS, SHARE
from gcodefp.evaluation.names import ALL, BASELINE, GROUP, MODEL, NODE, PREDICTORS, PRIMARY, SENSORS
from gcodefp.evaluation.significance import MIN_RECORDINGS, significant_sign
from gcodefp.reporting.conclusions import best_baseline
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent
from gcodefp.reporting.wording import MAIN_METRICS, METRIC_TITLES, PREDICTOR_KINDS, group_title

ROW_INCHES = 0.165
NUMBER_POINTS = 19
"""From the right end of a panel to the right edge of its numbers."""
COLUMNS = 5
"""Panels side by side."""
TITLE_LETTERS = 15
HEADROOM = 1.05
"""Of a panel without a largest possible value, relative to the largest one shown."""


@figure(
    "accuracy",
    title="Accuracy",
    category="Test",
    caption="The main metrics on the test split: which program, where in it, and which blocks "
    "(shares of rows, unless a unit is given). The block error rate and the segment F1 are of "
    "windows, each decoded as one sequence, or of whole recordings. Bars are 95 % intervals "
    "from a bootstrap over recordings. gcodefp and the baselines may be compared; privileged "
    "baselines and the state oracle are provided with more information.",
)
def draw_accuracy(results: Results) -> paper.Drawn:
    """A panel for each metric that was measured; the predictors share their rows."""
    scores = results.evaluation["models"]
    measured = [m for m in MAIN_METRICS if any(s[m]["value"] is not None for s in scores.values())]
    if not measured:
        raise paper.NothingToDraw("no metric was measured")
    rows: list[str] = []
    for kind, group in PREDICTOR_KINDS.items():
        names = [name for name in PREDICTORS if name in scores and PREDICTORS[name].kind == kind]
        rows += [group.title, *names] if names else []
    lines = -(-len(measured) // COLUMNS)
    fig = paper.new_figure(paper.PAGE_INCHES, lines * (ROW_INCHES * len(rows) + 0.75))
    grid = fig.subplots(lines, -(-len(measured) // lines), sharey=True, squeeze=False)
    for axes, metric in zip_longest(grid.flat, measured):
        if metric:
            _draw_metric(axes, scores, metric, rows)
        else:
            axes.remove()
    for axes in grid[:, 0]:
        paper.name_rows(axes, rows, size=6.5)
        for label, name in zip(axes.get_yticklabels(), rows, strict=True):
            if name in scores:
                label.set_color(paper.KIND_STYLES[PREDICTORS[name].kind].colour)
            label.set_fontweight("normal" if name in scores and name != MODEL else "bold")
    subtitle = f"{paper.tested_on(results)}; 95 % intervals over recordings; dashed: gcodefp"
    return fig, _accuracy_title(scores), subtitle


def _accuracy_title(scores: JsonContent) -> str:
    """The primary metric of gcodefp and of the best baseline."""
    names, baseline = {MODEL: "gcodefp"}, best_baseline(scores)
    if baseline is not None:
        names[baseline] = f"the best baseline ({baseline})"
    parts = (f"{t} {paper.percent(scores[n][PRIMARY]['value'] or 0.0)}" for n, t in names.items())
    return f"{METRIC_TITLES[PRIMARY].capitalize()}: {', '.join(parts)}"


def _draw_metric(axes: Axes, scores: JsonContent, metric: str, rows: Sequence[str]) -> None:
    """A marker with its interval for each predictor; a dash where there is no value."""
    unit, is_higher_better = METRICS[metric].unit, METRICS[metric].higher_is_better
    if (model := scores[MODEL][metric]["value"]) is not None:
        axes.axvline(model, color=paper.MODEL_BLUE, linewidth=0.6, linestyle=(0, (2, 2)), alpha=0.7)
    for row, name in enumerate(rows):
        if name in scores:
            score = scores[name][metric]
            text = _number(score["value"])
            paper.write_beside(axes, row, text, NUMBER_POINTS, "right", is_bold=name == MODEL)
            if score["value"] is not None:
                style = paper.KIND_STYLES[PREDICTORS[name].kind]
                paper.draw_interval(axes, row, score, style)
    title = fill(METRICS[metric].title + ("" if unit == SHARE else f" ({unit})"), TITLE_LETTERS)
    better = "more is better" if is_higher_better else "less is better"
    paper.finish_interval_panel(axes, title, better, ticks=2)
    largest = max(each[metric]["high"] or 0.0 for each in scores.values())
    axes.set_xlim(0, 1.0 if unit == SHARE and is_higher_better else HEADROOM * largest or 1.0)


def _number(value: float | None) -> str:
    """Three digits, at least one behind the point."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}"


MIN_ROWS = 3
HEADINGS = {GROUP: "without one kind of sensor", NODE: "without one sensor node", ALL: None}
TEXT_POINTS = 4
MINUS = "\N{MINUS SIGN}"


@figure(
    "sensor_groups",
    title="Sensor occlusion",
    category="Test",
    caption="The drop in accuracy on the test split when the channels of one kind of sensor, of "
    "one sensor node, or of all are occluded, as if the sensor had dropped out: differences to all "
    "sensors on the same rows, with 95 % intervals from a bootstrap over recordings. Nothing is "
    "trained again: this shows what the predictions depend on, not what a decoder fitted without "
    "these sensors could predict.",
)
def draw_sensor_groups(results: Results) -> paper.Drawn:
    """A panel for each metric; a row for each kind of sensor and each node that is occluded."""
    sensors = results.explanation.document["sensors"]
    rows = _occlusion_rows(sensors["without"])
    metrics = [name for name, score in sensors["complete"].items() if score["value"] is not None]
    if not metrics:
        raise paper.NothingToDraw("no metric was measured with all sensors")
    fig = paper.new_figure(paper.PAGE_INCHES, ROW_INCHES * max(MIN_ROWS, len(rows)) + 0.75)
    panels = fig.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_differences(axes, rows, metric, sensors["complete"][metric]["value"])
    paper.name_rows(panels[0], [text for text, _ in rows], size=6.5)
    for label, (_, entry) in zip(panels[0].get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if entry else "bold")
    significance = "filled and bold: without 0"
    if results.evaluation["recordings"] < MIN_RECORDINGS:
        significance = f"of fewer than {MIN_RECORDINGS} recordings: any may be chance"
    subtitle = (
        f"{paper.tested_on(results)}, predicted with these channels occluded, not trained again"
        f"; difference to all sensors in percentage points, with 95 % intervals ({significance})"
    )
    return fig, _drop_title(sensors), subtitle


def _occlusion_rows(without: Sequence[JsonContent]) -> list[tuple[str, JsonContent | None]]:
    """Name and entry of occluded sensors, the greatest drop first; headings have no entry."""
    rows: list[tuple[str, JsonContent | None]] = []
    for kind, heading in HEADINGS.items():
        entries = [entry for entry in without if entry["kind"] == kind]
        entries.sort(key=lambda entry: (_difference(entry), entry["name"]))
        rows += [(heading, None)] if heading and entries else []
        for entry in entries:
            name = group_title(entry["name"]) if kind == GROUP else paper.short_name(entry["name"])
            rows.append((name if heading else "without any sensor", entry))
    return rows


def _difference(entry: JsonContent) -> float:
    return float(entry["differences"]["gcode"]["value"] or 0.0)


def _draw_differences(
    axes: Axes, rows: Sequence[tuple[str, JsonContent | None]], metric: str, complete: float
) -> None:
    axes.axvline(0, color=paper.FAINT, linewidth=0.7, zorder=1)
    for row, (_, entry) in enumerate(rows):
        if entry is None:
            continue
        difference, text, is_significant = entry["differences"][metric], "-", False
        if difference["value"] is not None:
            points = {key: 100 * difference[key] for key in ("value", "low", "high")}
            is_significant = bool(significant_sign(difference))
            style = paper.KIND_STYLES[SENSORS]._replace(is_filled=is_significant)
            paper.draw_interval(axes, row, points, style)
            text = f"{points['value']:+.1f}".replace("-", MINUS)
        paper.write_beside(axes, row, text, TEXT_POINTS, "left", is_significant)
    title = (
        f"{fill(METRICS[metric].title, 2 * TITLE_LETTERS)}\n(all sensors: {100 * complete:.0f} %)"
    )
    paper.finish_interval_panel(axes, title, "percentage points", ticks=4)
    axes.margins(x=0.06)


def _drop_title(sensors: JsonContent) -> str:
    """The kind of sensor that is missed most, of those with a significant loss if there are any."""
    groups = [entry for entry in sensors["without"] if entry["kind"] == GROUP]
    if not groups:
        return "What gcodefp loses without its sensors"
    drops = [group for group in groups if significant_sign(group["differences"]["gcode"]) < 0]
    worst = min(drops or groups, key=_difference)
    name, points = group_title(worst["name"]), f"{-100 * _difference(worst):.0f}"
    if not drops:
        most = f"; most: {name} (by {points} points)" if _difference(worst) < 0 else ""
        return f"No kind of sensor is missed significantly{most}"
    share = f"{100 * sensors['complete']['gcode']['value']:.0f}"
    return (
        f"Without {name} gcodefp loses {points} of its {share} percentage points of block accuracy"
    )


DODGE = 0.012
"""Between predictors, as a share of the panel's width, so that intervals do not overlap."""
MARKERS = ("^", "s", "D", "v", "P")


@figure(
    "ladder",
    title="Accuracy by window length",
    category="Test",
    caption="The share of rows whose program is correct and whose time in it is within 1 s of the "
    "true one (solid), and whose program is correct (dotted), by the length of the window: the "
    "centre row of every window is counted. The last column is of whole recordings, all of whose "
    "rows count. A recording shorter than a window is decoded as a whole. "
    "Bars are 95 % intervals from a bootstrap over recordings.",
)
def draw_window_lengths(results: Results) -> paper.Drawn:
    """A line for each predictor over the windows, and a column of whole recordings beside it."""
    lengths = results.evaluation["ladder"]
    if not lengths:
        raise paper.NothingToDraw("no window was decoded: evaluate had no --train")
    windows, whole = lengths[:-1], lengths[-1]
    names = sorted(whole["models"], key=list(PREDICTORS).index)
    styles, markers = {}, cycle(MARKERS)
    for name in names:
        style = paper.KIND_STYLES[PREDICTORS[name].kind]
        marker = next(markers) if PREDICTORS[name].kind == BASELINE else style.marker
        styles[name] = style._replace(marker=marker, dashes="-" if marker in "o^" else "--")
    fig = paper.new_figure(paper.COLUMN_INCHES, 2.9)
    ratios = [max(2.0, len(windows)), 1.0] if windows else [1.0]
    panels = fig.subplots(1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios)[0]
    for index, (name, style) in enumerate(styles.items()):
        offset = index - (len(styles) - 1) / 2
        if windows:
            _draw_windows(panels[0], windows, name, style, offset)
        _draw_whole(panels[-1], whole["models"][name], name, style, 0.3 * offset)
    panels[-1].set_xlim(-1, 1)
    panels[-1].set_xticks([0], ["whole\nrecording"])
    if windows:
        _finish_windows(panels[0], windows)
        panels[-1].tick_params(axis="y", length=0)
    for axes in panels:
        axes.grid(axis="y")
    panels[0].set_ylim(0, 1.02)
    panels[0].set_ylabel("share of centre rows")
    paper.add_legend(fig, panels[0].get_legend_handles_labels()[0], columns=1)
    subtitle = f"{paper.tested_on(results)}; 95 % intervals; dotted: program alone"
    return fig, _window_lengths_title(lengths), subtitle


def _draw_windows(
    axes: Axes, windows: list[JsonContent], name: str, style: paper.MarkerStyle, offset: float
) -> None:
    seconds = np.array([entry["seconds"] for entry in windows])
    seconds *= np.exp(DODGE * offset * max(np.log(seconds[-1] / seconds[0]), 1.0))
    within, program = (
        np.array([_numbers(entry["models"][name][metric]) for entry in windows])
        for metric in ("within_1s", "program")
    )
    axes.vlines(seconds, within[:, 1], within[:, 2], color=style.colour, linewidth=0.8, alpha=0.7)
    axes.plot(seconds, within[:, 0], color=style.colour, marker=style.marker, markersize=4,
              linestyle=style.dashes, clip_on=False, label=name)  # fmt: skip
    axes.plot(seconds, program[:, 0], ":", color=style.colour, linewidth=1.0, clip_on=False)


def _draw_whole(
    axes: Axes, scores: JsonContent, name: str, style: paper.MarkerStyle, at: float
) -> None:
    value, low, high = _numbers(scores["within_1s"])
    axes.vlines([at], low, high, color=style.colour, linewidth=0.8, alpha=0.7)
    axes.plot(at, value, style.marker, color=style.colour, markersize=4, clip_on=False, label=name)
    program = _numbers(scores["program"])[0]
    axes.plot([at - 0.14, at + 0.14], [program, program], ":", color=style.colour, linewidth=1.0,
              clip_on=False)  # fmt: skip


def _numbers(score: JsonContent) -> list[float]:
    """Value, low and high; NaN if nothing was counted."""
    return [np.nan if score[key] is None else score[key] for key in ("value", "low", "high")]


def _finish_windows(axes: Axes, windows: list[JsonContent]) -> None:
    """The log axis of seconds, with a tick for each window."""
    seconds = [entry["seconds"] for entry in windows]
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    texts = [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in seconds]
    pairs = zip(texts, windows, strict=True)
    axes.set_xticks(seconds, [f"{text}\n{entry['rows']}" for text, entry in pairs])
    axes.tick_params(axis="x", labelsize=6)
    axes.set_xlabel("length of the window, seconds and rows")
    if len(windows) > 1:
        margin = (seconds[-1] / seconds[0]) ** 0.06
        axes.set_xlim(seconds[0] / margin, seconds[-1] * margin)


def _window_lengths_title(lengths: list[JsonContent]) -> str:
    """The best predictor within 1 s, in the shortest windows and in whole recordings."""
    parts = []
    for entry in lengths[-1:] if len(lengths) == 1 else (lengths[0], lengths[-1]):
        values = {n: scores["within_1s"]["value"] or 0.0 for n, scores in entry["models"].items()}
        best = max(values, key=lambda name: values[name])
        decoded = "whole recordings"
        if entry["rows"] is not None:
            decoded = f"windows of {entry['seconds']:.2g}\N{NO-BREAK SPACE}s"
        # Not percent(): 99.6 % would be 100 %.
        share = f"{100 * values[best]:.1f}\N{NO-BREAK SPACE}%"
        parts.append(f"{share} of {decoded} ({paper.short_name(best)})")
    return f"Within 1 s of the truth: {', '.join(parts)}"


@figure(
    "detection",
    title="Alarms on altered recordings",
    category="Test",
    caption="The share of altered copies of test recordings that raise an alarm, at two rates of "
    "false alarms, by what was altered; bars are 95 % intervals from a bootstrap over recordings. "
    "Good recordings, and spliced rows of their own or of the same program, are no deviations: "
    "their alarms are false ones.",
)
def draw_detection(results: Results) -> paper.Drawn:
    """A row for each kind of alteration, a marker for each rate."""
    if results.detection is None or not results.detection["kinds"]:
        raise paper.NothingToDraw("no detector was tested")
    kinds, calibration = results.detection["kinds"], results.detection["calibration"]
    fig = paper.new_figure(paper.COLUMN_INCHES, 0.6 + 0.2 * len(kinds))
    axes = fig.add_subplot()
    for index, (rate, colour) in enumerate((("0.01", paper.MODEL_BLUE), ("0.05", paper.ORANGE))):
        for row, numbers in enumerate(kinds.values()):
            share, at = numbers[f"detected_at_{rate}"], row + 0.14 * (2 * index - 1)
            axes.plot([share["low"], share["high"]], [at, at], color=colour, linewidth=0.8)
            axes.plot(share["value"], at, "os"[index], color=colour, markersize=3.5, clip_on=False,
                      label=f"false alarms: {100 * float(rate):g} %")  # fmt: skip
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share with an alarm")
    axes.grid(axis="x")
    paper.add_legend(fig, axes.get_legend_handles_labels()[0], columns=2)
    subtitle = (
        f"{calibration['recordings']} good recordings to compare with: no rate below "
        f"{paper.percent(calibration['least_rate'])} can be promised"
    )
    return fig, "Deviations detected", subtitle
