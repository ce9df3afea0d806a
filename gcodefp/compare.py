"""Compares runs, or the best runs of sweeps: hyperparameters, val metrics, curves and scores.

Each run's weights are scored on the val split as `evaluate` scores the best run on the test split:
by the controller's clock, the lag unknown. Differences to the first run have 95 % intervals from
a paired bootstrap over recordings, so that the difficulty of a recording cancels out. The last
lines state whether the other runs are better than the first.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gcodefp.command_line import add_device_flags, add_runs_flag, command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.evaluation.metrics import METRICS, SHARE
from gcodefp.evaluation.names import PREDICTORS, PRIMARY, SENSORS
from gcodefp.evaluation.significance import MIN_RECORDINGS, significant_sign
from gcodefp.files import write_json, write_text
from gcodefp.model.data import select_device
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE
from gcodefp.provenance import provenance
from gcodefp.reporting.comparison import (
    COMPARISON_FORMAT,
    SCRIPT_NOTE,
    TEST_NOTE,
    ComparedRun,
    compare_with_first,
    describe_comparison,
    find_folders,
    is_sweep,
    read_compared_sweep,
    read_run,
    score_runs,
    sweep_file_of,
)
from gcodefp.reporting.figures.epochs import Curve, draw_compared
from gcodefp.reporting.figures.paper import paper_style, save
from gcodefp.reporting.wording import INTERVAL, METRIC_TITLES, cell_text, interval_text, unit_format
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

logger = logging.getLogger("gcodefp.compare")

EXCLUDES_ZERO = "*"
COLUMNS = {
    **{name: name for name in ("answer", "metric", "run", *INTERVAL)},
    **{f"difference.{name}": f"difference_{name}" for name in INTERVAL},
    "difference.value": "difference",
}
"""Key of a score -> its column in compare.csv; `answer` is the predictor."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("compare", __doc__)
    add = parser.add_argument
    add("compared", nargs="+", metavar="RUN", help="folder of a run or of a sweep; two or more")
    add_runs_flag(parser)
    text = "dataset.json, its NPZ files beside it (default: that of the results of the first run)"
    add("--dataset", type=Path, help=text)
    text = "the scored split; test leaks, and is refused until the best run is chosen"
    add("--split", choices=("val", "test"), default="val", help=text)
    add_device_flags(parser)
    add("--output", type=Path, help="folder for compare.json, compare.csv and the curves")
    return run_command(parser, _compare, argv)


def _compare(arguments: argparse.Namespace) -> None:
    folders = find_folders(arguments.compared, arguments.runs)
    sweep_folders = [folder for folder in folders if is_sweep(folder)]
    files = map(sweep_file_of, (f if f in sweep_folders else f.parent for f in folders))
    objectives = (file.specification.objective for file in files if file)
    objective = next(objectives, DEFAULT_OBJECTIVE)
    sweeps = {folder: read_compared_sweep(folder, objective) for folder in sweep_folders}
    best = {folder: sweep.runs[0].folder.path for folder, sweep in sweeps.items()}
    runs = [read_run(best.get(folder, folder)) for folder in folders]
    for run in runs:
        if not run.is_ranked_by(objective):
            logger.warning("%s: its best epoch was not chosen by %s", run.name, objective.metric)
    if arguments.split == "test":
        _check_best_run_is_chosen(runs)
    dataset = arguments.dataset or runs[0].folder.path.parents[2] / "dataset" / "dataset.json"
    content = describe_comparison(runs, [*sweeps.values()], objective, arguments.split)
    if _have_script(runs):
        content["notes"] = [SCRIPT_NOTE]
    else:
        device = select_device(arguments.device, arguments.threads)
        content["scores"], content["notes"] = score_runs(runs, arguments.split, dataset, device)
        content["conclusions"] = compare_with_first(
            [run.name for run in runs], content["scores"], arguments.split, objective.metric
        )
    for note in content["notes"]:
        logger.warning(note)
    _print(content)
    if arguments.output:
        _write(content, runs, arguments.output, dataset)


def _check_best_run_is_chosen(runs: Sequence[ComparedRun]) -> None:
    """The test split of results stays closed until their best run is chosen."""
    for results in dict.fromkeys(run.folder.path.parents[2] for run in runs):
        if not (results / "best" / "run.json").is_file():
            raise UserError(
                f"--split test: {results / 'best' / 'run.json'} is not there, so no run of these "
                "results is chosen yet, and choosing a run after scoring the test split leaks it; "
                "compare by --split val, or finish the pipeline first: snakemake --cores all"
            )


def _have_script(runs: Sequence[ComparedRun]) -> bool:
    """Whether a user script trained the runs. Raises UserError: some of them."""
    names = [run.name for run in runs if run.has_script]
    if 0 < len(names) < len(runs):
        raise UserError(
            f"{', '.join(names)}: trained by another script than the others; compare runs of one "
            "kind"
        )
    return bool(names)


