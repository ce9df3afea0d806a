"""The hyperparameters of a training run with their ranges, its metrics, and its objective."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.accuracy import ACCURACIES, HEADS

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
PRECISIONS = ("auto", "float32", "bf16")
CHOICES = {"optimizer": OPTIMIZERS, "precision": PRECISIONS}
"""Hyperparameter -> its values, where these are words."""


def _hyperparameter(
    default: Any, text: str, low: float = -math.inf, high: float = math.inf,
    above: float = -math.inf,
) -> Any:  # fmt: skip
    return field(default=default, metadata={"help": text, "low": low, "high": high, "above": above})


@dataclass(frozen=True)
class Hyperparameters:
    """The configuration of a run; `parse_hyperparameters` checks it.

    `place` is the HMM state in names that runs, sweeps and checkpoints store.
    """

    learning_rate: float = _hyperparameter(0.004, "peak of the schedule", above=0.0)
    batch_size: int = _hyperparameter(16, "windows per step", low=1)
    d_model: int = _hyperparameter(96, "width of the network", low=2)
    nhead: int = _hyperparameter(4, "attention heads; must divide d_model", low=1)
    num_layers: int = _hyperparameter(2, "encoder layers", low=1)
    dropout: float = _hyperparameter(0.05, "share of activations dropped", low=0.0, high=0.95)
    weight_decay: float = _hyperparameter(0.01, "decay of the weights", low=0.0)
    augmentation_prob: float = _hyperparameter(1.0, "share of windows augmented", low=0.0, high=1.0)
    noise_std: float = _hyperparameter(
        1.0, "noise of augmented windows, in standard deviations", low=0.0
    )
    node_dropout: float = _hyperparameter(
        0.01, "share of sensor nodes hidden in augmented windows", low=0.0, high=0.9
    )
    max_epochs: int = _hyperparameter(20, "epochs, unless the run is pruned or stopped", low=1)
    label_smoothing: float = _hyperparameter(0.0, "of all heads", low=0.0, high=0.9)
    grad_clip: float = _hyperparameter(1.0, "largest norm of the gradient", above=0.0)
    optimizer: str = _hyperparameter("adamw", ", ".join(OPTIMIZERS))
    momentum: float = _hyperparameter(
        0.9, "of rmsprop and sgd; ignored by the others", low=0.0, high=0.9999
    )
    command_weight: float = _hyperparameter(1.0, "weight of the command head in the loss", low=0.0)
    place_weight: float = _hyperparameter(1.0, "weight of the state head in the loss", low=0.0)
    position_weight: float = _hyperparameter(
        1.0, "weight of the position head in the loss", low=0.0
    )
    rows_per_window: int = _hyperparameter(8, "rows per window whose block enters the loss", low=1)
    precision: str = _hyperparameter(
        "auto", "float32 or bf16, of matrix products; auto: bf16 on a GPU that has it, else float32"
    )
    seed: int = _hyperparameter(
        0, "of weights, order, dropout and augmentation", low=0, high=2**32 - 1
    )


HYPERPARAMETERS = {f.name: f for f in fields(Hyperparameters)}
"""The fields of Hyperparameters by name."""


class Incompatible(UserError):
    """Values of which each is valid and which exclude each other."""


def parse_hyperparameters(
    values: Mapping[str, Any], origin: str = "hyperparameters"
) -> Hyperparameters:
    """Checks names, types and ranges of name -> value; nested mappings are flattened.

    Raises:
        UserError: it names the origin, the hyperparameter, its value and its range.
        Incompatible: the values exclude each other.
    """
    checked: dict[str, Any] = {}
    for name, value in leaf_values(values):
        if name in checked:
            raise UserError(f"{origin}: {name} is set twice; keep one")
        if name not in HYPERPARAMETERS:
            raise UserError(
                f"{origin}: no hyperparameter {name!r}; {did_you_mean(name, HYPERPARAMETERS)}"
            )
        checked[name] = _check_value(name, value, origin)
    hyperparameters = Hyperparameters(**checked)
    width, heads = hyperparameters.d_model, hyperparameters.nhead
    if width % heads:
        raise Incompatible(
            f"{origin}: d_model {width} cannot be divided among nhead {heads} heads; "
            "choose a d_model that is a multiple of nhead"
        )
    if width % 2:
        raise Incompatible(f"{origin}: d_model {width} is odd; choose an even one")
    return hyperparameters


def leaf_values(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values of nested mappings, without the groups."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaf_values(value)
        else:
            yield name, value


def _check_value(name: str, value: Any, origin: str) -> Any:
    kind: type = type(HYPERPARAMETERS[name].default)
    limits = HYPERPARAMETERS[name].metadata
    if name in CHOICES:
        if value not in CHOICES[name]:
            hint = did_you_mean(str(value), CHOICES[name])
            raise UserError(f"{origin}.{name}: {value!r}; {hint}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{origin}.{name}: {value!r} is not of type {kind.__name__}")
    if kind is int and value != int(value):
        raise UserError(f"{origin}.{name}: {value!r} is not an integer")
    low, high, above = limits["low"], limits["high"], limits["above"]
    if not low <= value <= high or value <= above:
        lower = f"above {above:g}" if math.isfinite(above) else f"at least {low:g}"
        upper = f" and at most {high:g}" if math.isfinite(high) else ""
        raise UserError(f"{origin}.{name}: {value!r} is out of range; it must be {lower}{upper}")
    return kind(value)


LOGGED_METRICS = (
    "train/loss",
    *(f"train/{head}_{kind}" for head in (*HEADS, "place") for kind in ("loss", "acc")),
    "train/position_loss",
    "val/loss",
    *(f"val/{head}_loss" for head in (*HEADS, "place", "position")),
    *(f"val/{name}_acc" for name in (*ACCURACIES, "place", "aligned")),
)
"""The columns of metrics.csv, which has one row per epoch."""


def usual_goal(metric: str) -> str | None:
    """The goal of a metric whose name tells its direction; None for others."""
    kind = re.split(r"[^a-z0-9]", metric.lower())[-1]
    if kind in ("acc", "accuracy", "f1", "auc", "auroc", "precision", "recall"):
        return "maximize"
    return "minimize" if kind in ("loss", "error", "err", "mse", "mae", "rmse", "nll") else None


@dataclass(frozen=True)
class Objective:
    """A metric of LOGGED_METRICS and its goal, `maximize` or `minimize`."""

    metric: str
    goal: str

    def is_better(self, value: float, reference: float) -> bool:
        """Whether a value is strictly better than a reference."""
        return self.loss(value) < self.loss(reference)

    def loss(self, value: float) -> float:
        """The value, negated if the goal is maximize: lower is better."""
        return -value if self.goal == "maximize" else value


DEFAULT_OBJECTIVE = Objective("val/aligned_acc", "maximize")
"""The objective of a sweep without a metric: the share of rows whose whole block is correct on the
Viterbi path of their window."""
