"""What was read in place of what: confusion matrices, word by word, on the test split."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.dataset.store import vocabulary_of
from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, TOKEN_TYPES
from gcodefp.evaluation.names import MODEL
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import PAGE_INCHES, add_head, new_figure
from gcodefp.reporting.results import Results

MAX_COUNTED_CLASSES = 10
"""Cells of larger matrices have no room for their counts."""
MOST_LETTERS = 32
"""Names of columns that would need more beside each other are slanted."""
OTHER = "other\nkind"
UNSEEN_LABEL = "not in train"


class Confusion(NamedTuple):
    """Counts of words.

    Attributes:
        counts: (T, W), rows true, columns written.
        true: T names of classes.
        written: W names of classes.
    """

    counts: NDArray[np.int64]
    true: list[str]
    written: list[str]


def confusions(results: Results) -> dict[str, Confusion]:
    """Confusion matrices by name of the head."""
    predictions = results.predictions
    vocabulary = vocabulary_of(results.dataset)

    def names(classes: NDArray[np.str_]) -> list[str]:
        return [str(name) for name in classes]

    true, written = (
        vocabulary.encode_rows(blocks)
        for blocks in (predictions.true_block, predictions.blocks[MODEL])
    )
    return {
        "token type": _token_types(true[..., 0], written[..., 0]),
        "command": _field(true, written, "command", COMMAND, list(vocabulary.commands)),
        "parameter type": _field(
            true, written, "parameter_type", PARAMETER, list(vocabulary.parameter_types)
        ),
        "operation": _count(
            predictions.true_operation, predictions.operation[MODEL], names(predictions.operations)
        ),
        "program": _count(
            predictions.true_program, predictions.program[MODEL], names(predictions.programs)
        ),
    }


def draw_confusion(results: Results) -> Figure:
    """A matrix for each head, each row normalised; rows are true, columns read."""
    figure = new_figure(PAGE_INCHES, 5.9)
    halves = figure.add_gridspec(2, 1, height_ratios=[1, 1.25])
    rows = (halves[row].subgridspec(1, columns) for row, columns in enumerate((3, 2)))
    panels = [figure.add_subplot(row[0, i]) for row in rows for i in range(row.ncols)]
    for axes, (name, confusion) in zip(panels, confusions(results).items(), strict=True):
        _draw_matrix(axes, confusion)
        axes.set_title(name)
        axes.set_xlabel("read")
    for axes in (panels[0], panels[3]):
        axes.set_ylabel("true (count)")
    add_head(
        figure,
        "What was read in place of what",
        f"{tested_on(results)}; stretches read from sensors alone; word by word up to the end of "
        "the true line; the shade is the share of the row, the figure the count",
        results.marks,
    )
    return figure


def _token_types(true: NDArray[np.int32], written: NDArray[np.int32]) -> Confusion:
    """All steps up to the end of the true block; what follows a written end is nothing."""
    kinds = (COMMAND, PARAMETER, END)
    order = np.zeros(len(TOKEN_TYPES), np.int64) - 1
    order[list(kinds)] = range(len(kinds))
    counted = np.isin(true, kinds)
    names = [TOKEN_TYPES[kind] for kind in kinds]
    return _count(order[true[counted]], order[written[counted]], names, other="nothing")


def _field(
    true: NDArray[np.int32], written: NDArray[np.int32], field: str, kind: int, names: list[str]
) -> Confusion:
    """The classes of a field, over the steps where the true word is of its kind."""
    counted = true[..., 0] == kind
    column = FIELDS.index(field)
    return _count(true[counted][:, column], written[counted][:, column], names, other=OTHER)


def _count(
    true: NDArray[np.integer], written: NDArray[np.integer], names: list[str], other: str = OTHER
) -> Confusion:
    """Counts pairs; a class below 0 comes last and is left out where nothing is in it."""
    size = len(names) + 1
    counts = np.zeros((size, size), np.int64)
    np.add.at(
        counts, (np.where(true < 0, size - 1, true), np.where(written < 0, size - 1, written)), 1
    )
    true_names, written_names = [*names, UNSEEN_LABEL], [*names, other]
    if not counts[-1].any():
        counts, true_names = counts[:-1], names
    if not counts[:, -1].any():
        counts, written_names = counts[:, :-1], names
    return Confusion(counts, true_names, written_names)


def _draw_matrix(axes: Axes, confusion: Confusion) -> None:
    totals = confusion.counts.sum(1, keepdims=True)
    shares = confusion.counts / np.maximum(totals, 1)
    axes.imshow(shares, vmin=0, vmax=1, aspect="auto")
    few = max(confusion.counts.shape) <= MAX_COUNTED_CLASSES
    size = 6 if len(confusion.written) < 6 else 5.2
    for (row, column), count in np.ndenumerate(confusion.counts):
        if few and count:
            colour = "white" if shares[row, column] > 0.55 else "#333333"
            axes.text(column, row, f"{count:,}", color=colour, size=size, ha="center", va="center")
    letters = max(len(part) for name in confusion.written for part in name.splitlines())
    long = letters * len(confusion.written) > MOST_LETTERS
    axes.set_xticks(
        range(len(confusion.written)), confusion.written,
        rotation=40 if long else 0, ha="right" if long else "center", rotation_mode="anchor",
    )  # fmt: skip
    labels = [f"{name} ({n:,})" for name, n in zip(confusion.true, totals[:, 0], strict=True)]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(confusion.written) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
