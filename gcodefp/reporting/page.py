"""The report page: one HTML file with all figures, tables and scripts, which requests nothing."""

import base64
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.evaluation.names import MODEL
from gcodefp.reporting.conclusions import one_fold
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.hyperparameters import MIN_RUNS
from gcodefp.reporting.figures.paper import stems_of
from gcodefp.reporting.page_tables import (
    best_run_tables,
    cleaning_table,
    control_summary,
    cost_tables,
    metric_table,
    pareto_table,
    protocol_section,
    result_table,
    runs_table,
    window_length_table,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent, SweepResults
from gcodefp.reporting.sweep_runs import VariedParameter, is_maximized, is_wide, varied_parameters
from gcodefp.reporting.templates import jinja_environment
from gcodefp.reporting.wording import (
    DETAIL_METRICS,
    DETECTOR_TITLES,
    MAIN_METRICS,
    SPLIT_BY,
    logged_metric,
)

FIGURES_REBUILD = "snakemake --cores all --forcerun figures"
OF_MANY_RUNS = ("importance", "contours")
"""Figures that say nothing with fewer than MIN_RUNS runs."""
IN_TEXT = ("toolpath", "accuracy", "ladder")
"""Figures beside the text that they belong to; all others are in the gallery."""


SWEEP_SECTIONS = ("best_run", "sweep", "costs")
SCRIPT_SECTIONS = ("script", "figures", *SWEEP_SECTIONS, "provenance")
"""Templates of the page of a sweep of a user script, which has no dataset and no evaluation."""
SECTIONS = (
    "summary",
    "result",
    "detection",
    "protocols",
    "figures",
    *SWEEP_SECTIONS,
    "data",
    "provenance",
)


def render(
    results: SweepResults,
    figures: Path,
    protocols: Path | None = None,
    benchmarks: Path | None = None,
    evaluation: JsonContent | None = None,
) -> str:
    """The page as text.

    Args:
        figures: folder of the SVG files.
        protocols: protocols.json; it need not be there.
        benchmarks: folder of Snakemake's benchmark files; it need not be there.
        evaluation: of a user script's best run, by the user's own command.

    Raises:
        UserError: a figure is missing.
    """
    provenances = {name: document["provenance"] for name, document in results.documents.items()}
    if isinstance(results, Results):
        content = _pipeline_content(results, protocols)
        if table := content["protocols"]["provenance"]:
            provenances["protocols/protocols.json"] = table
    else:
        content = {"sections": SCRIPT_SECTIONS, "evaluation": evaluation}
        if evaluation:
            content["result"] = result_table(evaluation["result"])
            provenances["evaluation.json"] = evaluation["provenance"]
    stems = stems_of(results)
    content |= {
        "warnings": results.warnings,
        "sweep": results.sweep,
        "step": results.step,
        "best_run": results.best_run,
        "best_run_metric": logged_metric(results.best_run["metric"]),
        "hyperparameters": best_run_tables(results),
        "runs": runs_table(results),
        "pareto": pareto_table(results),
        "parallel": parallel_coordinates(results),
        "curves": learning_curves(results),
        "costs": cost_tables(results, benchmarks),
        "origins": [_origin(name, provenance) for name, provenance in provenances.items()],
        "versions": versions(provenances.values()),
        "figures": {stem: _figure(figures, stem) for stem in stems},
        "gallery": _gallery(stems, len(results.runs)),
        "version": metadata.version("gcodefp"),
    }
    return jinja_environment().get_template("report.html").render(content)


def _pipeline_content(results: Results, protocols: Path | None) -> dict[str, Any]:
    """What the page has of the dataset and of the evaluation of the best checkpoint."""
    command = results.protocols_command
    if results.roots is not None:
        command = results.redact_paths(_in_its_folder(command))
    results = replace(results, protocols_command=command)
    evaluation, dataset = results.evaluation, results.dataset
    models = evaluation["models"]
    section = protocol_section(results, protocols)
    return {
        "sections": SECTIONS,
        "conclusions": section["conclusions"],
        "fold": one_fold(results),
        "evaluation": evaluation,
        "model": MODEL,
        "main_table": metric_table(models, MAIN_METRICS, with_counts=False),
        "detail_table": metric_table(models, DETAIL_METRICS, with_counts=True),
        "window_lengths": window_length_table(evaluation),
        "controls": control_summary(evaluation),
        "protocols": section,
        "detection": results.detection,
        "detector_titles": DETECTOR_TITLES,
        "dataset": dataset,
        "is_simulated": results.is_simulated,
        "split_by": SPLIT_BY.get(dataset["split"]["by"], dataset["split"]["by"]),
        "cleaning": cleaning_table(dataset),
    }


def _in_its_folder(command: str) -> str:
    """A command with `--directory FOLDER` as it is typed in that folder, whose path is private."""
    if " --directory " not in command:
        return command
    words = shlex.split(command)
    at = words.index("--directory")
    folder = Path(words[at + 1])
    words = [os.path.normpath(word) if Path(word).is_absolute() else word for word in words]
    near = [
        # From farther away a path would tell other folders.
        os.path.relpath(word, folder) if Path(word).is_relative_to(folder.parent) else word
        for word in words[:at] + words[at + 2 :]
    ]
    return shlex.join(near)


def _origin(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    module, *arguments = provenance["argv"]
    git = provenance["git"]
    return {
        "file": name,
        "utc": provenance["utc"],
        "command": shlex.join(["python", "-m", f"gcodefp.{Path(module).stem}", *arguments]),
        "commit": git["commit"] if git else "unknown (no git checkout)",
        "dirty": bool(git and git["dirty"]),
        "host": f"{provenance['host']} ({provenance['machine']})",
        "inputs": sorted(provenance["inputs"].items()),
    }


def versions(provenances: Any) -> dict[str, Any]:
    """A table of packages; all versions of one if the stages ran with several."""
    packages: dict[str, set[str]] = {}
    for provenance in provenances:
        for name, version in {"python": provenance["python"], **provenance["packages"]}.items():
            packages.setdefault(name, set()).add(version or "not installed")
    rows = [[name, " and ".join(sorted(texts))] for name, texts in packages.items()]
    return {"header": ["package", "version"], "rows": rows}


def _gallery(stems: Sequence[str], runs: int) -> dict[str, list[str]]:
    """Category -> the figures in it that do not stand in the text, and have enough runs."""
    elsewhere = (*IN_TEXT, *(OF_MANY_RUNS if runs < MIN_RUNS else ()))
    categories: dict[str, list[str]] = {}
    for stem in stems:
        if stem not in elsewhere:
            categories.setdefault(FIGURES[stem].category, []).append(stem)
    return categories


def _figure(folder: Path, stem: str) -> dict[str, str]:
    """A figure as a data URI: an image of its own, so that no two figures share ids."""
    path = folder / f"{stem}.svg"
    try:
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {FIGURES_REBUILD}") from None
    return {
        "title": FIGURES[stem].title,
        "caption": FIGURES[stem].caption,
        "source": f"data:image/svg+xml;base64,{encoded}",
    }


# What the page embeds as JSON, and its script draws

ABSENT = "not set"
"""The choice of runs without a value, such as one that a condition of the sweep excludes."""
MAX_CURVE_VALUES = 500_000
"""Limit on the values of all embedded curves; those of the best runs come first."""
SPLITS = ("val", "train")


def parallel_coordinates(results: SweepResults) -> dict[str, Any] | None:
    """`axes` as ECharts reads them, `runs`, and `rows` with the value of each run on each axis.

    The last axis is the metric; runs without a value of it are `excluded`. None if fewer than two
    runs have a value, or no hyperparameter varies.
    """
    metric = results.runs["best_value"].to_numpy(float)
    is_shown = np.isfinite(metric)
    parameters = varied_parameters(results)
    if is_shown.sum() < 2 or not parameters:
        return None
    is_log = not is_maximized(results) and is_wide(metric[is_shown])
    axes, columns = zip(*(_axis(each, is_shown) for each in parameters), strict=True)
    rows = np.column_stack([*columns, metric[is_shown]]).tolist()
    return {
        "axes": [*axes, {"name": results.best_run["metric"], "type": "log" if is_log else "value"}],
        "runs": results.runs["run"][is_shown].tolist(),
        "rows": [_rounded(row) for row in rows],
        "maximize": is_maximized(results),
        "excluded": int((~is_shown).sum()),
    }


def _axis(
    parameter: VariedParameter, is_shown: NDArray[np.bool_]
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Choices are drawn at their index; a number that is not used leaves a gap in the line."""
    values, choices = parameter.coordinates[is_shown], parameter.choices
    if choices is None:
        return {"name": parameter.name, "type": "log" if parameter.is_log else "value"}, values
    is_absent = np.isnan(values)
    texts = [*choices, *([ABSENT] if is_absent.any() else [])]
    axis = {"name": parameter.name, "type": "category", "data": texts}
    return axis, np.where(is_absent, len(choices), values)


def learning_curves(results: SweepResults) -> dict[str, Any] | None:
    """The logged metrics over epochs, of the best runs first; None if there is no value.

    `metrics` has by name, without its split, and by split ("" without one) the values of all runs
    behind one another, `steps` their epochs, and `runs` where each begins and ends.
    """
    table = results.curves
    names = [n for n in map(str, table) if n not in ("run", "epoch") and _has_values(table[n])]
    first = _without_split(results.best_run["metric"])
    names.sort(key=lambda name: (_without_split(name) != first, name.startswith("train/")))
    lengths = table["run"].value_counts()
    runs = [run for run in results.runs["run"] if run in lengths]
    ends = np.cumsum([lengths[run] for run in runs])
    runs = runs[: int((ends * len(names) <= MAX_CURVE_VALUES).sum())]
    if not names or not runs:
        return None
    by_run = dict(list(table.groupby("run", sort=False)))
    rows = pd.concat([by_run[run] for run in runs])
    metrics: dict[str, dict[str, list[float | None]]] = {}
    for name in names:
        short = _without_split(name)
        split = "" if short == name else name.partition("/")[0]
        metrics.setdefault(short, {})[split] = _rounded(rows[name])
    return {
        "step": results.step,
        "metrics": metrics,
        "steps": rows["epoch"].tolist(),
        "runs": [
            [run, int(end - lengths[run]), int(end)] for run, end in zip(runs, ends, strict=False)
        ],
        "excluded": len(ends) - len(runs),
    }


def _has_values(column: Any) -> bool:
    return bool(np.isfinite(column.to_numpy(float)).any())


def _without_split(name: str) -> str:
    split, _, rest = name.partition("/")
    return rest if rest and split in SPLITS else name


def _rounded(values: Iterable[float]) -> list[float | None]:
    """With five digits, which is more than a plot shows; JSON has no infinity."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
