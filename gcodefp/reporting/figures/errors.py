"""How much of each operation is read right, and how much its recordings differ."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from gcodefp.dataset.store import REBUILD, vocabulary_of
from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.names import BASELINE, MODEL
from gcodefp.model.scores import Score, row_scores
from gcodefp.recordings.gcode import Word, parse_block
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import (
    FAINT,
    INK,
    KIND_LOOKS,
    PAGE_INCHES,
    RIGHT,
    TRUE,
    WRONG,
    add_head,
    new_figure,
    percent,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import best_baseline


class OfOperation(NamedTuple):
    """What is read right of one operation with R test recordings.

    Attributes:
        name: None for all operations together.
        value: the share, and its interval over recordings; a single recording has none.
        recordings: (R,) share of each of its recordings that has anything to count.
        rows: of the test split.
    """

    name: str | None
    value: Estimate
    recordings: NDArray[np.float64]
    rows: int

    @property
    def share(self) -> float:
        """The value; each row has something to count."""
        return self.value.value or 0.0


def by_operation(results: Results, metric: str, answer: str = MODEL) -> list[OfOperation]:
    """Each operation of the test split by name, and all of them together at the end.

    Args:
        metric: one of `learning.scores.SCORES`.
        answer: whose, by the names of `PREDICTORS`.
    """
    predictions = results.predictions
    score = _scores(results, metric, answer)
    known = results.dataset["recordings"]
    operations = np.array([known[name]["operation"] for name in predictions.recordings.tolist()])
    of_row = operations[predictions.recording]
    rows = {str(name): np.flatnonzero(of_row == name) for name in np.unique(of_row)}
    parts = [_of(name, score, predictions.recording, of) for name, of in rows.items()]
    return [*parts, _of(None, score, predictions.recording, np.arange(len(of_row)))]


def _scores(results: Results, metric: str, answer: str) -> Score:
    predictions = results.predictions
    vocabulary = vocabulary_of(results.dataset)
    written, true = (
        vocabulary.encode_rows(blocks)
        for blocks in (predictions.blocks[answer], predictions.true_block)
    )
    return row_scores(written, true, predictions.operation[answer], predictions.true_operation)[
        metric
    ]


def _of(
    name: str | None, score: Score, recording: NDArray[np.integer], rows: NDArray[np.integer]
) -> OfOperation:
    of = recording[rows]
    correct, total = score.correct[rows], score.total[rows]
    value = estimate(correct, total, of)
    if value.recordings < 2:
        # All resamples of one recording are the same: that is no interval.
        value = value._replace(low=None, high=None)
    counts = np.bincount(of, weights=total)
    shares = np.bincount(of, weights=correct)[counts > 0] / counts[counts > 0]
    return OfOperation(name, value, shares, len(rows))


class OfWord(NamedTuple):
    """One word, such as G1 or X1.5.

    Attributes:
        train: rows of the train split that execute it.
        test: rows of the test split that do.
        right: those of them where it is read, at its place in the line.
    """

    word: Word
    train: int
    test: int
    right: int

    @property
    def wrong(self) -> int:
        return self.test - self.right

    @property
    def share(self) -> float:
        """Of the test rows, those where it is right."""
        return self.right / self.test


class Decade(NamedTuple):
    """All words that the train split has from `low` to under `high` times, in powers of ten."""

    low: int
    high: int
    test: int
    right: int

    @property
    def share(self) -> float:
        """Of their test rows, those where they are right."""
        return self.right / self.test


def by_word(results: Results, answer: str = MODEL) -> list[OfWord]:
    """Each word of the test split, those first that are wrong most often; then by the word.

    Words are compared at their place in the line, as the scores do. The results' dataset.json has
    to count words.
    """
    predictions = results.predictions
    train = results.dataset["words"]["train"]
    pairs = zip(predictions.true_block.tolist(), predictions.blocks[answer].tolist(), strict=True)
    test: Counter[Word] = Counter()
    right: Counter[Word] = Counter()
    for (true_text, read_text), rows in Counter(pairs).items():
        true, read = parse_block(true_text), parse_block(read_text)
        for place, word in enumerate(true):
            test[word] += rows
            right[word] += rows * (read[place : place + 1] == (word,))
    found = [OfWord(word, train.get(str(word), 0), test[word], right[word]) for word in test]
    return sorted(found, key=lambda of: (-of.wrong, of.word))


def decades(found: Sequence[OfWord]) -> list[Decade]:
    """Words put together by how often the train split has them; never is from 0 to under 1."""
    parts: dict[int, list[OfWord]] = {}
    for of in found:
        parts.setdefault(len(str(of.train)) if of.train else 0, []).append(of)
    return [
        Decade(
            low=10 ** (digits - 1) if digits else 0,
            high=10**digits,
            test=sum(of.test for of in parts[digits]),
            right=sum(of.right for of in parts[digits]),
        )
        for digits in sorted(parts)
    ]


METRICS = {"gcode": "exact line", "token": "token"}
DOTS_BELOW = 0.3
"""Recordings stand so far below the mark of their operation, as a share of the row's height."""


