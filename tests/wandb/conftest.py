from collections.abc import Iterator
from pathlib import Path

import pytest
from service_commands import Service
from tiny_sweep import TinySweep
from wandb_server import WandbServer


@pytest.fixture
def service(request: pytest.FixtureRequest, dataset: Path, tmp_path: Path) -> Iterator[Service]:
    """A server of its own, and a folder; its engine is that of the service, or the parameter."""
    with WandbServer() as server:
        sweep = TinySweep(dataset, tmp_path / "sweep")
        yield Service(server, sweep, getattr(request, "param", "wandb"))
