"""Looks through the files of a recording, source by source: rates, gaps, dead and frozen channels.

Files are read as pre-processing reads them, but nothing is resampled, repaired or dropped.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.inspection.sniffing import usual_step
from gcodefp.recordings.lab_files import LabRecording
from gcodefp.recordings.samples import equals_previous, segment_lengths
from gcodefp.recordings.source_file import SourceFile

MAX_ROWS = 5_000_000
"""Of a file that are looked at: 26 minutes at 3.2 kHz."""
GAP_PERIODS = 5.0
"""A step of the clock longer than this many usual ones is a gap."""
EQUAL_ROWS, FROZEN_SECONDS = 20, 1.0
"""A node that repeats its samples for so many rows, and so long, is frozen."""
MAX_ISOLATED_SHARE = 0.01
"""Of the reported lines: above it, some of them are wrong."""


@dataclass
class SourceFacts:
    """One file of a recording, of N rows.

    Attributes:
        seconds: (N,) of its clock, ascending.
        channels: N rows, one column per sensor channel or position, in canonical units.
        lines: (N,) line or block that is reported, as text; None if it reports neither.
        is_cut: whether there are more rows than were read.
        unmapped: columns that the layout neither maps nor ignores.
        absent: columns of the layout that the file does not have.
        keys: canonical column -> the layout's column that it comes from.
    """

    seconds: NDArray[np.float64]
    channels: pd.DataFrame
    lines: pd.Series | None
    is_cut: bool
    unmapped: list[str]
    absent: list[str]
    keys: dict[str, str]

    def __post_init__(self) -> None:
        steps = np.diff(self.seconds)
        self.period_seconds = usual_step(steps)
        near = np.abs(steps[steps > 0] - self.period_seconds) <= 0.5 * self.period_seconds
        self.is_regular = bool(near.size and near.mean() > 0.9)

    @property
    def rate_hz(self) -> float:
        """Of its usual rows."""
        return 1 / self.period_seconds

    @property
    def start(self) -> float:
        """Time of its first row."""
        return float(self.seconds[0])

    @property
    def end(self) -> float:
        """Time of its last row."""
        return float(self.seconds[-1])

    def gaps(self) -> list[tuple[float, float]]:
        """Start and length in seconds of each gap, the longest first."""
        if not self.is_regular:
            return []
        steps = np.diff(self.seconds)
        rows = np.flatnonzero(steps > GAP_PERIODS * self.period_seconds)
        gaps = [(float(self.seconds[row]), float(steps[row])) for row in rows]
        return sorted(gaps, key=lambda gap: -gap[1])

    def dead(self) -> list[str]:
        """Sensor channels without a sample, or with always the same one."""
        sensors = [c for c in map(str, self.channels) if _is_sensor(c)]
        return [c for c in sensors if self.channels[c].nunique() < 2]

    def frozen(self) -> dict[str, tuple[float, float]]:
        """Node -> start and length in seconds of its longest time without any change."""
        frozen = {}
        dead = set(self.dead())
        live = [c for c in map(str, self.channels) if _is_sensor(c) and c not in dead]
        for node in dict.fromkeys(map(columns.node_or_channel, live)):
            names = [c for c in live if columns.node_or_channel(c) == node]
            if columns.channel_group(names[0]) in columns.WITHOUT_NOISE or len(self.seconds) < 2:
                continue
            changed = ~equals_previous(self.channels[names].to_numpy())
            lengths = segment_lengths(changed)
            first = int(lengths.argmax())
            seconds = float(lengths[first] * self.period_seconds)
            if lengths[first] >= EQUAL_ROWS and seconds >= FROZEN_SECONDS:
                frozen[node] = float(self.seconds[first]), seconds
        return frozen

    def isolated_share(self) -> float:
        """Share of the reported lines that differ from two neighbours that are equal."""
        if self.lines is None or self.lines.notna().sum() < EQUAL_ROWS:
            return 0.0
        lines = self.lines.dropna().to_numpy(str)
        is_isolated = (lines[:-2] == lines[2:]) & (lines[1:-1] != lines[:-2])
        return float(is_isolated.mean())


def inspect_source(recording: LabRecording, name: str) -> SourceFacts:
    """Reads up to MAX_ROWS rows of one file of a recording.

    Raises:
        UserError: it cannot be read as its layout says.
        RecordingRejected: its clock runs backwards.
    """
    source = recording.layout.sources[name]
    file = SourceFile(recording.files[name], name, source, recording.offsets.get(name, 0.0))
    tables: list[pd.DataFrame] = []
    for chunk in file.chunks():
        samples = [c for c in map(str, chunk) if c != columns.CLOCK and chunk[c].dtype.kind == "f"]
        tables.append(chunk.astype(dict.fromkeys(samples, np.float32)))
        if sum(map(len, tables)) >= MAX_ROWS:
            break
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        raise UserError(f"{file.path}: no row has a time, or matches sources.{name}")
    wanted = [c for c in (columns.LINE, columns.BLOCK) if c in table]
    return SourceFacts(
        seconds=table[columns.CLOCK].to_numpy(np.float64),
        channels=table[[c for c in table if columns.channel_group(str(c)) is not None]],
        lines=table[wanted[0]] if wanted else None,
        is_cut=len(table) >= MAX_ROWS,
        unmapped=list(file.unmapped),
        absent=[key for key in source.columns if key not in {m.key for m in file.mapped.values()}],
        keys={m.target.column: m.key for m in file.mapped.values()},
    )


def _is_sensor(column: str) -> bool:
    return columns.channel_group(column) not in (None, "controller")
