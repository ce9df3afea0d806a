"""What the offline log costs: seconds a run, and milliseconds an epoch.

    python benchmarks/bench_wandb.py

Runs with as many metrics as ours, that do nothing else; the first is not counted, since it starts
the SDK's service once for an agent. Prints the median of each figure, with the middle half.
"""

import logging
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from gcodefp.model.hyperparameters import LOGGED_METRICS
from gcodefp.sweeps.run_folder import run_folder
from gcodefp.sweeps.wandb_log import open_offline, wandb_log

RUNS, EPOCHS = 20, 50


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    run_seconds, epoch_seconds = [], []
    weights = np.random.default_rng(0).bytes(5_000_000)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(RUNS + 1):
            run = run_folder(Path(folder) / "abcd1234", number)
            run.path.mkdir(parents=True)
            checkpoint = run.path / "checkpoint.pt"
            checkpoint.write_bytes(weights)
            started = time.perf_counter()
            config = {"seed": 0}
            with wandb_log(partial(open_offline, run, run.path, "bench", config)) as log:
                opened = time.perf_counter()
                for epoch in range(EPOCHS):
                    log.epoch(epoch + 1, dict.fromkeys(LOGGED_METRICS, 0.5))
                ended = time.perf_counter()
                content = {"state": "finished", "best_value": 0.5, "best_epoch": 1}
                log.end(content, checkpoint, run.path)
            run_seconds.append(time.perf_counter() - ended + opened - started)
            epoch_seconds.append((ended - opened) / EPOCHS)
    print(f"{RUNS} runs of {EPOCHS} epochs with {len(LOGGED_METRICS)} metrics and 5 MB of weights")
    _print("a run", run_seconds[1:], "s", 1.0)
    _print("an epoch", epoch_seconds[1:], "ms", 1e3)
    print(f"the first run of an agent: {run_seconds[0]:.2f} s")


def _print(what: str, seconds: list[float], unit: str, factor: float) -> None:
    low, middle, high = factor * np.percentile(seconds, [25, 50, 75])
    print(f"{what}: {middle:.3f} {unit} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main()
