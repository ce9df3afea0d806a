"""Scores a checkpoint on the test split, which no earlier step has opened.

Blocks are written freely, with no true word as input. Every metric has a 95 % interval from a
bootstrap over recordings, and the same metric of the baselines stands beside it.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import LEAKY_NOTE, Description, Split, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.evaluation.axis_errors import axis_errors
from gcodefp.evaluation.baselines import Answers, majority, nearest_neighbour
from gcodefp.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Estimate, estimate
from gcodefp.evaluation.files import EVALUATION_FORMAT, MAJORITY, MODEL, NEIGHBOUR
from gcodefp.evaluation.reconstruct import reconstructed_program
from gcodefp.files import replacing, write_json, write_text
from gcodefp.learning.checkpoint import read_checkpoint
from gcodefp.learning.device import DEVICES, open_device
from gcodefp.learning.predict import predict
from gcodefp.learning.scores import row_scores
from gcodefp.learning.tensors import to_tensors
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.evaluate")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("evaluate", __doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt")
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--train", type=Path, required=True, help="train.npz, for the baselines")
    add("--test", type=Path, required=True, help="test.npz")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, required=True, help="folder for metrics.json and the predictions")
    return run_step(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    device = open_device(arguments.device, arguments.threads)
    description = read_description(arguments.dataset)
    checkpoint = read_checkpoint(arguments.checkpoint, device)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(
            f"{arguments.checkpoint}: was trained on another dataset than {arguments.dataset}; "
            "run the sweep again: snakemake --cores all"
        )
    train = read_split(arguments.train, description, "train")
    test = read_split(arguments.test, description, "test")
    written = predict(checkpoint.network, to_tensors(test, description, device))
    rows = np.flatnonzero(written.covered)
    blocks = np.array(description.vocabulary.decode(written.codes[rows]))
    answers = {
        MODEL: Answers(blocks, written.operation[rows]),
        MAJORITY: majority(train, rows),
        NEIGHBOUR: nearest_neighbour(train, test, rows, description.window),
    }
    scores = {name: _score(answer, test, rows, description) for name, answer in answers.items()}
    _write_predictions(arguments.output, answers, test, rows, description)
    write_json(
        arguments.output / "metrics.json",
        EVALUATION_FORMAT,
        {
            "provenance": provenance([arguments.checkpoint, arguments.dataset, arguments.test]),
            "leaky": description.leaky,
            "controller_is_input": description.document["controller_is_input"],
            "split": description.document["split"],
            "recordings": len(test.recordings),
            "rows": len(rows),
            "confidence": CONFIDENCE,
            "resamples": RESAMPLES,
            "models": {
                name: {metric: e._asdict() for metric, e in of.items()}
                for name, of in scores.items()
            },
        },
    )
    _tell(scores, description)


def _score(
    answer: Answers, test: Split, rows: NDArray[np.integer], description: Description
) -> dict[str, Estimate]:
    """Every metric of the model or of a baseline, by the same rules."""
    recording = test.recording[rows]
    true_blocks = test.blocks[test.block[rows]]
    scores = row_scores(
        description.vocabulary.encode_rows(answer.blocks),
        description.vocabulary.encode_rows(true_blocks),
        answer.operation,
        test.operation[rows],
    )
    estimates = {name: estimate(s.hits, s.chances, recording) for name, s in scores.items()}
    errors = axis_errors(answer.blocks, true_blocks, test.mm_per_unit[rows])
    for axis, of in errors.items():
        estimates[f"{axis.lower()}_error_mm"] = estimate(of.error_mm, of.counted, recording)
    return estimates


def _write_predictions(
    folder: Path,
    answers: Mapping[str, Answers],
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> None:
    """predictions.npz, one entry per row, and the reconstructed program of each recording."""
    true_blocks = test.blocks[test.block[rows]]
    arrays: dict[str, Any] = {
        "recordings": test.recordings,
        "recording": test.recording[rows],
        "row": test.row[rows],
        "seconds": test.seconds[rows],
        "position_mm": test.position_mm[rows],
        "mm_per_unit": test.mm_per_unit[rows],
        "operations": np.array(description.vocabulary.operations),
        "true_operation": test.operation[rows],
        "true_block": true_blocks,
        "written_operation": answers[MODEL].operation,
        "written_block": answers[MODEL].blocks,
        "majority_block": answers[MAJORITY].blocks,
        "neighbour_block": answers[NEIGHBOUR].blocks,
    }
    with replacing(folder / "predictions.npz") as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    note = LEAKY_NOTE if description.leaky else ""
    for index, name in enumerate(test.recordings):
        blocks = answers[MODEL].blocks[test.recording[rows] == index].tolist()
        text = reconstructed_program(blocks, str(name), note)
        write_text(folder / "gcode" / f"{name}.nc", text)


def _tell(scores: Mapping[str, Mapping[str, Estimate]], description: Description) -> None:
    if description.leaky:
        logger.warning(LEAKY_NOTE)
    for metric in ("gcode", "token", "operation"):
        told = [
            f"{name} {of[metric].value:.3f} [{of[metric].low:.3f}, {of[metric].high:.3f}]"
            for name, of in scores.items()
        ]
        logger.info("%s: %s", metric, ", ".join(told))


if __name__ == "__main__":
    sys.exit(main())
