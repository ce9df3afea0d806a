"""Rows that are not in the order of time: found by positions that jump, put into order by packets.

Some loggers write packets of rows, each in order, in an order of their own. Where the controller's
line and position are reported, a packet follows the one that ends at its line and position.
"""

from collections import deque

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings import columns

JUMP_FACTOR = 3.0
"""A move longer than this many times the fastest lasting ones is a jump."""
LASTING_QUANTILE = 0.99
"""Of the moves that their neighbour confirms: above are those within jumps, one behind another."""
MAX_JUMP_SHARE = 0.01
MIN_BACKWARD_SHARE = 0.1
"""Of jumps, that the line decreases at, if rows are out of order; fast moves never do that."""
MAX_LINES_BETWEEN = 3
"""Lines that no row reports, between a packet and the next one."""
START_TOLERANCE, MOVE_TOLERANCE = 0.2, 0.5
"""How far from its predicted start a packet begins: in fastest moves, and in its own ones."""


def order_note(
    lines: NDArray[np.floating], position_mm: NDArray[np.floating], seconds: NDArray[np.floating]
) -> str | None:
    """What is doubtful about the order of N rows; None if their positions may follow each other.

    Args:
        lines: (N,) that are reported; all equal if none are.
        position_mm: (N, 3); NaN where there is none.
        seconds: (N,) clock.
    """
    periods = np.diff(seconds)
    moves = _row_distances_mm(position_mm) / np.maximum(periods, np.median(periods))
    moving = np.minimum(moves[1:], moves[:-1])
    if not (moving > 0).any():
        return None
    fastest = float(np.quantile(moving[moving > 0], LASTING_QUANTILE))
    is_reported = lines.min() < lines.max()
    # Without lines, a short fast move between two rows must not look like one.
    jumps = np.flatnonzero(moves > JUMP_FACTOR * (1 if is_reported else 2) * fastest)
    # The line may be reported a row late.
    behind = np.minimum(lines[jumps + 1], lines[np.minimum(jumps + 2, len(lines) - 1)])
    backward = (behind < lines[jumps]).mean() if len(jumps) else 0.0
    if len(jumps) < MAX_JUMP_SHARE * len(moves) or (is_reported and backward < MIN_BACKWARD_SHARE):
        return None
    every = float(np.median(np.diff(jumps))) if len(jumps) > 1 else len(lines)
    return (
        f"CAVEAT: its rows are out of time order: the position jumps at {len(jumps)} rows "
        f"({len(jumps) / len(moves):.1%}), most often {every:g} rows after the last time, by up to "
        f"{(moves[jumps] / fastest).max():.0f} times as far as the fastest moves; write the log "
        "in order, or, if a column marks where packets of rows start, set packets in the clock of "
        "the layout (docs/files.md)"
    )


def _row_distances_mm(position_mm: NDArray[np.floating]) -> NDArray[np.float64]:
    """Way from each of N rows to the next in mm, (N - 1,); 0 where it is not known."""
    reported = position_mm[:, np.isfinite(position_mm).any(axis=0)].astype(np.float64)
    return np.nan_to_num(np.linalg.norm(np.diff(reported, axis=0), axis=1))


def program_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of packets in the order of the program, if they are not; ROW_RANGE says what is joined.

    Packets in which no line above 0 is reported are between programs: they are not part of a table
    that has to be put into order. Rows keep their index, and the clock their order.

    Args:
        table: N rows with CLOCK, LINE, positions in mm and ROW_RANGE, the number of their packet;
            the line of its first row, which is its mark, becomes that of the row before or behind.

    Returns:
        equal ROW_RANGE: each row follows the one before. A log in order is one range.
    """
    names = [name for name in columns.POSITION_MM if name in table]
    position = table[names].to_numpy(np.float64)
    packet = table[columns.ROW_RANGE].to_numpy()
    moves = _row_distances_mm(position)
    is_inside = np.diff(packet) == 0
    typical = pd.Series(moves[is_inside]).groupby(packet[1:][is_inside]).median()
    fastest = float(typical.max()) if len(typical) else 0.0
    is_mark = np.r_[True, ~is_inside]
    line = table[columns.LINE].mask(is_mark)
    is_cut = is_mark | np.r_[False, moves > JUMP_FACTOR * fastest]
    part = np.cumsum(is_cut)
    reported = line.where(line > 0).groupby(part)
    nearest_line = reported.ffill().groupby(part).bfill().to_numpy()
    rows = [np.flatnonzero(part == p) for p in np.unique(part[np.isfinite(nearest_line)])]
    chains = _chains(rows, nearest_line, position, fastest)
    order = np.concatenate([rows[i] for chain in chains for i in chain]) if rows else np.arange(0)
    if (np.diff(order) > 0).all():
        order, row_range = np.arange(len(table)), np.zeros(len(table), np.int64)
    else:
        lengths = [sum(len(rows[i]) for i in chain) for chain in chains]
        row_range = np.repeat(np.arange(len(chains)), lengths)
    clock = table[columns.CLOCK].to_numpy()[: len(order)]
    ordered = table.iloc[order].assign(**{columns.CLOCK: clock, columns.ROW_RANGE: row_range})
    filled = line.iloc[order].groupby(row_range).ffill()
    ordered[columns.LINE] = filled.fillna(pd.Series(nearest_line[order], ordered.index))
    return ordered


def _chains(
    rows: list[NDArray[np.intp]],
    line: NDArray[np.float64],
    position: NDArray[np.float64],
    fastest: float,
) -> list[list[int]]:
    """Parts (rows of each) that follow each other, the nearest joined first; by first line."""
    rank = np.unique(line, return_inverse=True)[1]
    first, last = (rank[[r[end] for r in rows]] for end in (0, -1))
    starts, ends = (position[[r[end] for r in rows]] for end in (0, -1))
    first_move, last_move = (
        np.array([position[r[i]] - position[r[j]] if len(r) > 1 else 0 * position[0] for r in rows])
        for i, j in ((1, 0), (-1, -2))
    )
    by_line = np.argsort(first, kind="stable")
    pairs = []
    for i in range(len(rows)):
        low, high = np.searchsorted(
            first[by_line], [last[i], last[i] + MAX_LINES_BETWEEN + 1], side="left"
        )
        nearby = by_line[low:high]
        nearby = nearby[nearby != i]
        predicted = ends[i] + (last_move[i] + first_move[nearby]) / 2
        distance = np.linalg.norm(starts[nearby] - predicted, axis=1)
        move = np.maximum(*(np.linalg.norm(s, axis=-1) for s in (last_move[i], first_move[nearby])))
        is_close = distance <= START_TOLERANCE * fastest + MOVE_TOLERANCE * move
        pairs += [(distance[k], i, int(nearby[k])) for k in np.flatnonzero(is_close)]
    chain_of = {i: deque([i]) for i in range(len(rows))}
    for _, i, j in sorted(pairs):
        before, behind = chain_of[i], chain_of[j]
        if before is not behind and before[-1] == i and behind[0] == j:
            before.extend(behind)
            chain_of.update(dict.fromkeys(behind, before))
    chains = {id(chain): list(chain) for chain in chain_of.values()}
    return sorted(chains.values(), key=lambda chain: (first[chain[0]], last[chain[-1]]))
