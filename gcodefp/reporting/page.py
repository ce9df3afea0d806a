"""Fills the template of the report."""

import base64
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.evaluation.files import MODEL
from gcodefp.findings.catalogue import FIGURES
from gcodefp.findings.moves import middle, toolpaths
from gcodefp.findings.results import Results
from gcodefp.findings.verdict import verdict
from gcodefp.findings.words import SPLIT_BY, logged_metric
from gcodefp.reporting.answer_tables import control_summary, detail_table, main_table
from gcodefp.reporting.captions import caption
from gcodefp.reporting.cost_tables import cost_tables
from gcodefp.reporting.key_numbers import key_numbers
from gcodefp.reporting.origins import origins, versions
from gcodefp.reporting.protocol_section import protocol_section
from gcodefp.reporting.sweep_data import sweep_data
from gcodefp.reporting.tables import (
    cleaning_table,
    runs_table,
    sample_table,
    split_table,
    winner_tables,
)
from gcodefp.reporting.templates import environment

FIGURES_REBUILD = "snakemake --cores all --forcerun figures"
IN_PLACE = ("toolpath", "accuracy")
"""Figures that stand in the text; all others are in the gallery."""


def render(results: Results, figures: Path, protocols: Path | None = None) -> str:
    """The page as text.

    Args:
        figures: folder of the SVG files.
        protocols: protocols.json; it need not be there.

    Raises:
        UserError: a figure is missing.
    """
    content = _found(results) | _sweep(results) | _origin(results, protocols)
    content["figures"] = {stem: _figure(figures, stem) for stem in FIGURES}
    content["gallery"] = _gallery()
    return environment().get_template("report.html").render(content)


def _found(results: Results) -> dict[str, Any]:
    """What the evaluation says."""
    evaluation = results.evaluation
    path = middle(toolpaths(results.predictions))
    return {
        "marks": results.marks,
        "verdict": verdict(results),
        "key_numbers": key_numbers(results),
        "evaluation": evaluation,
        "model": MODEL,
        "answers": main_table(evaluation["models"]),
        "answer_details": detail_table(evaluation["models"]),
        "controls": control_summary(evaluation),
        "sample_name": path.name,
        "sample": sample_table(path),
    }


def _sweep(results: Results) -> dict[str, Any]:
    """How the winner was found, and what that cost."""
    return {
        "sweep": results.sweep,
        "winner": results.winner,
        "winner_metric": logged_metric(results.winner["metric"]),
        "hyperparameters": winner_tables(results),
        "runs": runs_table(results),
        "sweep_data": sweep_data(results),
        "costs": cost_tables(results),
    }


def _origin(results: Results, protocols: Path | None) -> dict[str, Any]:
    """What all of it was made from."""
    dataset = results.dataset
    section = protocol_section(results, protocols)
    return {
        "protocols": section,
        "dataset": dataset,
        "split_by": SPLIT_BY.get(dataset["split"]["by"], dataset["split"]["by"]),
        "splits": split_table(dataset),
        "cleaning": cleaning_table(dataset),
        "origins": origins(results, section.provenance),
        "versions": versions(results, section.provenance),
    }


def _gallery() -> dict[str, list[str]]:
    """Category -> the figures in it that do not stand elsewhere."""
    found: dict[str, list[str]] = {}
    for stem, entry in FIGURES.items():
        if stem not in IN_PLACE:
            found.setdefault(entry.category, []).append(stem)
    return found


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
