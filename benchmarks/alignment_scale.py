"""CPU time and memory of the alignment with long recordings, high rates and many programs.

python benchmarks/alignment_scale.py                     all cases, a table for docs/performance.md
python benchmarks/alignment_scale.py --cases two_hours   only these

Signals and weights are random: neither time nor memory depends on them, but the results mean
nothing. Each case runs in a process of its own, whose peak is that of the whole process, libraries
included. One thread.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation.baselines.matched_filter import FilterOptions, MatchedFilter
from gcodefp.evaluation.speed import template_match
from gcodefp.model.hmm import (
    Emissions,
    circular_chain,
    posterior_chunks,
    viterbi_path,
    waiting_chain,
)
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network, NetworkSizes
from gcodefp.model.templates import DISCRIMINANTS, THRESHOLDS, Templates, feature_offsets
from gcodefp.model.window_decoding import encode_recording, viterbi_windows

CHANNELS, WINDOW = 72, 64
DEMO_SECONDS = 59.0
"""Mean duration of the simulated programs."""
MIB = 2**20
WHOLE = ("posteriors", "Viterbi path", "template match", "matched filter")
WINDOWS = "Viterbi paths of the val windows"


class Case(NamedTuple):
    """What is aligned.

    Attributes:
        seconds: of the recording, and of each program.
        recordings: of which all windows are aligned; 0: one recording as a whole.
    """

    seconds: float
    rate_hz: float
    programs: int
    recordings: int = 0

    @property
    def rows(self) -> int:
        return round(self.seconds * self.rate_hz)

    @property
    def first(self) -> torch.Tensor:
        """First state of each program, and the number of all states."""
        return torch.arange(self.programs + 1) * self.rows


CASES = {
    "today": Case(DEMO_SECONDS, 4, 6),
    "one_kilohertz": Case(DEMO_SECONDS, 1000, 1),
    "one_kilohertz_at_20_hz": Case(DEMO_SECONDS, 20, 6),
    "two_hours": Case(7200, 4, 1),
    "val_today": Case(DEMO_SECONDS, 4, 6, 12),
    "val_200_programs": Case(DEMO_SECONDS, 4, 200, 400),
}


def network(states: int) -> Network:
    """An untrained network of the default size."""
    torch.manual_seed(0)
    sizes = NetworkSizes(CHANNELS, 4, 6, 2000, 6, 6, states)
    return Network(sizes, Hyperparameters()).eval()


def random_templates(states: int, rate_hz: float) -> Templates:
    offsets = feature_offsets(1 / rate_hz)
    features = len(offsets) * len(THRESHOLDS) * CHANNELS
    projection, mean = (torch.randn(rows, DISCRIMINANTS) for rows in (features, states))
    return Templates(projection, mean, torch.rand(DISCRIMINANTS), offsets)


def whole_recording(case: Case) -> dict[str, Callable[[], object]]:
    """The passes over one recording: part -> what is measured."""
    states, chain = int(case.first[-1]), waiting_chain(case.first)
    signals = torch.randn(case.rows, CHANNELS)
    net, templates = network(states), random_templates(states, case.rate_hz)
    encoded = encode_recording(net, signals, WINDOW)
    projected = templates.project(signals[None])

    def block(first: int, end: int) -> torch.Tensor:
        emissions = 0.1 * net.emission_log_likelihood(encoded[None, first:end])
        return emissions.add_(0.1 * templates.log_prob(projected[:, first:end]))

    emissions = Emissions(case.rows, block)
    pattern = np.random.default_rng(0).normal(size=(states, CHANNELS))
    matched = MatchedFilter(
        case.first.numpy(), pattern, (pattern**2).sum(1), FilterOptions(clip=None)
    )
    measured = (
        lambda: [block.posterior.shape for block in posterior_chunks(emissions, chain)],
        lambda: viterbi_path(emissions, chain),
        lambda: template_match(templates, chain, signals),
        lambda: matched(signals.numpy(), None),
    )
    return dict(zip(WHOLE, measured, strict=True))


def windows(case: Case) -> dict[str, Callable[[], object]]:
    """Viterbi paths of the windows of a val split: part -> what is measured."""
    net, chain = network(int(case.first[-1])), circular_chain(case.first)
    rows = np.arange(case.rows)
    starts = window_starts(np.zeros_like(rows), rows / case.rate_hz, WINDOW, WINDOW // 2, np.inf)
    count = case.recordings * len(starts)

    def val_metric() -> None:
        for first in range(0, count, WINDOW):
            encoded = net.encode(torch.randn(min(WINDOW, count - first), WINDOW, CHANNELS))
            viterbi_windows(net, encoded, chain)

    return {WINDOWS: val_metric}


@torch.no_grad()
def measure(name: str, part: str) -> None:
    """Prints CPU seconds and peak MiB of one part of a case."""
    torch.set_num_threads(1)
    case = CASES[name]
    parts = (windows if case.recordings else whole_recording)(case)
    start = time.process_time()
    parts[part]()
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB
    print(f"| {part} | {case.rows * max(1, case.recordings):,} | {case.rate_hz:g} "
          f"| {int(case.first[-1]):,} | {seconds:.1f} | {peak:,.0f} |", flush=True)  # fmt: skip


def main() -> None:
    """Measures each part in its own process, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--part", help="of one case, in this process")
    arguments = parser.parse_args()
    if arguments.part:
        measure(arguments.cases[0], arguments.part)
        return
    print("| part | rows | rows per second | states | CPU s | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name in arguments.cases:
        for part in (WINDOWS,) if CASES[name].recordings else WHOLE:
            command = [sys.executable, __file__, "--cases", name, "--part", part]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
