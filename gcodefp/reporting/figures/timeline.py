"""Work of each process on the runs over time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import (
    WorkInterval,
    describe_runs,
    process_spans,
    repeated_epochs,
    work_intervals,
)
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
    if not intervals or (time_axis := TimeAxis(intervals)).length <= 0:
        raise paper.NothingToDraw(
            "work.csv has no times of these runs: they were trained elsewhere, or failed."
        )
    rows = assign_rows(intervals)
    names = sorted({*rows.values()})
    fig = paper.new_figure(paper.PAGE_INCHES, 0.8 + min(0.24 * max(len(names), 2), 6.0))
    axes = fig.subplots()
    unit = paper.time_unit(time_axis.length)
    numbers = [names.index(rows[interval]) for interval in intervals]
    present = _draw_bars(axes, results, intervals, numbers, time_axis, unit.seconds)
    labels = [label for _, _, label in names]
    paper.name_rows(axes, labels, size=6.5 if len(names) < MANY_ROWS else 5)
    _draw_pauses(axes, time_axis, unit.seconds)
    axes.set_xlabel(f"{unit.name} since the first run began"
                    f"{', long pauses cut' if time_axis.pauses else ''}")  # fmt: skip
    end = time_axis.length / unit.seconds
    axes.set_xlim(-0.02 * end, 1.02 * end)
    paper.round_ticks(axes.xaxis, 6)
    handles = [Patch(**style) for kind, style in BAR_STYLES.items() if kind in present]
    paper.add_legend(fig, handles, len(handles))
    count, repeated = sum(is_interrupted(intervals)), repeated_epochs(intervals)
    subtitle = "no run was interrupted; "
    if count:
        subtitle = f"{plural(count, 'interruption')}, {plural(repeated, results.step)} "
        subtitle += "trained twice; "
    runs, timed = describe_runs(results), len({interval.run for interval in intervals})
    subtitle += runs if timed == len(results.runs) else f"{timed} runs with times, of {runs}"
    return fig, _title(intervals, time_axis), subtitle


def _title(intervals: Sequence[WorkInterval], time_axis: "TimeAxis") -> str:
    count = len({interval.process for interval in intervals})
    processes, pronoun = ("One process", "its") if count == 1 else (f"{count} processes", "their")
    took = duration(time_axis.length_without_pauses)
    if time_axis.pauses:
        took += f" (and paused for {duration(sum(pause.seconds for pause in time_axis.pauses))})"
    share = paper.percent(work_share(intervals))
    return f"{processes} trained for {took}: {share} of {pronoun} time was work on a run"


def is_interrupted(intervals: Sequence[WorkInterval]) -> list[bool]:
    """For each interval, whether another one resumes its run."""
    last = {interval.run: index for index, interval in enumerate(intervals)}
    return [last[interval.run] != index for index, interval in enumerate(intervals)]


def work_share(intervals: Sequence[WorkInterval]) -> float:
    """The share of the processes' time, from first to last entry, that is within an interval."""
    total = sum(end - begin for begin, end in process_spans(intervals).values())
    return sum(interval.end - interval.begin for interval in intervals) / total if total else 1.0


Row = tuple[int, int, str]
"""Number of the host, number within it, and name; rows are drawn in this order."""


def assign_rows(intervals: Sequence[WorkInterval]) -> dict[WorkInterval, Row]:
    """The row of each interval, by host and process, or by host where processes are many."""
    hosts = list(dict.fromkeys(interval.host for interval in intervals))
    processes = list(dict.fromkeys(interval.process for interval in intervals))
    rows: dict[WorkInterval, Row] = {}
    row_ends: dict[str, list[float]] = {}
    for interval in intervals:
        # Without its domain.
        host = hosts.index(interval.host)
        name = paper.truncate(interval.host.partition(".")[0], HOST_LETTERS)
        if len(processes) <= MAX_PROCESSES:
            number = processes.index(interval.process)
            rows[interval] = (host, number, f"{name} {interval.pid}")
            continue
        ends = row_ends.setdefault(interval.host, [])
        free = next((n for n, end in enumerate(ends) if end <= interval.begin), len(ends))
        ends[free : free + 1] = [interval.end]
        rows[interval] = (host, free, f"{name}, row {free + 1}")
    return rows


