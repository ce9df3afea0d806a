"""How often words are there to be learnt, how often they are read right, and which cost most."""

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from gcodefp.dataset.store import REBUILD
from gcodefp.findings.by_word import Decade, OfWord, by_word, decades
from gcodefp.findings.results import Results
from gcodefp.plots.accuracy import tested_on
from gcodefp.plots.style import (
    INK,
    PAGE_INCHES,
    RIGHT,
    TRUE,
    WRONG,
    add_head,
    new_figure,
    percent,
)

NAMED = 14
"""So many of the words that are wrong most often are named."""
NEVER_AT = 0.3
"""Where words that the train split never has stand on the logarithmic axis."""
COMMANDS = "command"
MARKERS = {COMMANDS: "s", "X": "o", "Y": "^", "Z": "v", "other": "D"}
"""Letter, or kind of word -> marker."""
SIZES = {1: 1.6, 10: 2.8, 100: 4.4}
"""From so many test rows on -> the diameter of a marker in points."""
UNCOUNTED = f"The dataset's description counts no words; make it anew with: {REBUILD}"


def draw_errors_by_token(results: Results) -> Figure:
    """Left a marker for each word of the test split, right the words that are wrong most often."""
    if "words" not in results.dataset:
        figure = new_figure(PAGE_INCHES, 0.2)
        add_head(figure, "Which words are read right", UNCOUNTED, results.marks)
        return figure
    found = by_word(results)
    figure = new_figure(PAGE_INCHES, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
    _draw_words(left, found)
    _draw_costly(right, found)
    figure.legend(handles=_legend(found), loc="outside lower center", ncols=5, handlelength=1.6)
    never = [of for of in found if not of.train]
    add_head(
        figure,
        words_title(decades(found)),
        f"{tested_on(results)}; {len(never):,} of its {len(found):,} words are never in the train "
        f"split ({sum(of.test for of in never):,} rows)",
        results.marks,
    )
    return figure


def words_title(parts: Sequence[Decade]) -> str:
    """Says how words that are rare in training differ from frequent ones, if there are both."""
    learnt = [part for part in parts if part.low]
    if len(learnt) < 2:
        return "Words by how often the train split has them"
    rare, frequent = learnt[0], learnt[-1]
    return (
        f"Words with under {rare.high:,} train rows are right in {percent(rare.share)} of cases, "
        f"with {frequent.low:,} or more in {percent(frequent.share)}"
    )


def _draw_words(axes: Axes, found: Sequence[OfWord]) -> None:
    for kind, marker in MARKERS.items():
        for low, diameter in SIZES.items():
            chosen = [of for of in found if (_kind(of), _size(of)) == (kind, low)]
            _mark(axes, chosen, marker, color=RIGHT, markersize=diameter, alpha=0.6, zorder=2)
    _mark(axes, _costly(found), "o", color=WRONG, markersize=7, zorder=4)
    for part in decades(found):
        ends = (part.low, part.high) if part.low else (NEVER_AT / 1.5, NEVER_AT * 1.5)
        axes.plot(ends, [part.share] * 2, color=INK, linewidth=1.6, zorder=3,
                  solid_capstyle="butt")  # fmt: skip
    most = max(10, *(of.train for of in found))
    axes.set_xscale("log")
    axes.set_xlim(NEVER_AT / 2, 1.6 * most)
    powers = range(len(str(most)))
    axes.set_xticks(
        [NEVER_AT, *(10**power for power in powers)], ["never", *(f"{10**p:,}" for p in powers)]
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NO-BREAK SPACE}%"))
    axes.set_title("every word: how often it is right")
    axes.set_xlabel("rows of the train split with the word (log)")
    axes.grid(axis="y")


def _mark(axes: Axes, words: Sequence[OfWord], marker: str, **look: Any) -> None:
    # Rare words share their places: each place is drawn once.
    places = sorted({(of.train or NEVER_AT, of.share) for of in words})
    axes.plot([train for train, _ in places], [share for _, share in places], marker,
              markerfacecolor="none", markeredgewidth=0.7, **look)  # fmt: skip


def _draw_costly(axes: Axes, found: Sequence[OfWord]) -> None:
    """Bars of the test rows of each word, the wrong ones hatched."""
    costly = _costly(found)
    axes.set_title("wrong most often" if costly else "no word is ever wrong")
    rows = range(len(costly))
    axes.barh(rows, [of.test for of in costly], color=TRUE, height=0.7)
    axes.barh(rows, [of.wrong for of in costly], color=WRONG, hatch="////", edgecolor="white",
              linewidth=0, height=0.7)  # fmt: skip
    for row, of in enumerate(costly):
        train = f"{of.train:,} in train" if of.train else "never in train"
        axes.annotate(f"{of.wrong:,} of {of.test:,}; {train}", (of.test, row), (3, 0),
                      textcoords="offset points", size=6, va="center_baseline",
                      weight="normal" if of.train else "bold")  # fmt: skip
    axes.set_yticks(rows, [str(of.word) for of in costly])
    axes.set_ylim(max(len(costly), 1) - 0.4, -0.6)
    axes.set_xlim(0, 1.9 * max((of.test for of in costly), default=1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("rows of the test split")


def _costly(found: Sequence[OfWord]) -> list[OfWord]:
    return [of for of in found[:NAMED] if of.wrong]


def _kind(of: OfWord) -> str:
    if of.word.is_command:
        return COMMANDS
    return of.word.letter if of.word.letter in MARKERS else "other"


def _size(of: OfWord) -> int:
    return max(low for low in SIZES if of.test >= low)


def _legend(found: Sequence[OfWord]) -> list[Artist]:
    kinds = {_kind(of) for of in found}

    def marked(label: str, marker: str, colour: str, diameter: float) -> Line2D:
        return Line2D([], [], color=colour, marker=marker, markersize=diameter, label=label,
                      linestyle="none", markerfacecolor="none", markeredgewidth=0.7)  # fmt: skip

    return [
        *(marked(kind, of, RIGHT, 4.4) for kind, of in MARKERS.items() if kind in kinds),
        marked("named on the right", "o", WRONG, 7),
        Line2D([], [], color=INK, linewidth=1.6, label="all of a decade"),
        Patch(facecolor=WRONG, hatch="////", edgecolor="white", linewidth=0, label="wrong"),
        Patch(facecolor=TRUE, label="right"),
    ]
