"""Hyperparameter sweeps: the YAML, the search, run folders, leases and the local engine.

`sweep` and `agent` take the place of `wandb.sweep` and `wandb.agent` in a script of yours.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcodefp.sweeps.sweep_file import sweep
    from gcodefp.sweeps.user_script.function import RunStopped, agent

__all__ = ["RunStopped", "agent", "sweep"]


def __getattr__(name: str) -> Any:
    """Imports what is asked for: the package itself stays cheap."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "sweep_file" if name == "sweep" else "user_script.function"
    return getattr(import_module(f"gcodefp.sweeps.{module}"), name)
