"""Which run of one or several sweeps wins, and what best/run.json says of it."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.learning.objective import Objective
from gcodefp.sweep.run_folder import COUNTED
from gcodefp.sweep.sweep_file import SweepFile
from gcodefp.sweep.table import EndedRun, common_objective, ranked, repeated, runs_of_all


class Selection(NamedTuple):
    """Runs in their order.

    Attributes:
        ranking: all runs, the winner first.
        repeats: of each configuration that was trained again with other seeds, best mean first.
    """

    objective: Objective
    ranking: list[EndedRun]
    repeats: list[list[EndedRun]]

    @property
    def winner(self) -> EndedRun:
        return self.ranking[0]


def select_of_sweeps(sweeps: Sequence[SweepFile], runs: Path) -> Selection:
    """Ranks the runs of sweeps that are over.

    Args:
        runs: the folder that keeps the runs of all sweeps.

    Raises:
        UserError: the sweeps have different metrics, or no run is over.
    """
    objective = common_objective([sweep.specification for sweep in sweeps])
    found = runs_of_all(sweeps, runs)
    if not found:
        names = ", ".join(sweep.sweep_id for sweep in sweeps)
        raise UserError(f"{runs}: holds no run of sweep {names} that is over")
    return select(found, objective)


def select(runs: Sequence[EndedRun], objective: Objective) -> Selection:
    """Ranks runs; where some were repeated, the best of the best repeats comes first."""
    repeats = repeated(runs, objective)
    order = ranked(runs, objective)
    winner = repeats[0][0] if repeats else order[0]
    return Selection(objective, [winner, *(run for run in order if run is not winner)], repeats)


def describe_selection(selection: Selection, sweeps: Sequence[SweepFile]) -> dict[str, Any]:
    """What best/run.json says, but for where it comes from and how it scored again."""
    winner, objective = selection.winner, selection.objective
    content = {k: v for k, v in winner.content.items() if k not in ("format", "provenance")}
    return {
        "run": winner.name,
        **content,
        "metric": objective.metric,
        "goal": objective.goal,
        "runs": len(selection.ranking),
        "sweeps": [sweep.sweep_id for sweep in sweeps],
        "seeds": [_spread(group) for group in selection.repeats],
    }


def _spread(repeats: Sequence[EndedRun]) -> dict[str, Any]:
    """What the repeats of one configuration say of it: mean and standard deviation over seeds."""
    values = [run.content["best_value"] for run in repeats if run.content["state"] in COUNTED]
    return {
        "runs": [run.name for run in repeats],
        "values": values,
        "mean": fmean(values) if values else None,
        "standard_deviation": stdev(values) if len(values) > 1 else None,
    }
