"""Fills the template of the report."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gcodefp.errors import UserError
from gcodefp.evaluation.files import MODEL
from gcodefp.findings.catalogue import FIGURES
from gcodefp.findings.moves import middle, toolpaths
from gcodefp.findings.results import Results
from gcodefp.findings.verdict import verdict
from gcodefp.findings.words import SPLIT_BY, logged_metric
from gcodefp.reporting.answer_tables import control_summary, detail_table, main_table
from gcodefp.reporting.captions import caption
from gcodefp.reporting.tables import (
    cleaning_table,
    origins,
    runs_table,
    sample_table,
    split_table,
    versions,
    winner_table,
)

TEMPLATES = Path(__file__).parent
FIGURES_REBUILD = "snakemake --cores all --forcerun figures"


def render(results: Results, figures: Path) -> str:
    """The page as text.

    Args:
        figures: folder of the SVG files.

    Raises:
        UserError: a figure is missing.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(_content(results, figures))


def _content(results: Results, figures: Path) -> dict[str, Any]:
    dataset, evaluation, winner = results.dataset, results.evaluation, results.winner
    path = middle(toolpaths(results.predictions))
    return {
        "marks": results.marks,
        "verdict": verdict(results),
        "sweep": results.sweep,
        "winner": winner,
        "winner_metric": logged_metric(winner["metric"]),
        "dataset": dataset,
        "split_by": SPLIT_BY.get(dataset["split"]["by"], dataset["split"]["by"]),
        "evaluation": evaluation,
        "model": MODEL,
        "answers": main_table(evaluation["models"]),
        "answer_details": detail_table(evaluation["models"]),
        "controls": control_summary(evaluation),
        "figures": [_figure(figures, stem) for stem in FIGURES],
        "sample_name": path.name,
        "sample": sample_table(path),
        "hyperparameters": winner_table(results),
        "runs": runs_table(results),
        "splits": split_table(dataset),
        "cleaning": cleaning_table(dataset),
        "origins": origins(results),
        "versions": versions(results),
    }


def _figure(folder: Path, stem: str) -> dict[str, str]:
    """A figure as a data URI: an image of its own, so that no two figures share ids."""
    path = folder / f"{stem}.svg"
    try:
        encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {FIGURES_REBUILD}") from None
    return {
        "stem": stem,
        "title": FIGURES[stem].title,
        "caption": caption(stem),
        "source": f"data:image/svg+xml;base64,{encoded}",
    }
