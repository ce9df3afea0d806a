"""Work of each process on the runs over time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
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


class _BarStyle(NamedTuple):
    label: str
    face: str
    edge: str
    hatch: str | None
    ink: str


BAR_STYLES = {
    "winner": _BarStyle("winner", paper.MODEL_BLUE, paper.MODEL_BLUE, None, "white"),
    "finished": _BarStyle("finished", "#b9b9b9", "#6b6b6b", None, paper.INK),
    "stopped": _BarStyle("stopped early", "white", "#6b6b6b", "////", paper.INK),
    "failed": _BarStyle("failed", "#f3cfcd", paper.WRONG, "xxxx", paper.INK),
    "interrupted": _BarStyle("interrupted, resumed later", "white", paper.INK, "----", paper.INK),
}
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
def draw_timeline(results: SweepResults) -> Figure:
    """A row for each process, a bar for each interval of its work on a run."""
    intervals = work_intervals(results.work, results.is_external)
    if not intervals or (time_axis := TimeAxis(intervals)).length <= 0:
        sentence = "work.csv has no times of these runs: they were trained elsewhere, or failed."
        return paper.placeholder("Agents over time", sentence, results.warnings)
    rows = assign_rows(intervals)
    names = list(dict.fromkeys(sorted(rows.values())))
    fig = paper.new_figure(paper.PAGE_INCHES, 0.8 + min(0.24 * max(len(names), 2), 6.0))
    axes = fig.subplots()
    unit = _unit(time_axis.length)
    numbers = [names.index(rows[interval]) for interval in intervals]
    present = _draw_bars(axes, results, intervals, numbers, time_axis, unit)
    axes.set_yticks(range(len(names)), [label for _, _, label in names])
    axes.tick_params(axis="y", length=0, labelsize=6.5 if len(names) < MANY_ROWS else 5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    _draw_pauses(axes, time_axis, unit)
    _label_time_axis(axes, time_axis, unit)
    handles = [
        Patch(facecolor=style.face, edgecolor=style.edge, hatch=style.hatch, label=style.label)
        for kind, style in BAR_STYLES.items()
        if kind in present
    ]
    paper.add_legend(fig, handles, len(handles))
    subtitle = f"{_interruptions_text(intervals, results.step)}; {_runs_text(results, intervals)}"
    paper.add_head(fig, _title(intervals, time_axis), subtitle, results.warnings)
    return fig


def _title(intervals: Sequence[WorkInterval], time_axis: "TimeAxis") -> str:
    count = len({interval.process for interval in intervals})
    processes, pronoun = ("One process", "its") if count == 1 else (f"{count} processes", "their")
    took = _duration(time_axis.length_without_pauses)
    if time_axis.pauses:
        took += f" (and paused for {_duration(sum(pause.seconds for pause in time_axis.pauses))})"
    share = paper.percent(work_share(intervals))
    return f"{processes} trained for {took}: {share} of {pronoun} time was work on a run"


def _interruptions_text(intervals: Sequence[WorkInterval], step: str) -> str:
    count = sum(is_interrupted(intervals))
    if not count:
        return "no run was interrupted"
    repeated = repeated_epochs(intervals)
    interruptions = (
        "a run was interrupted once" if count == 1 else f"runs were interrupted {count} times"
    )
    epochs = {0: f"no {step}", 1: f"one {step}"}.get(repeated, f"{repeated} {step}s")
    return f"{interruptions} and {epochs} trained twice"


def _runs_text(results: SweepResults, intervals: Sequence[WorkInterval]) -> str:
    count = len({interval.run for interval in intervals})
    runs = describe_runs(results)
    return runs if count == len(results.runs) else f"{count} runs with times in work.csv, of {runs}"


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
        host, name = hosts.index(interval.host), _shorten(interval.host)
        if len(processes) <= MAX_PROCESSES:
            number = processes.index(interval.process)
            rows[interval] = (host, number, f"{name} {interval.pid}")
            continue
        ends = row_ends.setdefault(interval.host, [])
        free = next((n for n, end in enumerate(ends) if end <= interval.begin), len(ends))
        ends[free : free + 1] = [interval.end]
        rows[interval] = (host, free, f"{name}, row {free + 1}")
    return rows


def _shorten(host: str) -> str:
    """Without its domain."""
    name = host.partition(".")[0]
    return name if len(name) <= HOST_LETTERS else f"{name[: HOST_LETTERS - 3]}..."


class ShortenedPause(NamedTuple):
    """A long pause: begin and end on the time axis in seconds, and its true length."""

    begin: float
    end: float
    seconds: float


class TimeAxis:
    """Time since the first interval began; long pauses, in which no process worked, are shortened.

    Attributes:
        pauses: the shortened pauses.
    """

    def __init__(self, intervals: Sequence[WorkInterval]) -> None:
        """There is at least one interval."""
        busy = _busy_spans(intervals)
        total = sum(end - begin for begin, end in busy)
        utc, shown = [*busy[0]], [0.0, busy[0][1] - busy[0][0]]
        self.pauses: list[ShortenedPause] = []
        for begin, end in busy[1:]:
            pause = begin - utc[-1]
            left = SHOWN_PAUSE * total if pause > LONG_PAUSE * total else pause
            if left < pause:
                self.pauses.append(ShortenedPause(shown[-1], shown[-1] + left, pause))
            shown += [shown[-1] + left, shown[-1] + left + end - begin]
            utc += [begin, end]
        self._utc, self._shown = np.array(utc), np.array(shown)

    @property
    def length(self) -> float:
        """Seconds from the begin of the first to the end of the last interval."""
        return float(self._shown[-1])

    @property
    def length_without_pauses(self) -> float:
        """The same without the shortened pauses."""
        return self.length - sum(pause.end - pause.begin for pause in self.pauses)

    def seconds(self, utc: ArrayLike) -> NDArray[np.float64]:
        """The seconds on the time axis at moments in UTC seconds."""
        return np.asarray(np.interp(np.asarray(utc, float), self._utc, self._shown))


def _busy_spans(intervals: Sequence[WorkInterval]) -> list[tuple[float, float]]:
    """The times in which at least one process worked."""
    merged: list[tuple[float, float]] = []
    for interval in sorted(intervals, key=lambda interval: interval.begin):
        if merged and interval.begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], interval.end))
        else:
            merged.append((interval.begin, interval.end))
    return merged


class _Unit(NamedTuple):
    name: str
    seconds: float


UNITS = (_Unit("days", 86_400), _Unit("hours", 3600), _Unit("minutes", 60), _Unit("seconds", 1))


def _unit(seconds: float) -> _Unit:
    """The largest unit of which the duration has at least three."""
    return next((unit for unit in UNITS if seconds >= 3 * unit.seconds), UNITS[-1])


def _duration(seconds: float) -> str:
    """`2.5 hours`."""
    unit = _unit(seconds)
    count = seconds / unit.seconds
    return f"{count:.1f} {unit.name}" if count < 10 else f"{count:.0f} {unit.name}"


def _label_time_axis(axes: Axes, time_axis: TimeAxis, unit: _Unit) -> None:
    cut = ", long pauses cut" if time_axis.pauses else ""
    axes.set_xlabel(f"{unit.name} since the first run began{cut}")
    margin = 0.02 * time_axis.length / unit.seconds
    axes.set_xlim(-margin, time_axis.length / unit.seconds + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def _draw_pauses(axes: Axes, time_axis: TimeAxis, unit: _Unit) -> None:
    """A hatched band for each long pause, with its duration."""
    for pause in time_axis.pauses:
        begin, end = pause.begin / unit.seconds, pause.end / unit.seconds
        axes.axvspan(begin, end, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0)
        axes.text((begin + end) / 2, 0.5, f"{_duration(pause.seconds)} of pause", rotation=90,
                  size=6, transform=axes.get_xaxis_transform(), ha="center", va="center",
                  color=paper.INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip


def _draw_bars(
    axes: Axes,
    results: SweepResults,
    intervals: Sequence[WorkInterval],
    rows: Sequence[int],
    time_axis: TimeAxis,
    unit: _Unit,
) -> set[str]:
    """Returns which of BAR_STYLES occur."""
    kinds = dict(zip(results.runs["run"], results.runs["state"], strict=True))
    kinds[results.winner["run"]] = "winner"
    present = set()
    points_per_second = 72 * (paper.PAGE_INCHES - 1) / time_axis.length
    interrupted = is_interrupted(intervals)
    for interval, is_resumed, row in zip(intervals, interrupted, rows, strict=True):
        kind = "interrupted" if is_resumed else kinds[interval.run]
        present.add(kind)
        style = BAR_STYLES[kind]
        begin, end = time_axis.seconds([interval.begin, interval.end])
        length = max(end - begin, SHORT * time_axis.length)
        axes.barh(row, length / unit.seconds, left=begin / unit.seconds, height=0.72,
                  facecolor=style.face, edgecolor=style.edge, hatch=style.hatch,
                  linewidth=0.5)  # fmt: skip
        number = str(int(interval.run))
        needed_points = POINTS_OF_DIGIT * len(number) + 3
        if length * points_per_second > needed_points and max(rows) < MANY_ROWS:
            box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
            axes.text((begin + length / 2) / unit.seconds, row, number, size=5.5, ha="center",
                      va="center_baseline", color=style.ink,
                      bbox=box if style.hatch else None)  # fmt: skip
    return present