class ShortenedPause(NamedTuple):
    """A long pause: begin and end on the time axis in seconds, and its true length."""

    begin: float
    end: float
    seconds: float


class TimeAxis:
    """Time since the first interval began; long pauses, in which no process worked, are shortened.

    Attributes:
        length: seconds from the begin of the first to the end of the last interval.
        pauses: the shortened pauses.
    """

    def __init__(self, intervals: Sequence[WorkInterval]) -> None:
        """There is at least one interval."""
        table = pd.DataFrame(intervals)[["begin", "end"]].sort_values("begin")
        # The times in which at least one process worked.
        begins_anew = table["begin"] > table["end"].cummax().shift()
        spans = table.groupby(begins_anew.cumsum()).agg({"begin": "min", "end": "max"}).to_numpy()
        total = float(np.sum(spans[:, 1] - spans[:, 0]))
        pauses = spans[1:, 0] - spans[:-1, 1]
        drawn = np.where(pauses > LONG_PAUSE * total, SHOWN_PAUSE * total, pauses)
        self._utc = spans.ravel()
        steps = np.diff(self._utc)
        steps[1::2] = drawn
        self._shown = np.concatenate([[0.0], np.cumsum(steps)])
        self.length = float(self._shown[-1])
        every = zip(self._shown[1:-1:2], self._shown[2::2], pauses, drawn < pauses, strict=True)
        self.pauses = [ShortenedPause(*map(float, pause)) for *pause, is_cut in every if is_cut]

    @property
    def length_without_pauses(self) -> float:
        """The same without the shortened pauses."""
        return self.length - sum(pause.end - pause.begin for pause in self.pauses)

    def seconds(self, utc: ArrayLike) -> NDArray[np.float64]:
        """The seconds on the time axis at moments in UTC seconds."""
        return np.asarray(np.interp(np.asarray(utc, float), self._utc, self._shown))


def _draw_pauses(axes: Axes, time_axis: TimeAxis, unit_seconds: float) -> None:
    """A hatched band for each long pause, with its duration."""
    for pause in time_axis.pauses:
        begin, end = pause.begin / unit_seconds, pause.end / unit_seconds
        axes.axvspan(begin, end, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0)
        axes.text((begin + end) / 2, 0.5, f"{duration(pause.seconds)} of pause", rotation=90,
                  size=6, transform=axes.get_xaxis_transform(), ha="center", va="center",
                  color=paper.INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


def _draw_bars(
    axes: Axes,
    results: SweepResults,
    intervals: Sequence[WorkInterval],
    rows: Sequence[int],
    time_axis: TimeAxis,
    unit_seconds: float,
) -> set[str]:
    """Returns which of BAR_STYLES occur."""
    kinds = dict(zip(results.runs["run"], results.runs["state"], strict=True))
    kinds[results.best_run["run"]] = "best run"
    present = set()
    points_per_second = 72 * (paper.PAGE_INCHES - 1) / time_axis.length
    interrupted = is_interrupted(intervals)
    for interval, is_resumed, row in zip(intervals, interrupted, rows, strict=True):
        kind = "interrupted" if is_resumed else kinds[interval.run]
        present.add(kind)
        begin, end = time_axis.seconds([interval.begin, interval.end])
        length = max(end - begin, SHORT * time_axis.length)
        axes.barh(row, length / unit_seconds, left=begin / unit_seconds, height=0.72,
                  linewidth=0.5, **BAR_STYLES[kind])  # fmt: skip
        number = str(int(interval.run))
        needed_points = POINTS_OF_DIGIT * len(number) + 3
        if length * points_per_second > needed_points and max(rows) < MANY_ROWS:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            axes.text((begin + length / 2) / unit_seconds, row, number, size=5.5, ha="center",
                      va="center_baseline", color="white" if kind == "best run" else paper.INK,
                      bbox=box if "hatch" in BAR_STYLES[kind] else None)  # fmt: skip
    return present
