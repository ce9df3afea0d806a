"""Ablation: the loss in accuracy when some sensors are excluded at test time."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.names import ALL, GROUP, NODE
from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.style import (
    FAINT,
    MODEL_BLUE,
    PAGE_INCHES,
    add_head,
    finish_interval_panel,
    new_figure,
    short_name,
    tested_on,
    write_beside,
)
from gcodefp.reporting.predictions import Document
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import METRICS, MIN_RECORDINGS, group_title

Row = Document | str
"""Sensors that are excluded, or the heading of several such rows."""
ROW_INCHES = 0.165
MIN_ROWS = 3
HEADINGS = {GROUP: "without one kind of sensor", NODE: "without one sensor node", ALL: None}
NUMBER_POINTS = 4
MINUS = "\N{MINUS SIGN}"


@figure(
    "sensor_groups",
    title="Excluded sensors",
    category="Test",
    caption="The loss on the test split when the channels of one kind of sensor, of one sensor "
    "node, or of all are missing, as those of a sensor that dropped out are: differences to all "
    "sensors on the same rows, with 95 % intervals from a bootstrap over recordings. The network "
    "is not trained again: this shows what its predictions depend on, not what a network trained "
    "without these sensors could predict.",
)
def draw_sensor_groups(results: Results) -> Figure:
    """A panel for each metric; a row for each kind of sensor and each node that is excluded."""
    sensors = results.explanation.document["sensors"]
    rows = _rows(sensors["without"])
    metrics = [name for name, score in sensors["complete"].items() if score["value"] is not None]
    fig = new_figure(PAGE_INCHES, ROW_INCHES * max(MIN_ROWS, len(rows)) + 0.75)
    panels = fig.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_panel(axes, rows, metric, sensors["complete"][metric]["value"])
    _name_rows(panels[0], rows)
    significance = "filled and bold: without 0"
    if results.evaluation["recordings"] < MIN_RECORDINGS:
        significance = f"of fewer than {MIN_RECORDINGS} recordings: any may be chance"
    subtitle = (
        f"{tested_on(results)}, predicted with these channels missing, without training again; "
        f"difference to all sensors in percentage points, with 95 % intervals ({significance})"
    )
    add_head(fig, _title(sensors), subtitle, results.warnings)
    return fig


def _rows(without: Sequence[Document]) -> list[Row]:
    """Headings and excluded sensors from the top, the greatest loss first."""
    rows: list[Row] = []
    for kind, heading in HEADINGS.items():
        entries = [entry for entry in without if entry["kind"] == kind]
        if entries and heading:
            rows.append(heading)
        entries.sort(key=lambda entry: (_loss(entry), entry["name"]))
        rows += entries
    return rows


def _loss(entry: Document) -> float:
    return float(entry["differences"]["gcode"]["value"] or 0.0)


def _draw_panel(axes: Axes, rows: Sequence[Row], metric: str, complete: float) -> None:
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=1)
    for row, entry in enumerate(rows):
        if isinstance(entry, str):
            continue
        difference = entry["differences"][metric]
        if difference["value"] is None:
            write_beside(axes, row, "-", NUMBER_POINTS, "left", is_bold=False)
            continue
        value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
        is_significant = _is_significant(difference)
        axes.plot([low, high], [row, row], color=MODEL_BLUE, linewidth=0.9, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(value, row, "o", color=MODEL_BLUE, markersize=3.8, markeredgewidth=0.8, zorder=3,
                  markerfacecolor=MODEL_BLUE if is_significant else "white")  # fmt: skip
        text = f"{value:+.1f}".replace("-", MINUS)
        write_beside(axes, row, text, NUMBER_POINTS, "left", is_significant)
    title = f"{METRICS[metric]}\n(all sensors: {100 * complete:.0f} %)"
    finish_interval_panel(axes, title, "percentage points", ticks=4)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.06)


def _is_significant(difference: Document) -> bool:
    """Whether the interval excludes 0, with at least MIN_RECORDINGS recordings."""
    if difference["value"] is None or difference["recordings"] < MIN_RECORDINGS:
        return False
    return bool(difference["high"] < 0 or difference["low"] > 0)


def _name_rows(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)), [row if isinstance(row, str) else _name(row) for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontsize(6.5)
        label.set_fontweight("bold" if isinstance(row, str) else "normal")


def _name(entry: Document) -> str:
    if entry["kind"] == ALL:
        return "without any sensor"
    return group_title(entry["name"]) if entry["kind"] == GROUP else short_name(entry["name"])


def _title(sensors: Document) -> str:
    groups = [entry for entry in sensors["without"] if entry["kind"] == GROUP]
    if not groups:
        return "What the network loses without its sensors"
    losses = [g for g in groups if _is_significant(g["differences"]["gcode"]) and _loss(g) < 0]
    if not losses:
        return "No kind of sensor is missed beyond chance"
    worst = min(losses, key=_loss)
    share = 100 * sensors["complete"]["gcode"]["value"]
    return (
        f"Without {group_title(worst['name'])} the network loses {-100 * _loss(worst):.0f} of "
        f"its {share:.0f} percentage points of exact lines"
    )
