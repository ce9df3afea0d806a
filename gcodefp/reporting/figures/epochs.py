"""Runs epoch by epoch: curves of a sweep and of compared runs, and what hyperband pruned."""

import textwrap
from collections.abc import Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.reporting.figures import paper
from gcodefp.reporting.figures.runs import RUN_STYLES, styles_of_runs
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import LOSS, describe_runs, is_maximized, is_wide
from gcodefp.reporting.wording import logged_metric, short_metric
from gcodefp.sweeps.specification import read_hyperband

TRAIN_LOSS = "train/loss"
PANEL_INCHES = 1.75
TITLE_LETTERS = 48
MANY_RUNS = 50


def draw_learning_curves(results: SweepResults) -> paper.Drawn:
    """All runs in grey, the best run on top with its best epoch."""
    best_run, curves = results.best_run, results.curves
    columns = _drawable([best_run["metric"], LOSS], [curves])
    if not columns:
        raise paper.NothingToDraw(f"curves.csv has neither {best_run['metric']} nor {LOSS}.")
    of_best_run = curves[curves["run"] == best_run["run"]]
    fig, panels = _panels(columns, results.step)
    for axes, column in zip(panels, columns, strict=True):
        _draw_others(axes, results, column)
        run = of_best_run.dropna(subset=[column])
        axes.plot(run["epoch"], run[column], color=paper.MODEL_BLUE, linewidth=1.6,
                  label="best run")  # fmt: skip
        _circle(axes, run, column, best_run["best_epoch"], paper.MODEL_BLUE, results.step)
        _finish(axes, column, curves[column])
        if column == LOSS and _drawable([TRAIN_LOSS], [of_best_run]):
            run = of_best_run.dropna(subset=[TRAIN_LOSS])
            axes.plot(run["epoch"], run[TRAIN_LOSS], color=paper.MODEL_BLUE, linewidth=1,
                      linestyle=(0, (3, 1.5)), label="best run, train split")  # fmt: skip
            axes.set_title("loss: val split, and the best run's train split")
    paper.add_legend(fig, [line for axes in panels for line in axes.get_lines()
                     if not str(line.get_label()).startswith("_")], 2)  # fmt: skip
    at = f" at {results.step} {best_run['best_epoch']}" if best_run["best_epoch"] else ""
    value = f"{best_run['best_value']:.3g} {short_metric(best_run['metric'])}"
    title = f"Run {best_run['run']} is best{at}: {value}"
    return fig, title, f"{results.on_split}{describe_runs(results)}"


def _drawable(names: Sequence[str], tables: Sequence[pd.DataFrame]) -> list[str]:
    """The columns that have a finite value in any of the tables, each once."""
    return [
        name
        for name in dict.fromkeys(names)
        if any(name in table and np.isfinite(table[name]).any() for table in tables)
    ]


def _panels(columns: Sequence[str], step: str) -> tuple[Figure, list[Axes]]:
    """An empty panel for each column."""
    fig = paper.new_figure(paper.COLUMN_INCHES, 0.4 + PANEL_INCHES * len(columns))
    panels: list[Axes] = list(fig.subplots(len(columns), 1, sharex=True, squeeze=False).flat)
    panels[-1].set_xlabel(step)
    paper.round_ticks(panels[-1].xaxis, 8, integer=True)
    return fig, panels


def _finish(axes: Axes, column: str, values: "pd.Series[float]") -> None:
    """Title and grid, and a log axis for a loss with a wide range."""
    axes.set_title(textwrap.fill(logged_metric(column), TITLE_LETTERS))
    axes.grid(axis="y")
    if column.endswith("loss") and is_wide(values.to_numpy(float)):
        paper.set_log_scale(axes, axes.yaxis)


def _draw_others(axes: Axes, results: SweepResults, column: str) -> None:
    """The other runs; a mark where one ended before all its epochs were done."""
    states = results.runs.set_index("run")["state"]
    # A user script may log a metric at some steps only.
    curves = results.curves.dropna(subset=[column])
    for name, run in curves[curves["run"] != results.best_run["run"]].groupby("run"):
        axes.plot(run["epoch"], run[column], color=paper.FAINT, linewidth=0.6, label="other run",
                  alpha=0.6 if len(states) < MANY_RUNS else 0.25, **_lone_marker(run))  # fmt: skip
        if (state := str(states[name])) != "finished":
            style = RUN_STYLES[state] | {"color": "#555555" if state == "stopped" else paper.WRONG}
            last = run.iloc[-1:]
            axes.plot(last["epoch"], last[column], linestyle="none", **style)


