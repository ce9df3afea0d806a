"""Fills the template of the report."""

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.evaluation.names import MODEL, UPPER_BOUND, WHOLE
from gcodefp.reporting.executed_paths import median_toolpath, toolpaths
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.page_tables import (
    cleaning_table,
    control_summary,
    cost_tables,
    detail_table,
    main_table,
    protocol_section,
    runs_table,
    sample_table,
    split_table,
    winner_tables,
)
from gcodefp.reporting.results import Document, Results
from gcodefp.reporting.sweep_data import sweep_data
from gcodefp.reporting.templates import environment
from gcodefp.reporting.wording import (
    METRIC,
    SPLIT_BY,
    best_baseline,
    difference,
    interval,
    logged_metric,
    verdict,
)


class KeyNumber(NamedTuple):
    """A number with its interval, and what it is."""

    value: str
    interval: str
    title: str
    is_own: bool


def key_numbers(results: Results) -> list[KeyNumber]:
    """Exact lines of the network and of the best baseline, and what could be reached at most."""
    scores = results.evaluation["models"]
    baseline = best_baseline(scores)
    found = [_share(scores[MODEL], "of the G-code lines exactly right", is_own=True)]
    if baseline:
        found += [
            _share(scores[baseline], f"by the best baseline, {baseline}", is_own=False),
            _gain(*difference(results, baseline)[:3]),
        ]
    if UPPER_BOUND in scores:
        found.append(_share(scores[UPPER_BOUND], "upper bound, the lag unknown", is_own=False))
    elif WHOLE in scores:
        found.append(_share(scores[WHOLE], "when whole recordings are read at once", is_own=True))
    return found


def _share(of: Document, title: str, is_own: bool) -> KeyNumber:
    """`34.8 % [15.2, 55.1]` in two."""
    value, _, rest = interval(of[METRIC]).partition(" [")
    return KeyNumber(value, f"[{rest}" if rest else "", title, is_own)


def _gain(*shares: float | None) -> KeyNumber:
    value, low, high = (f"{100 * (share or 0.0):+.1f}" for share in shares)
    return KeyNumber(value, f"[{low}, {high}]", "percentage points between them", is_own=True)


def origins(results: Results, protocols: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Where each file comes from: time, command line, commit, host and inputs.

    Args:
        protocols: provenance of the table of protocols, if there is one.
    """
    known = _provenances(results, protocols)
    return [_origin(name, provenance) for name, provenance in known.items()]


def _provenances(
    results: Results, protocols: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any]]:
    """File -> its provenance, of all that the page is made from."""
    documents = {
        "dataset.json": results.dataset,
        "sweep.json": results.sweep,
        "best/run.json": results.winner,
        "evaluation/metrics.json": results.evaluation,
        "explanation/explanation.json": results.explanation.document,
    }
    found = {name: document["provenance"] for name, document in documents.items()}
    return found | ({"protocols/protocols.json": protocols} if protocols else {})


def _origin(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    program, *arguments = provenance["argv"]
    git = provenance["git"]
    return {
        "file": name,
        "utc": provenance["utc"],
        "command": shlex.join(["python", "-m", f"gcodefp.{Path(program).stem}", *arguments]),
        "commit": git["commit"] if git else "unknown (no git checkout)",
        "dirty": bool(git and git["dirty"]),
        "host": f"{provenance['host']} ({provenance['machine']})",
        "inputs": sorted(provenance["inputs"].items()),
    }


def versions(results: Results, protocols: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Package -> version, all of them where the steps did not run with the same.

    Args:
        protocols: as of `origins`.
    """
    found: dict[str, set[str]] = {}
    for provenance in _provenances(results, protocols).values():
        for name, version in {"python": provenance["python"], **provenance["packages"]}.items():
            found.setdefault(name, set()).add(version or "not installed")
    return [(name, " and ".join(sorted(known))) for name, known in found.items()]


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
    content = _found(results) | _sweep(results) | _page_origin(results, protocols)
    content["figures"] = {stem: _figure(figures, stem) for stem in FIGURES}
    content["gallery"] = _gallery()
    return environment().get_template("report.html").render(content)


def _found(results: Results) -> dict[str, Any]:
    """What the evaluation says."""
    evaluation = results.evaluation
    path = median_toolpath(toolpaths(results.predictions))
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


def _page_origin(results: Results, protocols: Path | None) -> dict[str, Any]:
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
        "caption": FIGURES[stem].caption,
        "source": f"data:image/svg+xml;base64,{encoded}",
    }
