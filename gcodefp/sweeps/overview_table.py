"""A sweep at one moment, drawn for the terminal; only ASCII, whatever the terminal can show."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gcodefp.sweeps.lease import LeaseState
from gcodefp.sweeps.observer import AgentLine, Overview, RunLine, duration

WIDEST = 10_000
SHOWN_BEST = 10
SHOWN_NEWEST = 5
STYLES = {"running": "cyan", "waiting": "yellow", "failed": "red", "unreadable": "red"}
ALIVE = {LeaseState.HELD: "yes", LeaseState.FREE: "gone", LeaseState.UNKNOWN: "not known yet"}


class Column(NamedTuple):
    """One column of a table."""

    name: str
    cells: list[str]
    justify: Literal["left", "right"] = "right"


def overview_table(overview: Overview, console: Console) -> RenderableType:
    """All of an overview, the most important first: a small terminal cuts off the end."""
    runs = shown_runs(overview)
    parts: list[RenderableType] = [_header(overview)]
    parts += [
        Text(f"run {run.number:04d} cannot be read: {' '.join((run.reason or '').split())}", "red")
        for run in runs
        if run.state == "unreadable"
    ]
    tables = _runs(overview, runs, console) if runs else []
    if overview.agents:
        tables.insert(0, _agents(overview.agents))
    for table in tables:
        parts += [Text(), table]
    if len(runs) < len(overview.runs):
        parts.append(Text(f"{len(overview.runs) - len(runs)} more runs are not shown"))
    return Group(*parts)


def shown_runs(overview: Overview) -> list[RunLine]:
    """Runs that are not over, the best that are, the newest that went wrong."""
    of_state = {
        state: [run for run in overview.runs if run.state == state]
        for state in ("running", "waiting", "failed", "unreadable")
    }
    best = [run for run in overview.ranked() if run.over][:SHOWN_BEST]
    newest = [of_state[state][: -SHOWN_NEWEST - 1 : -1] for state in ("unreadable", "failed")]
    return [*of_state["running"], *of_state["waiting"], *best, *newest[0], *newest[1]]


def _header(overview: Overview) -> Text:
    counts = overview.counts()
    ended = ", ".join(f"{counts[state]} {state}" for state in ("finished", "stopped", "failed"))
    objective = overview.objective
    lines = [
        f"sweep {overview.sweep_id}: {overview.method}, {objective.goal} {objective.metric}",
        f"{overview.over} of {overview.total} runs are over: {ended}",
    ]
    if not overview.is_over:
        states = ", ".join(f"{counts[state]} {state}" for state in ("running", "waiting"))
        lines.append(f"{states}, {overview.to_begin} to begin")
    if overview.closed is not None:
        lines.append(f"no further run begins: {overview.closed}")
    best = overview.ranked()[:1]
    lines += [f"best so far: {run.best:.4f} (run {run.number:04d}, {run.state})" for run in best]
    return Text("\n".join([*lines, _time_left(overview)]), "bold")


def _time_left(overview: Overview) -> str:
    if overview.is_over:
        return "the sweep is over"
    agents = overview.counts()["running"]
    if not agents:
        return "nobody is at work"
    seconds = overview.seconds_left()
    crew = "1 agent" if agents == 1 else f"{agents} agents"
    if seconds is None:
        return f"time left: not known yet ({crew} at work)"
    return f"time left: about {duration(seconds)} ({crew} at work)"


def _agents(agents: Sequence[AgentLine]) -> Table:
    ages = [
        "clock differs" if a.clock_differs else f"{duration(a.age_seconds)} ago" for a in agents
    ]
    columns = [
        Column("host", [agent.host for agent in agents], "left"),
        Column("pid", [str(agent.pid) for agent in agents]),
        Column("run", [f"{agent.run:04d}" for agent in agents]),
        Column("lease touched", ages),
        Column("alive", [ALIVE[agent.hold] for agent in agents], "left"),
    ]
    return _table(columns, ["" if agent.at_work else "yellow" for agent in agents])


def _runs(overview: Overview, runs: Sequence[RunLine], console: Console) -> list[Table]:
    """One table, or one of the progress and one of the hyperparameters if that is too wide."""
    best = overview.ranked()[:1]
    styles = ["bold green" if run in best else STYLES.get(run.state, "") for run in runs]
    progress = _progress(runs, best)
    hyperparameters = [
        # One word below the other: names are longer than their values.
        Column(re.sub("[_/]", "\n", path), [_short(r.hyperparameters.get(path)) for r in runs])
        for path in overview.varying
    ]
    table = _table([*progress, *hyperparameters], styles)
    unlimited = console.options.update(max_width=WIDEST)
    if not hyperparameters or console.measure(table, options=unlimited).maximum <= console.width:
        return [table]
    return [_table(progress, styles), _table([progress[0], *hyperparameters], styles, space=1)]


def _progress(runs: Sequence[RunLine], best: Sequence[RunLine]) -> list[Column]:
    states = [f"{r.state} ({r.reason})" if r.state == "failed" else r.state for r in runs]
    epochs = [f"{run.epochs}/{run.max_epochs}" if run.max_epochs else "" for run in runs]
    times = ["" if run.seconds is None else duration(run.seconds) for run in runs]
    at_work = [run.agent if run.agent and run.agent.at_work else None for run in runs]
    agents = [f"{agent.host}:{agent.pid}" if agent else "" for agent in at_work]
    columns = [
        Column("run", [f"{run.number:04d}" for run in runs]),
        Column("state", states, "left"),
        Column("epoch", epochs),
        Column("latest", [_value(run.latest) for run in runs]),
        Column("best ", [_value(run.best) + ("*" if run in best else " ") for run in runs]),
        Column("time", times),
    ]
    return [*columns, Column("agent", agents, "left")] if any(agents) else columns


def _table(columns: Sequence[Column], styles: Sequence[str], space: int = 2) -> Table:
    """Without lines, and with no cell cut: what is too long goes on below."""
    table = Table(box=None, padding=(0, space, 0, 0))
    for column in columns:
        table.add_column(column.name, justify=column.justify, overflow="fold")
    for style, *cells in zip(styles, *(column.cells for column in columns), strict=True):
        table.add_row(*cells, style=style)
    return table


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def add_sweep_flags(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds --sweep and --runs, by default those of the shipped configuration.

    Args:
        more: what else --sweep brings along.
    """
    parser.add_argument(
        "--sweep",
        type=Path,
        default=Path("results/sweep/sweep.json"),
        help=f"sweep.json{more} (default: %(default)s)",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("results/runs"),
        help="folder that keeps the runs of all sweeps (default: %(default)s)",
    )
