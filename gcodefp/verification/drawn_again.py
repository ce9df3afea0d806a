"""Whether figures and report are what their files give: they are made once more and compared."""

import io
import re
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.image import imread

from gcodefp.findings.catalogue import FIGURES
from gcodefp.findings.results import Results, read_results
from gcodefp.plots.all_figures import draw_figures
from gcodefp.plots.style import SUFFIXES
from gcodefp.reporting.page import FIGURES_REBUILD, render
from gcodefp.verification.check import Check, run_check
from gcodefp.verification.folder import ResultsFolder

REPORT_REBUILD = "snakemake --cores all report_page"
SHOWN_LETTERS = 70


def check_drawings(results: ResultsFolder) -> list[Check]:
    """The figures, and the page with figures drawn anew in it."""
    names = ", ".join(SUFFIXES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = run_check(
            "figures",
            f"{len(FIGURES)} drawn again ({names}): the same bytes, or of PNG the same pixels",
            lambda: _figures(results, folder),
        )
        page = run_check(
            "report.html",
            "rendered again, with figures drawn anew: the same bytes",
            lambda: _page(results, folder),
        )
    return [figures, page]


def _read(results: ResultsFolder) -> Results:
    return read_results(
        results.dataset, results.sweep, results.best, results.evaluation, results.explanation
    )


def _figures(results: ResultsFolder, folder: Path) -> Iterator[str]:
    draw_figures(_read(results), folder)
    for stem in FIGURES:
        for suffix in SUFFIXES:
            path, again = (of / f"{stem}.{suffix}" for of in (results.figures, folder))
            if not path.is_file():
                yield f"{results.name(path)} is not here; it is made by: {FIGURES_REBUILD}"
            elif (due := again.read_bytes()) != (found := path.read_bytes()):
                wrong = _other_pixels(due, found) if suffix == "png" else "other bytes"
                if wrong:
                    yield (
                        f"{results.name(path)} is not what matplotlib {matplotlib.__version__} "
                        f"draws from the files ({wrong})"
                    )


def _other_pixels(due: bytes, found: bytes) -> str | None:
    """How the pictures in two PNG files differ; libraries may pack the same one differently."""
    try:
        one, other = (imread(io.BytesIO(of), format="png") for of in (due, found))
    except (SyntaxError, OSError, ValueError):
        return "no PNG"
    if one.shape != other.shape:
        return "another size"
    count = int((np.abs(one - other) > 0).any(axis=-1).sum())
    return f"{count} pixels differ" if count else None


def _page(results: ResultsFolder, figures: Path) -> Iterator[str]:
    if not results.report.is_file():
        yield f"{results.report}: no such file; it is made by: {REPORT_REBUILD}"
        return
    found = results.report.read_bytes().decode("utf-8")
    due = render(_read(results), figures, results.protocols)
    if due != found:
        lines = list(_other_lines(_short(due).splitlines(), _short(found).splitlines()))
        yield from lines or ["its line ends are others than the files give"]


def _other_lines(due: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    for number, (given, there) in enumerate(zip(due, found, strict=False), 1):
        if given != there:
            shown, right = _around(there, given), _around(given, there)
            yield f"line {number} has {shown}, the files give {right}"
    if len(due) != len(found):
        yield f"it has {len(found)} lines, the files give {len(due)}"


def _short(page: str) -> str:
    """The page with a hash in place of each figure, which is a very long line."""
    return re.sub(
        r"base64,[A-Za-z0-9+/=]+",
        lambda of: f"figure {sha256(of.group().encode()).hexdigest()[:8]}",
        page,
    )


def _around(text: str, other: str) -> str:
    """The part of a line where it begins to differ."""
    pairs = enumerate(zip(text, other, strict=False))
    equal = next((index for index, (a, b) in pairs if a != b), min(len(text), len(other)))
    first = max(0, equal - SHOWN_LETTERS // 2)
    return repr(text[first : first + SHOWN_LETTERS].strip())
