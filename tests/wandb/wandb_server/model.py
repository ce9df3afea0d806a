"""What the server knows: projects, runs, sweeps, their agents, and artifacts."""

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

CRASHED = 254  # an exit code that the service takes for a crash
CRASH_SECONDS = 300.0
Rows = list[dict[str, Any]]


class Numbered:
    """What has an id in the graph."""

    number: int

    @property
    def id(self) -> str:
        return f"{type(self).__name__}:{self.number}"


class Named(Numbered):
    """What users call by a path."""

    project: "Project"
    name: str

    @property
    def path(self) -> str:
        """ENTITY/PROJECT/NAME."""
        return f"{self.project.entity}/{self.project.name}/{self.name}"


@dataclass
class StoredFile:
    """A file that was uploaded, or that a client said it would upload: then there is no content."""

    name: str
    content: bytes | None = None


@dataclass(frozen=True)
class Project(Numbered):
    """A project of an entity."""

    entity: str
    name: str
    number: int


@dataclass
class Run(Named):
    """One run, as the client's requests have left it.

    Attributes:
        name: what users call the run's id.
        settings: the config as it was sent, `{"lr": {"value": 0.1}, "_wandb": {...}}`.
        history_lines: JSON, one row a line; so are the lines of the system's metrics.
        log_lines: the console's output by line number.
        heartbeats: times of its requests to file_stream.
        upserts: how often upsertBucket was called for it.
        stopped: the flag that asks the run to stop; clients read it off file_stream's answers.
        created_by_agent: an agent was sent it; until the first upsert it is pending.
    """

    project: Project
    name: str
    number: int
    display_name: str | None
    created: float = field(default_factory=time.time)
    settings: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history_lines: list[str] = field(default_factory=list)
    event_lines: list[str] = field(default_factory=list)
    log_lines: dict[int, str] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None
    agent: str | None = None
    heartbeats: list[float] = field(default_factory=list)
    upserts: int = 0
    exit_code: int | None = None
    stopped: bool = False
    disconnected: bool = False
    created_by_agent: bool = False
    logged: list[str] = field(default_factory=list)

    @property
    def config(self) -> dict[str, Any]:
        """The hyperparameters alone."""
        return {k: v["value"] for k, v in self.settings.items() if k != "_wandb"}

    @property
    def group(self) -> str | None:
        """Its group."""
        return self.about.get("groupName")

    @property
    def history(self) -> Rows:
        """The rows that were logged, in their order."""
        return [json.loads(line) for line in self.history_lines]

    @property
    def log(self) -> str:
        """The console's output."""
        return "\n".join(self.log_lines[number] for number in sorted(self.log_lines))

    @property
    def last_sign(self) -> float:
        """The time of the last request that shows the run to be alive."""
        return max([self.created, *self.heartbeats])

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in ("finished", "failed", "killed", "crashed")

    @property
    def state(self) -> str:
        """As the service names it; that a stopped run ends as killed is a guess."""
        if self.exit_code == 0:
            return "finished"
        if self.exit_code is not None and self.exit_code != CRASHED:
            return "killed" if self.stopped else "failed"
        is_silent = time.time() - self.last_sign > CRASH_SECONDS
        if self.disconnected or self.exit_code == CRASHED or is_silent:
            return "crashed"
        if self.created_by_agent and not self.upserts:
            return "pending"
        return "running"

    def values(self, key: str) -> list[float]:
        """The finite numbers logged under a key, in their order."""
        logged = [row.get(key) for row in self.history]
        return [
            value for value in logged if isinstance(value, int | float) and math.isfinite(value)
        ]


@dataclass
class Agent:
    """A `wandb agent`, by its graph's id, and the runs that its last heartbeat listed, by name."""

    id: str
    running: set[str] = field(default_factory=set)


@dataclass
class Sweep(Named):
    """One sweep.

    Attributes:
        name: what users call the sweep's id.
        text: its configuration, YAML as it was sent.
        state: RUNNING, PAUSED, CANCELED, FINISHED or STOPPED; a test may set it.
        runs: names of its runs, in the order in which they were drawn.
        drawn: configurations taken from the search so far.
    """

    project: Project
    name: str
    number: int
    text: str
    config: dict[str, Any]
    state: str = "RUNNING"
    description: str | None = None
    created: float = field(default_factory=time.time)
    runs: list[str] = field(default_factory=list)
    agents: dict[str, Agent] = field(default_factory=dict)
    drawn: int = 0


@dataclass
class Manifest(Numbered):
    """A manifest of an artifact; its JSON lies under `key` once it is uploaded."""

    number: int
    digest: str
    key: str


@dataclass
class Artifact(Numbered):
    """One version of a collection.

    Attributes:
        collection: the name without version or alias.
        about: what it was created with.
        state: PENDING until it is committed, then COMMITTED.
        version: counted from 0 in the collection; None while pending.
        aliases: those that point at this version now; pending ones move here on commit.
        manifests: in the order of their creation; the last one counts.
        digests: of its files by their paths, from the manifest; filled on commit.
        files: their contents.
    """

    project: Project
    collection: str
    type: str
    number: int
    digest: str
    about: dict[str, Any]
    created: float = field(default_factory=time.time)
    state: str = "PENDING"
    version: int | None = None
    aliases: list[str] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """ENTITY/PROJECT/NAME:vN, without a version while pending."""
        version = "" if self.version is None else f":v{self.version}"
        return f"{self.project.entity}/{self.project.name}/{self.collection}{version}"
