"""Work of each process on the runs over time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import PROCESS, describe_runs, repeated_epochs, work_intervals
from gcodefp.terminal import duration, plural

LONG_PAUSE = 0.25
"""Share of the work time; longer pauses, in which no process worked, are shortened."""
SHOWN_PAUSE = 0.06
"""Length at which a long pause is drawn, as a share of the work time."""
MAX_PROCESSES = 32
"""With more processes, those of a host that follow each other share a row."""
MANY_ROWS = 24
SHORT = 0.004
"""Share of the whole time at which shorter intervals are drawn."""
HOST_LETTERS = 16
POINTS_OF_DIGIT = 3.6
BAR_STYLES: dict[str, dict[str, Any]] = {
    "best run": {"label": "best run", "facecolor": paper.MODEL_BLUE, "edgecolor": paper.MODEL_BLUE},
    "finished": {"label": "finished", "facecolor": "#b9b9b9", "edgecolor": "#6b6b6b"},
    "stopped": {"label": "pruned or stopped", "facecolor": "white", "edgecolor": "#6b6b6b",
                "hatch": "////"},
    "failed": {"label": "failed", "facecolor": "#f3cfcd", "edgecolor": paper.WRONG,
               "hatch": "xxxx"},
    "interrupted": {"label": "interrupted, resumed later", "facecolor": "white",
                    "edgecolor": paper.INK, "hatch": "----"},
}  # fmt: skip
"""How a run, or this interval of it, ended -> its style."""


@figure(
    "timeline",
    title="Agents over time",
    category="Sweep",
    caption="What each process trained and when; the numbers are those of the runs. An agent that "
    "was killed and started again is two processes. A process's time is that from its first entry "
    "in work.csv to its last one; it writes an entry when it starts or resumes a run and after "
    "each epoch. A bar ends with the last entry, so that an epoch that a process did not complete "
    "is not in it.",
)
def draw_timeline(results: SweepResults) -> paper.Drawn:
    """A row for each process, a bar for each interval of its work on a run."""
    intervals = work_intervals(results.work, results.has_script)
    shown, pauses = cut_pauses(intervals)
    length = shown["end"].max()
    if not length > 0:
        raise paper.NothingToDraw(
            "work.csv has no times of these runs: they were trained elsewhere, or failed."
        )
    rows = assign_rows(intervals)
    names = sorted({*rows})
    fig = paper.new_figure(paper.PAGE_INCHES, 0.8 + min(0.24 * max(len(names), 2), 6.0))
    axes = fig.subplots()
    unit = paper.time_unit(length)
    present = _draw_bars(axes, results, shown, [names.index(row) for row in rows], unit.seconds)
    labels = [label for _, _, label in names]
    paper.name_rows(axes, labels, size=6.5 if len(names) < MANY_ROWS else 5)
    _draw_pauses(axes, pauses, unit.seconds)
    axes.set_xlabel(f"{unit.name} since the first run began{', long pauses cut' if pauses else ''}")
    end = length / unit.seconds
    axes.set_xlim(-0.02 * end, 1.02 * end)
    paper.round_ticks(axes.xaxis, 6)
    handles = [Patch(**style) for kind, style in BAR_STYLES.items() if kind in present]
    paper.add_legend(fig, handles, len(handles))
    count, repeated = int(is_interrupted(intervals).sum()), repeated_epochs(intervals)
    subtitle = "no run was interrupted; "
    if count:
        subtitle = f"{plural(count, 'interruption')}, {plural(repeated, results.step)} "
        subtitle += "trained twice; "
    runs, timed = describe_runs(results), intervals["run"].nunique()
    subtitle += runs if timed == len(results.runs) else f"{timed} runs with times, of {runs}"
    took = duration(length - sum(pause.end - pause.begin for pause in pauses))
    if pauses:
        took += f" (and paused for {duration(sum(pause.seconds for pause in pauses))})"
    return fig, _title(intervals, took), subtitle


def _title(intervals: pd.DataFrame, took: str) -> str:
    count = len(intervals[PROCESS].drop_duplicates())
    processes, pronoun = ("One process", "its") if count == 1 else (f"{count} processes", "their")
    share = paper.percent(work_share(intervals))
    return f"{processes} trained for {took}: {share} of {pronoun} time was work on a run"


def is_interrupted(intervals: pd.DataFrame) -> "pd.Series[bool]":
    """For each interval, whether another one resumes its run."""
    return intervals.duplicated("run", keep="last")


def work_share(intervals: pd.DataFrame) -> float:
    """The share of the processes' time, from first to last entry, that is within an interval."""
    spans = intervals.groupby(PROCESS, dropna=False).agg({"begin": "min", "end": "max"})
    total = (spans["end"] - spans["begin"]).sum()
    return float((intervals["end"] - intervals["begin"]).sum() / total) if total else 1.0


