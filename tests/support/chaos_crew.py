"""Crews of agents that are killed and started again, by crew_server.py, as the tests see them.

What agents and kills did is in the crew's diary: a line an event, appended in one write.
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

SLEEP_SECONDS = 0.01
NOBODY = 65534
METRIC = "val/gcode_acc"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Orders:
    """What a crew does.

    Attributes:
        folder: for the diary, the agents' log and what should not have happened.
        body: which of the server's BODIES an agent does.
        told: what the body reads.
        kills: at most so many; a last agent that is killed again and again would never be done.
        kill_seconds: the mean time between them.
        patches: dotted name of a module's constant -> value in the agents.
        user: whom the agents become.
        jumps: whether each agent is a host of its own, with a clock that jumps by hours.
    """

    folder: str
    body: str
    told: Mapping[str, Any]
    agents: int = 4
    kills: int = 0
    kill_seconds: float = 1.0
    seed: int = 0
    deadline_seconds: float = 150.0
    patches: Mapping[str, float] = field(default_factory=dict)
    user: int | None = None
    jumps: bool = False


class Event(NamedTuple):
    """A line of the diary; `number` is of the run, `value` what there is to be told."""

    what: str
    pid: int
    seconds: float
    number: int
    value: float


class Crew:
    """A crew at work, seen by a test; it is sent home at the end of the block, agents first."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.folder = Path(orders.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._manager = int(_ask_server(json.dumps(asdict(orders))))

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_gone():
            os.kill(self._manager, signal.SIGTERM)
        while not self._is_gone():
            time.sleep(SLEEP_SECONDS)

    def _is_gone(self) -> bool:
        return (self.folder / "code").exists()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it is so; the crew must be at work till then."""
        while not condition():
            assert not self._is_gone(), f"the crew is gone; {self.story()}"
            time.sleep(SLEEP_SECONDS)

    def wait(self) -> list[int]:
        """The exit codes of the agents that were not killed, once all are gone."""
        while not self._is_gone():
            time.sleep(SLEEP_SECONDS)
        errors = self.folder / "errors"
        assert not errors.exists(), f"{errors.read_text(encoding='utf-8')}; {self.story()}"
        code = (self.folder / "code").read_text(encoding="utf-8")
        assert code == "0", f"the crew was not done in time; {self.story()}"
        return [int(event.value) for event in self.events("gone")]

    def events(self, what: str) -> list[Event]:
        diary = self.folder / "diary"
        lines = diary.read_text(encoding="utf-8").splitlines() if diary.exists() else []
        parts = [line.split() for line in lines]
        made = [Event(w, int(p), float(s), int(n), float(v)) for w, p, s, n, v in parts]
        return [event for event in made if event.what == what]

    def killed(self) -> set[int]:
        return {event.pid for event in self.events("killed")}

    def resumed(self) -> set[int]:
        """The runs that went on from an epoch of an agent before."""
        return {event.number for event in self.events("begin") if event.value > 0}

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def story(self) -> str:
        """What is needed to understand a failure."""
        return f"seed {self.orders.seed}, see {self.folder}, {len(self.killed())} kills"

    def check_ends(self, total: int) -> None:
        """Each run ended, and none twice: who wrote an end before the last one was killed there."""
        ends = self.events("end")
        assert {event.number for event in ends} == set(range(total)), self.story()
        assert not any(event.value for event in ends), f"a run ended twice; {self.story()}"
        last = {event.number: event for event in ends}
        for event in ends:
            lived = event.pid not in self.killed()
            assert event is last[event.number] or not lived, f"{event}; {self.story()}"


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(__file__).with_name("crew_server.py"))]
    server = subprocess.Popen(
        command,
        env=os.environ | ONE_THREAD,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    atexit.register(server.communicate)  # The end of its input sends it home.
    return server


def _ask_server(order: str) -> str:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(order + "\n")
    server.stdin.flush()
    return server.stdout.readline()


def run_crew(orders: Orders) -> Crew:
    """A crew that has done its work, without an error."""
    with Crew(orders) as made:
        codes = made.wait()
    assert set(codes) <= {0}, f"{made.log()[-3000:]}; {made.story()}"
    return made