def _lone_marker(run: pd.DataFrame) -> dict[str, Any]:
    """A line through one point is not seen."""
    return {"marker": "o", "markersize": 2.5} if len(run) == 1 else {}


def _circle(
    axes: Axes, run: pd.DataFrame, column: str, epoch: int | None, colour: str, step: str
) -> None:
    best = run[run["epoch"] == epoch]
    axes.plot(best["epoch"], best[column], "o", color="white", markeredgecolor=colour,
              markeredgewidth=1.4, markersize=5.5, label=f"best {step}", zorder=5)  # fmt: skip


COMPARED_STYLES = (
    (paper.MODEL_BLUE, "-"),
    (paper.ORANGE, (0, (4, 1.5))),
    ("#7b4fa3", (0, (1, 1))),
    ("#3f8f5f", (0, (4, 1.5, 1, 1.5))),
    ("#7a7a7a", "-"),
)
"""Colour and line of each compared run; they differ without colour too."""


class Curve(NamedTuple):
    """A compared run; runs of several results folders may have one name."""

    name: str
    table: pd.DataFrame  # what was measured after each epoch
    best_epoch: int | None


def draw_compared(
    curves: Sequence[Curve],
    metric: str,
    warnings: Sequence[str],
    has_script: bool = False,
) -> Figure:
    """A panel for the metric and one for the loss, where they were logged.

    Args:
        warnings: shown in red above the title.
        has_script: whether a user script trained the runs.
    """
    columns = _drawable([metric, LOSS], [curve.table for curve in curves])
    if not columns:
        return paper.placeholder("Learning curves", f"No run logged {metric} or {LOSS}.", warnings)
    step = "step" if has_script else "epoch"
    fig, panels = _panels(columns, step)
    # The legend has a row for each run, since names are long.
    fig.set_size_inches(paper.COLUMN_INCHES, fig.get_size_inches()[1] + 0.15 * len(curves))
    for axes, column in zip(panels, columns, strict=True):
        drawn = []
        for curve, (colour, line) in zip(curves, cycle(COMPARED_STYLES), strict=False):
            if column not in curve.table:
                continue
            table = curve.table.dropna(subset=[column])
            axes.plot(table["epoch"], table[column], color=colour, linestyle=line, linewidth=1.4,
                      label=curve.name, **_lone_marker(table))  # fmt: skip
            _circle(axes, table, column, curve.best_epoch, colour, step)
            drawn.append(table[column])
        _finish(axes, column, pd.concat(drawn))
    names = {curve.name for curve in curves}
    lines = [line for line in panels[0].get_lines() if line.get_label() in names]
    fig.legend(handles=lines, loc="outside lower left", ncols=1)
    split = "" if has_script else "val split; "
    title = f"Learning curves of {len(curves)} runs"
    paper.add_title_block(fig, title, f"{split}circles are the best {step}s", warnings)
    return fig


MANY_EPOCHS = 30
NAMED_ROWS = 40
"""With more rows, runs have no labels."""
ROW_INCHES = 0.13
LETTERS_PER_INCH = 16
LIGHTEST = 0.15
"""Start in the colour map, so that the worst value differs from a missing one."""


def draw_early_stopping(results: SweepResults) -> paper.Drawn:
    """A row for each run, best first; a cell for each epoch; bands where runs are compared."""
    metric = results.best_run["metric"]
    if not _drawable([metric], [results.curves]):
        raise paper.NothingToDraw(f"curves.csv has no {metric}, by which runs are compared.")
    values = metric_map(results)
    width = paper.PAGE_INCHES if values.shape[1] > MANY_EPOCHS else paper.COLUMN_INCHES
    height = float(np.clip(ROW_INCHES * len(values), 0.8, 5.0))
    fig = paper.new_figure(width, 0.85 + height)
    axes = fig.subplots()
    image = _draw_map(axes, results, values)
    label, letters = short_metric(metric), int(LETTERS_PER_INCH * height)
    paper.add_colour_bar(fig, image, axes, label, letters, pad=0.02, aspect=18, fraction=0.06)
    _draw_ends(axes, results, values)
    for band in bands(results):
        if band <= values.shape[1]:
            # A run is compared once the epoch is over.
            axes.axvline(band + 0.5, color=paper.INK, linewidth=0.8, linestyle=(0, (2, 1.5)),
                         label="runs compared")  # fmt: skip
    columns = 2 if width == paper.COLUMN_INCHES else 4
    paper.add_legend(fig, axes.get_legend_handles_labels()[0], columns)
    subtitle = f"{results.on_split}darker is better; best run first; {describe_runs(results)}"
    return fig, _stopping_title(results), subtitle


