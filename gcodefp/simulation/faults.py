"""What goes wrong in recordings: nodes that are missing or freeze, lost and repeated rows."""

import numpy as np
import pandas as pd

from gcodefp.simulation.nodes import NODES, Node

FAULT_SHARE = 1 / 8
"""The share of recordings that each kind of fault befalls."""


def choose_nodes(rng: np.random.Generator) -> list[Node]:
    """The nodes of a recording in its column order; now and then one is missing."""
    order = [NODES[index] for index in rng.permutation(len(NODES))]
    return order[1:] if rng.random() < FAULT_SHARE else order


def add_faults(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A copy in which each fault occurs with the probability FAULT_SHARE."""
    table = table.copy()
    freezes, drops, repeats = rng.random(3) < FAULT_SHARE
    nodes = list(dict.fromkeys(name.split(".")[0] for name in table.columns if "." in name))
    if freezes:
        _freeze(table, str(rng.choice(nodes)), int(rng.integers(len(table) // 4, len(table))))
    if drops:
        _drop(table, str(rng.choice(nodes)), rng)
    if repeats:
        table = _repeat(table, rng)
    return table


def _freeze(table: pd.DataFrame, node: str, row: int) -> None:
    for name in table.columns:
        if name.startswith(f"{node}."):
            values = table[name].to_numpy(copy=True)
            values[row:] = values[row]
            table[name] = values


def _drop(table: pd.DataFrame, node: str, rng: np.random.Generator) -> None:
    """Three short gaps in one node, as when its radio link breaks off."""
    columns = [name for name in table.columns if name.startswith(f"{node}.")]
    for first in rng.integers(0, len(table) - 4, 3):
        table.loc[first : first + int(rng.integers(0, 4)), columns] = np.nan


def _repeat(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two rows occur twice, as when a log is flushed again."""
    doubled = rng.choice(len(table), 2, replace=False)
    order = np.sort(np.concatenate([np.arange(len(table)), doubled]))
    return table.iloc[order].reset_index(drop=True)
