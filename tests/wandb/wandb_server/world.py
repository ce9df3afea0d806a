"""Everything the server keeps, by its paths and ids."""

import itertools
import random
import threading
from dataclasses import dataclass, field

from .execution import ApiError
from .model import Agent, Artifact, Project, Run, StoredFile, Sweep

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
DEFAULT_ENTITY = "workshop"
USERNAME = "ada"
"""The owner of the API key; also an entity."""
ENTITIES = (DEFAULT_ENTITY, USERNAME)


@dataclass
class World:
    """The state behind the endpoints; hold `lock` to read or change more than one thing.

    Attributes:
        base_url: where the clients find the server.
    """

    base_url: str = ""
    projects: dict[tuple[str, str], Project] = field(default_factory=dict)
    runs: dict[tuple[Project, str], Run] = field(default_factory=dict)
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    blobs: dict[str, StoredFile] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._random = random.Random(0)

    def number(self) -> int:
        """A new number."""
        return next(self._numbers)

    def new_name(self) -> str:
        """An id as W&B makes them: eight letters and digits."""
        return "".join(self._random.choices(LETTERS, k=8))

    def entity(self, name: str | None, during: str) -> str:
        """An entity that exists; the default one for None."""
        if not name:
            return DEFAULT_ENTITY
        if name not in ENTITIES:
            raise ApiError(f"entity {name} not found during {during}", status=404)
        return name

    def find_project(self, entity: str | None, name: str | None) -> Project | None:
        """The project, None if there is none; the default entity's for no entity."""
        return self.projects.get((entity or DEFAULT_ENTITY, name or ""))

    def make_project(self, entity: str | None, name: str | None, during: str) -> Project:
        """The project; it is made if it is missing."""
        key = (self.entity(entity, during), name or "uncategorized")
        if key not in self.projects:
            self.projects[key] = Project(*key, self.number())
        return self.projects[key]

    def find_run(self, project: Project | None, name: str) -> Run | None:
        """By what users call its id."""
        return None if project is None else self.runs.get((project, name))

    def make_run(self, project: Project, name: str, display_name: str | None = None) -> Run:
        """A new run of a project."""
        run = self.runs[project, name] = Run(project, name, self.number(), display_name)
        return run

    def run_by_id(self, identity: str) -> Run | None:
        """By the graph's id."""
        return next((run for run in self.runs.values() if run.id == identity), None)

    def find_sweep(self, project: Project | None, name: str) -> Sweep | None:
        """By what users call its id."""
        sweep = self.sweeps.get(name)
        return sweep if sweep is not None and sweep.project is project else None

    def sweep_by_id(self, identity: str | None) -> Sweep | None:
        """By the graph's id."""
        return next((sweep for sweep in self.sweeps.values() if sweep.id == identity), None)

    def runs_of(self, sweep: Sweep) -> list[Run]:
        """All runs of a sweep, in the order in which they were drawn."""
        runs = [self.find_run(sweep.project, name) for name in sweep.runs]
        return [run for run in runs if run is not None]

    def find_agent(self, identity: str) -> tuple[Sweep, Agent] | None:
        """An agent and its sweep by the agent's id."""
        for sweep in self.sweeps.values():
            if identity in sweep.agents:
                return sweep, sweep.agents[identity]
        return None
