"""The files of a recording over time: reported lines, positions and channels, gaps marked."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.files import replacing
from gcodefp.recordings import columns
from gcodefp.recordings.inspection.findings import SourceFacts
from gcodefp.reporting.figures import paper

BINS = 1000
"""Of an envelope, from left to right."""
PANEL_INCHES = 1.1
MAX_PANELS = 16
OF_A_NODE = ("imu", "mag", "force")
"""Groups whose axes share a panel of their node; of others, the nodes share one of the quantity."""
SCALED = "(from least to most)"
DOTS_PER_INCH = 150
MAX_LEGEND_COLUMNS = 6


def save_inspected(
    name: str, facts: Mapping[str, SourceFacts], problems: Sequence[str], folder: Path
) -> Path:
    """Writes NAME.png.

    Args:
        facts: of each source of the recording.
        problems: sentences above the picture.
    """
    path = folder / f"{name}.png"
    with paper.paper_style(), replacing(path) as temporary:
        figure = draw_inspected(name, facts, problems)
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)
    return path


def draw_inspected(name: str, facts: Mapping[str, SourceFacts], problems: Sequence[str]) -> Figure:
    """Panels for lines, positions, and each sensor node or quantity; time from the first row."""
    start = min(source.start for source in facts.values())
    panels = [panel for source in facts.values() for panel in _panels(source)]
    if not panels:
        return paper.placeholder(name, "no column that could be drawn is read", problems)
    shown = panels[:MAX_PANELS]
    fig = paper.new_figure(paper.PAGE_INCHES, PANEL_INCHES * len(shown) + 0.4)
    all_axes = fig.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (source, label, table) in zip(all_axes, shown, strict=True):
        for column in table:
            _draw_envelope(axes, source.seconds - start, table[column], str(column))
        for gap_start, seconds in source.gaps():
            axes.axvspan(gap_start - start, gap_start - start + seconds, color="#f3c9c6", zorder=0)
        axes.set_ylabel(label)
        paper.legend_above(axes, MAX_LEGEND_COLUMNS)
    all_axes[-1].set_xlabel("seconds since the first row of any file")
    notes = ["gaps in red"] * any(source.gaps() for source, *_ in shown)
    if len(panels) > len(shown):
        notes.append(f"{len(panels) - len(shown)} more panels are not shown")
    paper.add_title_block(fig, name, "; ".join(notes), problems)
    return fig


def _panels(source: SourceFacts) -> list[tuple[SourceFacts, str, pd.DataFrame]]:
    """Source, label and curves of each panel."""
    panels = []
    if source.lines is not None and source.lines.dtype.kind == "f":
        panels.append((source, "line", pd.DataFrame({"line": source.lines})))
    groups: dict[str, dict[str, str]] = {}
    for column in map(str, source.channels):
        node, _, quantity = column.rpartition(".")
        unit = columns.channel_unit(column)
        if column in columns.POSITION_MM:
            groups.setdefault("position (mm)", {})[column] = column[0]
        elif columns.channel_group(column) in OF_A_NODE:
            groups.setdefault(f"{node}\n({unit})", {})[column] = quantity
        elif columns.channel_group(column) != "controller":
            label = quantity if node else "motors"
            groups.setdefault(f"{label}\n{SCALED}", {})[column] = node or quantity
    for label, names in groups.items():
        table = source.channels[list(names)].rename(columns=names)
        panels.append((source, label, _scaled(table) if label.endswith(SCALED) else table))
    return panels


def _scaled(table: pd.DataFrame) -> pd.DataFrame:
    """Each column between 0 and 1; one that is always the same at 0."""
    span = table.max() - table.min()
    return (table - table.min()) / span.where(span > 0, 1.0)


def _draw_envelope(
    axes: Axes, seconds: NDArray[np.float64], samples: pd.Series, label: str
) -> None:
    """The smallest and largest sample of each of BINS intervals, or each sample if they are few."""
    values = samples.to_numpy(np.float64)
    if len(values) <= 2 * BINS:
        axes.plot(seconds, values, linewidth=0.7, drawstyle="steps-post", label=label)
        return
    edges = np.linspace(seconds[0], seconds[-1], BINS + 1)
    index = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, BINS - 1)
    bins = pd.Series(values).groupby(index).agg(["min", "max"]).reindex(range(BINS))
    middle = (edges[:-1] + edges[1:]) / 2
    axes.fill_between(
        middle, bins["min"], bins["max"], linewidth=0.3, alpha=0.6, label=label, step="mid"
    )
