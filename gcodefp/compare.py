"""Compares runs, or the best runs of sweeps: hyperparameters, val metrics, curves and scores.

Each run's weights are scored on the val split as `evaluate` scores the winner's on the test split:
against the controller's reports, its lag unknown. Differences to the first run have 95 % intervals
from a bootstrap that draws the same recordings for both, so that what makes a recording hard for
all runs cancels out. The last sentence says whether the other runs are better than the first.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.files import write_json, write_text
from gcodefp.model.data import DEVICES, select_device
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, METRICS, Objective
from gcodefp.provenance import provenance
from gcodefp.reporting.comparison import (
    COMPARISON_FORMAT,
    EXCLUDES_ZERO,
    ComparedRun,
    Comparison,
    conclusions,
    describe_comparison,
    find_folders,
    is_sweep,
    read_checkpoints,
    read_compared_sweep,
    read_run,
    score_runs,
    scores_csv,
    sweep_file_of,
    tables,
)
from gcodefp.reporting.figures.curves import Curve, draw_compared
from gcodefp.reporting.figures.style import paper_style, save

logger = logging.getLogger("gcodefp.compare")

WIDEST = 10_000
TEST_NOTE = (
    "TEST SPLIT: choosing a run by these numbers leaks the test split into the choice, and leaves "
    "no unseen recordings to report on. Choose by the val split"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("compare", __doc__)
    add = parser.add_argument
    add("compared", nargs="+", metavar="RUN", help="folder of a run or of a sweep; two or more")
    add(
        "--runs",
        type=Path,
        default=Path("results/runs"),
        help="folder that keeps the runs of all sweeps, where SWEEP and SWEEP/NUMBER are looked up "
        "(default: %(default)s)",
    )
    add(
        "--dataset",
        type=Path,
        help="dataset.json, its NPZ files beside it (default: that of the results that the first "
        "run lies in)",
    )
    add(
        "--split",
        choices=("val", "test"),
        default="val",
        help="what is scored; test leaks, and is refused until the best run is chosen",
    )
    add(
        "--metric",
        choices=METRICS,
        metavar="METRIC",
        help="what the best epoch was chosen by (default: as sweep.json says)",
    )
    add("--goal", choices=("maximize", "minimize"), help="of --metric")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, help="folder for compare.json, compare.csv and the curves")
    return run_step(parser, _compare, argv)


def _compare(arguments: argparse.Namespace) -> None:
    folders = find_folders(arguments.compared, arguments.runs)
    named = [folder for folder in folders if is_sweep(folder)]
    objective = _objective(arguments, [f if f in named else f.parent for f in folders])
    sweeps = {folder: read_compared_sweep(folder, objective) for folder in named}
    best = {folder: sweep.runs[0].folder.path for folder, sweep in sweeps.items()}
    runs = [read_run(best.get(folder, folder)) for folder in folders]
    for run in runs:
        if not run.was_decided_by(objective):
            logger.warning("%s: its best epoch is not by %s", run.name, objective.metric)
    if arguments.split == "test":
        _check_winner_is_chosen(runs)
    dataset = arguments.dataset or runs[0].folder.path.parents[2] / "dataset" / "dataset.json"
    comparison = _score(
        arguments, Comparison(runs, [*sweeps.values()], objective, arguments.split, {}, []), dataset
    )
    _print(comparison)
    if arguments.output:
        _write(comparison, arguments.output, dataset)


def _check_winner_is_chosen(runs: Sequence[ComparedRun]) -> None:
    """The test split of results stays closed until their winner is chosen."""
    for results in dict.fromkeys(run.folder.path.parents[2] for run in runs):
        if not (results / "best" / "run.json").is_file():
            raise UserError(
                f"--split test: {results / 'best' / 'run.json'} is not there, so no run of these "
                "results is chosen yet, and a choice after the test split was seen is leaky; "
                "compare by --split val, or finish the pipeline first: snakemake --cores all"
            )


def _objective(arguments: argparse.Namespace, sweeps: Sequence[Path]) -> Objective:
    """As the command line says, else the first sweep.json that is there."""
    if arguments.goal and not arguments.metric:
        raise UserError(f"--goal {arguments.goal}: --metric is missing")
    if arguments.metric:
        goal = "minimize" if arguments.metric.endswith("loss") else "maximize"
        return Objective(arguments.metric, arguments.goal or goal)
    files = filter(None, map(sweep_file_of, dict.fromkeys(sweeps)))
    return next((file.specification.objective for file in files), DEFAULT_OBJECTIVE)


def _score(arguments: argparse.Namespace, comparison: Comparison, dataset: Path) -> Comparison:
    """Adds the scores of all runs, and the notes on them."""
    device = select_device(arguments.device, arguments.threads)
    description = read_description(dataset)
    checkpoints = read_checkpoints(comparison.runs, description, dataset, device)
    split = read_split(_npz(dataset, arguments.split), description, arguments.split)
    conditions = (
        (arguments.split == "test", TEST_NOTE),
        (description.leaky, LEAKY_NOTE),
        (description.document["controller_is_input"], CONTROLLER_NOTE),
    )
    notes = [note for holds, note in conditions if holds]
    for note in notes:
        logger.warning(note)
    return comparison._replace(scores=score_runs(checkpoints, split, device), notes=notes)


def _print(comparison: Comparison) -> None:
    """Tables as wide as they need; the notes and the answer last, where a terminal shows them."""
    console = Console(markup=False, emoji=False, highlight=False, width=WIDEST)
    for table in tables(comparison):
        console.print(table, "")
    scored = next(iter(comparison.scores.values()))["gcode"][0].estimate
    print(
        f"Scored on the {comparison.split} split, lag unknown: {scored.recordings} recordings, "
        f"{scored.n} rows.\nIn brackets 95 % intervals over recordings; differences are to the "
        f"first run, paired ({EXCLUDES_ZERO}: without 0)."
    )
    if comparison.split == "val":
        print(
            f"The val/... above are with the lag provided. {comparison.objective.metric} chose the "
            "best epochs, so it is optimistic,\nand so are, a little, the scores."
        )
    print(*comparison.notes, *conclusions(comparison), sep="\n")


def _npz(dataset: Path, split: str) -> Path:
    return dataset.with_name(f"{split}.npz")


def _write(comparison: Comparison, folder: Path, dataset: Path) -> None:
    runs = [run.folder.path for run in comparison.runs]
    inputs = [run / name for run in runs for name in ("run.json", "checkpoint.pt")]
    origin = provenance([*inputs, dataset, _npz(dataset, comparison.split)])
    content = {"provenance": origin, **describe_comparison(comparison)}
    write_json(folder / "compare.json", COMPARISON_FORMAT, content)
    write_text(folder / "compare.csv", scores_csv(comparison))
    curves = [Curve(r.name, r.history, r.content["best_epoch"]) for r in comparison.runs]
    # The curves are of the val split, whatever is scored.
    marks = [note for note in comparison.notes if note != TEST_NOTE]
    with paper_style():
        save(draw_compared(curves, comparison.objective.metric, marks), folder, "compare", marks)
    logger.info("compare.json, compare.csv, compare.svg and compare.png in %s", folder)


if __name__ == "__main__":
    sys.exit(main())
