"""The small files of a whole pipeline, as its steps would write them."""

from pathlib import Path
from typing import Any

import numpy as np

from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import description_of
from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.evaluation.axis_errors import axis_errors
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.files import (
    BLOCKS,
    EVALUATION_FORMAT,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
)
from gcodefp.files import write_json
from gcodefp.findings.results import Results, read_results
from gcodefp.learning.scores import row_scores
from gcodefp.sweep.best_file import BEST_FORMAT
from gcodefp.sweep.sweep_file import FORMAT as SWEEP_FORMAT

PROGRAM = ("G0 X0 Y0", "G1 X1", "Y1", "G2 X2 Y0 R1", "G1 X0", "G53 G0 Z0")
ROWS_PER_BLOCK = 3
RECORDINGS = ("face<b>_001", "face<b>_002", "pocket_001", "pocket_002")
PROVENANCE = {
    "utc": "2026-01-01T00:00:00+00:00",
    "argv": ["step.py", "--name", "a b"],
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "python": "3.11.0",
    "packages": {"numpy": "2.0", "wandb": None},
    "host": "here",
    "machine": "x86_64",
    "inputs": {"data/<i>.csv": "ab" * 32},
}
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
    folder: Path, written: np.ndarray, neighbour: np.ndarray, leaky: bool = False
) -> list[str]:
    """Writes the files of a pipeline; returns the options that name them."""
    blocks = {MODEL: written, NEIGHBOUR: neighbour, MAJORITY: np.full(len(written), PROGRAM[0])}
    dataset = dataset_document(leaky)
    write_json(folder / "dataset.json", DATASET_FORMAT, dataset)
    write_json(folder / "sweep.json", SWEEP_FORMAT, sweep_document())
    write_best(folder / "best")
    write_evaluation(folder / "evaluation", dataset, blocks)
    options = ["--dataset", "dataset.json", "--sweep", "sweep.json", "--best", "best"]
    options += ["--evaluation", "evaluation"]
    return [word if word.startswith("--") else str(folder / word) for word in options]


def dataset_document(leaky: bool) -> dict[str, Any]:
    """dataset.json of four recordings."""
    vocabulary = build_vocabulary(PROGRAM, ["face<b>", "pocket"])
    rows = ROWS_PER_BLOCK * len(PROGRAM)
    return {
        "provenance": PROVENANCE,
        "leaky": leaky,
        "window": {"rows": 4, "train_stride_rows": 2, "max_gap_seconds": 5.0},
        "split": {"by": "window" if leaky else "recording", "held_out": [], "val_fraction": 0.2,
                  "test_fraction": 0.2, "seed": 0},
        "groups": ["imu"],
        "controller_is_input": leaky,
        "splits": {
            name: {"recordings": list(RECORDINGS), "rows": 72, "windows": 10, "sha256": "cd" * 32}
            for name in ("train", "val", "test")
        },
        "channels": [{"name": "a.Ax", "unit": "g", "mean": 0.0, "std": 1.0}],
        "centered": True,
        "vocabulary": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(vocabulary).items()
        },
        "left_out": [{"recording": "bad_001", "reason": "the clock runs <backwards>"}],
        "recordings": {
            name: {"operation": name.split("_")[0], "rows": rows, "longest_gap_seconds": 0.5,
                   "rows_in_file": rows + 1, "duplicate_rows": 1}
            for name in RECORDINGS
        },
        "counts": {"rows_in_file": 76, "duplicate_rows": 4},
    }  # fmt: skip


def sweep_document() -> dict[str, Any]:
    """sweep.json of a search over three hyperparameters."""
    return {
        "provenance": PROVENANCE,
        "id": "abcd1234", "engine": "local", "method": "random", "metric": "val/gcode_acc",
        "goal": "maximize", "seed": 7, "runs": 4, "training_code": "c0de",
        "parameters": {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
            "optimizer": {"distribution": "categorical", "values": ["adamw", "sgd"]},
            "max_epochs": {"distribution": "constant", "values": [3]},
        },
    }  # fmt: skip