Row = tuple[int, int, str]
"""Number of the host, number within it, and name; rows are drawn in this order."""


def assign_rows(intervals: pd.DataFrame) -> list[Row]:
    """The row of each interval, by host and process, or by host where processes are many."""
    hosts = pd.factorize(intervals["host"])[0].tolist()
    processes = intervals.groupby(PROCESS, sort=False, dropna=False).ngroup()
    rows: list[Row] = []
    row_ends: dict[int, list[float]] = {}
    for host, number, interval in zip(hosts, processes, intervals.to_dict("records"), strict=True):
        # Without its domain.
        name = paper.truncate(str(interval["host"]).partition(".")[0], HOST_LETTERS)
        if processes.max() < MAX_PROCESSES:
            rows.append((host, number, f"{name} {interval['pid']}"))
            continue
        ends = row_ends.setdefault(host, [])
        free = next((n for n, end in enumerate(ends) if end <= interval["begin"]), len(ends))
        ends[free : free + 1] = [interval["end"]]
        rows.append((host, free, f"{name}, row {free + 1}"))
    return rows


class ShortenedPause(NamedTuple):
    """A long pause: begin and end on the time axis in seconds, and its true length."""

    begin: float
    end: float
    seconds: float


def cut_pauses(intervals: pd.DataFrame) -> tuple[pd.DataFrame, list[ShortenedPause]]:
    """The intervals in seconds since the first began; long pauses, without any work, are shortened.

    Args:
        intervals: as `work_intervals` returns them.
    """
    # The times in which at least one process worked.
    begins_anew = intervals["begin"] > intervals["end"].cummax().shift()
    spans = intervals.groupby(begins_anew.cumsum()).agg({"begin": "min", "end": "max"}).to_numpy()
    total = float(np.sum(spans[:, 1] - spans[:, 0]))
    pauses = spans[1:, 0] - spans[:-1, 1]
    drawn = np.where(pauses > LONG_PAUSE * total, SHOWN_PAUSE * total, pauses)
    steps = np.diff(spans.ravel(), prepend=spans[:1, 0])
    steps[2::2] = drawn
    at = np.cumsum(steps)
    moved = {n: np.interp(intervals[n], spans.ravel(), at) for n in ("begin", "end") if len(at)}
    every = zip(at[1:-1:2], at[2::2], pauses, drawn < pauses, strict=True)
    shortened = [ShortenedPause(*map(float, pause)) for *pause, is_cut in every if is_cut]
    return intervals.assign(**moved), shortened


def _draw_pauses(axes: Axes, pauses: Sequence[ShortenedPause], unit_seconds: float) -> None:
    """A hatched band for each long pause, with its duration."""
    for pause in pauses:
        begin, end = pause.begin / unit_seconds, pause.end / unit_seconds
        axes.axvspan(begin, end, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0)
        axes.text((begin + end) / 2, 0.5, f"{duration(pause.seconds)} of pause", rotation=90,
                  size=6, transform=axes.get_xaxis_transform(), ha="center", va="center",
                  color=paper.INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


def _draw_bars(
    axes: Axes,
    results: SweepResults,
    intervals: pd.DataFrame,
    rows: Sequence[int],
    unit_seconds: float,
) -> set[str]:
    """Returns which of BAR_STYLES occur; the intervals are on the time axis."""
    states = results.runs.set_index("run")["state"]
    kinds = (
        intervals["run"].map(states).mask(intervals["run"] == results.best_run["run"], "best run")
    )
    kinds = kinds.mask(is_interrupted(intervals), "interrupted")
    total = intervals["end"].max()
    points_per_second = 72 * (paper.PAGE_INCHES - 1) / total
    for interval, kind, row in zip(intervals.to_dict("records"), kinds, rows, strict=True):
        length = max(interval["end"] - interval["begin"], SHORT * total)
        axes.barh(row, length / unit_seconds, left=interval["begin"] / unit_seconds, height=0.72,
                  linewidth=0.5, **BAR_STYLES[kind])  # fmt: skip
        number = str(int(interval["run"]))
        needed_points = POINTS_OF_DIGIT * len(number) + 3
        if length * points_per_second > needed_points and max(rows) < MANY_ROWS:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            axes.text((interval["begin"] + length / 2) / unit_seconds, row, number, size=5.5,
                      ha="center", va="center_baseline",
                      color="white" if kind == "best run" else paper.INK,
                      bbox=box if "hatch" in BAR_STYLES[kind] else None)  # fmt: skip
    return {*kinds}
