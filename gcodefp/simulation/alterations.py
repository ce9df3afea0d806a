"""Simulated recordings of a machine that did not do what it should, to test `judge`.

The program's lines are altered, or the machine's trajectory, or the recorded signals; the file has
the name of the program that should have run.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.programs.motion import DWELL_MM, Move, Trajectory, plan, trace_program
from gcodefp.recordings.columns import channel_group
from gcodefp.simulation.programs import PROGRAMS, MillProgram, build_program

PAUSE_SECONDS = SPLICE_SECONDS = 10.0
OFFSET_MM = 1.0
FADE_ROWS = 3
ROW_SECONDS = 0.257
KEPT_SHARE = 0.75

ALTERATIONS = (
    *("feed+5", "feed-5", "feed+10", "feed-10", "feed+30", "feed-30", "size+8", "size-8"),
    *("fewer_passes", "swapped_lines", "omitted_lines", "pause", "truncated", "cut", "spliced"),
    *("put_back", "other_program", "offset"),
)
"""`put_back` cuts rows out and puts them back with the seams of `spliced`; `offset` moves the work
by OFFSET_MM in X and Y: sensors that see motions, not places, cannot see it."""


def altered_lines(program: str, kind: str, rng: np.random.Generator) -> MillProgram:
    """The lines that the machine runs instead of a program's."""
    lines = build_program(program)
    if match := re.fullmatch(r"feed([+-]\d+)", kind):
        factor = 1 + int(match[1]) / 100
        return tuple(
            line._replace(
                text=re.sub(r"F([\d.]+)", lambda f: f"F{float(f[1]) * factor:.4g}", line.text)
            )
            for line in lines
        )
    if match := re.fullmatch(r"size([+-]\d+)", kind):
        return build_program(program, scale=1 + int(match[1]) / 100)
    if kind == "fewer_passes":
        return build_program(program, fewer=True)
    if kind == "other_program":
        others = [name for name in PROGRAMS if name != program]
        return build_program(others[rng.integers(len(others))])
    if kind == "swapped_lines":
        return _first_that_runs(lines, rng, (1, 0), 2)
    if kind == "omitted_lines":
        return _first_that_runs(lines, rng, (), 4)
    return lines


def _first_that_runs(
    lines: MillProgram, rng: np.random.Generator, order: Sequence[int], removed: int
) -> MillProgram:
    """Lines of which some are replaced, at the first random place where the machine accepts it.

    Args:
        order: of the lines that stand for the removed ones, counted from the first of these.
    """
    for at in rng.permutation(np.arange(6, len(lines) - 6)).tolist():
        altered = (*lines[:at], *(lines[at + i] for i in order), *lines[at + removed :])
        try:
            plan(trace_program([line.text for line in altered]))
        except (ValueError, ZeroDivisionError):
            # An arc does not reach its end from another start.
            continue
        return altered
    return lines


def altered_trajectory(trajectory: Trajectory, kind: str, rng: np.random.Generator) -> Trajectory:
    """The trajectory with a pause, or moved as a whole."""
    moves = list(trajectory.moves)
    if kind == "pause":
        at = int(rng.integers(len(moves) // 5, 4 * len(moves) // 5))
        x, y, z = moves[at].end_mm
        feed = DWELL_MM / PAUSE_SECONDS * 60
        moves.insert(at + 1, Move(moves[at].line_index, 1, (x, y, z), (x, y, z + DWELL_MM), feed))
    elif kind == "offset":
        moves = [_moved(move) for move in moves]
    else:
        return trajectory
    return plan(moves, trajectory.limits)


def _moved(move: Move) -> Move:
    (x, y, z), (u, v, w), (a, b) = move.start_mm, move.end_mm, move.centre_mm
    return replace(
        move,
        start_mm=(x + OFFSET_MM, y + OFFSET_MM, z),
        end_mm=(u + OFFSET_MM, v + OFFSET_MM, w),
        centre_mm=(a + OFFSET_MM, b + OFFSET_MM),
    )


def altered_table(
    table: pd.DataFrame, donor: pd.DataFrame, kind: str, rng: np.random.Generator
) -> pd.DataFrame:
    """The recorded rows without some of them, or with samples of a donor in some, cross-faded."""
    rows = round(SPLICE_SECONDS / ROW_SECONDS)
    if kind == "truncated":
        return table.iloc[: int(len(table) * KEPT_SHARE)]
    at = int(rng.integers(30, max(31, len(table) - rows - 20)))
    columns = [name for name in table.columns if channel_group(name) not in (None, "controller")]
    if kind == "cut":
        kept = table.drop(index=table.index[at : at + rows]).reset_index(drop=True)
        # The clock of the log goes on without a gap.
        kept["t_console"] = table["t_console"].to_numpy()[: len(kept)]
        return _fade_in(
            kept, table[columns].iloc[at : at + FADE_ROWS], at, np.arange(FADE_ROWS, 0, -1)
        )
    if kind not in ("spliced", "put_back"):
        return table
    donor = table if kind == "put_back" else donor
    columns = [name for name in columns if name in donor.columns]
    donor_start = at if kind == "put_back" else int(rng.integers(30, len(donor) - rows))
    # Gains and offsets of a node are of the recording: those of the whole tell nothing.
    level = table[columns].mean() - donor[columns].mean()
    part = donor[columns].iloc[donor_start : donor_start + rows] + level
    steps = np.minimum(np.arange(1, rows + 1), np.arange(rows, 0, -1))
    return _fade_in(table.copy(), part, at, np.minimum(steps, FADE_ROWS + 1))


def _fade_in(
    table: pd.DataFrame, part: pd.DataFrame, at: int, steps: NDArray[np.int64]
) -> pd.DataFrame:
    """Mixes samples into the rows from `at` on; with FADE_ROWS + 1 steps they replace the own."""
    share = (steps / (FADE_ROWS + 1))[:, None]
    rows = table.index[at : at + len(part)]
    mixed = part.to_numpy(float) * share + table.loc[rows, part.columns].to_numpy(float) * (
        1 - share
    )
    table.loc[rows, part.columns] = mixed
    return table
