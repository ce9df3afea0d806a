"""Shows a sweep's progress: its runs, the best of them, the agents at work and the time left.

It reads the run folders and nothing else, from any host that sees them, while the sweep runs or
after it.
"""

import argparse
import re
import sys
import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gcodefp.command_line import add_sweep_flags, command_parser, positive, run_command
from gcodefp.sweeps.lease import LeaseState
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.sweep_status import RunStatus, StatusReader, SweepStatus
from gcodefp.terminal import duration, plain_table, plural

UNLIMITED_WIDTH = 10_000
SHOWN_BEST = 10
SHOWN_NEWEST = 5
STYLES = {"running": "cyan", "interrupted": "yellow", "failed": "red", "unreadable": "red"}
ALIVE = {LeaseState.HELD: "yes", LeaseState.FREE: "gone", LeaseState.UNKNOWN: "not known yet"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("status", __doc__)
    add_sweep_flags(parser)
    add = parser.add_argument
    text = (
        "continue until the sweep has ended or Ctrl-C; default: if the output is a terminal. "
        "Elsewhere only the end is shown"
    )
    add("--watch", action=argparse.BooleanOptionalAction, help=text)
    text = "how often the sweep is read (default: %(default)s)"
    add("--every", type=positive, default=2, metavar="SECONDS", help=text)
    return run_command(parser, _show, argv)


def _show(arguments: argparse.Namespace) -> None:
    sweep = read_sweep(arguments.sweep)
    reader = StatusReader(sweep, arguments.runs / sweep.sweep_id)
    # Texts from files are shown as they are, not read as colours and symbols.
    console = Console(markup=False, emoji=False, highlight=False)
    watch = sys.stdout.isatty() if arguments.watch is None else arguments.watch
    status = reader.read()
    if not watch:
        console.print(render(status, console))
        return
    with Live(render(status, console), console=console, auto_refresh=False) as live:
        while not status.has_ended:
            time.sleep(arguments.every)
            status = reader.read()
            live.update(render(status, console), refresh=True)


def render(status: SweepStatus, console: Console) -> RenderableType:
    """A status, the most important first, as a small terminal cuts off the end; ASCII only."""
    runs = shown_runs(status)
    parts: list[RenderableType] = [_header(status)]
    for run in runs:
        if run.state == "unreadable":
            reason = " ".join((run.reason or "").split())
            parts.append(Text(f"run {run.number:04d} cannot be read: {reason}", "red"))
    tables = _run_tables(status, runs, console) if runs else []
    if any(run.agent for run in status.runs):
        tables.insert(0, _agent_table(status.runs))
    for table in tables:
        parts += [Text(), table]
    if len(runs) < len(status.runs):
        parts.append(Text(f"{len(status.runs) - len(runs)} more runs are not shown"))
    return Group(*parts)


def shown_runs(status: SweepStatus) -> list[RunStatus]:
    """Runs that are not over, the best of those that are, the newest that failed."""

    def in_state(state: str) -> list[RunStatus]:
        return [run for run in status.runs if run.state == state]

    best = [run for run in status.ranked() if run.has_ended][:SHOWN_BEST]
    newest = [r for s in ("unreadable", "failed") for r in in_state(s)[::-1][:SHOWN_NEWEST]]
    return [*in_state("running"), *in_state("interrupted"), *best, *newest]


def _header(status: SweepStatus) -> Text:
    counts, objective = status.counts(), status.objective
    ended = ", ".join(f"{counts[state]} {state}" for state in ("finished", "stopped", "failed"))
    lines = [
        f"sweep {status.sweep_id}: {status.method}, {objective.goal} {objective.metric}",
        f"{status.ended_count} of {status.total} runs are over: {ended}",
    ]
    if not status.has_ended:
        states = ", ".join(f"{counts[state]} {state}" for state in ("running", "interrupted"))
        lines.append(f"{states}, {status.to_start} to start")
    if status.end_reason is not None:
        lines.append(f"no further run starts: {status.end_reason}")
    best = status.ranked()[:1]
    lines += [f"best so far: {run.best:.4f} (run {run.number:04d}, {run.state})" for run in best]
    count, seconds = counts["running"], status.seconds_left()
    left = "unknown" if seconds is None else f"about {duration(seconds)}"
    agents = plural(count, "agent")
    at_work = f"time left: {left} ({agents} at work)" if count else "no agent is at work"
    lines.append("the sweep is over" if status.has_ended else at_work)
    return Text("\n".join(lines), "bold")


def _agent_table(runs: Sequence[RunStatus]) -> Table:
    agents = [(run.agent, f"{run.number:04d}") for run in runs if run.agent]
    ages = [
        "clock differs" if a.age_seconds < -60 else f"{duration(max(a.age_seconds, 0.0))} ago"
        for a, _ in agents
    ]
    columns = [
        ("host", [agent.host for agent, _ in agents]),
        ("pid", [str(agent.pid) for agent, _ in agents]),
        ("run", [run for _, run in agents]),
        ("lease renewed", ages),
        ("alive", [ALIVE[agent.lease] for agent, _ in agents]),
    ]
    styles = ["" if agent.at_work else "yellow" for agent, _ in agents]
    return plain_table(columns, ("host", "alive"), styles)


def _run_tables(status: SweepStatus, runs: Sequence[RunStatus], console: Console) -> list[Table]:
    """One table, or, if that is too wide, one of progress and one of hyperparameters."""
    best = status.ranked()[:1]
    styles = ["bold green" if run in best else STYLES.get(run.state, "") for run in runs]
    progress, left = _progress(runs, best), ("state", "agent")
    hyperparameters = [
        # One word below the other: names are longer than their values.
        (re.sub("[_/]", "\n", path), [_short(r.hyperparameters.get(path)) for r in runs])
        for path in status.varying
    ]
    table = plain_table([*progress, *hyperparameters], left, styles)
    unlimited = console.options.update(max_width=UNLIMITED_WIDTH)
    if not hyperparameters or console.measure(table, options=unlimited).maximum <= console.width:
        return [table]
    second = plain_table([progress[0], *hyperparameters], styles=styles, space=1)
    return [plain_table(progress, left, styles), second]


def _progress(runs: Sequence[RunStatus], best: Sequence[RunStatus]) -> list[tuple[str, list[str]]]:
    at_work = [run.agent if run.agent and run.agent.at_work else None for run in runs]
    columns = [
        ("run", [f"{run.number:04d}" for run in runs]),
        ("state", [f"{r.state} ({r.reason})" if r.state == "failed" else r.state for r in runs]),
        # A user script's values of the metric are not planned.
        (
            "epoch",
            [f"{r.epochs}/{r.max_epochs}" if r.max_epochs else str(r.epochs or "") for r in runs],
        ),
        ("latest", [_value(run.values[-1] if run.values else None) for run in runs]),
        ("best ", [_value(run.best) + ("*" if run in best else " ") for run in runs]),
        ("time", ["" if run.seconds is None else duration(run.seconds) for run in runs]),
        ("CPU, memory", [_use(run) for run in runs]),
        ("agent", [f"{agent.host}:{agent.pid}" if agent else "" for agent in at_work]),
    ]
    return [*columns[:6], *(column for column in columns[6:] if any(column[1]))]


def _use(run: RunStatus) -> str:
    """Mean share of a core, peak memory, and of a GPU both, as far as they are known."""
    parts = []
    for label, name, memory in (
        ("", "cpu_share", "peak_memory_mb"),
        ("GPU ", "gpu_share", "peak_gpu_memory_mb"),
    ):
        share, peak = run.system.get(name), run.system.get(memory)
        if peak is not None:
            percent = "" if share is None else f"{100 * share:.0f} % "
            parts.append(f"{label}{percent}{peak:.0f} MB")
    return ", ".join(parts)


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _short(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
