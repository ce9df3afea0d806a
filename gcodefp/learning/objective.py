"""The metric that decides which epoch, and which run, is the best."""

from dataclasses import dataclass

from gcodefp.learning.scores import HEADS, SCORES

METRICS = (
    "train/loss",
    *(f"train/{head}_{kind}" for head in HEADS for kind in ("loss", "acc")),
    "val/loss",
    *(f"val/{head}_loss" for head in HEADS),
    *(f"val/{score}_acc" for score in SCORES),
)
"""What a run logs after every epoch."""


@dataclass(frozen=True)
class Objective:
    """A metric of METRICS and its goal, `maximize` or `minimize`."""

    metric: str
    goal: str

    def better(self, value: float, than: float) -> bool:
        """Whether a value beats another; equal values do not."""
        return value > than if self.goal == "maximize" else value < than