def _print(content: Mapping[str, Any]) -> None:
    """Prints all tables, then notes and conclusions, which a terminal shows last."""
    for title, headers, rows in _tables(content):
        cells = {name: [*map(cell_text, row)] for name, row in rows.items()}
        table = pd.DataFrame.from_dict(cells, orient="index", columns=headers)
        print(f"{title}:\n{table.to_string() if rows else 'none'}\n")
    if content["scores"]:
        scored = next(iter(content["scores"].values()))[PRIMARY][0]
        print(
            f"Scored on the {content['split']} split, lag unknown: {scored['recordings']} "
            f"recordings, {scored['n']} rows.\nIn brackets 95 % intervals over recordings; "
            f"differences are to the first run, paired ({EXCLUDES_ZERO}: without 0, over "
            f"{MIN_RECORDINGS} recordings or more; fewer may differ by chance)."
        )
        if content["split"] == "val":
            print(
                "The val/... metrics above are at the sensors' time. The best epochs are chosen by"
                f"\n{content['metric']}, so its values are optimistic, and the scores slightly."
            )
    print(*content["notes"], *content["conclusions"], sep="\n")


def _tables(content: Mapping[str, Any]) -> Iterator[tuple[str, list[str], dict[str, list[Any]]]]:
    """Title, headers and rows of sweeps, runs, val metrics, and each way of decoding."""
    names = [run["run"] for run in content["runs"]]
    if sweeps := content["sweeps"]:
        facts = {name.replace("_", " "): [each[name] for each in sweeps] for name in sweeps[0]}
        yield "sweep", facts.pop("sweep"), facts
    runs = {name: [run[name] for run in content["runs"]] for name in content["runs"][0]}
    unused = {"run", *(name for name in SYSTEM_FIELDS if {*runs[name]} == {None})}
    facts = {name: row for name, row in runs.items() if name not in unused}
    yield "run", names, facts | content["hyperparameters"]
    step = "epoch" if content["scores"] else "step"
    yield f"at the best {step}", names, content["at_best_epoch"]
    headers = [names[0], *(header for name in names[1:] for header in (name, "difference"))]
    for predictor, metrics in content["scores"].items():
        if PREDICTORS[predictor].kind == SENSORS:
            # Row by row, there is no time in the program.
            values = {n: {score["value"] for score in metrics[n]} for n in METRIC_TITLES}
            rows = {_title(n): _cells(metrics[n]) for n, value in values.items() if value != {None}}
            yield predictor, headers, rows


def _title(metric: str) -> str:
    unit = "" if METRICS[metric].unit == SHARE else f", {unit_format(metric).unit}"
    direction = "" if METRICS[metric].higher_is_better else " (less is better)"
    return f"{METRIC_TITLES[metric]}{unit}{direction}"


def _cells(scores: Sequence[Mapping[str, Any]]) -> list[str]:
    cells = []
    for score in scores:
        cells.append(interval_text(score, ".3f", 1))
        if difference := score["difference"]:
            cells.append(interval_text(difference, "+.3f", 1))
            cells[-1] += f" {EXCLUDES_ZERO if significant_sign(difference) else ' '}"
    return cells


def _write(
    content: dict[str, Any], runs: Sequence[ComparedRun], folder: Path, dataset: Path
) -> None:
    inputs = [run.folder.path / "run.json" for run in runs]
    if content["scores"]:
        inputs += [run.folder.path / "checkpoint.pt" for run in runs]
        inputs += [dataset, dataset.with_name(f"{content['split']}.npz")]
    document = {"provenance": provenance(inputs), **content}
    write_json(folder / "compare.json", COMPARISON_FORMAT, document)
    rows = [
        {"answer": predictor, "metric": metric, "run": run.name, **score}
        for predictor, metrics in content["scores"].items()
        for metric, scores in metrics.items()
        for run, score in zip(runs, scores, strict=True)
    ]
    table = pd.json_normalize(rows).reindex(columns=list(COLUMNS))
    write_text(folder / "compare.csv", table.to_csv(index=False, header=[*COLUMNS.values()]))
    curves = [Curve(r.name, pd.DataFrame(r.history), r.content["best_epoch"]) for r in runs]
    # The curves are of the val split, whatever is scored.
    warnings = [note for note in content["notes"] if note not in (TEST_NOTE, SCRIPT_NOTE)]
    with paper_style():
        figure = draw_compared(
            curves, content["metric"], warnings, has_script=not content["scores"]
        )
        save(figure, folder, "compare", warnings)
    logger.info("compare.json, compare.csv and the curves (compare.svg, .png) in %s", folder)


if __name__ == "__main__":
    sys.exit(main())
