"""Compares runs, or the best runs of sweeps: hyperparameters, val metrics, curves and scores.

Each run's weights are scored on the val split as `evaluate` scores the winner's on the test split:
against the controller's log, the lag unknown. Differences to the first run have 95 % intervals from
a paired bootstrap over recordings, so that the difficulty of a recording cancels out. The last
lines state whether the other runs are better than the first.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gcodefp.command_line import DEVICES, RUNS, positive, run_step, step_parser
from gcodefp.errors import UserError, did_you_mean
from gcodefp.evaluation.metrics import METRICS, SHARE
from gcodefp.evaluation.names import PREDICTORS, PRIMARY, SENSORS
from gcodefp.evaluation.verdicts import significant_sign
from gcodefp.files import write_json, write_text
from gcodefp.model.data import select_device
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, LOGGED_METRICS, Objective
from gcodefp.provenance import provenance
from gcodefp.reporting.comparison import (
    COMPARED_FIELDS,
    COMPARISON_FORMAT,
    PROGRAM_NOTE,
    TEST_NOTE,
    ComparedRun,
    ComparedScore,
    Comparison,
    conclusions,
    describe_comparison,
    find_folders,
    is_sweep,
    number,
    read_compared_sweep,
    read_run,
    score_runs,
    scores_csv,
    sweep_file_of,
)
from gcodefp.reporting.figures.epochs import Curve, draw_compared
from gcodefp.reporting.figures.paper import paper_style, save
from gcodefp.reporting.wording import (
    LOWER_IS_BETTER,
    METRIC_TITLES,
    interval_text,
    unit_format,
)
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

logger = logging.getLogger("gcodefp.compare")

CONSOLE_COLUMNS = 10_000
EXCLUDES_ZERO = "*"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("compare", __doc__)
    add = parser.add_argument
    add("compared", nargs="+", metavar="RUN", help="folder of a run or of a sweep; two or more")
    add(
        "--runs",
        type=Path,
        default=RUNS,
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
        help="the scored split; test leaks, and is refused until the best run is chosen",
    )
    add(
        "--metric",
        help="the metric by which the best epoch was chosen (default: that of sweep.json)",
    )
    add("--goal", choices=("maximize", "minimize"), help="of --metric")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, help="folder for compare.json, compare.csv and the curves")
    return run_step(parser, _compare, argv)


def _compare(arguments: argparse.Namespace) -> None:
    folders = find_folders(arguments.compared, arguments.runs)
    sweep_folders = [folder for folder in folders if is_sweep(folder)]
    objective = _objective(arguments, [f if f in sweep_folders else f.parent for f in folders])
    sweeps = {folder: read_compared_sweep(folder, objective) for folder in sweep_folders}
    best = {folder: sweep.runs[0].folder.path for folder, sweep in sweeps.items()}
    runs = [read_run(best.get(folder, folder)) for folder in folders]
    for run in runs:
        if not run.is_ranked_by(objective):
            logger.warning("%s: its best epoch was not chosen by %s", run.name, objective.metric)
    if arguments.split == "test":
        _check_winner_is_chosen(runs)
    dataset = arguments.dataset or runs[0].folder.path.parents[2] / "dataset" / "dataset.json"
    comparison = Comparison(runs, [*sweeps.values()], objective, arguments.split, {}, [])
    if _are_external(runs):
        comparison = comparison._replace(is_external=True, notes=[PROGRAM_NOTE])
    else:
        _check_logged(arguments.metric, runs)
        device = select_device(arguments.device, arguments.threads)
        comparison = score_runs(comparison, dataset, device)
    for note in comparison.notes:
        logger.warning(note)
    _print(comparison)
    if arguments.output:
        _write(comparison, arguments.output, dataset)


def _check_winner_is_chosen(runs: Sequence[ComparedRun]) -> None:
    """The test split of results stays closed until their winner is chosen."""
    for results in dict.fromkeys(run.folder.path.parents[2] for run in runs):
        if not (results / "best" / "run.json").is_file():
            raise UserError(
                f"--split test: {results / 'best' / 'run.json'} is not there, so no run of these "
                "results is chosen yet, and choosing a run after scoring the test split leaks it; "
                "compare by --split val, or finish the pipeline first: snakemake --cores all"
            )


def _objective(arguments: argparse.Namespace, sweeps: Sequence[Path]) -> Objective:
    """That of the command line, else of the first sweep.json that exists."""
    if arguments.goal and not arguments.metric:
        raise UserError(f"--goal {arguments.goal}: --metric is missing")
    if arguments.metric:
        goal = "minimize" if arguments.metric.endswith("loss") else "maximize"
        return Objective(arguments.metric, arguments.goal or goal)
    files = filter(None, map(sweep_file_of, dict.fromkeys(sweeps)))
    return next((file.specification.objective for file in files), DEFAULT_OBJECTIVE)


def _check_logged(metric: str | None, runs: Sequence[ComparedRun]) -> None:
    logged = {*LOGGED_METRICS, *(name for run in runs for name in run.combined)}
    if metric is not None and metric not in logged:
        raise UserError(f"--metric {metric}: {did_you_mean(metric, logged)}")


def _are_external(runs: Sequence[ComparedRun]) -> bool:
    """Whether another program trained the runs. Raises UserError: some of them."""
    external = [run.file is not None and run.file.program is not None for run in runs]
    if any(external) != all(external):
        names = ", ".join(run.name for run, is_one in zip(runs, external, strict=True) if is_one)
        raise UserError(
            f"{names}: trained by another program than the others; compare runs of one kind"
        )
    return all(external)


def _print(comparison: Comparison) -> None:
    """Prints all tables, then notes and conclusions, which a terminal shows last."""
    console = Console(markup=False, emoji=False, highlight=False, width=CONSOLE_COLUMNS)
    for table in _tables(comparison):
        console.print(table, "")
    if comparison.is_external:
        print(*comparison.notes, sep="\n")
        return
    scored = next(iter(comparison.scores.values()))[PRIMARY][0].estimate
    print(
        f"Scored on the {comparison.split} split, lag unknown: {scored.recordings} recordings, "
        f"{scored.n} rows.\nIn brackets 95 % intervals over recordings; differences are to the "
        f"first run, paired ({EXCLUDES_ZERO}: without 0)."
    )
    if comparison.split == "val":
        print(
            "The val/... metrics above are at the sensors' time. The best epochs are chosen by\n"
            f"{comparison.objective.metric}, so its values are optimistic, and the scores slightly."
        )
    print(*comparison.notes, *conclusions(comparison), sep="\n")


def _tables(comparison: Comparison) -> list[Table]:
    """Tables for the terminal: sweeps, runs, val metrics, and scores of each way of decoding."""
    content, names = describe_comparison(comparison), [run.name for run in comparison.runs]
    parts = []
    if comparison.sweeps:
        facts = {k.replace("_", " "): row for k, row in _transposed(content["sweeps"]).items()}
        parts.append(_table("sweep", facts.pop("sweep"), facts | content["ranges"]))
    facts = _transposed(content["runs"])
    used = {name: facts[name] for name in SYSTEM_FIELDS if {*facts[name]} != {None}}
    facts = {name: facts[name] for name in COMPARED_FIELDS} | used
    parts.append(_table("run", names, facts | content["hyperparameters"]))
    at_best = "at the best step" if comparison.is_external else "at the best epoch"
    parts.append(_table(at_best, names, content["at_best_epoch"]))
    heads = [names[0], *(head for name in names[1:] for head in (name, "difference"))]
    for predictor, metrics in comparison.scores.items():
        if PREDICTORS[predictor].kind == SENSORS:
            rows = {_title(name): _cells(metrics[name]) for name in METRIC_TITLES}
            parts.append(_table(predictor, heads, rows))
    return parts


def _transposed(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _table(title: str, heads: Sequence[str], rows: Mapping[str, Sequence[Any]]) -> Table:
    table = Table(title, box=None, padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for name, row in rows.items():
        table.add_row(name, *map(number, row))
    return table


def _title(metric: str) -> str:
    unit = "" if METRICS[metric].unit == SHARE else f", {unit_format(metric).unit}"
    direction = " (less is better)" if metric in LOWER_IS_BETTER else ""
    return f"{METRIC_TITLES[metric]}{unit}{direction}"


def _cells(scores: Sequence[ComparedScore]) -> list[str]:
    cells = []
    for estimate, difference in scores:
        cells.append(interval_text(estimate, ".3f", 1))
        if difference is not None:
            cells.append(interval_text(difference, "+.3f", 1))
            cells[-1] += f" {EXCLUDES_ZERO if significant_sign(difference) else ' '}"
    return cells


def _write(comparison: Comparison, folder: Path, dataset: Path) -> None:
    runs = [run.folder.path for run in comparison.runs]
    inputs = [run / "run.json" for run in runs]
    if not comparison.is_external:
        inputs += [run / "checkpoint.pt" for run in runs]
        inputs += [dataset, dataset.with_name(f"{comparison.split}.npz")]
    origin = provenance(inputs)
    content = {"provenance": origin, **describe_comparison(comparison)}
    write_json(folder / "compare.json", COMPARISON_FORMAT, content)
    write_text(folder / "compare.csv", scores_csv(comparison))
    curves = [Curve(r.name, r.history, r.content["best_epoch"]) for r in comparison.runs]
    # The curves are of the val split, whatever is scored.
    warnings = [note for note in comparison.notes if note not in (TEST_NOTE, PROGRAM_NOTE)]
    with paper_style():
        save(
            draw_compared(curves, comparison.objective.metric, warnings, comparison.is_external),
            folder,
            "compare",
            warnings,
        )
    logger.info("compare.json, compare.csv, compare.svg and compare.png in %s", folder)


if __name__ == "__main__":
    sys.exit(main())
