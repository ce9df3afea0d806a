"""What the network loses without some of its sensors."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcodefp.evaluation.names import ALL, GROUP, NODE
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import FAINT, INK, PAGE_INCHES, RIGHT, add_head, new_figure
from gcodefp.reporting.results import Document, Results
from gcodefp.reporting.wording import ENOUGH_RECORDINGS, METRICS, SENSOR_GROUPS

Row = Document | str
"""A part of the sensors that is left out, or the heading of several."""
ROW_INCHES = 0.165
FEWEST_ROWS = 3
HEADINGS = {
    GROUP: "without one kind of sensor",
    NODE: "without one sensor node",
    ALL: None,
}
NUMBER_POINTS = 4
MINUS = "\N{MINUS SIGN}"


def draw_sensor_groups(results: Results) -> Figure:
    """A panel for each metric; a line for each kind of sensor and each node that is left out."""
    sensors = results.explanation.document["sensors"]
    rows = _rows(sensors["without"])
    metrics = list(sensors["complete"])
    figure = new_figure(PAGE_INCHES, ROW_INCHES * max(FEWEST_ROWS, len(rows)) + 0.75)
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        _draw_panel(axes, rows, metric, sensors["complete"][metric])
    _name_rows(panels[0], rows)
    add_head(
        figure,
        _title(sensors),
        f"{tested_on(results)}, read again with these channels missing; the network is not trained "
        "again; difference to all sensors in percentage points, with 95 % intervals "
        f"({_doubt(results)})",
        results.marks,
    )
    return figure


def _doubt(results: Results) -> str:
    if results.evaluation["recordings"] < ENOUGH_RECORDINGS:
        return f"of fewer than {ENOUGH_RECORDINGS} recordings: any may be chance"
    return "filled and bold: without 0"


def _rows(without: Sequence[Document]) -> list[Row]:
    """Headings and parts from the top, the greatest loss first."""
    rows: list[Row] = []
    for kind, heading in HEADINGS.items():
        parts = [of for of in without if of["kind"] == kind]
        if parts and heading:
            rows.append(heading)
        parts.sort(key=lambda of: (_loss(of), of["name"]))
        rows += parts
    return rows


def _loss(part: Document) -> float:
    return float(part["differences"]["gcode"]["value"] or 0.0)


def _draw_panel(axes: Axes, rows: Sequence[Row], metric: str, complete: Document) -> None:
    axes.axvline(0, color=FAINT, linewidth=0.7, zorder=1)
    for row, part in enumerate(rows):
        if isinstance(part, str):
            continue
        found = part["differences"][metric]
        if found["value"] is None:
            _write(axes, row, "-", certain=False)
            continue
        value, low, high = (100 * found[key] for key in ("value", "low", "high"))
        certain = _is_certain(found)
        axes.plot([low, high], [row, row], color=RIGHT, linewidth=0.9, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(value, row, "o", color=RIGHT, markersize=3.8, markeredgewidth=0.8, zorder=3,
                  markerfacecolor=RIGHT if certain else "white")  # fmt: skip
        _write(axes, row, f"{value:+.1f}".replace("-", MINUS), certain)
    with_all = "-" if complete["value"] is None else f"{100 * complete['value']:.0f} %"
    axes.set_title(f"{METRICS[metric]}\n(all sensors: {with_all})", size=7, linespacing=1.15)
    axes.set_xlabel("percentage points", size=6)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="x", labelsize=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _is_certain(found: Document) -> bool:
    """Of few recordings, all may lose something by chance."""
    if found["value"] is None or found["recordings"] < ENOUGH_RECORDINGS:
        return False
    return bool(found["high"] < 0 or found["low"] > 0)


def _write(axes: Axes, row: int, text: str, certain: bool) -> None:
    axes.annotate(
        text, (1, row), (NUMBER_POINTS, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", size=6, va="center_baseline", ha="left", color=INK,
        weight="bold" if certain else "normal", annotation_clip=False,
    )  # fmt: skip


def _name_rows(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)), [of if isinstance(of, str) else _name(of) for of in rows])
    for label, of in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontsize(6.5)
        label.set_fontweight("bold" if isinstance(of, str) else "normal")


def _name(part: Document) -> str:
    if part["kind"] == ALL:
        return "without any sensor"
    return SENSOR_GROUPS[part["name"]] if part["kind"] == GROUP else str(part["name"])


def _title(sensors: Document) -> str:
    parts = [of for of in sensors["without"] if of["kind"] == GROUP]
    if not parts:
        return "What the network loses without its sensors"
    missed = [of for of in parts if _is_certain(of["differences"]["gcode"]) and _loss(of) < 0]
    if not missed:
        return "Of no kind of sensor is it beyond doubt that the network misses it"
    worst = min(missed, key=_loss)
    lost, name = worst["differences"]["gcode"], SENSOR_GROUPS[worst["name"]]
    share = 100 * sensors["complete"]["gcode"]["value"]
    return (
        f"Without {name} the network loses {-100 * lost['value']:.0f} of its {share:.0f} "
        "percentage points of exact lines"
    )
