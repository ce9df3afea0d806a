"""Real clients of the server in wandb_server: wandb's SDK, its CLI, and plain HTTP."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waiting import PATIENCE_SECONDS
from wandb_server import WandbServer

TELL = """
import json, signal, sys, time, wandb
# Shells have processes in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
arguments = json.loads(sys.argv[1])
def tell(**facts):
    print("TOLD " + json.dumps(facts), flush=True)
def error(act):
    try:
        act()
    except Exception as caught:
        return f"{type(caught).__name__}: {caught}"
"""


@dataclass
class Answer:
    """How a client ended.

    Attributes:
        code: the exit status.
        text: all its output.
        told: what the script passed to `tell`.
    """

    code: int
    text: str
    told: dict[str, Any]


class Client:
    """A script that uses wandb, in a process of its own that has begun already.

    Args:
        server: where it connects to.
        command: a Python script, which has `arguments`, `tell` and `error`, or a command line.
        folder: where it runs and writes.
        arguments: for a script.
        environment: more variables.
    """

    def __init__(
        self,
        server: WandbServer,
        command: str | list[str],
        folder: Path,
        arguments: Any = None,
        **environment: str,
    ) -> None:
        if isinstance(command, str):
            command = [sys.executable, "-c", TELL + command, json.dumps(arguments)]
        folder.mkdir(parents=True, exist_ok=True)
        self._output = folder / "output.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=server.environment(WANDB_DIR=str(folder), **environment),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def answer(self) -> Answer:
        """Waits for its end."""
        code = self.process.wait(PATIENCE_SECONDS)
        text = self._output.read_text()
        told = [json.loads(line[5:]) for line in text.splitlines() if line.startswith("TOLD ")]
        return Answer(code, text, {key: fact for facts in told for key, fact in facts.items()})

    def end(self) -> None:
        """Ends it if it is still there."""
        self.process.kill()
        self.process.wait()


def wandb_cli(*arguments: str) -> list[str]:
    """A command of wandb's command line."""
    return [sys.executable, "-m", "wandb", *arguments]


def ask(server: WandbServer, query: str, **variables: Any) -> Any:
    """The JSON of a GraphQL answer, errors included."""
    content = json.dumps({"query": query, "variables": variables}).encode()
    return post(server, "/graphql", content)


def post(server: WandbServer, path: str, content: bytes) -> Any:
    """The JSON of an answer to a plain request with the right key."""
    key = base64.b64encode(f"api:{server.api_key}".encode()).decode()
    headers = {"Authorization": f"Basic {key}", "Connection": "close"}
    request = urllib.request.Request(server.base_url + path, content, headers)
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)
