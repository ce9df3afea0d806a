"""What the runs use of their machine over time."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.figures.run_style import FINISHED
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import describe_runs

TITLE = "Use of the machine"
PANELS = {
    "cpu_share": ("CPU, cores", 1.0), "memory_mb": ("memory, GB", 1e-3),
    "gpu_share": ("GPU, share", 1.0), "gpu_memory": ("GPU memory, GB", 1e-3),
}  # fmt: skip
"""Column -> label of its panel, and its unit in that of the label."""
UNITS = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


@figure(
    "system",
    title="Use of the machine",
    category="Sweep",
    caption="What the processes of each run used, sampled every few seconds: CPU time as a share "
    "of one core, resident memory, utilisation of their NVIDIA GPUs and memory on them. A device "
    "that no run used has no panel. Time is that at work on the run, without interruptions; runs "
    "that ended within half a second have no line.",
)
def draw_system(results: SweepResults) -> Figure:
    """A line for each run, a panel for each quantity that was measured."""
    table = _with_time(results.system)
    shown = [name for name in PANELS if name in table and table[name].notna().any()]
    if not shown:
        sentence = "system.csv has no sample of these runs: they were too short, or run elsewhere."
        return paper.placeholder(TITLE, sentence, results.warnings)
    longest = float(table["at"].max())
    unit, seconds = next((u for u in UNITS if longest >= 3 * u[1]), UNITS[-1])
    fig = paper.new_figure(paper.PAGE_INCHES, 0.5 + 1.0 * len(shown))
    rows = fig.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    winner = results.winner["run"]
    for axes, name in zip(rows, shown, strict=True):
        label, scale = PANELS[name]
        for run, samples in table.dropna(subset=[name]).groupby("run"):
            axes.plot(samples["at"] / seconds, scale * samples[name], **_line(run == winner))
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid()
    rows[-1].set_xlabel(f"{unit} at work on the run")
    rows[-1].set_xlim(left=0)
    handles = [Line2D([], [], **_line(True), label="winner")]
    handles += [Line2D([], [], **_line(False), label="other runs")]
    paper.add_legend(fig, handles, 2)
    count = table["run"].nunique()
    subtitle = f"{count} runs with samples in system.csv, of {describe_runs(results)}"
    paper.add_head(fig, _title(table), subtitle, results.warnings)
    return fig


def _with_time(system: pd.DataFrame) -> pd.DataFrame:
    """The samples with `at`, the run's seconds at work so far, and its memory on GPUs."""
    if system.empty:
        return system
    at = system.groupby("run")["seconds"].cumsum()
    # Where the driver hides the processes, the trainer's own count; as in the summary.
    memory = system["gpu_memory_mb"].groupby(system["run"]).transform("max")
    gpu_memory = system["gpu_memory_mb"].where(memory.notna(), system["gpu_memory_allocated_mb"])
    return system.assign(at=at, gpu_memory=gpu_memory)


def _line(is_winner: bool) -> dict[str, Any]:
    if is_winner:
        return {"color": paper.MODEL_BLUE, "linewidth": 1.2, "zorder": 3}
    return {"color": FINISHED, "linewidth": 0.6, "alpha": 0.6, "zorder": 2}


def _title(table: pd.DataFrame) -> str:
    memory = f"at most {table['memory_mb'].max() / 1e3:.2g} GB of memory"
    weighted = (table["cpu_share"] * table["seconds"]).sum()
    total = table["seconds"].where(table["cpu_share"].notna()).sum()
    cores = f"{weighted / total:.2g} cores and " if total else ""
    return f"A run used {cores}{memory}"
