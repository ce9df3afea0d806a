"""What the small files of a whole pipeline say, without its evaluation."""

from pathlib import Path
from typing import Any

from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.evaluation.names import FILTER, MODEL, NETWORK_AND_TEMPLATES
from gcodefp.files import write_json
from gcodefp.sweeps.sweep_file import BEST_FORMAT

PROGRAM = ("G0 X0 Y0", "G1 X1", "Y1", "G2 X2 Y0 R1", "G1 X0", "G53 G0 Z0")
ROWS_PER_BLOCK = 3
RECORDINGS = ("face<b>_001", "face<b>_002", "pocket_001", "pocket_002")
TRAIN_WORDS = {"G0": 72, "G1": 1500, "G2": 36, "G53": 9, "R1": 9, "X0": 200, "X1": 90, "X2": 36,
               "Y0": 72, "Y1": 9, "Z0": 9}  # fmt: skip
LAG_SECONDS = (0.0, 2.25, -0.75, None)
STEP_SECONDS = 0.25
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
        "channels": [
            {"name": name, "unit": unit, "mean": 0.5, "std": 2.0}
            for name, unit in (("a.Ax", "g"), ("a.Mx", "uT"), ("b.RMS", "level"), ("spindle", "A"))
        ],
        "centered": True,
        "vocabulary": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(vocabulary).items()
        },
        "words": {"train": TRAIN_WORDS},
        "position_mm": {"mean": [0.0] * 3, "std": [1.0] * 3},
        "programs": {"names": ["face", "pocket"], "places": 36, "step_seconds": STEP_SECONDS,
                     "sha256": "ef" * 32},
        "left_out": [{"recording": "bad_001", "reason": "the clock runs <backwards>"}],
        "recordings": {
            name: {"operation": name.split("_")[0], "program": name.split("<")[0].split("_")[0],
                   "lag_seconds": lag, "rows": rows, "longest_gap_seconds": 0.5,
                   "rows_in_file": rows + 1, "duplicate_rows": 1}
            for name, lag in zip(RECORDINGS, LAG_SECONDS, strict=True)
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


def window_lengths() -> list[dict[str, Any]]:
    """The key `ladder` of metrics.json: the network is right more often than the filter."""
    shares = ((16, 0.55, 0.4), (32, 0.7, 0.5), (64, 0.8, 0.65), (None, 0.95, 0.9))
    return [
        {
            "rows": rows,
            "seconds": None if rows is None else STEP_SECONDS * rows,
            "models": {
                name: {
                    "within_1s": _share(share),
                    "within_1s_certain": _share(share + 0.02),
                    "program": _share(share + 0.04),
                }
                for name, share in ((MODEL, model), (FILTER, matched))
            },
        }
        for rows, model, matched in shares
    ]


def _share(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": min(1.0, value + 0.1), "n": 72,
            "recordings": 4}  # fmt: skip


def write_best(folder: Path) -> None:
    """Four runs: the best run, a finished, a stopped and a failed one."""
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
    # Two agents; the first is killed in epoch 2 of run 0000, which the second takes over.
    moments = [
        ("0000", 0, 1, 0), ("0000", 3, 1, 1), ("0001", 0, 2, 0), ("0001", 3, 2, 1),
        ("0001", 6, 2, 2), ("0001", 9, 2, 3), ("0000", 10, 2, 1), ("0000", 13, 2, 2),
        ("0000", 16, 2, 3), ("0002", 17, 2, 0), ("0002", 20, 2, 1), ("0003", 21, 2, 0),
    ]  # fmt: skip
    work = [f"{run},{1.8e9 + at:.3f},here,{pid},{epoch}" for run, at, pid, epoch in moments]
    (folder / "work.csv").write_text("\n".join(["run,utc_seconds,host,pid,epoch", *work]) + "\n")
    samples = [
        f"{run},{1.8e9 + at:.3f},{seconds},{0.9 + 0.1 * int(run)},{100 + 7 * at},,,"
        for run, at, seconds in (("0000", 1, 0.5), ("0000", 3, 2), ("0001", 1, 0.5), ("0001", 9, 8))
    ]
    header = "run,utc_seconds,seconds,cpu_share,memory_mb,gpu_share,gpu_memory_mb"
    lines = [f"{header},gpu_memory_allocated_mb", *samples]
    (folder / "system.csv").write_text("\n".join(lines) + "\n")
    content = {
        "provenance": PROVENANCE, "run": "0001", "state": "finished", "best_value": 0.61,
        "hyperparameters": {"learning_rate": 0.002, "optimizer": "adamw", "seed": 3},
        "best_epoch": 3, "epochs": 3, "seconds": 9.5, "parameters": 1000, "device": "cpu",
        "sweeps": ["abcd1234"], "seeds": [], "runs": 4, "scored_again": 0.61,
        "metric": "val/gcode_acc", "goal": "maximize",
    }  # fmt: skip
    write_json(folder / "run.json", BEST_FORMAT, content)


DECODER = {
    "emissions": NETWORK_AND_TEMPLATES, "network_weight": 0.03, "template_weight": 0.1,
    "val_log_score": -0.3, "val_within_1s": 0.9, "temperature": 1.25,
}  # fmt: skip
"""The key `decoder` of metrics.json."""
