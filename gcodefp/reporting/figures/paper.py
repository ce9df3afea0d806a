"""What all figures share: sizes, colours, titles, legends, intervals, ticks, words and saving."""

import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import EngFormatter, LogFormatter, MaxNLocator

from gcodefp.evaluation.names import BASELINE, ORACLE, PRIVILEGED, SENSORS
from gcodefp.files import replacing, write_text
from gcodefp.reporting.figures import FIGURES, figures_of
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.terminal import plural

STYLE_FILE = Path(__file__).with_name("paper.mplstyle")
COLUMN_INCHES = 3.5
PAGE_INCHES = 7.0
SUFFIXES = ("svg", "png", "pdf")

INK = "#222222"
MODEL_BLUE = "#0b4f8a"
ORANGE = "#d97f0a"
WRONG = "#d0342c"
EXECUTED = "#cfcfcf"
FAINT = "#9a9a9a"
BAND = "#f3f3f3"

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
MARGIN_INCHES = 0.06
POSITION_DIGITS = 6
LINE_HEIGHT = 1.3
NAME_LETTERS = 19
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


class MarkerStyle(NamedTuple):
    """A marker that differs from others in colour and, for print, in shape."""

    colour: str
    marker: str
    is_filled: bool = True
    dashes: str = "-"


KIND_STYLES = {
    SENSORS: MarkerStyle(MODEL_BLUE, "o"),
    BASELINE: MarkerStyle(ORANGE, "^"),
    PRIVILEGED: MarkerStyle("#7a7a7a", "s", is_filled=False),
    ORACLE: MarkerStyle("#7b4fa3", "D", is_filled=False),
}
"""Kind of a predictor -> its style."""

_has_titles = ContextVar("_has_titles", default=True)


@contextmanager
def paper_style(has_titles: bool = True) -> Iterator[None]:
    """The style in which figures are drawn and saved, with or without title and subtitle."""
    token = _has_titles.set(has_titles)
    try:
        with rc_context(fname=STYLE_FILE), warnings.catch_warnings():
            # A PNG has a box for a letter that the font lacks; an SVG keeps the letter.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            yield
    finally:
        _has_titles.reset(token)


Drawn = tuple[Figure, str, str]
"""A figure, its title and its subtitle."""


class NothingToDraw(Exception):
    """The sentence that stands in the place of a figure."""


def draw_figure(stem: str, results: SweepResults) -> Figure:
    """Draws a registered figure with its title; `paper_style` has to be active."""
    return _draw(stem, results)[0]


def _draw(stem: str, results: SweepResults, own_title: str | None = None) -> Drawn:
    record = FIGURES[stem]
    draw = getattr(import_module(record.module), record.function)
    try:
        figure, title, subtitle = draw(results)
    except NothingToDraw as nothing:
        title = own_title or record.title
        return placeholder(title, str(nothing), results.warnings), title, str(nothing)
    title = own_title or title
    if isinstance(results, Results) and results.is_simulated:
        subtitle = f"simulated recordings; {subtitle}".removesuffix("; ")
    add_title_block(figure, title, subtitle, results.warnings)
    return figure, title, subtitle


def stems_of(results: SweepResults) -> list[str]:
    """The figures that have something to show; without an evaluation those of the sweep."""
    has_script = not isinstance(results, Results)
    has_pareto = bool(results.sweep.get("pareto"))
    has_system = results.sweep.get("engine") != "wandb"
    return [*figures_of(has_script=has_script, has_pareto=has_pareto, has_system=has_system)]


def draw_figures(
    results: SweepResults,
    folder: Path,
    has_titles: bool = True,
    stems: Sequence[str] = (),
    titles: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Writes each figure in all formats; the same results give the same bytes.

    Without titles captions.md has them, with subtitles, captions, and what draws each figure.

    Args:
        stems: the figures; none: all that have something to show.
        titles: figure -> its title, in place of the one that says what it shows.
    """
    captions = []
    for stem in stems or stems_of(results):
        record = FIGURES[stem]
        with paper_style(has_titles):
            figure, title, subtitle = _draw(stem, results, titles.get(stem))
            save(figure, folder, stem, results.warnings, SUFFIXES)
        text = f"**{title}.** {subtitle.removesuffix('.')}. {record.caption}"
        captions.append(f"## {stem}\n\n{text}\n\nDrawn by `{record.module}.{record.function}`.\n")
    if not has_titles:
        write_text(folder / "captions.md", "\n".join(captions))


# Parts of figures


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure outside pyplot's register."""
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.03)
    return Figure(figsize=(width_inches, height_inches), layout=layout)


