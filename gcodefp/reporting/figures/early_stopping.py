"""Which runs were stopped early: the metric of every run, epoch by epoch, as a map."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.run_style import RUN_STYLES, styles_of_runs
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    INK,
    PAGE_INCHES,
    add_colour_bar,
    add_head,
    add_legend,
    colour_range,
    new_figure,
    percent,
    placeholder,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import describe_runs, is_maximized
from gcodefp.reporting.wording import short_metric
from gcodefp.sweeps.hyperband import read_hyperband

MANY_EPOCHS = 30
NAMED_ROWS = 40
"""With more rows, runs have no labels."""
ROW_INCHES = 0.13
LETTERS_PER_INCH = 16
LIGHTEST = 0.15
"""Start in the colour map, so that the worst value differs from a missing one."""


@figure(
    "early_stopping",
    title="Early stopping",
    category="Sweep",
    caption="The metric of each run after each epoch. A run that has passed a dashed line is "
    "compared with all others that reached it, and stopped once it is worse, be it at the line or "
    "later. Several sweeps have no lines, as each compares its runs at epochs of its own.",
)
def draw_early_stopping(results: Results) -> Figure:
    """A row for each run, best first; a cell for each epoch; bands where runs are compared."""
    metric = results.winner["metric"]
    if metric not in results.curves:
        sentence = f"curves.csv has no {metric}, by which runs are compared."
        return placeholder("Early stopping", sentence, results.warnings)
    values = metric_map(results)
    width = PAGE_INCHES if values.shape[1] > MANY_EPOCHS else COLUMN_INCHES
    height = float(np.clip(ROW_INCHES * len(values), 0.8, 5.0))
    fig = new_figure(width, 0.85 + height)
    axes = fig.subplots()
    image = _draw_map(axes, results, values)
    label, letters = short_metric(metric), int(LETTERS_PER_INCH * height)
    add_colour_bar(fig, image, axes, label, letters, pad=0.02, aspect=18, fraction=0.06)
    _draw_ends(axes, results, values)
    for band in bands(results):
        if band <= values.shape[1]:
            # A run is compared once the epoch is over.
            axes.axvline(band + 0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 1.5)),
                         label="runs compared")  # fmt: skip
    add_legend(fig, axes.get_legend_handles_labels()[0], 2 if width == COLUMN_INCHES else 4)
    subtitle = f"val split; darker is better; best run first; {describe_runs(results)}"
    add_head(fig, _title(results), subtitle, results.warnings)
    return fig


def metric_map(results: Results) -> NDArray[np.float64]:
    """(runs, epochs) the metric after each epoch, runs as in runs.csv; nan where there is none."""
    rows = {run: row for row, run in enumerate(results.runs["run"])}
    curves = results.curves[results.curves["run"].isin(rows)]
    last = int(curves["epoch"].max()) if len(curves) else 1
    values = np.full((len(rows), last), np.nan)
    metric = curves[results.winner["metric"]].to_numpy(float)
    values[curves["run"].map(rows), curves["epoch"].to_numpy(int) - 1] = metric
    return values


def bands(results: Results) -> tuple[int, ...]:
    """The epochs at which runs are compared; none without early termination.

    None of several sweeps: each has its own epochs, and `results` has only those of the first.
    """
    if len(results.winner["sweeps"]) > 1:
        return ()
    rule = results.sweep.get("as_written", {}).get("early_terminate")
    hyperband = read_hyperband(rule, "sweep.json: as_written.early_terminate")
    return hyperband.bands if hyperband else ()


def saved_share(results: Results) -> float | None:
    """The share of the epochs of finished and stopped runs that stopping saved; None if unknown."""
    runs = results.runs[results.runs["state"] != "failed"]
    if "max_epochs" not in runs:
        return None
    planned, trained = runs["max_epochs"].sum(), runs["epochs"].sum()
    return float((planned - trained) / planned) if planned else None


def _title(results: Results) -> str:
    stopped = int((results.runs["state"] == "stopped").sum())
    if stopped:
        share = saved_share(results)
        saved = "" if share is None else f", which saved {percent(share)} of the epochs"
        were = "was" if stopped == 1 else "were"
        return f"{stopped} of {len(results.runs)} runs {were} stopped early{saved}"
    if len(results.winner["sweeps"]) > 1:
        return "No run was stopped early"
    if results.sweep.get("as_written", {}).get("early_terminate") is None:
        return "This sweep has no early termination, and no run was stopped early"
    return "Early termination stopped no run"


def _draw_map(axes: Axes, results: Results, values: NDArray[np.float64]) -> AxesImage:
    """Colours from the 2nd to the 98th percentile; diverged losses are as light as the worst."""
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [2, 98]) if len(finite) else (0.0, 1.0)
    shades = colormaps["Blues"](np.linspace(LIGHTEST, 1.0, 256))
    image = axes.imshow(
        values, aspect="auto", interpolation="nearest",
        cmap=ListedColormap(shades if is_maximized(results) else shades[::-1]),
        norm=colour_range(low, high),
        extent=(0.5, values.shape[1] + 0.5, len(values) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_xlabel("epoch")
    ticks = MaxNLocator(8, integer=True, min_n_ticks=1).tick_values(1, values.shape[1])
    axes.set_xticks([tick for tick in ticks if 1 <= tick <= values.shape[1]])
    if len(values) <= NAMED_ROWS:
        axes.set_yticks(range(len(values)), results.runs["run"])
        axes.tick_params(axis="y", labelsize=5.5, length=0)
        axes.set_ylabel("run")
    else:
        axes.set_ylabel("rank of the run")
    axes.set_xlim(0.5, values.shape[1] + 1.1)
    return image


def _draw_ends(axes: Axes, results: Results, values: NDArray[np.float64]) -> None:
    """A marker behind the last epoch of the winner, and of each run that did not finish."""
    styles = styles_of_runs(results)
    epochs = [int(np.flatnonzero(np.isfinite(row)).max(initial=-1)) + 1 for row in values]
    size = float(np.clip(72 * 5.0 / max(len(values), 1), 1.5, 3.4))
    for name in ("winner", "stopped", "failed"):
        rows = np.flatnonzero(styles == name)
        if not len(rows):
            continue
        style = RUN_STYLES[name]
        axes.plot(
            [epochs[row] + 0.5 + 0.02 * values.shape[1] for row in rows], rows, style.marker,
            color=INK if name == "stopped" else style.colour, markerfacecolor=style.face,
            markersize=6.0 if name == "winner" else size, markeredgewidth=0.7,
            label=style.label, linestyle="none", clip_on=False,
        )  # fmt: skip
