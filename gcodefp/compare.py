"""Sets runs, or the best runs of sweeps, side by side: what they were given and what they reached.

Each run's weights are scored on the val split as `evaluate` scores the winner's on the test split:
by what the controller reports, its clock unknown. Differences to the first run have 95 % intervals
from a bootstrap that draws the same recordings for both, so that what makes a recording hard for
all runs cancels out.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.files import write_json, write_text
from gcodefp.model.data import DEVICES, open_device
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, METRICS, Objective
from gcodefp.provenance import provenance
from gcodefp.reporting.comparison import (
    ComparedRun,
    Scores,
    are_sweeps,
    find_folders,
    read_checkpoints,
    read_compared_sweep,
    read_run,
    score_runs,
    sweep_file_of,
)
from gcodefp.reporting.comparison_tables import (
    COMPARISON_FORMAT,
    Comparison,
    describe_comparison,
    paragraphs,
    scores_csv,
)
from gcodefp.reporting.figures.curves import Curve, draw_compared
from gcodefp.reporting.figures.style import paper_style, save

logger = logging.getLogger("gcodefp.compare")

TEST_NOTE = (
    "TEST SPLIT: whoever chooses a run by these numbers leaks the test split into the choice, and "
    "has nothing left to report. Choose by the val split"
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
        help="folder that keeps the runs of all sweeps: what is no folder as it stands is looked "
        "for there (default: %(default)s)",
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
    if len(folders) < 2:
        raise UserError(f"{arguments.compared[0]}: is alone; name two or more runs or sweeps")
    of_sweeps = are_sweeps(folders)
    objective = _objective(arguments, folders if of_sweeps else [f.parent for f in folders])
    sweeps = [read_compared_sweep(f, objective) for f in folders] if of_sweeps else []
    best = [sweep.runs[0].folder.path for sweep in sweeps]
    runs = [read_run(folder) for folder in best or folders]
    for run in runs:
        if not run.was_decided_by(objective):
            logger.warning("%s: its best epoch is not by %s", run.name, objective.metric)
    if arguments.split == "test":
        _need_choice(runs)
    dataset = arguments.dataset or runs[0].folder.path.parents[2] / "dataset" / "dataset.json"
    scores, notes = _score(arguments, runs, dataset)
    comparison = Comparison(runs, sweeps, objective, arguments.split, scores, notes)
    print("\n\n".join(paragraphs(comparison)))
    if arguments.output:
        _write(comparison, arguments.output, dataset)


def _need_choice(runs: Sequence[ComparedRun]) -> None:
    """The test split of results stays closed until their winner is chosen."""
    for results in dict.fromkeys(run.folder.path.parents[2] for run in runs):
        if not (results / "best" / "run.json").is_file():
            raise UserError(
                f"--split test: {results / 'best' / 'run.json'} is not there, so no run of these "
                "results is chosen yet, and who has seen the test split cannot choose one without "
                "it; compare by --split val, or finish the pipeline first: snakemake --cores all"
            )


def _objective(arguments: argparse.Namespace, sweeps: Sequence[Path]) -> Objective:
    """As the command line says, else the first sweep.json that is there."""
    if arguments.goal and not arguments.metric:
        raise UserError(f"--goal {arguments.goal}: of which metric? add --metric")
    if arguments.metric:
        goal = "minimize" if arguments.metric.endswith("loss") else "maximize"
        return Objective(arguments.metric, arguments.goal or goal)
    files = filter(None, map(sweep_file_of, dict.fromkeys(sweeps)))
    return next((file.specification.objective for file in files), DEFAULT_OBJECTIVE)


def _score(
    arguments: argparse.Namespace, runs: Sequence[ComparedRun], dataset: Path
) -> tuple[Scores, list[str]]:
    """Scores of all runs, and what has to be said wherever they are shown."""
    device = open_device(arguments.device, arguments.threads)
    description = read_description(dataset)
    checkpoints = read_checkpoints(runs, description, dataset, device)
    split = read_split(_npz(dataset, arguments.split), description, arguments.split)
    known = (
        (arguments.split == "test", TEST_NOTE),
        (description.leaky, LEAKY_NOTE),
        (description.document["controller_is_input"], CONTROLLER_NOTE),
    )
    notes = [note for holds, note in known if holds]
    for note in notes:
        logger.warning(note)
    return score_runs(checkpoints, split, device), notes


def _npz(dataset: Path, split: str) -> Path:
    return dataset.with_name(f"{split}.npz")


def _write(comparison: Comparison, folder: Path, dataset: Path) -> None:
    runs = [run.folder.path for run in comparison.runs]
    inputs = [run / name for run in runs for name in ("run.json", "checkpoint.pt")]
    origin = provenance([*inputs, dataset, _npz(dataset, comparison.split)])
    content = {"provenance": origin, **describe_comparison(comparison)}
    write_json(folder / "compare.json", COMPARISON_FORMAT, content)
    write_text(folder / "compare.csv", scores_csv(comparison))
    curves = [Curve(of.name, of.history, of.content["best_epoch"]) for of in comparison.runs]
    # The curves are of the val split, whatever is scored.
    marks = [note for note in comparison.notes if note != TEST_NOTE]
    with paper_style():
        save(draw_compared(curves, comparison.objective.metric, marks), folder, "compare", marks)
    logger.info("compare.json, compare.csv, compare.svg and compare.png in %s", folder)


if __name__ == "__main__":
    sys.exit(main())