def add_title_block(figure: Figure, title: str, subtitle: str, warnings: Sequence[str]) -> None:
    """Puts title, subtitle and warnings above the axes; the figure grows by their height."""
    styles: list[tuple[str, float, str, str, str | None]]
    styles = [(text, 7.5, "bold", "white", WRONG) for text in warnings]
    if _has_titles.get():
        styles += [(title, 9, "bold", INK, None), (subtitle, 7.5, "normal", "#444444", None)]
    width, height = figure.get_size_inches()
    parts = []
    for paragraph, size, weight, colour, box in styles:
        text = _wrap(paragraph, width, size, is_bold=weight == "bold")
        needed = (text.count("\n") + 1) * size * LINE_HEIGHT / 72 + (0.13 if box else 0.02)
        parts.append((text, size, weight, colour, box, needed))
    total = height + sum(part[-1] for part in parts) + 2 * MARGIN_INCHES
    figure.set_size_inches(width, total)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, height / total))
    top = total - MARGIN_INCHES
    for text, size, weight, colour, box, needed in parts:
        inset = 0.04 if box else 0
        patch = {"facecolor": box, "edgecolor": box, "pad": 2} if box else None
        figure.text((MARGIN_INCHES + inset) / width, (top - inset) / total, text, fontsize=size,
                    fontweight=weight, color=colour, va="top", linespacing=LINE_HEIGHT - 0.1,
                    bbox=patch)  # fmt: skip
        top -= needed


def _wrap(text: str, width_inches: float, size: float, is_bold: bool = False) -> str:
    """Breaks a paragraph by the mean width of a letter, which is a share of the font size."""
    letter_inches = size / 72 * (0.63 if is_bold else 0.545)
    return textwrap.fill(text, int((width_inches - 3 * MARGIN_INCHES) / letter_inches))


def placeholder(title: str, sentence: str, warnings: Sequence[str]) -> Figure:
    """A small figure that only states why nothing is drawn."""
    figure = new_figure(COLUMN_INCHES, 0.6)
    text = _wrap(sentence, COLUMN_INCHES, 7.5)
    figure.text(0.5, 0.25, text, ha="center", va="center", color="#444444", style="italic")
    add_title_block(figure, title, "", warnings)
    return figure


def legend_above(axes: Axes, columns: int) -> None:
    """A legend in one line above the right end of the axes, where no curve is."""
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, fontsize=6,
                borderaxespad=0, borderpad=0.2)  # fmt: skip


