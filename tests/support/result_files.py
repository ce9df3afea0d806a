"""The small files of a whole pipeline, as its stages would write them."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from explanation_files import small_programs, write_explanation
from result_documents import (
    DECODER,
    LAG_SECONDS,
    PROGRAM,
    PROVENANCE,
    RECORDINGS,
    ROWS_PER_BLOCK,
    STEP_SECONDS,
    dataset_document,
    sweep_document,
    window_lengths,
    write_best,
)

from gcodefp.command_line import add_results_flags
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import Split, parse_description
from gcodefp.evaluation.bootstrap import with_interval
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.decode import SplitPredictions
from gcodefp.evaluation.metrics import (
    RowPredictions,
    RowSequences,
    SequencePredictions,
    compute_metrics,
)
from gcodefp.evaluation.names import (
    ELAPSED,
    EVALUATION_FORMAT,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    PRIVILEGED,
    STATE_ORACLE,
    WHOLE,
)
from gcodefp.evaluation.split_evaluation import labelled_predictions, write_predictions
from gcodefp.evaluation.toolpaths import endpoints_mm
from gcodefp.files import write_json
from gcodefp.programs.table import Programs
from gcodefp.reporting.results import Results, results_from_flags
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT

Blocks = dict[str, np.ndarray]
ROWS = ROWS_PER_BLOCK * len(PROGRAM)
"""Of each recording."""
SEQUENCE_ROWS = 6


def true_blocks() -> np.ndarray:
    """The program, ROWS_PER_BLOCK rows a block, once for each recording."""
    return np.tile(np.repeat(np.array(PROGRAM), ROWS_PER_BLOCK), len(RECORDINGS))


def spoilt(share: float, seed: int = 0) -> np.ndarray:
    """The true blocks with a share of rows that have another block, of more than 1 s before."""
    blocks = true_blocks()
    random = np.random.default_rng(seed)
    wrong = random.random(len(blocks)) < share
    blocks[wrong] = np.roll(blocks, 2 * ROWS_PER_BLOCK)[wrong]
    return blocks


def write_results(
    folder: Path,
    written: np.ndarray,
    neighbour: np.ndarray,
    leaky: bool = False,
    reported: bool = True,
    controls: Sequence[dict[str, Any]] = (),
) -> list[str]:
    """Writes the files of a pipeline; returns the options that name them.

    Args:
        written: the network's blocks, read in windows and in whole recordings.
        neighbour: those of the nearest neighbour.
        reported: whether the controller reports positions.
        controls: as in metrics.json.
    """
    blocks = {
        MODEL: written,
        WHOLE: written,
        NEIGHBOUR: neighbour,
        MAJORITY: np.full(len(written), PROGRAM[0]),
        ELAPSED: true_blocks(),
        STATE_ORACLE: true_blocks(),
    }
    dataset = dataset_document(leaky)
    write_json(folder / "dataset.json", DATASET_FORMAT, dataset)
    write_json(folder / "sweep.json", SWEEP_FORMAT, sweep_document())
    write_best(folder / "best")
    write_evaluation(folder / "evaluation", dataset, blocks, reported, controls)
    options = ["--dataset", "dataset.json", "--sweep", "sweep.json", "--best", "best"]
    options += ["--evaluation", "evaluation", "--explanation", "explanation"]
    return [word if word.startswith("--") else str(folder / word) for word in options]


def write_evaluation(
    folder: Path,
    dataset: dict[str, Any],
    blocks: Blocks,
    reported: bool,
    controls: Sequence[dict[str, Any]],
) -> None:
    """metrics.json as the evaluation would score these blocks, predictions.npz, explanation."""
    test, programs = scored_split(reported), small_programs(dataset)
    description, rows = parse_description(dataset, programs), np.arange(len(test.row))
    answers = {
        name: predictions_of(name, texts, test, programs, reported)
        for name, texts in blocks.items()
    }
    whole = SequencePredictions(RowSequences(rows, test.recording), answers[WHOLE])
    windows = RowSequences(rows, rows // SEQUENCE_ROWS)
    decoding = SplitPredictions(rows, answers, windows, {WHOLE: whole}, {})
    scored = labelled_predictions(decoding, test, description)
    content = {
        "provenance": PROVENANCE, "leaky": dataset["leaky"], "split": dataset["split"],
        "controller_is_input": dataset["controller_is_input"], "recordings": len(RECORDINGS),
        "train_recordings": len(dataset["splits"]["train"]["recordings"]),
        "rows": len(rows), "segments": len(rows) // SEQUENCE_ROWS, "device": "cpu",
        "confidence": 0.95, "resamples": 2000, "controls": list(controls),
        "external": None, "excluded": [],
        "models": {
            name: {key: with_interval(s)._asdict() for key, s in compute_metrics(each).items()}
            for name, each in scored.items()
        },
        "decoder": DECODER,
        "ladder": window_lengths(),
        "doubtful_lags": [],
        "baselines": {"matched filter": {"clip": 1.0}},
        **break_down(scored, description),
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    write_predictions(folder, decoding, test, description)
    write_explanation(folder.with_name("explanation"), dataset, test, answers)


def scored_split(reported: bool) -> Split:
    """The recordings as a test split, with zeros for all that scores do not look at."""
    true = true_blocks()
    recording = np.repeat(np.arange(len(RECORDINGS)), ROWS)
    of_row, row = np.zeros(len(true)), np.arange(len(true))
    lags = np.array([np.nan if lag is None else lag for lag in LAG_SECONDS])
    sensed = row % ROWS - (np.nan_to_num(lags) / STEP_SECONDS).astype(int)[recording]
    sensed = np.clip(sensed, 0, ROWS - 1)
    given = {
        "block": row, "blocks": true, "line": lines_of(true),
        "operation": recording // 2, "program": recording // 2,
        "position_mm": positions_mm(true, reported), "recording": recording, "row": row,
        "mm_per_unit": np.full(len(true), 25.4, np.float32), "recordings": np.array(RECORDINGS),
        "seconds": np.tile(np.arange(ROWS) * STEP_SECONDS, len(RECORDINGS)), "lag_seconds": lags,
        "state": ROWS * (recording // 2) + sensed, "lag_corrected_row": ROWS * recording + sensed,
    }  # fmt: skip
    return Split(**{name: given.get(name, of_row) for name in Split.__dataclass_fields__})


def predictions_of(
    name: str, blocks: np.ndarray, test: Split, programs: Programs, reported: bool
) -> RowPredictions:
    """Those who read sensors predict program, position and state, others do not.

    The state is as far from the true one as the block is from the true block; for a block that is
    not in the program, the program's first state.
    """
    if name == MAJORITY or PREDICTORS[name].kind == PRIVILEGED:
        return RowPredictions(blocks, test.operation)
    line = lines_of(blocks)
    away = np.where(line < 0, -ROWS, line - lines_of(true_blocks()))
    first = programs.first[test.program]
    state = np.clip(test.state + ROWS_PER_BLOCK * away, first, first + ROWS - 1)
    position_mm = positions_mm(blocks, reported)
    return RowPredictions(blocks, test.operation, test.program, position_mm, line, state)


def lines_of(blocks: np.ndarray) -> np.ndarray:
    """The line of each row's block in the program; -1 where it is not in there."""
    lines = {block: line for line, block in enumerate(PROGRAM)}
    return np.array([lines.get(block, -1) for block in blocks.tolist()])


def positions_mm(blocks: np.ndarray, reported: bool) -> np.ndarray:
    """The tool is where each row's block ends, recording by recording."""
    if not reported:
        return np.full((len(blocks), 3), np.nan)
    parts = np.split(blocks, len(RECORDINGS))
    return np.concatenate([endpoints_mm(part, np.full(len(part), 25.4)) for part in parts])


def results_of(options: list[str]) -> Results:
    """The results that these flags name."""
    parser = argparse.ArgumentParser()
    add_results_flags(parser)
    results = results_from_flags(parser.parse_args(options))
    assert isinstance(results, Results)
    return results
