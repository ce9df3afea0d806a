"""Runs side by side, with all that was found out about them."""

from collections.abc import Sequence
from typing import NamedTuple

from gcodefp.comparison.run_tables import BEYOND_CHANCE, facts_table, score_tables, val_table
from gcodefp.comparison.scored import Scores
from gcodefp.comparison.selection import ComparedRun, ComparedSweep
from gcodefp.comparison.sweep_tables import sweeps_table
from gcodefp.findings.verdict import ENOUGH_RECORDINGS
from gcodefp.learning.objective import Objective


class Comparison(NamedTuple):
    """What is shown and written.

    Attributes:
        sweeps: those that the runs are the best of; none if runs were named.
        objective: what the runs were ranked by.
        split: the scored one, val or test.
        notes: what has to be said wherever numbers are shown.
    """

    runs: Sequence[ComparedRun]
    sweeps: Sequence[ComparedSweep]
    objective: Objective
    split: str
    scores: Scores
    notes: Sequence[str]


def paragraphs(comparison: Comparison) -> list[str]:
    """What the terminal shows; the notes come last, where they are seen."""
    runs, sweeps = comparison.runs, comparison.sweeps
    parts = [sweeps_table(sweeps), "The best finished run of each:"] if sweeps else []
    parts += [facts_table(runs), val_table(runs), _how_scored(comparison)]
    return [*parts, score_tables(runs, comparison.scores), *comparison.notes]


def _how_scored(comparison: Comparison) -> str:
    first = next(iter(comparison.scores.values()))["gcode"][0].estimate
    told = [
        f"Scored on the {comparison.split} split, {first.recordings} recordings, {first.n} rows, "
        "by what the controller reports, its clock unknown.",
        "In brackets 95 % intervals over recordings; differences are to the first run, paired "
        f"({BEYOND_CHANCE}: without 0).",
    ]
    if first.recordings < ENOUGH_RECORDINGS:
        told.append(f"Of fewer than {ENOUGH_RECORDINGS} recordings no difference is beyond doubt.")
    if comparison.split == "val":
        told.append(
            f"The val/... above are with the clock known. {comparison.objective.metric} chose the "
            "best epochs, so it flatters them, and so do, a little, the numbers below."
        )
    return "\n".join(told)
