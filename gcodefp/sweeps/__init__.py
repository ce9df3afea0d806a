"""Hyperparameter sweeps: the YAML, the search, run folders, leases and the local engine.

`sweep` and `agent` take the place of `wandb.sweep` and `wandb.agent` in a program of yours.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcodefp.sweeps.program.function import agent
    from gcodefp.sweeps.sweep_file import sweep

__all__ = ["agent", "sweep"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for: the package itself stays cheap."""
    from importlib import import_module

    modules = {"sweep": "gcodefp.sweeps.sweep_file", "agent": "gcodefp.sweeps.program.function"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(modules[name]), name)
