"""How a sweep got to its best value: over its runs, and over time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from gcodefp.reporting.figures.run_style import add_legend, draw_points, label_metric, run_handles
from gcodefp.reporting.figures.style import (
    INK,
    PAGE_INCHES,
    RIGHT,
    WRONG,
    add_head,
    new_figure,
    percent,
    placeholder,
    placeholder_figure,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import (
    Clock,
    Piece,
    cut_off,
    epochs_twice,
    is_maximized,
    share_at_work,
    which_runs,
    work_pieces,
)


class Unit(NamedTuple):
    """A unit of time."""

    name: str
    seconds: float


UNITS = (Unit("days", 86_400.0), Unit("hours", 3600.0), Unit("minutes", 60.0), Unit("seconds", 1.0))


def time_unit(seconds: float) -> Unit:
    """The largest unit of which there are three."""
    return next((unit for unit in UNITS if seconds >= 3 * unit.seconds), UNITS[-1])


def duration(seconds: float) -> str:
    """`2.5 hours`."""
    unit = time_unit(seconds)
    count = seconds / unit.seconds
    return f"{count:.1f} {unit.name}" if count < 10 else f"{count:.0f} {unit.name}"


def label_clock(axes: Axes, clock: Clock, unit: Unit) -> None:
    """From the first note to the last."""
    cut = ", long pauses cut" if clock.cuts else ""
    axes.set_xlabel(f"{unit.name} since the first run began{cut}")
    margin = 0.02 * clock.length / unit.seconds
    axes.set_xlim(-margin, clock.length / unit.seconds + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def draw_cuts(axes: Axes, clock: Clock, unit: Unit) -> None:
    """A hatched band for each long pause, with how long it was."""
    for cut in clock.cuts:
        begin, end = cut.begin / unit.seconds, cut.end / unit.seconds
        axes.axvspan(begin, end, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0)
        axes.text((begin + end) / 2, 0.5, f"{duration(cut.seconds)} of pause", rotation=90, size=6,
                  transform=axes.get_xaxis_transform(), ha="center", va="center", color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


PAUSE = "#e4e4e4"
MOST_DOTS = 25


def draw_best_so_far(results: Results) -> Figure:
    """Two panels that share the metric's axis."""
    figure = new_figure(PAGE_INCHES, 2.3)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_over_runs(left, results)
    noted = _draw_over_time(right, results)
    label_metric(left, results)
    line = left.get_lines()[0]
    add_legend(figure, [line, *run_handles(results)], 5)
    add_head(
        figure,
        _title(results),
        f"val split, to {results.winner['goal']}; {which_runs(results)}{noted}",
        results.marks,
    )
    return figure


def _title(results: Results) -> str:
    winner, runs = results.winner, results.runs
    best = runs["best_value"].max() if is_maximized(results) else runs["best_value"].min()
    wins = f"Run {winner['run']} wins with {winner['best_value']:.3g}"
    if best != winner["best_value"]:
        return f"{wins}; the best value of all runs is {best:.3g}"
    later = int((runs["run"] > winner["run"]).sum())
    if not later:
        return f"{wins}, the last of {len(runs)} runs" if len(runs) > 1 else wins
    return f"{wins}; {later} later {'runs' if later > 1 else 'run'} did not do better"


