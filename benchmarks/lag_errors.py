"""Errors of estimated lags on simulated GRBL recordings with a 400 Hz accelerometer.

PYTHONPATH=tests/support python benchmarks/lag_errors.py       a table for docs/experiments.md
PYTHONPATH=tests/support python benchmarks/lag_errors.py --programs 1 --recordings 6

The simulated machine (tests/support/laboratory_machine.py) reports its line five times a second;
the accelerometer's clock is off by a lag that is drawn for each recording. `preprocess` reads both
by the shipped layout `grbl`, and estimates the lags: those of each program relative to the median
of its train recordings.
"""

import argparse
import json
import logging
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import laboratory_machine
import numpy as np
from laboratory_samples import write_grbl

from gcodefp import preprocess

CASES = ((2.0, 0.005), (2.0, 0.05), (2.0, 0.1), (5.0, 0.005), (5.0, 0.05))
"""Largest lag in seconds, and noise in g; a cut at the simulated feed vibrates with 0.07 g."""


def simulate(
    folder: Path, programs: int, recordings: int, seed: int, max_lag_seconds: float
) -> dict[str, float]:
    """Writes recordings of each program; name -> lag in seconds."""
    folder.mkdir()
    random, lags = np.random.default_rng(seed), {}
    for index, program in enumerate(laboratory_machine.PROGRAMS[:programs]):
        for number in range(recordings):
            name = f"{program}_{number:03}"
            lags[name] = float(random.uniform(-max_lag_seconds, max_lag_seconds))
            noise_seed = seed * 1000 + index * 100 + number
            run = laboratory_machine.Run(program, noise_seed, lags[name], numbered=True)
            write_grbl(folder, name, run)
    return lags


def errors(folder: Path, lags: Mapping[str, float], seed: int) -> dict[str, list[float]]:
    """Estimated less known lag of the recordings of each program, in seconds."""
    output = folder.parent / "dataset"
    flags = f"--layout grbl --groups imu --min-coverage 0.5 --center --zscore --seed {seed} \
        --window 64 --stride 8 --max-gap-seconds 1 --split recording --val-fraction 0.15 \
        --test-fraction 0.15".split()
    if preprocess.main(["--recordings", str(folder), "--output", str(output), *flags]):
        raise SystemExit("preprocess failed")
    document = json.loads((output / "dataset.json").read_text())
    train = set(document["splits"]["train"]["recordings"])
    entries, differences = document["recordings"], dict[str, list[float]]()
    for program in {entry["program"] for entry in entries.values()}:
        names = [name for name, entry in entries.items() if entry["program"] == program]
        median = float(np.median([lags[name] for name in names if name in train]))
        differences[program] = [
            entries[name]["lag_seconds"] - (lags[name] - median) for name in names
        ]
    return differences


def main() -> None:
    """Prints a line for each case and program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=3)
    parser.add_argument("--recordings", type=int, default=12, help="of each program")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    print("| lags within | noise | program | recordings | median | 95 % | largest | over 1 s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for max_lag, noise in CASES:
        laboratory_machine.NOISE_G, values = noise, defaultdict[str, list[float]](list)
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                files = Path(folder) / "files"
                sizes = arguments.programs, arguments.recordings
                lags = simulate(files, *sizes, seed, max_lag)
                for program, differences in errors(files, lags, seed).items():
                    values[program] += differences
        for program in sorted(values):
            size = np.abs(values[program])
            print(f"| {max_lag:g} s | {noise:g} g | {program} | {len(size)} | "
                  f"{np.median(size):.3f} s | {np.quantile(size, 0.95):.3f} s | "
                  f"{size.max():.3f} s | {(size > 1).sum()} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
