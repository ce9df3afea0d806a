"""Training speed beside a plain DataLoader loop; `make bench-train` runs it.

All loops train in turns, so that whatever else the machine does falls on each of them.
"""

import argparse
import logging
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import yaml
from bench_loops import Loop, Training

from gcodefp.model.data import select_device
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.trainer import TrainingData, load_training_data
from gcodefp.preprocess import main as preprocess
from gcodefp.simulate import main as simulate

ROOT = Path(__file__).parents[1]
PLAIN = (
    Loop(workers=0, bfloat16=False, fused=False),
    Loop(workers=2, bfloat16=False, fused=False),
)
OURS = Loop()
ON_A_GPU = (
    Loop(fused=False),
    Loop(bfloat16=False),
    Loop(bfloat16=False, fused=False),
    Loop(workers=2),
)

PAGE = """\
# How fast training is

`make bench-train` compares the trainer with a plain PyTorch loop: a Dataset that cuts, augments and
converts one window at a time, a DataLoader that stacks them, torch's default optimizer step, and
`loss.item()` after every step. Network, loss, augmentation, batch size, optimizer and validation
are the same. The loops take turns, {repeats} times each, after one epoch that is not counted.

- **windows/s**: of an epoch's training steps; median (least to most).
- **epochs/s**: of an epoch's steps and validation; median.
- **to X**: seconds of X's steps divided by this loop's in the same turn; above 1, this one is
  faster. Median (least to most).

{windows} train and {val} val windows of {rows} rows and {channels} channels, {states} HMM states;
batch {batch_size}, d_model {d_model}, {num_layers} layers, {rows_per_window} rows a window.
{machine}.

"""


def make_dataset(folder: Path, recordings: int) -> Path:
    """Simulated recordings and their dataset, by the pipeline's steps and as config.yaml says."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    simulation, channels = config["simulation"], config["channels"]
    window, split = config["window"], config["split"]
    output = ["--output", str(folder / "recordings"), "--seed", str(simulation["seed"])]
    programs = ["--programs", *simulation["programs"]]
    failed = simulate([*output, *programs, "--recordings-per-program", str(recordings)])
    flags = {
        "recordings": [folder / "recordings"],
        "output": [folder / "dataset"],
        "groups": channels["groups"],
        "min-coverage": [channels["min_coverage"]],
        "window": [window["rows"]],
        "stride": [window["stride_rows"]],
        "max-gap-seconds": [window["max_gap_seconds"]],
        "split": ["recording"],
        "val-fraction": [split["val_fraction"]],
        "test-fraction": [split["test_fraction"]],
        "seed": [split["seed"]],
    }
    given = [str(word) for name, values in flags.items() for word in (f"--{name}", *values)]
    failed = failed or preprocess([*given, *["--center"] * channels["center"]])
    if failed:
        raise SystemExit(failed)
    return folder / "dataset"


def measure(
    loops: Sequence[Loop], hyperparameters: Hyperparameters, data: TrainingData, repeats: int
) -> dict[Loop, list[tuple[float, float]]]:
    """Seconds of steps and of validation, turn by turn."""
    trainings = [Training(loop, hyperparameters, data) for loop in loops]
    taken: dict[Loop, list[tuple[float, float]]] = {loop: [] for loop in loops}
    for turn in range(repeats + 1):
        # There and back, so that none always comes after the same one.
        for training in trainings if turn % 2 else reversed(trainings):
            seconds = training.seconds(turn + 1)
            if turn:
                taken[training.loop].append(seconds)
        print(f"turn {turn} of {repeats} is over", file=sys.stderr, flush=True)
    return taken


def spread(values: Sequence[float], digits: int) -> str:
    """Median, least and most."""
    numbers = (statistics.median(values), min(values), max(values))
    return "{} ({} to {})".format(*(f"{value:.{digits}f}" for value in numbers))


def table(
    taken: dict[Loop, list[tuple[float, float]]], device: torch.device, windows: int
) -> Iterator[str]:
    """A row for each loop."""
    for loop, seconds in taken.items():
        cells = [loop.name(device), spread([windows / steps for steps, _ in seconds], 1)]
        cells.append(f"{statistics.median(1 / sum(both) for both in seconds):.4f}")
        for plain in PLAIN:
            turns = zip(taken[plain], seconds, strict=True)
            cells.append("1" if loop == plain else spread([a[0] / b[0] for a, b in turns], 2))
        yield f"| {device.type} | " + " | ".join(cells) + " |"


def machine(threads: int) -> str:
    """What the timings depend on."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{platform.machine()}, {threads} CPU threads{gpu}, torch {torch.__version__}"


def benchmark(arguments: argparse.Namespace, dataset: Path) -> Iterator[str]:
    """The page, line by line."""
    given = {"max_epochs": arguments.repeats + 1, **arguments.set}
    hyperparameters = parse_hyperparameters(given, "--set")
    files = (dataset / "dataset.json", dataset / "train.npz", dataset / "val.npz")
    for number, name in enumerate(arguments.devices):
        device = select_device(name, arguments.threads)
        data = load_training_data(*files, device)
        if number == 0:
            yield PAGE.format(
                repeats=arguments.repeats,
                windows=len(data.train.starts),
                val=len(data.val.starts),
                rows=data.train.window,
                channels=data.train.signals.shape[1],
                states=int(data.train.first_state[-1]),
                machine=machine(arguments.threads),
                **vars(hyperparameters),
            ).rstrip("\n")
            heads = [f"to {plain.name(torch.device('cpu'))}" for plain in PLAIN]
            yield "\n| device | loop | windows/s | epochs/s | " + " | ".join(heads) + " |"
            yield "|" + " --- |" * (4 + len(PLAIN))
        loops = [OURS, *PLAIN, *(ON_A_GPU if device.type == "cuda" else ())]
        loops += [Loop(compiled=True)] * arguments.compile
        taken = measure(loops, hyperparameters, data, arguments.repeats)
        yield from table(taken, device, len(data.train.starts))


def main() -> None:
    """Measures, prints and, if asked to, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--dataset", type=Path, help="folder with dataset.json; default: a simulated one is made")
    add("--recordings", type=int, default=8, help="simulated, per program; default: %(default)s")
    add("--repeats", type=int, default=5, help="turns of each loop; default: %(default)s")
    gpu = ["cuda"] if torch.cuda.is_available() else []
    add("--devices", nargs="+", choices=("cpu", "cuda"), default=["cpu", *gpu])
    add("--threads", type=int, default=1, help="CPU threads; default: %(default)s")
    add("--compile", action="store_true", help="also with torch.compile")
    add("--set", type=yaml.safe_load, default={}, help="hyperparameters: '{batch_size: 64}'")
    add("--output", type=Path, help="Markdown file for the page")
    arguments = parser.parse_args()
    logging.getLogger("gcodefp").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments.dataset or make_dataset(Path(folder), arguments.recordings)
        lines = []
        for line in benchmark(arguments, dataset):
            print(line, flush=True)
            lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
