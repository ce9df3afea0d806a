"""Sweeps: their grid, hyperband, the commands of agents, and when a sweep is over."""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .execution import ApiError
from .model import Agent, Run, Sweep
from .world import World

OVER = ("CANCELED", "FINISHED", "STOPPED")
STATES = ("PENDING", "RUNNING", "PAUSED", *OVER)


def upsert(world: World, payload: dict[str, Any]) -> tuple[Sweep, list[str]]:
    """Makes a sweep, or changes the configuration or the state of one."""
    text = payload.get("config")
    config = yaml.safe_load(text) if text else {}
    sweep = world.sweep_by_id(payload["id"]) if payload.get("id") else None
    if payload.get("id") and sweep is None:
        raise ApiError(f"could not find sweep {payload['id']}", status=404)
    if sweep is None:
        entity, name = payload.get("entityName"), payload.get("projectName")
        project = world.make_project(entity, name, "upsertSweep")
        sweep = Sweep(project, world.new_name(), world.number(), text or "", config)
        world.sweeps[sweep.name] = sweep
    if text:
        sweep.text, sweep.config = text, config
        sweep.description = payload.get("description")
    if payload.get("displayName"):
        sweep.display_name = payload["displayName"]
    if payload.get("state"):
        set_state(world, sweep, payload["state"])
    return sweep, []


def set_state(world: World, sweep: Sweep, state: str) -> None:
    """As `wandb sweep --stop`, `--cancel`, `--pause` and `--resume` ask for."""
    if state not in STATES:
        raise ApiError(f"invalid sweep state: {state}")
    sweep.state = state
    if state == "CANCELED":
        for run in world.runs_of(sweep):
            run.stopped = run.stopped or not run.is_over


def register(world: World, sweep: Sweep | None, path: str, host: str) -> Agent:
    """A new agent of a sweep that is not over."""
    if sweep is None:
        raise ApiError(f"could not find sweep {path} during createAgent", status=404)
    if sweep.state in OVER:
        raise ApiError(f"Sweep {sweep.path} is not running", status=400)
    agent = Agent(world.number(), host, sweep.name)
    sweep.agents[agent.id] = agent
    return agent


def heartbeat(world: World, identity: str, states: str | None) -> tuple[Agent, list[Any]]:
    """Notes what an agent runs, and tells it what to do."""
    if (entry := world.find_agent(identity)) is None:
        raise ApiError("agent not found", status=404)
    sweep, agent = entry
    agent.heartbeats.append(time.time())
    now = {name for name, alive in json.loads(states or "{}").items() if alive}
    for run in world.runs_of(sweep):
        if run.agent == agent.id and run.name not in now and not run.is_over:
            run.disconnected = not run.upserts or run.name in agent.running
    agent.running = now
    review(world, sweep)
    commands = _commands(world, sweep, agent)
    agent.commands.extend(commands)
    return agent, commands


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


def _commands(world: World, sweep: Sweep, agent: Agent) -> list[dict[str, Any]]:
    own_runs = [world.find_run(sweep.project, name) for name in sorted(agent.running)]
    to_stop = [run.name for run in own_runs if run is not None and run.stopped]
    if to_stop or agent.running:
        return [{"type": "stop", "run_id": name} for name in to_stop]
    if sweep.state in OVER:
        return [{"type": "exit"}]
    if sweep.state == "PAUSED":
        return []
    if _full(sweep):
        return [{"type": "exit"}]
    return [_run_command(world, sweep, agent, _draw(world, sweep))]


def _draw(world: World, sweep: Sweep) -> str:
    """The name of a new run with the next configuration."""
    chosen = choose(sweep.config, sweep.drawn) or {}
    sweep.drawn += 1
    run = world.make_run(sweep.project, world.new_name(), f"brisk-sweep-{sweep.drawn}")
    run.settings = {name: {"value": value} for name, value in chosen.items()}
    run.sweep, run.created_by_agent = sweep.name, True
    sweep.runs.append(run.name)
    return run.name


def _run_command(world: World, sweep: Sweep, agent: Agent, name: str) -> dict[str, Any]:
    run: Run | None = world.find_run(sweep.project, name)
    assert run is not None, name
    run.agent, run.exit_code = agent.id, None
    chosen = {key: {"value": value} for key, value in run.config.items()}
    program = sweep.config.get("program", "")
    return {"type": "run", "run_id": name, "program": program, "args": chosen, "logs": []}


def choose(config: Mapping[str, Any], number: int) -> dict[str, Any] | None:
    """Point `number` of a sweep's grid, from 0; None after the last; other methods are not here."""
    parameters = config.get("parameters", {})
    names = sorted(parameters)
    values = [p.get("values", [p.get("value")]) for p in (parameters[name] for name in names)]
    points = list(itertools.islice(itertools.product(*values), number, number + 1))
    return dict(zip(names, points[0], strict=True)) if points else None


LAST_BAND = 10_000_000


def stopped_by_hyperband(runs: Sequence[Run], config: Mapping[str, Any]) -> list[Run]:
    """The live runs that are strictly worse than the best 1/eta at their newest band."""
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
