"""What is lost when sensors are missing: the test split, read again without some of them.

The channels of one part are hidden in every test recording as those of a sensor that was never
there (the network has seen such in training: node_dropout), and all is read and scored as before.
The network is not trained again. What it loses is what its answers rest on, not what another
network could do without these sensors: of two sensors that tell the same it may need neither, or
both (leave-one-group-out; compare the occlusion of Zeiler and Fergus 2014).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from gcodefp.dataset.store import Split
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.bootstrap import Statistic, paired_difference, with_interval
from gcodefp.evaluation.reading import read_windows
from gcodefp.evaluation.scoring import measure_rows
from gcodefp.explanation.channels import Part, parts_of
from gcodefp.explanation.files import JUDGED
from gcodefp.learning.checkpoint import Checkpoint
from gcodefp.learning.tensors import to_tensors

Measured = Mapping[str, Statistic]


class SensorScores(NamedTuple):
    """The metrics of JUDGED, of the answer that is read in windows.

    Attributes:
        complete: with all sensors.
        without: each part of them, and the metrics without it.
    """

    complete: Measured
    without: Sequence[tuple[Part, Measured]]


def score_without_sensors(
    checkpoint: Checkpoint, test: Split, device: torch.device
) -> SensorScores:
    """Reads the split with all sensors, and without each part of them."""
    parts = parts_of(checkpoint.description.scaler.channels)
    return SensorScores(
        _measure(checkpoint, test, device),
        [(of, _measure(checkpoint, without(test, of.channels), device)) for of in parts],
    )


def without(split: Split, channels: Sequence[int]) -> Split:
    """The split as it would be, had its recordings never had these channels."""
    signals, valid = split.signals.copy(), split.valid.copy()
    signals[:, list(channels)] = 0.0
    valid[:, list(channels)] = False
    return replace(split, signals=signals, valid=valid)


def describe_sensor_scores(scores: SensorScores, channels: Sequence[str]) -> dict[str, Any]:
    """As it stands in explanation.json.

    `differences` are those of the metric without the part and the metric with all sensors, on the
    same resamples of recordings: below 0 where something is lost.
    """
    return {
        "trained_again": False,
        "complete": _described(scores.complete),
        "without": [
            {
                "kind": part.kind,
                "name": part.name,
                "channels": [channels[index] for index in part.channels],
                "scores": _described(measured),
                "differences": {
                    name: paired_difference(of, scores.complete[name])._asdict()
                    for name, of in measured.items()
                },
            }
            for part, measured in scores.without
        ],
    }


def _described(measured: Measured) -> dict[str, Any]:
    return {name: with_interval(of)._asdict() for name, of in measured.items()}


def _measure(checkpoint: Checkpoint, test: Split, device: torch.device) -> Measured:
    description = checkpoint.description
    read = read_windows(checkpoint, to_tensors(test, description, device))
    rows = np.flatnonzero(read.covered)
    answers = Answers(read.blocks[rows], read.operation[rows])
    measured = measure_rows(answers, test, rows, description.vocabulary)
    return {name: measured[name] for name in JUDGED}
