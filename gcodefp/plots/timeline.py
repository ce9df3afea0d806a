"""Who worked on which run and when: processes over time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import which_runs
from gcodefp.findings.work_pieces import (
    Clock,
    Piece,
    cut_off,
    epochs_twice,
    share_at_work,
    work_pieces,
)
from gcodefp.plots.clock_axis import draw_cuts, duration, label_clock, time_unit
from gcodefp.plots.runs_look import add_legend
from gcodefp.plots.style import (
    INK,
    PAGE_INCHES,
    RIGHT,
    WRONG,
    add_head,
    figure_without,
    new_figure,
    percent,
)

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
        return figure_without(TITLE, UNKNOWN, results.marks)
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
