"""How far a sweep is, in words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.learning.objective import Objective
from gcodefp.sweep.run_folder import COUNTED
from gcodefp.sweep.table import ended_runs, ranked


def duration(seconds: float) -> str:
    """As `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def sweep_progress(sweep_folder: Path, total: int, objective: Objective, agents: int) -> str:
    """Runs that are over, the best of them, and an estimate of the time left.

    Args:
        agents: how many work on the sweep at once.
    """
    runs = ended_runs(sweep_folder, total)
    text = f"{len(runs)} of {total} runs are over"
    counted = [run for run in ranked(runs, objective) if run.content["state"] in COUNTED]
    if not counted:
        return text
    best = counted[0]
    mean_seconds = sum(run.content["seconds"] for run in counted) / len(counted)
    # Whole rounds: the last one takes as long with one run in it as with all.
    rounds = -(-(total - len(runs)) // agents)
    left = f", about {duration(rounds * mean_seconds)} left" if rounds else ""
    value = best.content["best_value"]
    return f"{text}; best so far {value:.4f} (run {best.folder.path.name}){left}"


def run_summary(number: int, content: Mapping[str, Any], metric: str) -> str:
    """One line about a run that is over."""
    if content["state"] not in COUNTED:
        return f"run {number:04d} failed ({content['failure']}): {content['reason']}"
    return (
        f"run {number:04d} {content['state']}: {metric} {content['best_value']:.4f} in epoch "
        f"{content['best_epoch']} of {content['epochs']}, {duration(content['seconds'])}"
    )