def best_over_runs(results: Results, runs: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """(runs,) the best value of each run and those before it; nan until there is one."""
    values = runs["best_value"].to_numpy(float)
    return np.fmax.accumulate(values) if is_maximized(results) else np.fmin.accumulate(values)


def best_over_time(results: Results) -> pd.DataFrame:
    """The moments (`utc_seconds`) at which the best `value` so far changed, and the `run`.

    An epoch counts from when it was over first. Failed runs do not count.
    """
    metric, runs = results.winner["metric"], results.runs
    counted = set(runs.loc[runs["state"] != "failed", "run"])
    moments = results.work[results.work["epoch"] > 0].groupby(["run", "epoch"])["utc_seconds"].min()
    if metric not in results.curves:
        return pd.DataFrame(columns=["run", "utc_seconds", "value"])
    curves = results.curves.loc[results.curves["run"].isin(counted), ["run", "epoch", metric]]
    table = curves.rename(columns={metric: "value"}).join(moments, on=["run", "epoch"])
    table = table.dropna().sort_values(["utc_seconds", "run"])
    best = table["value"].cummax() if is_maximized(results) else table["value"].cummin()
    return table[best != best.shift()].reset_index(drop=True)[["run", "utc_seconds", "value"]]


def _draw_over_runs(axes: Axes, results: Results) -> None:
    runs = results.runs.sort_values("run")
    numbers = runs["run"].astype(int)
    axes.step(numbers, best_over_runs(results, runs), where="post", color=INK, linewidth=1,
              label="best so far")  # fmt: skip
    draw_points(axes, results, results.runs["run"].astype(int))
    axes.set_xlabel("run")
    axes.set_xlim(numbers.min() - 0.6, numbers.max() + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if "sweep" in runs:
        for number in numbers[runs["sweep"] != runs["sweep"].shift()][1:]:
            axes.axvline(number - 0.5, color=INK, linewidth=0.6, linestyle=(0, (2, 2)))
            axes.text(number - 0.5, 1.01, "next sweep", size=6, ha="center",
                      transform=axes.get_xaxis_transform())  # fmt: skip


def _draw_over_time(axes: Axes, results: Results) -> str:
    """Draws the panel; returns what the subtitle has to say of it."""
    pieces = work_pieces(results.work)
    steps = best_over_time(results)
    if not pieces or steps.empty:
        placeholder(axes, "No epoch of these runs has a noted time: they were trained elsewhere.")
        return ""
    clock = Clock(pieces)
    unit = time_unit(clock.length)
    for begin, end in clock.pauses:
        axes.axvspan(*(clock.seconds([begin, end]) / unit.seconds), color=PAUSE, linewidth=0)
    draw_cuts(axes, clock, unit)
    at = clock.seconds(steps["utc_seconds"]) / unit.seconds
    axes.step([*at, clock.length / unit.seconds], [*steps["value"], steps["value"].iloc[-1]],
              where="post", color=INK, linewidth=1)  # fmt: skip
    if len(steps) <= MOST_DOTS:
        axes.plot(at, steps["value"], "o", color=INK, markersize=2.5)
    if steps["run"].iloc[-1] == results.winner["run"]:
        axes.plot(at[-1], steps["value"].iloc[-1], "*", color=RIGHT, markersize=9,
                  markeredgecolor="white", markeredgewidth=0.5, zorder=5)  # fmt: skip
    axes.grid(axis="y")
    axes.tick_params(labelleft=False)
    label_clock(axes, clock, unit)
    without = len(set(results.runs["run"]) - {piece.run for piece in pieces})
    return f"; {without} runs without noted times are on the left only" if without else ""


TITLE = "Who trained when"
UNKNOWN = "No time of work on these runs is noted: they were trained elsewhere, or none got far."
MOST_PROCESSES = 32
"""Of more processes, those of a host that follow each other share a row."""
SHORT = 0.004
"""Of the whole time; shorter pieces are drawn so long."""
HOST_LETTERS = 16
POINTS_OF_DIGIT = 3.6


class _BarLook(NamedTuple):
    label: str
    face: str
    edge: str
    hatch: str | None
    ink: str


BAR_LOOKS = {
    "winner": _BarLook("winner", RIGHT, RIGHT, None, "white"),
    "finished": _BarLook("finished", "#b9b9b9", "#6b6b6b", None, INK),
    "stopped": _BarLook("stopped early", "white", "#6b6b6b", "////", INK),
    "failed": _BarLook("failed", "#f3cfcd", WRONG, "xxxx", INK),
    "cut off": _BarLook("cut off, taken up again", "white", INK, "----", INK),
}
"""How a run ended, or this piece of it -> its look."""


def draw_timeline(results: Results) -> Figure:
    """A row for each process, a bar for each stretch of its work on a run."""
    pieces = work_pieces(results.work)
    if not pieces or (clock := Clock(pieces)).length <= 0:
        return placeholder_figure(TITLE, UNKNOWN, results.marks)
    rows = process_rows(pieces)
    names = list(dict.fromkeys(rows[piece] for piece in sorted(pieces, key=lambda p: rows[p])))
    figure = new_figure(PAGE_INCHES, 0.8 + min(0.24 * max(len(names), 2), 6.0))
    axes = figure.subplots()
    present = _draw_bars(axes, results, pieces, [names.index(rows[piece]) for piece in pieces])
    axes.set_yticks(range(len(names)), [label for _, _, label in names])
    axes.tick_params(axis="y", length=0, labelsize=6.5 if len(names) < 24 else 5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    unit = time_unit(clock.length)
    draw_cuts(axes, clock, unit)
    label_clock(axes, clock, unit)
    looks = [look for name, look in BAR_LOOKS.items() if name in present]
    handles = [Patch(facecolor=look.face, edgecolor=look.edge, hatch=look.hatch, label=look.label)
               for look in looks]  # fmt: skip
    add_legend(figure, handles, len(handles))
    processes = len({piece.process for piece in pieces})
    crew = "One process" if processes == 1 else f"{processes} processes"
    their = "its" if processes == 1 else "their"
    took = duration(clock.seconds_but_cuts)
    if clock.cuts:
        took += f" (and paused for {duration(sum(cut.seconds for cut in clock.cuts))})"
    add_head(figure, f"{crew} trained for {took}: "
             f"{percent(share_at_work(pieces))} of {their} time was work on a run",
             f"{_twice(pieces)}; {_noted(results, pieces)}", results.marks)  # fmt: skip
    return figure


Row = tuple[int, int, str]
"""Number of the host, number within it, and name; rows are drawn in this order."""


def process_rows(pieces: Sequence[Piece]) -> dict[Piece, Row]:
    """The row that each piece stands in, named by host and process, or by host if they are many."""
    hosts = list(dict.fromkeys(piece.host for piece in pieces))
    processes = list(dict.fromkeys(piece.process for piece in pieces))
    rows: dict[Piece, Row] = {}
    until: dict[str, list[float]] = {}
    for piece in pieces:
        host, name = hosts.index(piece.host), _short(piece.host)
        if len(processes) <= MOST_PROCESSES:
            rows[piece] = (host, processes.index(piece.process), f"{name} {piece.pid}")
            continue
        ends = until.setdefault(piece.host, [])
        free = next((n for n, end in enumerate(ends) if end <= piece.begin), len(ends))
        ends[free : free + 1] = [piece.end]
        rows[piece] = (host, free, f"{name}, row {free + 1}")
    return rows


def _short(host: str) -> str:
    """Without its domain."""
    name = host.partition(".")[0]
    return name if len(name) <= HOST_LETTERS else f"{name[: HOST_LETTERS - 3]}..."


def _draw_bars(
    axes: Axes, results: Results, pieces: Sequence[Piece], rows: Sequence[int]
) -> set[str]:
    """Returns which looks occur."""
    clock = Clock(pieces)
    unit = time_unit(clock.length)
    states = dict(zip(results.runs["run"], results.runs["state"], strict=True))
    states[results.winner["run"]] = "winner"
    present = set()
    room_points = 72 * (PAGE_INCHES - 1) / clock.length
    for piece, is_cut_off, row in zip(pieces, cut_off(pieces), rows, strict=True):
        kind = "cut off" if is_cut_off else states[piece.run]
        present.add(kind)
        look = BAR_LOOKS[kind]
        begin, end = clock.seconds([piece.begin, piece.end])
        length = max(end - begin, SHORT * clock.length)
        axes.barh(row, length / unit.seconds, left=begin / unit.seconds, height=0.72,
                  facecolor=look.face, edgecolor=look.edge, hatch=look.hatch,
                  linewidth=0.5)  # fmt: skip
        number = str(int(piece.run))
        if length * room_points > POINTS_OF_DIGIT * len(number) + 3 and max(rows) < 24:
            _write(axes, (begin + length / 2) / unit.seconds, row, number, look)
    return present


def _write(axes: Axes, x: float, row: int, number: str, look: _BarLook) -> None:
    box: dict[str, Any] | None = None
    if look.hatch:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.text(x, row, number, size=5.5, ha="center", va="center_baseline", color=look.ink,
              bbox=box)  # fmt: skip


def _twice(pieces: Sequence[Piece]) -> str:
    interrupted = sum(cut_off(pieces))
    if not interrupted:
        return "no run was cut off"
    twice = epochs_twice(pieces)
    what = (
        "a run was cut off once" if interrupted == 1 else f"runs were cut off {interrupted} times"
    )
    epochs = "no epoch" if twice == 0 else "one epoch" if twice == 1 else f"{twice} epochs"
    return f"{what} and {epochs} trained twice"


def _noted(results: Results, pieces: Sequence[Piece]) -> str:
    noted = len({piece.run for piece in pieces})
    if noted == len(results.runs):
        return which_runs(results)
    return f"{noted} runs with noted times, of {which_runs(results)}"
