"""All runs of a sweep as rows, and which of them is the best."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.learning.objective import Objective
from gcodefp.sweep.run_folder import COUNTED, RunFolder, run_folders


class EndedRun(NamedTuple):
    """A run that is over, and its run.json."""

    folder: RunFolder
    content: dict[str, Any]


def ended_runs(sweep_folder: Path, total: int) -> list[EndedRun]:
    """The runs of a sweep that are over, by number; numbers beyond the total are left out."""
    pairs = ((folder, folder.ended()) for folder in run_folders(sweep_folder))
    return [EndedRun(f, c) for f, c in pairs if c is not None and f.number < total]


def ranked(runs: Sequence[EndedRun], objective: Objective) -> list[EndedRun]:
    """Best first; ties go to the smaller model, then to the earlier run; failed runs come last."""
    sign = -1.0 if objective.goal == "maximize" else 1.0

    def key(run: EndedRun) -> tuple[bool, float, int, int]:
        content = run.content
        if content["state"] not in COUNTED:
            return True, 0.0, 0, run.folder.number
        return False, sign * content["best_value"], content["parameters"], run.folder.number

    return sorted(runs, key=key)
