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
        return self.loss(value) < self.loss(than)

    def loss(self, value: float) -> float:
        """The value, or its negative if it is to be maximized: lower is better."""
        return -value if self.goal == "maximize" else value


HEADLINE = Objective("val/gcode_acc", "maximize")
"""The share of lines that are right in every word: what a sweep without a metric is decided by."""
