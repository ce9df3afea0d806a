"""Finds recordings that are copies of others under another name, by what their sensors measured.

A recording's samples are noisy, so no two recordings have the same samples in the same rows. The
samples of each sensor, rounded, in a few rows after each other are hashed; the smallest hashes are
the recording's signature (a bottom-k sketch: Cohen and Kaplan, 2007). Signatures of copies share
hashes even if one was trimmed to half, rounded, or has its columns in another order.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings import columns

SIGNATURE_HASHES = 64
MIN_SHARED_HASHES = 6
"""In the real recordings, repeats of one program included, two signatures share at most one."""
DECIMALS = (3, 2)
"""Samples are rounded to each of these, so that rounded copies are the same."""
CELLS = 24
"""A hash covers at least this many samples, and MIN_ROWS rows."""
MIN_ROWS = 3
MAX_RESCALED = 2.0**53

Signature = NDArray[np.uint32]


def sensor_signature(signals: pd.DataFrame) -> Signature:
    """The signature of cleaned signals (N rows), at most SIGNATURE_HASHES hashes, ascending.

    The controller's columns do not count.
    """
    hashes = [np.empty(0, np.uint64)]
    for samples in _sensors(signals):
        for decimals in DECIMALS:
            hashes.append(_window_hashes(np.rint(samples * 10.0**decimals)))
    distinct = np.unique(np.concatenate(hashes) >> np.uint64(32))
    return distinct[:SIGNATURE_HASHES].astype(np.uint32)


def _sensors(signals: pd.DataFrame) -> Iterator[NDArray[np.float64]]:
    """Samples (N, sensors, channels) of all sensors of as many channels; their order is fixed.

    A sensor is a group of channels of one node.
    """
    sensors: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, channel in sorted(enumerate(signals.columns), key=lambda item: item[1]):
        group = columns.channel_group(channel)
        if group and group != "controller":
            sensors[group, channel.rpartition(".")[0]].append(index)
    samples = signals.to_numpy(np.float64)
    for size in {len(channels) for channels in sensors.values()}:
        yield samples[:, [channels for channels in sensors.values() if len(channels) == size]]


def _window_hashes(rounded: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A hash for each sequence of rows that has all samples and in which each row is new.

    Args:
        rounded: (N, sensors, channels).
    """
    channels = rounded.shape[2]
    rows = max(MIN_ROWS, -(-CELLS // channels))
    if len(rounded) < rows:
        return np.empty(0, np.uint64)
    is_usable = np.asarray((np.abs(rounded) < MAX_RESCALED).all(axis=2))
    is_usable[1:] &= (rounded[1:] != rounded[:-1]).any(axis=2)
    cells = np.where(is_usable[..., None], rounded, 0.0).astype(np.int64).view(np.uint64)
    row_hash = _mix((cells * _weights(channels)).sum(axis=2, dtype=np.uint64))
    windows = np.lib.stride_tricks.sliding_window_view
    window_hash = (windows(row_hash, rows, axis=0) * _weights(rows)).sum(axis=2, dtype=np.uint64)
    return _mix(window_hash)[windows(is_usable, rows, axis=0).all(axis=2)]


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64 (Steele et al. 2014): all bits depend on all bits."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@cache
def _weights(count: int) -> NDArray[np.uint64]:
    """Fixed odd numbers without pattern, (count,): a weighted sum of cells is a hash of them."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return _mix(steps) | np.uint64(1)


def find_copies(
    signatures: Mapping[str, Signature], originals: Mapping[str, Signature] | None = None
) -> dict[str, str]:
    """Recording -> the one that it is a copy of: one of `originals`, or an earlier one by name."""
    owners: dict[int, list[str]] = defaultdict(list)
    for name, signature in (originals or {}).items():
        for key in signature.tolist():
            owners[key].append(name)
    copies: dict[str, str] = {}
    for name in sorted(signatures):
        shared: dict[str, int] = defaultdict(int)
        for key in signatures[name].tolist():
            for owner in owners[key]:
                shared[owner] += 1
        best = max(shared, key=lambda owner: shared[owner], default="")
        if shared[best] >= MIN_SHARED_HASHES:
            copies[name] = copies.get(best, best)
        for key in signatures[name].tolist():
            owners[key].append(name)
    return copies


def format_signature(signature: Signature) -> str:
    """As text of eight hexadecimal digits a hash; `parse_signature` is the inverse."""
    return signature.astype(">u4").tobytes().hex()


def parse_signature(text: str) -> Signature:
    """Raises ValueError if the text is not a signature."""
    return np.frombuffer(bytes.fromhex(text), ">u4").astype(np.uint32)
