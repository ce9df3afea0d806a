"""What all figures share: sizes, colours, the head with its marks, and how they are saved."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gcodefp.evaluation.names import BASELINE, LAG_ORACLE, PRIVILEGED, SENSORS
from gcodefp.files import replacing

STYLE_FILE = Path(__file__).with_name("paper.mplstyle")
COLUMN_INCHES = 3.5
PAGE_INCHES = 7.0
DOTS_PER_INCH = 300
SUFFIXES = ("svg", "png")

INK = "#222222"
RIGHT = "#0b4f8a"
WRONG = "#d0342c"
TRUE = "#cfcfcf"
FAINT = "#9a9a9a"

MARGIN_INCHES = 0.06
POSITION_DIGITS = 6
LINE_HEIGHT = 1.3


class Look(NamedTuple):
    """How one of several things is told from the others, in colour and without."""

    colour: str
    marker: str
    filled: bool


KIND_LOOKS = {
    SENSORS: Look(RIGHT, "o", True),
    BASELINE: Look("#d97f0a", "^", True),
    PRIVILEGED: Look("#7a7a7a", "s", False),
    LAG_ORACLE: Look("#7b4fa3", "D", False),
}
"""Kind of an answer -> its look."""


class _Line(NamedTuple):
    """A paragraph of a figure's head; its size is in points."""

    text: str
    size: float
    weight: str
    colour: str
    box: str | None


@contextmanager
def paper_style() -> Iterator[None]:
    """The style in which figures are both drawn and saved; what was set before comes back."""
    with rc_context(fname=STYLE_FILE):
        yield


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure that belongs to its caller alone; pyplot never hears of it."""
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.03)
    return Figure(figsize=(width_inches, height_inches), layout=layout)


def add_head(figure: Figure, title: str, subtitle: str, marks: Sequence[str]) -> None:
    """Puts title, subtitle and warnings above the axes; the figure grows by what they need."""
    lines = [_Line(mark, 7.5, "bold", "white", WRONG) for mark in marks]
    lines += [_Line(title, 9, "bold", INK, None), _Line(subtitle, 7.5, "normal", "#444444", None)]
    width, height = figure.get_size_inches()
    wrapped = [_wrap(line, width) for line in lines]
    heights = [
        (text.count("\n") + 1) * line.size * LINE_HEIGHT / 72 + (0.13 if line.box else 0.02)
        for text, line in zip(wrapped, lines, strict=True)
    ]
    total = height + sum(heights) + 2 * MARGIN_INCHES
    figure.set_size_inches(width, total)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, 0, 1, height / total))
    top = total - MARGIN_INCHES
    for text, line, needed in zip(wrapped, lines, heights, strict=True):
        indent = MARGIN_INCHES + (0.04 if line.box else 0)
        figure.text(
            indent / width,
            (top - (0.04 if line.box else 0)) / total,
            text,
            fontsize=line.size,
            fontweight=line.weight,
            color=line.colour,
            va="top",
            linespacing=LINE_HEIGHT - 0.1,
            bbox={"facecolor": line.box, "edgecolor": line.box, "pad": 2} if line.box else None,
        )
        top -= needed


def _wrap(line: _Line, width_inches: float) -> str:
    """Breaks a paragraph by the mean width of a letter, which is a share of the font size."""
    letter_inches = line.size / 72 * (0.63 if line.weight == "bold" else 0.545)
    return textwrap.fill(line.text, int((width_inches - 3 * MARGIN_INCHES) / letter_inches))


def placeholder(axes: Axes, sentence: str) -> None:
    """In place of what cannot be drawn: why, in one sentence."""
    axes.axis("off")
    figure = axes.get_figure(root=True)
    assert figure is not None
    width_inches = figure.get_size_inches()[0] * axes.get_position(original=True).width
    text = _wrap(_Line(sentence, 7.5, "normal", INK, None), max(1.4, float(width_inches)))
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center",
              color="#444444", style="italic")  # fmt: skip


def placeholder_figure(title: str, sentence: str, marks: Sequence[str]) -> Figure:
    """A small figure that only says why it shows nothing."""
    figure = new_figure(COLUMN_INCHES, 0.6)
    placeholder(figure.add_subplot(), sentence)
    add_head(figure, title, "", marks)
    return figure


def save(figure: Figure, folder: Path, stem: str, marks: Sequence[str]) -> None:
    """Writes FOLDER/STEM.svg and .png; the same figure gives the same bytes."""
    # The layout is found once, not again for each format.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        # What the solver finds differs in the last digits from one time to the next.
        axes.set_position(np.round(axes.get_position(original=True).bounds, POSITION_DIGITS))
    about = {"Title": stem, "Description": "; ".join(marks) or None}
    for suffix in SUFFIXES:
        # The format is given: a temporary name ends in .tmp.
        with replacing(folder / f"{stem}.{suffix}") as temporary:
            dates = {"Date": None} if suffix == "svg" else {}
            figure.savefig(temporary, format=suffix, dpi=DOTS_PER_INCH, metadata={**about, **dates})


def percent(share: float) -> str:
    """A share as a percentage, one decimal below 10 %; no line breaks before the sign."""
    digits = 1 if share < 0.0995 else 0
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"
