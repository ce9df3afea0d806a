"""The weights of runs, scored on the same rows, and how far apart they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from gcodefp.comparison.selection import ComparedRun
from gcodefp.dataset.store import Description, Split
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import (
    Difference,
    Estimate,
    Statistic,
    paired_difference,
    with_interval,
)
from gcodefp.evaluation.evaluated import measure
from gcodefp.evaluation.files import ANSWERS, CEILING, CLOCK_KNOWN, SENSORS
from gcodefp.evaluation.reading import read_split_freely
from gcodefp.learning.checkpoint import Checkpoint, read_checkpoint

OF_NETWORK = tuple(
    name for name, of in ANSWERS.items() if of.kind in (SENSORS, CLOCK_KNOWN) and name != CEILING
)
"""The answers that a network gives; the others are the same for all runs."""


class Score(NamedTuple):
    """One metric of one run.

    Attributes:
        difference: to the first run, paired over recordings; None for the first run itself.
    """

    estimate: Estimate
    difference: Difference | None


Scores = Mapping[str, Mapping[str, Sequence[Score]]]
"""Answer -> metric -> a score for each run, in their order."""


def read_checkpoints(
    runs: Sequence[ComparedRun], description: Description, dataset: Path, device: torch.device
) -> list[Checkpoint]:
    """The weights of each run.

    Args:
        description: of the dataset that they are scored on; `dataset` is its dataset.json.

    Raises:
        UserError: runs were trained on different datasets, or on another one than this.
    """
    found = [read_checkpoint(run.folder.path / "checkpoint.pt", device) for run in runs]
    digests = [of.description.learning_digest() for of in found]
    for run, digest in zip(runs, digests, strict=True):
        if digest != digests[0]:
            raise UserError(
                f"{run.folder.path}: was trained on another dataset than "
                f"{runs[0].folder.path} (learning_digest {digest[:12]}, not {digests[0][:12]}); "
                "numbers of different datasets cannot be compared"
            )
    if digests[0] != description.learning_digest():
        raise UserError(
            f"{dataset}: is another dataset than that of the runs (learning_digest "
            f"{description.learning_digest()[:12]}, not {digests[0][:12]}); name theirs with "
            "--dataset"
        )
    return found


def score_runs(checkpoints: Sequence[Checkpoint], split: Split, device: torch.device) -> Scores:
    """Every metric of every network, as `evaluate` measures it, and its difference to the first."""
    measured = [_measure(checkpoint, split, device) for checkpoint in checkpoints]
    return {
        answer: {
            metric: _scores([of[answer][metric] for of in measured])
            for metric in measured[0][answer]
        }
        for answer in measured[0]
    }


def _measure(
    checkpoint: Checkpoint, split: Split, device: torch.device
) -> dict[str, dict[str, Statistic]]:
    reading = read_split_freely(checkpoint, split, device)
    return measure(reading, reading.of_rows, split, checkpoint.description, OF_NETWORK)


def _scores(statistics: Sequence[Statistic]) -> list[Score]:
    first, *others = statistics
    return [
        Score(with_interval(first), None),
        *(Score(with_interval(of), paired_difference(of, first)) for of in others),
    ]
