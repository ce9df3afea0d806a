"""Small sweeps, for the tests of whatever reads or runs them."""

from pathlib import Path
from typing import Any

import pytest

from gcodefp.sweeps.specification import Specification, read_specification

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "workflow/sweeps").glob("*.yaml"))
GUIDES = ROOT.parent / "shared/guides"
WHERE = "my.yaml"
RATE = {"distribution": "log_uniform_values", "min": 0.001, "max": 0.1}


def sweep_document(**changes: Any) -> dict[str, Any]:
    """A valid sweep as YAML gives it; a change to None takes a key away."""
    document = {
        "method": "random",
        "metric": {"name": "val/gcode_acc", "goal": "maximize"},
        "run_cap": 4,
        "parameters": {"learning_rate": RATE},
        **changes,
    }
    return {key: value for key, value in document.items() if value is not None}


def specification(**changes: Any) -> Specification:
    """The same, read."""
    return read_specification(sweep_document(**changes), WHERE)


def guide(number: str) -> str:
    """The text of one of the guides that sweeps are written after; skips where there is none."""
    for path in GUIDES.glob(f"{number}_*.txt"):
        return path.read_text(encoding="utf-8")
    pytest.skip(f"no guide {number} in {GUIDES}")
