"""Whether the table of protocols is what the evaluations of its folds give."""

from collections.abc import Iterator
from pathlib import PurePath

from gcodefp.files import read_json
from gcodefp.findings.protocol_file import PROTOCOLS_FORMAT, PROTOCOLS_REBUILD, described
from gcodefp.findings.protocols import protocol_lines, read_fold
from gcodefp.sweep.best_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.verification.check import Check, run_check
from gcodefp.verification.differences import differences
from gcodefp.verification.folder import ResultsFolder, inputs_of, located, read_any, recorded_roots

TOLERANCE = 1e-9
"""Relative: the folds may be added up in another order."""


def check_protocols(results: ResultsFolder) -> list[Check]:
    """Puts the evaluations together again; no check where there is no table."""
    if not results.protocols.exists():
        return []
    what = "its lines are what the evaluations of its folds give, which are not scored again"
    return [
        run_check("protocols/protocols.json, put together again", what, lambda: _table(results))
    ]


def _table(results: ResultsFolder) -> Iterator[str]:
    document = read_json(results.protocols, PROTOCOLS_FORMAT, PROTOCOLS_REBUILD)
    winner = read_json(results.best / "run.json", BEST_FORMAT, BEST_REBUILD)
    roots = recorded_roots([read_any(results.evaluation / "metrics.json")])
    recorded = [name for name in inputs_of(document) if PurePath(name).name == "metrics.json"]
    folds = [read_fold(located(results, name, roots).parent) for name in recorded]
    due = described(protocol_lines(folds), document["left_out"], winner)
    found = {key: of for key, of in document.items() if key not in ("format", "provenance")}
    yield from differences(due, found, TOLERANCE)