def metric_map(results: SweepResults) -> NDArray[np.float64]:
    """(runs, epochs) the metric after each epoch, runs as in runs.csv; nan where there is none.

    Of a user script the finite values, which hyperband counts, and not its steps.
    """
    rows = {run: row for row, run in enumerate(results.runs["run"])}
    metric = results.best_run["metric"]
    curves = results.curves[results.curves["run"].isin(rows)]
    epochs = curves["epoch"]
    if results.has_script:
        curves = curves[np.isfinite(curves[metric])]
        epochs = curves.groupby("run").cumcount() + 1
    last = int(epochs.max()) if len(curves) else 1
    values = np.full((len(rows), last), np.nan)
    values[curves["run"].map(rows), epochs.to_numpy(int) - 1] = curves[metric].to_numpy(float)
    return values


def bands(results: SweepResults) -> tuple[int, ...]:
    """The epochs at which runs are compared; none without hyperband.

    None of several sweeps: each has its own epochs, and `results` has only those of the first.
    """
    if len(results.best_run["sweeps"]) > 1:
        return ()
    rule = results.sweep.get("as_written", {}).get("early_terminate")
    hyperband = read_hyperband(rule, "sweep.json: as_written.early_terminate")
    return hyperband.bands if hyperband else ()


def saved_share(results: SweepResults) -> float | None:
    """The share of the epochs of finished and stopped runs that stopping saved; None if unknown."""
    runs = results.runs[results.runs["state"] != "failed"]
    # A damaged table has texts there; a user script's max_epochs may be anything.
    if results.has_script or "max_epochs" not in runs or runs["max_epochs"].dtype.kind not in "if":
        return None
    planned, trained = runs["max_epochs"].sum(), runs["epochs"].sum()
    return float((planned - trained) / planned) if planned else None


def _stopping_title(results: SweepResults) -> str:
    stopped = int((results.runs["state"] == "stopped").sum())
    if not stopped:
        return "No run was pruned or stopped"
    share = saved_share(results)
    saved = "" if share is None else f", which saved {paper.percent(share)} of the epochs"
    were = "was" if stopped == 1 else "were"
    return f"{stopped} of {len(results.runs)} runs {were} pruned or stopped{saved}"


def _draw_map(axes: Axes, results: SweepResults, values: NDArray[np.float64]) -> AxesImage:
    """Colours from the 2nd to the 98th percentile; diverged losses are as light as the worst."""
    low, high = np.percentile(values[np.isfinite(values)], [2, 98])
    shades = colormaps["Blues"](np.linspace(LIGHTEST, 1.0, 256))
    image = axes.imshow(
        values, aspect="auto", interpolation="nearest",
        cmap=ListedColormap(shades if is_maximized(results) else shades[::-1]),
        norm=paper.colour_range(low, high),
        extent=(0.5, values.shape[1] + 0.5, len(values) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_xlabel("values of the metric" if results.has_script else "epoch")
    ticks = MaxNLocator(8, integer=True, min_n_ticks=1).tick_values(1, values.shape[1])
    axes.set_xticks([tick for tick in ticks if 1 <= tick <= values.shape[1]])
    if len(values) <= NAMED_ROWS:
        axes.set_yticks(range(len(values)), results.runs["run"])
        axes.tick_params(axis="y", labelsize=5.5, length=0)
    axes.set_ylabel("run" if len(values) <= NAMED_ROWS else "rank of the run")
    axes.set_xlim(0.5, values.shape[1] + 1.1)
    return image


def _draw_ends(axes: Axes, results: SweepResults, values: NDArray[np.float64]) -> None:
    """A marker behind the last epoch of the best run, and of each run that did not finish."""
    styles = styles_of_runs(results)
    epochs = [int(np.flatnonzero(np.isfinite(row)).max(initial=-1)) + 1 for row in values]
    size = float(np.clip(72 * 5.0 / max(len(values), 1), 1.5, 3.4))
    for name in ("best run", "stopped", "failed"):
        rows = np.flatnonzero(styles == name)
        if len(rows):
            style = RUN_STYLES[name] | {"markersize": 6.0 if name == "best run" else size}
            style |= {"color": paper.INK} if name == "stopped" else {}
            at = [epochs[row] + 0.5 + 0.02 * values.shape[1] for row in rows]
            axes.plot(at, rows, linestyle="none", markeredgewidth=0.7, clip_on=False, **style)
