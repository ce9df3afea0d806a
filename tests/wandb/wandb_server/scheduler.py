"""Sweeps: their grid, their hyperband, the commands of agents, and when a sweep is over."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from .model import Agent, Run, Sweep
from .world import World

OVER = ("CANCELED", "FINISHED", "STOPPED")


def review(world: World, sweep: Sweep) -> None:
    """Sets the stop flags that hyperband asks for; ends the sweep after its last run."""
    runs = world.runs_of(sweep)
    for run in stopped_by_hyperband(runs, sweep.config):
        run.stopped = True
    done = _full(sweep) and all(run.is_over for run in runs)
    if done and sweep.state == "RUNNING":
        sweep.state = "FINISHED"


def _full(sweep: Sweep) -> bool:
    """Whether the run_cap is reached, or the grid used up."""
    cap = sweep.config.get("run_cap")
    return (cap is not None and sweep.drawn >= cap) or choose(sweep.config, sweep.drawn) is None


def commands(world: World, sweep: Sweep, agent: Agent) -> list[dict[str, Any]]:
    own_runs = [world.find_run(sweep.project, name) for name in sorted(agent.running)]
    to_stop = [run.name for run in own_runs if run is not None and run.stopped]
    if to_stop or agent.running:
        return [{"type": "stop", "run_id": name} for name in to_stop]
    if sweep.state == "PAUSED":
        return []
    if sweep.state in OVER or _full(sweep):
        return [{"type": "exit"}]
    return [_next_run(world, sweep, agent)]


def _next_run(world: World, sweep: Sweep, agent: Agent) -> dict[str, Any]:
    """The command to start a new run with the next configuration."""
    chosen = choose(sweep.config, sweep.drawn) or {}
    sweep.drawn += 1
    run = world.make_run(sweep.project, world.new_name(), f"brisk-sweep-{sweep.drawn}")
    run.settings = {name: {"value": value} for name, value in chosen.items()}
    run.sweep, run.agent, run.created_by_agent = sweep.name, agent.id, True
    sweep.runs.append(run.name)
    program = sweep.config.get("program", "")
    return {"type": "run", "run_id": run.name, "program": program, "args": run.settings, "logs": []}


def choose(config: Mapping[str, Any], number: int) -> dict[str, Any] | None:
    """Point `number` of a sweep's grid, from 0; None after the last; other methods are not here."""
    parameters = config.get("parameters", {})
    names = sorted(parameters)
    values = [p.get("values", [p.get("value")]) for p in (parameters[name] for name in names)]
    points = list(itertools.islice(itertools.product(*values), number, number + 1))
    return dict(zip(names, points[0], strict=True)) if points else None


LAST_BAND = 10_000_000


def stopped_by_hyperband(runs: Sequence[Run], config: Mapping[str, Any]) -> list[Run]:
    """The live runs that are strictly worse than the best 1/eta at their newest band.

    A second reading of W&B's rule, which tests compare with the product's.
    """
    rule = config.get("early_terminate")
    if not rule or rule.get("type") != "hyperband" or "metric" not in config:
        return []
    eta = rule.get("eta", 3)
    sign = -1 if config["metric"].get("goal", "minimize") == "maximize" else 1
    losses_by_run = {
        run.name: [sign * value for value in run.values(config["metric"]["name"])] for run in runs
    }
    worse = []
    for run in runs:
        losses = losses_by_run[run.name]
        reached = [band for band in _bands(rule, eta) if band <= len(losses)]
        if run.is_over or not reached:
            continue
        band = reached[-1]
        ranked = sorted(
            values[band - 1] for values in losses_by_run.values() if len(values) >= band
        )
        value = losses[band - 1] if rule.get("strict", True) else min(losses)
        if value > ranked[int(len(ranked) / eta)]:
            worse.append(run)
    return worse


def _bands(rule: Mapping[str, Any], eta: float) -> list[int]:
    """Ascending; a run is at band b once it has logged the metric b times. Without max_iter."""
    bands, band = [], float(rule["min_iter"])
    while band <= LAST_BAND:
        bands.append(int(band))
        band *= eta
    return bands
