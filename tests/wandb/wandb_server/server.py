"""The server that tests start."""

import os
import sys
import tempfile
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from . import scheduler
from .faults import Faults
from .handler import Handler
from .model import Artifact, Run, Sweep
from .world import DEFAULT_ENTITY, World

API_KEY = "0123456789abcdef0123456789abcdef01234567"


class _Http(ThreadingHTTPServer):
    """Clients that hang up are nothing to report."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class WandbServer:
    """A W&B server on 127.0.0.1, at a port of its own, for as long as the `with` block lasts.

    Attributes:
        requests: the kind of each request, in the order of their arrival.
        faults: switch trouble on with `faults.add(...)`.
        errors: requests that broke this server; closing it raises the first.
    """

    api_key = API_KEY

    def __init__(self) -> None:
        self.world = World()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.faults = Faults()
        self.closing = threading.Event()
        handler = type("BoundHandler", (Handler,), {"wandb": self})
        self._http = _Http(("127.0.0.1", 0), handler)
        self.world.base_url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._folder = tempfile.TemporaryDirectory(prefix="wandb-server-")

    def __enter__(self) -> "WandbServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._folder.cleanup()
        if self.errors and error is None:
            raise AssertionError(self.errors[0])

    @property
    def base_url(self) -> str:
        """The value of WANDB_BASE_URL."""
        return self.world.base_url

    @property
    def folder(self) -> Path:
        """Where the clients of `environment()` keep their files."""
        return Path(self._folder.name)

    @property
    def runs(self) -> dict[str, Run]:
        """All runs by what users call their ids."""
        return {run.name: run for run in self.world.runs.values()}

    @property
    def sweeps(self) -> dict[str, Sweep]:
        """All sweeps by what users call their ids."""
        return dict(self.world.sweeps)

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """All committed artifacts by ENTITY/PROJECT/NAME:vN."""
        artifacts = self.world.artifacts.values()
        return {artifact.path: artifact for artifact in artifacts if artifact.state == "COMMITTED"}

    def environment(self, **more: str) -> dict[str, str]:
        """The caller's environment with what a client needs to talk to this server alone."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("WANDB_")
        }
        folders = {}
        for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
            folder = self.folder / name.lower()
            folder.mkdir(exist_ok=True)
            folders[f"WANDB_{name}"] = str(folder)
        own = {
            "WANDB_BASE_URL": self.base_url,
            "WANDB_API_KEY": self.api_key,
            "WANDB_ENTITY": DEFAULT_ENTITY,
            "WANDB_ERROR_REPORTING": "false",
            "HOME": str(self.folder),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return {**inherited, **folders, **own, **more}

    def stop_run(self, name: str) -> None:
        """Asks a run to stop, as the button of the web page does."""
        self.runs[name].stopped = True

    def delete_sweep(self, name: str) -> None:
        """Forgets a sweep; its agents get 404 from now on."""
        with self.world.lock:
            del self.world.sweeps[name]

    def review(self, run: Run) -> None:
        """Applies the rules of a run's sweep after it logged something."""
        sweep: Any = self.world.sweeps.get(run.sweep or "")
        if sweep is not None:
            scheduler.review(self.world, sweep)
