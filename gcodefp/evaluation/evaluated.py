"""A checkpoint and its baselines, asked about a split and scored by the same rules."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, Statistic
from gcodefp.evaluation.executed import ExecutedBlocks
from gcodefp.evaluation.files import ANSWERS
from gcodefp.evaluation.opponents import ask_baselines
from gcodefp.evaluation.reading import Reading, read_split_freely
from gcodefp.evaluation.scoring import measure_rows, measure_stretches, with_intervals
from gcodefp.learning.checkpoint import Checkpoint
from gcodefp.learning.outcome import describe_device


class Evaluated(NamedTuple):
    """What was said of a split, and how much of it is right.

    Attributes:
        reading: what the network read.
        answers: name -> answers of the rows of the reading, baselines among them.
        scores: name -> metric -> its value and interval.
    """

    reading: Reading
    answers: Mapping[str, Answers]
    scores: Mapping[str, Mapping[str, Estimate]]


def evaluate_split(
    checkpoint: Checkpoint, test: Split, train: Split | None, device: torch.device, threads: int
) -> Evaluated:
    """Reads and scores a split.

    Args:
        train: for the baselines; without it there are none.
        threads: processor cores that the baselines may use.
    """
    reading = read_split_freely(checkpoint, test, device)
    window = checkpoint.description.window
    baselines = ask_baselines(train, test, reading.rows, window, threads) if train else {}
    answers = {**reading.of_rows, **baselines}
    measured = measure(reading, answers, test, checkpoint.description)
    return Evaluated(reading, answers, {name: with_intervals(of) for name, of in measured.items()})


def measure(
    reading: Reading,
    answers: Mapping[str, Answers],
    test: Split,
    description: Description,
    names: Collection[str] = tuple(ANSWERS),
) -> dict[str, dict[str, Statistic]]:
    """Every metric of the network's and the baselines' answers, by the same rules.

    Args:
        answers: of the rows of the reading, by name.
        names: the answers that are wanted.
    """
    position = {row: index for index, row in enumerate(reading.rows.tolist())}
    in_windows = np.array([position[row] for row in reading.windows.rows.tolist()])
    executed = ExecutedBlocks(description.programs)
    metrics = {}
    for name in ANSWERS:
        if name not in answers or name not in names:
            continue
        metrics[name] = measure_rows(answers[name], test, reading.rows, description.vocabulary)
        known = reading.of_stretches.get(name)
        stretches, of = known or (reading.windows, answers[name].take(in_windows))
        metrics[name] |= measure_stretches(of, test, stretches, executed)
    return metrics


def describe_evaluation(
    evaluated: Evaluated,
    test: Split,
    description: Description,
    device: torch.device,
    controls: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What metrics.json says of a split, wherever its recordings come from.

    Args:
        controls: what each control.json says.
    """
    reading = evaluated.reading
    return {
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        "split": description.document["split"],
        "device": describe_device(device),
        "recordings": len(np.unique(test.recording[reading.rows])),
        "rows": len(reading.rows),
        "stretches": int(reading.windows.stretch.max()) + 1,
        "confidence": CONFIDENCE,
        "resamples": RESAMPLES,
        "controls": list(controls),
        "models": {
            name: {metric: e._asdict() for metric, e in of.items()}
            for name, of in evaluated.scores.items()
        },
    }