def draw_errors_by_operation(results: Results) -> Figure:
    """A panel for exact lines and one for words; a row for each operation and for all of them."""
    order = ranked(by_operation(results, "gcode"))
    baseline = best_baseline(results.evaluation["models"])
    figure = new_figure(PAGE_INCHES, 0.85 + 0.32 * len(order))
    panels = figure.subplots(1, len(METRICS), sharey=True)
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        axes.set_title(title)
        _draw(axes, _in_order(by_operation(results, metric), order))
        if baseline is not None:
            _draw_baseline(axes, _in_order(by_operation(results, metric, baseline), order))
    panels[0].set_yticks(range(len(order)), [_label(of) for of in order])
    panels[0].set_ylim(len(order) - 0.4, -0.5)
    figure.legend(handles=_legend(baseline), loc="outside lower center", ncols=3)
    add_head(
        figure,
        operations_title(order),
        f"{tested_on(results)}; shares that are right; 95 % intervals over recordings, where "
        "two are there",
        results.marks,
    )
    return figure


def ranked(found: Sequence[OfOperation]) -> list[OfOperation]:
    """Best first; all of them together stay at the end."""
    *operations, every = found
    return [*sorted(operations, key=lambda of: -(of.share)), every]


def operations_title(order: Sequence[OfOperation]) -> str:
    """Names the operations with most and with fewest exact lines.

    Args:
        order: as `ranked` gives it.
    """
    best, worst = order[0], order[-2]
    if best.name == worst.name:
        return f"{best.name} is the only operation of the test split"
    most, fewest = (percent(of.share) for of in (best, worst))
    return f"Of {best.name}, {most} of the lines are exact; of {worst.name}, {fewest}"


def _in_order(found: Sequence[OfOperation], order: Sequence[OfOperation]) -> list[OfOperation]:
    by_name = {of.name: of for of in found}
    return [by_name[of.name] for of in order]


def _label(of: OfOperation) -> str:
    count = len(of.recordings)
    recordings = f"{count} recording{'s' if count > 1 else ''}"
    return f"{of.name or 'all operations'}\n{recordings}, {of.rows:,} rows"


def _draw(axes: Axes, order: Sequence[OfOperation]) -> None:
    for row, of in enumerate(order):
        _write(axes, row, of)
        if of.value.low is not None and of.value.high is not None:
            axes.plot([of.value.low, of.value.high], [row, row], color=RIGHT, linewidth=0.9,
                      solid_capstyle="butt", zorder=3)  # fmt: skip
        axes.plot(of.share, row, "o", color=RIGHT, markersize=4.2, zorder=4, clip_on=False)
        if of.name is not None:
            below = np.full(len(of.recordings), row + DOTS_BELOW)
            axes.plot(of.recordings, below, "o", color=FAINT, markersize=2.2, alpha=0.8,
                      markeredgewidth=0, zorder=2, clip_on=False)  # fmt: skip
    axes.axvline(order[-1].share, color=RIGHT, linewidth=0.6,
                 linestyle=(0, (2, 2)), alpha=0.7)  # fmt: skip
    axes.axhline(len(order) - 1.5 + 0.1, color="#dddddd", linewidth=0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NO-BREAK SPACE}%"))
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_baseline(axes: Axes, order: Sequence[OfOperation]) -> None:
    look = KIND_LOOKS[BASELINE]
    axes.plot([of.share for of in order], range(len(order)), look.marker, color=look.colour,
              markersize=4.2, markerfacecolor="none", markeredgewidth=0.8, linestyle="none",
              zorder=5, clip_on=False)  # fmt: skip


def _write(axes: Axes, row: int, of: OfOperation) -> None:
    axes.annotate(
        percent(of.share), (1, row), (26, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", size=6.5, va="center_baseline", ha="right", color=INK,
        weight="bold" if of.name is None else "normal", annotation_clip=False,
    )  # fmt: skip


def _legend(baseline: str | None) -> list[Line2D]:
    look = KIND_LOOKS[BASELINE]
    marks = [
        Line2D([], [], color=RIGHT, marker="o", markersize=4.2, linewidth=0.9, label=MODEL),
        Line2D([], [], color=FAINT, marker="o", markersize=2.2, linestyle="none",
               label="each recording of it"),
    ]  # fmt: skip
    if baseline is not None:
        marks.append(
            Line2D([], [], color=look.colour, marker=look.marker, markersize=4.2,
                   markerfacecolor="none", markeredgewidth=0.8, linestyle="none",
                   label=f"best baseline: {baseline}")
        )  # fmt: skip
    return marks


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
    figure.legend(
        handles=_errors_by_token_legend(found),
        loc="outside lower center",
        ncols=5,
        handlelength=1.6,
    )
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


def _errors_by_token_legend(found: Sequence[OfWord]) -> list[Artist]:
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
