"""G-code fingerprinting: which G-code a machine executes, inferred from its sensors alone.

The Python API, which docs/python.md describes:

    model = gcodefp.load("results/best/checkpoint.pt")
    prediction = model.predict("recording.csv")       # or a DataFrame, or an array (N, C)
    windows = gcodefp.open_dataset("results/dataset", "train")     # a torch Dataset

Nothing is imported before it is used: `import gcodefp` itself takes no time.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcodefp.errors import UserError
    from gcodefp.evaluation.prediction import RecordingPrediction
    from gcodefp.evaluation.predictor import Predictor, load
    from gcodefp.model.window_dataset import WindowDataset, open_dataset

    __version__: str

__all__ = [
    "Predictor",
    "RecordingPrediction",
    "UserError",
    "WindowDataset",
    "load",
    "open_dataset",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for."""
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("gcodefp")
    modules = {
        "UserError": "errors",
        "RecordingPrediction": "evaluation.prediction",
        "Predictor": "evaluation.predictor",
        "load": "evaluation.predictor",
        "WindowDataset": "model.window_dataset",
        "open_dataset": "model.window_dataset",
    }
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"gcodefp.{modules[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__, "__version__"]
