"""The small files of a whole pipeline, as its steps would write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from explanation_files import small_programs, write_explanation
from result_documents import (
    LAG_SECONDS,
    PROGRAM,
    PROVENANCE,
    RECORDINGS,
    ROWS_PER_BLOCK,
    STEP_SECONDS,
    dataset_document,
    ladder_document,
    sweep_document,
    write_best,
)

from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import Split, parse_description, parse_vocabulary
from gcodefp.evaluation.bootstrap import Statistic, ratio, with_interval
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.metrics import METRICS, RowPredictions, ScoredPredictions, compute_metrics
from gcodefp.evaluation.names import (
    ELAPSED,
    EVALUATION_FORMAT,
    LAG_ORACLE,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    SENSORS,
    UPPER_BOUND,
    WHOLE,
)
from gcodefp.evaluation.toolpaths import endpoints_mm
from gcodefp.files import write_json
from gcodefp.reporting.results import Results, read_results
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT

Blocks = dict[str, np.ndarray]


def true_blocks() -> np.ndarray:
    """The program, ROWS_PER_BLOCK rows a block, once for each recording."""
    return np.tile(np.repeat(np.array(PROGRAM), ROWS_PER_BLOCK), len(RECORDINGS))


def spoilt(share: float, seed: int = 0) -> np.ndarray:
    """The true blocks with a share of rows that have another block of the program."""
    blocks = true_blocks()
    random = np.random.default_rng(seed)
    wrong = random.random(len(blocks)) < share
    blocks[wrong] = np.roll(blocks, ROWS_PER_BLOCK)[wrong]
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
        UPPER_BOUND: true_blocks(),
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
    test = scored_split(reported)
    vocabulary = parse_vocabulary(dataset)
    rows = np.arange(len(test.row))
    answers = {name: predictions_of(name, texts, test, reported) for name, texts in blocks.items()}
    row_metrics = [name for name, metric in METRICS.items() if not metric.of_segments]
    models = {
        name: compute_metrics(
            ScoredPredictions(each, test, rows, vocabulary, small_programs(dataset)), row_metrics
        )
        | segment_scores(each, test)
        for name, each in answers.items()
    }
    content = {
        "provenance": PROVENANCE, "leaky": dataset["leaky"], "split": dataset["split"],
        "controller_is_input": dataset["controller_is_input"], "recordings": len(RECORDINGS),
        "rows": len(rows), "segments": len(rows) // 6, "confidence": 0.95, "device": "cpu",
        "resamples": 2000, "controls": list(controls), "external": None, "excluded": [],
        "models": {
            name: {metric: with_interval(each)._asdict() for metric, each in metrics.items()}
            for name, metrics in models.items()
        },
        "ladder": ladder_document(),
        "baselines": {"matched filter": {"clip": 1.0}},
        **break_down(answers, test, rows, parse_description(dataset, small_programs(dataset))),
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    arrays = {}
    for name, of in answers.items():
        array = PREDICTORS[name].array
        said = {"block": of.blocks, "operation": of.operation, "program": of.program,
                "position_mm": of.position_mm}  # fmt: skip
        arrays |= {f"{array}_{key}": value for key, value in said.items() if value is not None}
    np.savez(
        folder / "predictions.npz",
        recordings=test.recordings, recording=test.recording, row=test.row, seconds=test.seconds,
        position_mm=test.position_mm, mm_per_unit=test.mm_per_unit, lag_seconds=test.lag_seconds,
        operations=np.array(vocabulary.operations), programs=np.array(["face", "pocket"]),
        true_operation=test.operation, true_program=test.program, true_block=true_blocks(),
        **arrays, **decode_sequences(test, blocks[WHOLE]),
    )  # fmt: skip
    write_explanation(folder.with_name("explanation"), dataset, test, answers)


def decode_sequences(test: Split, read: np.ndarray) -> dict[str, np.ndarray]:
    """The lines of each recording in order, none filled in."""
    new = np.ones(len(read), bool)
    new[1:] = test.recording[1:] != test.recording[:-1]
    true = true_blocks()
    executed, reconstructed = (
        np.flatnonzero(new | np.concatenate([[True], of[1:] != of[:-1]])) for of in (true, read)
    )
    return {
        "executed_recording": test.recording[executed],
        "executed_block": true[executed],
        "executed_seconds": test.seconds[executed],
        "reconstructed_recording": test.recording[reconstructed],
        "reconstructed_block": read[reconstructed],
    }


def scored_split(reported: bool) -> Split:
    """The recordings as a test split, with zeros for all that scores do not look at."""
    true = true_blocks()
    count = len(true) // len(RECORDINGS)
    recording = np.repeat(np.arange(len(RECORDINGS)), count)
    of_row, row = np.zeros(len(true)), np.arange(len(true))
    lags = np.array([np.nan if lag is None else lag for lag in LAG_SECONDS])
    known = {
        "block": row, "blocks": true, "operation": recording // 2, "program": recording // 2,
        "position_mm": positions_mm(true, reported), "recording": recording, "row": row,
        "mm_per_unit": np.full(len(true), 25.4, np.float32), "recordings": np.array(RECORDINGS),
        "seconds": np.tile(np.arange(count) * STEP_SECONDS, len(RECORDINGS)), "lag_seconds": lags,
    }  # fmt: skip
    return Split(**{name: known.get(name, of_row) for name in Split.__dataclass_fields__})


def segment_scores(answers: RowPredictions, test: Split) -> dict[str, Statistic]:
    """Numbers in place of those of segments; how these are computed is tested elsewhere."""
    wrong = answers.blocks != true_blocks()
    ones = np.ones(len(wrong))
    return {
        "gcode_error_rate": ratio(wrong, ones, test.recording),
        "segment_f1": ratio(~wrong, ones, test.recording),
    }


def predictions_of(name: str, blocks: np.ndarray, test: Split, reported: bool) -> RowPredictions:
    """Those who read sensors name a program and a position, others do not."""
    if PREDICTORS[name].kind not in (SENSORS, LAG_ORACLE):
        return RowPredictions(blocks, test.operation)
    return RowPredictions(blocks, test.operation, test.program, positions_mm(blocks, reported))


def positions_mm(blocks: np.ndarray, reported: bool) -> np.ndarray:
    """The tool is where each row's block ends, recording by recording."""
    if not reported:
        return np.full((len(blocks), 3), np.nan)
    parts = np.split(blocks, len(RECORDINGS))
    return np.concatenate([endpoints_mm(part, np.full(len(part), 25.4)) for part in parts])


def results_of(options: list[str]) -> Results:
    return read_results(*(Path(path) for path in options[1::2]))