def add_legend(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """A legend below the axes; each label once."""
    by_label = {handle.get_label(): handle for handle in handles}
    if by_label:
        figure.legend(handles=list(by_label.values()), loc="outside lower center", ncols=columns,
                      columnspacing=1.4, handletextpad=0.5)  # fmt: skip


def add_colour_bar(
    figure: Figure, image: ScalarMappable, axes: Any, label: str, letters: int, **layout: float
) -> None:
    """A colour bar with small text; its label is broken into lines of at most `letters`."""
    bar = figure.colorbar(image, ax=axes, **layout)  # type: ignore[arg-type]
    bar.set_label(textwrap.fill(label, letters), size=6.5)
    bar.ax.tick_params(labelsize=6)


def colour_range(low: float, high: float) -> Normalize:
    """Colours from low to high, which may be equal."""
    return Normalize(low, high if high > low else low + 1)


def draw_interval(
    axes: Axes, at: float, score: Mapping[str, Any], style: MarkerStyle, *, upright: bool = False
) -> None:
    """A marker at a score's value and a bar over its interval, along x or (upright) along y."""
    ends, value = ([score["low"], score["high"]], [at, at]), ([score["value"]], [at])
    if upright:
        ends, value = ends[::-1], value[::-1]
    axes.plot(*ends, color=style.colour, linewidth=0.9, alpha=0.8, solid_capstyle="butt", zorder=2)
    axes.plot(*value, style.marker, color=style.colour, markersize=3.8, markeredgewidth=0.8,
              markerfacecolor=style.colour if style.is_filled else "white", clip_on=False,
              zorder=3)  # fmt: skip


def finish_interval_panel(axes: Axes, title: str, unit: str, ticks: int) -> None:
    """Titles, ticks and grid of a panel with an interval in each row, whose y axis is bare."""
    axes.set_title(title, size=7, linespacing=1.15)
    axes.set_xlabel(unit, size=6)
    round_ticks(axes.xaxis, ticks)
    axes.tick_params(axis="x", labelsize=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def name_rows(axes: Axes, names: Sequence[str], size: float = 7) -> None:
    """Names beside the rows 0, 1, … of a panel, the first on top."""
    axes.set_yticks(range(len(names)), names, size=size, linespacing=1.0)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)


def write_beside(
    axes: Axes, row: int, text: str, offset_points: float, align: str, is_bold: bool
) -> None:
    """Text in a row of a panel, to the right of its axes."""
    axes.annotate(text, (1, row), (offset_points, 0), xycoords=("axes fraction", "data"),
                  textcoords="offset points", size=6, va="center_baseline", ha=align, color=INK,
                  weight="bold" if is_bold else "normal", annotation_clip=False)  # fmt: skip


def round_ticks(axis: XAxis | YAxis, count: int, *, integer: bool = False) -> None:
    """At most `count` intervals between ticks, at 1, 2 or 5 times a power of ten."""
    axis.set_major_locator(MaxNLocator(nbins=count, steps=[1, 2, 5, 10], integer=integer))


class PlainLogFormatter(LogFormatter):
    """Labels some ticks of a log axis with short plain numbers: 0.01, 1000, 10k, 1M."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if not super().__call__(x, pos):
            return ""
        return f"{x:g}".replace("e-0", "e-") if x < 10_000 else EngFormatter(sep="")(x)


def set_log_scale(axes: Axes, axis: XAxis | YAxis) -> None:
    """A log axis with plain numbers, since texts are not mathematics here."""
    axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_formatter(PlainLogFormatter())
    axis.set_minor_formatter(PlainLogFormatter())


# Words


def short_name(text: str, letters: int = NAME_LETTERS) -> str:
    """A user's name for a label: of a long one the begin and the end."""
    half = letters // 2
    return text if len(text) <= letters else f"{text[:half]}{ELLIPSIS}{text[1 - half :]}"


def truncate(text: str, letters: int) -> str:
    """A text of at most so many letters, the last of them an ellipsis if it is longer."""
    return text if len(text) <= letters else f"{text[: letters - 1]}{ELLIPSIS}"


def percent(share: float) -> str:
    """A share as a percentage, one decimal below 10 %; no line breaks before the sign."""
    digits = 1 if share < 0.0995 else 0
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def tested_on(results: Results) -> str:
    """`test split: 6 recordings, 1,212 rows`."""
    counts = plural(results.evaluation["recordings"], "recording")
    return f"test split: {counts}, {plural(results.evaluation['rows'], 'row')}"


class TimeUnit(NamedTuple):
    name: str
    seconds: float


TIME_UNITS = (TimeUnit("days", 86_400), TimeUnit("hours", 3600), TimeUnit("minutes", 60),
              TimeUnit("seconds", 1))  # fmt: skip


def time_unit(seconds: float) -> TimeUnit:
    """The largest unit of which the duration has at least three."""
    return next((unit for unit in TIME_UNITS if seconds >= 3 * unit.seconds), TIME_UNITS[-1])


def save(
    figure: Figure,
    folder: Path,
    stem: str,
    warnings: Sequence[str],
    suffixes: Sequence[str] = ("svg", "png"),
) -> None:
    """Writes FOLDER/STEM.svg and so on; the same figure gives the same bytes."""
    # The layout is solved once, not again for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # The solver's result differs in the last digits from one time to the next.
        axes.set_position(np.round(axes.get_position(original=True).bounds, POSITION_DIGITS))
    about = "; ".join(warnings) or None
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Title": stem, "Description": about, "Date": None},
        "png": {"Title": stem, "Description": about},
        "pdf": {"Title": stem, "Subject": about, "CreationDate": None},
    }
    for suffix in suffixes:
        # The format is explicit: a temporary name ends in .tmp.
        with replacing(folder / f"{stem}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata[suffix])
            if suffix == "svg":  # Control characters in names are not XML.
                text = temporary.read_text(encoding="utf-8")
                temporary.write_text(CONTROL.sub("\N{REPLACEMENT CHARACTER}", text), "utf-8")
