"""Pools of agents that are killed and started again by worker_server.py.

What agents and kills did is in the pool's event log: a line an event, appended in one write.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

POLL_SECONDS = 0.01
NOBODY = 65534
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class PoolConfig:
    """What the workers of a pool do.

    Attributes:
        folder: for the event log, the agents' log and unexpected errors.
        task: which of the server's TASKS a worker runs.
        arguments: of the task.
        kills: at most so many, so that the last worker can end.
        kill_seconds: the mean time between them.
        stops: at most so often, an agent stands still for 0.5 to 2.5 times `lease_seconds`.
        lease_seconds: sets the lease; None for that of the product.
        patches: dotted name of a module's constant -> value in the workers.
        user: whose rights the workers take.
        own_hosts: whether each worker has a host name of its own.
        clocks_jump: whether each worker's clock jumps by hours, too.
    """

    folder: str
    task: str
    arguments: Mapping[str, Any]
    agents: int = 4
    kills: int = 0
    kill_seconds: float = 1.0
    stops: int = 0
    lease_seconds: float | None = None
    seed: int = 0
    deadline_seconds: float = 150.0
    patches: Mapping[str, float] = field(default_factory=dict)
    user: int | None = None
    own_hosts: bool = False
    clocks_jump: bool = False


class Event(NamedTuple):
    """A line of the event log; `number` is of the run, the meaning of `value` is the kind's."""

    kind: str
    pid: int
    seconds: float
    number: int
    value: float


class WorkerPool:
    """A pool at work; the end of the block ends it, agents first."""

    def __init__(self, config: PoolConfig) -> None:
        self.config = config
        self.folder = Path(config.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._manager = int(_start_manager(json.dumps(asdict(config))))

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_over():
            os.kill(self._manager, signal.SIGTERM)
        while not self._is_over():
            time.sleep(POLL_SECONDS)

    def _is_over(self) -> bool:
        return (self.folder / "code").exists()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds, while the pool is at work."""
        while not condition():
            assert not self._is_over(), f"the pool has ended; {self.describe()}"
            time.sleep(POLL_SECONDS)

    def wait(self) -> list[int]:
        """The exit codes of the agents that were not killed, once all have ended."""
        while not self._is_over():
            time.sleep(POLL_SECONDS)
        errors = self.folder / "errors"
        assert not errors.exists(), f"{errors.read_text(encoding='utf-8')}; {self.describe()}"
        code = (self.folder / "code").read_text(encoding="utf-8")
        assert code == "0", f"the pool was not done in time; {self.describe()}"
        return [int(event.value) for event in self.events("exit")]

    def events(self, kind: str) -> list[Event]:
        path = self.folder / "events"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        parts = [line.split() for line in lines]
        events = [Event(k, int(p), float(s), int(n), float(v)) for k, p, s, n, v in parts]
        return [event for event in events if event.kind == kind]

    def killed(self) -> set[int]:
        return {event.pid for event in self.events("killed")}

    def resumed(self) -> set[int]:
        """The runs that went on from an epoch of an earlier agent."""
        return {event.number for event in self.events("start") if event.value > 0}

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def describe(self) -> str:
        """What is needed to understand a failure."""
        return f"seed {self.config.seed}, see {self.folder}, {len(self.killed())} kills"

    def check_ends(self, total: int) -> None:
        """Each run ended once; an agent that wrote an earlier end was killed before it counted."""
        ends = self.events("end")
        assert {event.number for event in ends} == set(range(total)), self.describe()
        assert not any(event.value for event in ends), f"a run ended twice; {self.describe()}"
        last = {event.number: event for event in ends}
        for event in ends:
            was_killed = event.pid in self.killed()
            assert event is last[event.number] or was_killed, f"{event}; {self.describe()}"


@cache
def _server() -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("worker_server.py"))],
        env=os.environ | ONE_THREAD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    atexit.register(server.communicate)  # The end of its input ends it.
    return server


def _start_manager(config: str) -> str:
    """The process id of a new pool's manager."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(config + "\n")
    server.stdin.flush()
    return server.stdout.readline()


def run_pool(config: PoolConfig) -> WorkerPool:
    """A pool that has done its work without an error."""
    with WorkerPool(config) as pool:
        codes = pool.wait()
    assert set(codes) <= {0}, f"{pool.log()[-3000:]}; {pool.describe()}"
    return pool
