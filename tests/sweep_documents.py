"""Small sweeps, for the tests of whatever reads or runs them."""

from typing import Any

from gcodefp.sweep.specification import Specification, read_specification

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
