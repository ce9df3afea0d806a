"""The metric that decides which epoch, and which run, is the best."""

from dataclasses import dataclass

from gcodefp.learning.scores import HEADS, SCORES

METRICS = (
    "train/loss",
    *(f"train/{head}_{kind}" for head in (*HEADS, "place") for kind in ("loss", "acc")),
    "train/position_loss",
    "val/loss",
    *(f"val/{head}_loss" for head in (*HEADS, "place", "position")),
    *(f"val/{score}_acc" for score in (*SCORES, "place", "aligned")),
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


HEADLINE = Objective("val/aligned_acc", "maximize")
"""The share of lines right in every word after windows were aligned with the programs: what
a sweep without a metric is decided by."""
