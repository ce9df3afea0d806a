"""Agents of sweeps: what each heartbeat is answered with, and when a sweep is over."""

import json
import time
from typing import Any

import yaml

from . import hyperband, search
from .execution import ApiError
from .model import Agent, Run, Sweep
from .world import World

OVER = ("CANCELED", "FINISHED", "STOPPED")
STATES = ("PENDING", "RUNNING", "PAUSED", *OVER)


def upsert(world: World, given: dict[str, Any]) -> tuple[Sweep, list[str]]:
    """Makes a sweep, or changes the configuration or the state of one."""
    text = given.get("config")
    config = yaml.safe_load(text) if text else {}
    sweep = world.sweep_by_id(given["id"]) if given.get("id") else None
    if given.get("id") and sweep is None:
        raise ApiError(f"could not find sweep {given['id']}", status=404)
    if sweep is None:
        entity, name = given.get("entityName"), given.get("projectName")
        project = world.make_project(entity, name, "upsertSweep")
        ordinal = len(world.sweeps)
        sweep = Sweep(project, world.new_name(), world.number(), ordinal, text or "", config)
        world.sweeps[sweep.name] = sweep
    if text:
        sweep.text, sweep.config = text, config
        sweep.description = given.get("description")
    if given.get("displayName"):
        sweep.display_name = given["displayName"]
    if given.get("state"):
        set_state(world, sweep, given["state"])
    return sweep, search.problems(config) if text else []


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
    found = world.find_agent(identity)
    if found is None:
        raise ApiError("agent not found", status=404)
    sweep, agent = found
    agent.heartbeats.append(time.time())
    now = {name for name, alive in json.loads(states or "{}").items() if alive}
    for run in world.runs_of(sweep):
        if run.agent == agent.id and run.name not in now and not run.is_over:
            run.lost = not run.upserts or run.name in agent.running
    agent.running = now
    review(world, sweep)
    commands = _commands(world, sweep, agent)
    agent.commands.extend(commands)
    return agent, commands


def review(world: World, sweep: Sweep) -> None:
    """Sets the stop flags of runs that fall behind; ends the sweep after its last run."""
    runs = world.runs_of(sweep)
    for run in hyperband.behind(runs, sweep.config):
        run.stopped = True
    for run in runs:
        if run.preempting and run.exit_code and run.name not in sweep.requeued:
            sweep.requeued.append(run.name)
    done = _full(world, sweep) and not sweep.requeued and all(run.is_over for run in runs)
    if done and sweep.state == "RUNNING":
        sweep.state = "FINISHED"


def resume(world: World, sweep: Sweep, name: str) -> None:
    """The next free agent is told to resume this run."""
    run = world.find_run(sweep.project, name)
    assert run is not None, name
    run.stopped, run.lost = False, False
    run.heartbeats.append(time.time())
    sweep.requeued.append(name)


def _full(world: World, sweep: Sweep) -> bool:
    """Whether the run_cap is reached, or the grid used up."""
    cap = sweep.config.get("run_cap")
    return (cap is not None and sweep.drawn >= cap) or _next(world, sweep) is None


def _next(world: World, sweep: Sweep) -> dict[str, Any] | None:
    return search.choose(sweep.config, sweep.drawn, f"{world.seed} {sweep.ordinal}")


def _commands(world: World, sweep: Sweep, agent: Agent) -> list[dict[str, Any]]:
    mine = [world.find_run(sweep.project, name) for name in sorted(agent.running)]
    to_stop = [run.name for run in mine if run is not None and run.stopped]
    if to_stop or agent.running:
        return [{"type": "stop", "run_id": name} for name in to_stop]
    if sweep.state in OVER:
        return [{"type": "exit"}]
    if sweep.state == "PAUSED":
        return []
    if sweep.requeued:
        return [_order(world, sweep, agent, sweep.requeued.pop(0), "resume")]
    if _full(world, sweep):
        return [{"type": "exit"}]
    return [_order(world, sweep, agent, _draw(world, sweep), "run")]


def _draw(world: World, sweep: Sweep) -> str:
    """The name of a new run with the next configuration."""
    chosen = _next(world, sweep) or {}
    sweep.drawn += 1
    run = world.make_run(sweep.project, world.new_name(), f"brisk-sweep-{sweep.drawn}")
    run.settings = {name: {"value": value} for name, value in chosen.items()}
    run.sweep, run.created_by_agent = sweep.name, True
    sweep.runs.append(run.name)
    return run.name


def _order(world: World, sweep: Sweep, agent: Agent, name: str, kind: str) -> dict[str, Any]:
    run: Run | None = world.find_run(sweep.project, name)
    assert run is not None, name
    run.agent, run.exit_code, run.preempting = agent.id, None, False
    chosen = {key: {"value": value} for key, value in run.config.items()}
    program = sweep.config.get("program", "")
    return {"type": kind, "run_id": name, "program": program, "args": chosen, "logs": []}