def write_best(folder: Path) -> None:
    """Four runs: the winner, a finished, a stopped and a failed one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.csv").write_text(
        "run,state,failure,reason,best_value,best_epoch,epochs,seconds,parameters,device,host,"
        "learning_rate,max_epochs,optimizer\n"
        "0001,finished,,all epochs done,0.61,3,3,9.5,1000,cpu,here,0.002,3,adamw\n"
        "0000,finished,,all epochs done,0.40,2,3,9.0,1000,cpu,here,0.0005,3,sgd\n"
        "0002,stopped,,early termination,0.20,1,1,3.0,1000,cpu,here,0.005,3,adamw\n"
        "0003,failed,diverged,<script>loss is nan</script>,,,,,,,here,0.01,3,sgd\n"
    )
    lines = ["run,epoch,train/loss,val/loss,val/gcode_acc"]
    epochs = {"0000": 3, "0001": 3, "0002": 1}
    lines += [
        f"{run},{epoch},{4 / epoch},{5 / epoch},{0.2 * epoch + 0.01 * int(run)}"
        for run, count in epochs.items()
        for epoch in range(1, count + 1)
    ]
    (folder / "curves.csv").write_text("\n".join(lines) + "\n")
    content = {
        "provenance": PROVENANCE, "run": "0001", "state": "finished", "best_value": 0.61,
        "hyperparameters": {"learning_rate": 0.002, "optimizer": "adamw", "seed": 3},
        "best_epoch": 3, "epochs": 3, "seconds": 9.5, "parameters": 1000, "device": "cpu",
        "sweeps": ["abcd1234"], "seeds": [], "runs": 4, "scored_again": 0.61,
        "metric": "val/gcode_acc", "goal": "maximize",
    }  # fmt: skip
    write_json(folder / "run.json", BEST_FORMAT, content)


def write_evaluation(folder: Path, dataset: dict[str, Any], blocks: Blocks) -> None:
    """metrics.json as the evaluation would score these blocks, and predictions.npz."""
    true = true_blocks()
    recording = np.repeat(np.arange(len(RECORDINGS)), len(true) // len(RECORDINGS))
    operation = recording // 2
    vocabulary = description_of(dataset).vocabulary

    def codes(texts: np.ndarray) -> np.ndarray:
        return vocabulary.encode(texts.tolist(), vocabulary.steps + 1)

    models: dict[str, Any] = {}
    for name, written in blocks.items():
        scores = row_scores(codes(written), codes(true), operation, operation)
        of = {k: estimate(s.hits, s.chances, recording)._asdict() for k, s in scores.items()}
        for axis, e in axis_errors(written, true, np.full(len(true), 25.4)).items():
            of[f"{axis.lower()}_error_mm"] = estimate(e.error_mm, e.counted, recording)._asdict()
        models[name] = of
    content = {
        "provenance": PROVENANCE, "leaky": dataset["leaky"], "split": dataset["split"],
        "controller_is_input": dataset["controller_is_input"], "recordings": len(RECORDINGS),
        "rows": len(true), "confidence": 0.95, "resamples": 2000, "models": models,
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    np.savez(
        folder / "predictions.npz",
        recordings=np.array(RECORDINGS), recording=recording, row=np.arange(len(true)),
        seconds=np.tile(np.arange(len(true) // len(RECORDINGS)) * 0.25, len(RECORDINGS)),
        mm_per_unit=np.full(len(true), 25.4, np.float32),
        operations=np.array(vocabulary.operations), true_operation=operation,
        written_operation=operation, true_block=true,
        **{BLOCKS[name]: texts for name, texts in blocks.items()},
    )  # fmt: skip


def results_of(options: list[str]) -> Results:
    return read_results(*(Path(path) for path in options[1::2]))
