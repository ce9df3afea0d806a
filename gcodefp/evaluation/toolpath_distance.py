"""How far the written toolpath strays from the true one, in millimetres."""

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.block_sequences import rows_of_stretches


def stretch_distances(
    written_mm: NDArray[np.floating], true_mm: NDArray[np.floating], stretch: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Discrete Fréchet distance of the two paths of every stretch, (S,) in mm.

    A row of which either path does not know all three axes is left out of both, as on such a row
    there is nothing to compare. A stretch with no other rows is NaN.

    Args:
        written_mm, true_mm: (N, 3).
        stretch: (N,) index of the stretch that each row lies in, 0 to S - 1; the rows of a stretch
            are neighbours and in order.
    """
    known = np.isfinite(written_mm).all(1) & np.isfinite(true_mm).all(1)
    distances = []
    for rows in rows_of_stretches(stretch):
        kept = rows[known[rows]]
        near = discrete_frechet(written_mm[kept], true_mm[kept]) if len(kept) else np.nan
        distances.append(near)
    return np.array(distances, np.float64)


def discrete_frechet(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """The shortest leash for two who walk the paths point by point, never back.

    Eiter and Mannila (1994), with their recursion done a whole anti-diagonal at a time: cells
    (i, k - i) depend on diagonals k - 1 and k - 2 only.

    Args:
        one, other: (n, 3) and (m, 3) points in mm.

    Raises:
        ValueError: a path has no points, or a point is not finite.
    """
    # Coordinates first, and one path backwards, so that a diagonal is two slices.
    ahead = _checked(one, "one").T
    back = _checked(other, "other")[::-1].T
    n, m = ahead.shape[1], back.shape[1]
    # Squares of distances are in the same order. Cell i of a diagonal is at i + 1: before it is
    # the edge of the table, which is no way to come from, except to the first cell.
    older, newer = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    older[0] = -np.inf
    for k in range(n + m - 1):
        first, end = max(0, k - m + 1), min(k + 1, n)
        shift = m - 1 - k
        squares = ((ahead[:, first:end] - back[:, first + shift : end + shift]) ** 2).sum(0)
        reached = np.minimum(newer[first:end], newer[first + 1 : end + 1])
        reached = np.minimum(reached, older[first:end])
        older, newer = newer, np.full(n + 1, np.inf)
        newer[first + 1 : end + 1] = np.maximum(reached, squares)
    return float(np.sqrt(newer[n]))


def _checked(path: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """The path without points that repeat the one before: waiting there never costs anything."""
    points = np.asarray(path, np.float64)
    if not len(points):
        raise ValueError(f"{name}: the path has no points")
    unknown = np.flatnonzero(~np.isfinite(points).all(1))
    if len(unknown):
        raise ValueError(f"{name}: point {unknown[0]} is not finite: {points[unknown[0]]}")
    moved = (np.diff(points, axis=0) != 0).any(1)
    return points[np.r_[True, moved]]
