"""Alterations of good recordings, as if the machine had done something else.

Signals are altered after scaling, where recordings of other gains are alike, and every seam is
cross-faded. HARMLESS ones splice in rows of the same program: a seam alone must not raise an alarm.

Shapes: N rows, C channels.
"""

from collections.abc import Sequence
from string import ascii_letters
from typing import NamedTuple

import numpy as np

from gcodefp.detection.profile import LabelledSignals, RecordingSignals
from gcodefp.programs.lag import interpolate_rows
from gcodefp.recordings.clock import rows_in

FADE_ROWS = 3
MARGIN_SECONDS = 8.0
"""Alterations keep so far from both ends, if the recording is long enough."""
GOOD, OWN_SPLICE, SAME_PROGRAM_SPLICE = "good", "put back", "same program spliced in 10 s"
OTHER_PROGRAM_SPLICE, OTHER_PROGRAM = "another program spliced in 10 s", "another program"
SIMILAR_PROGRAM = "another program of its kind"
"""Its name begins with the same letters, as face150025 and face do."""
HARMLESS = (OWN_SPLICE, SAME_PROGRAM_SPLICE)


class AlteredCopy(NamedTuple):
    """A recording that was altered.

    Attributes:
        kind: name of the alteration.
        program: index of the program that it should be.
        row: at which it begins to deviate; NaN where it does not.
        is_local: whether it deviates there, and not as a whole.
    """

    kind: str
    program: int
    recording: RecordingSignals
    row: float = np.nan
    is_local: bool = True


def altered_copies(
    labelled: LabelledSignals,
    others: Sequence[LabelledSignals],
    names: Sequence[str],
    step_seconds: float,
    rng: np.random.Generator,
) -> list[AlteredCopy]:
    """A good recording, and its copies with each alteration.

    Args:
        others: good recordings that spliced rows are taken of.
        names: of the programs.
    """
    recording, program, _ = labelled
    count, ten_seconds = len(recording.signals), rows_in(10, step_seconds)
    altered = [AlteredCopy(GOOD, program, recording)]
    for seconds in (5, 10, 30):
        if count > 2 * (rows := rows_in(seconds, step_seconds)):
            row = _first_row(count, rows, step_seconds, rng)
            cut = _join(_rows(recording, 0, row + FADE_ROWS), _rows(recording, row + rows, count))
            altered.append(AlteredCopy(f"cut {seconds} s", program, cut, row))
    altered += _pause_and_splices(labelled, others, step_seconds, rng)
    different = [other for other in others if other.program != program]
    prefix = name_prefix(names[program])
    similar = [other for other in different if name_prefix(names[other.program]) == prefix]
    for kind, programs in ((OTHER_PROGRAM, different), (SIMILAR_PROGRAM, similar)):
        if programs:
            swapped = programs[rng.integers(len(programs))].recording
            altered.append(AlteredCopy(kind, program, swapped, 0, is_local=False))
    shorter = {"truncated by 10 s": count - ten_seconds, "last quarter missing": count * 3 // 4}
    for kind, kept in shorter.items():
        if kept > ten_seconds:
            altered.append(AlteredCopy(kind, program, _rows(recording, 0, kept), kept))
    for percent in (10, -10):
        at = np.linspace(0, count - 1, round(count / (1 + percent / 100)))
        nearest = np.rint(at).astype(int)
        resampled = interpolate_rows(recording.signals, at).astype(np.float32)
        changed = RecordingSignals(recording.name, resampled, recording.valid[nearest])
        altered.append(AlteredCopy(f"feed {percent:+d} %", program, changed, 0, is_local=False))
    return altered


def _pause_and_splices(
    labelled: LabelledSignals,
    others: Sequence[LabelledSignals],
    step_seconds: float,
    rng: np.random.Generator,
) -> list[AlteredCopy]:
    """Ten seconds of standstill, and ten of this and of other recordings, all in one place."""
    recording, program, state_rows = labelled
    count = len(recording.signals)
    rows = min(rows_in(10, step_seconds), count // 3)
    row = _first_row(count, rows, step_seconds, rng)
    rest = rng.choice(np.arange(count - rows_in(2, step_seconds), count), rows + 2 * FADE_ROWS)
    standstill = RecordingSignals(recording.name, recording.signals[rest], recording.valid[rest])
    begin = _rows(recording, 0, row + FADE_ROWS)
    paused = _join(_join(begin, standstill), _rows(recording, row, count))
    altered = [
        AlteredCopy("pause 10 s", program, paused, row),
        AlteredCopy(OWN_SPLICE, program, _splice(recording, recording, row, row, rows)),
    ]
    if same := [other for other in others if other.program == program and other is not labelled]:
        donor = same[rng.integers(len(same))]
        delay = np.nanmedian(donor.state_rows - state_rows)
        donor_row = row + round(float(delay)) if np.isfinite(delay) else -1
        if 0 <= donor_row <= len(donor.recording.signals) - rows:
            spliced = _splice(recording, donor.recording, row, donor_row, rows)
            altered.append(AlteredCopy(SAME_PROGRAM_SPLICE, program, spliced))
    if different := [other for other in others if other.program != program]:
        donor = different[rng.integers(len(different))]
        if (length := len(donor.recording.signals)) > 2 * rows:
            donor_row = _first_row(length, rows, step_seconds, rng)
            spliced = _splice(recording, donor.recording, row, donor_row, rows)
            altered.append(AlteredCopy(OTHER_PROGRAM_SPLICE, program, spliced, row))
    return altered


def _first_row(length: int, rows: int, step_seconds: float, rng: np.random.Generator) -> int:
    """Where so many rows of a recording are altered; not near its ends."""
    margin = min(rows_in(MARGIN_SECONDS, step_seconds), max(0, (length - rows) // 4))
    return int(rng.integers(margin + FADE_ROWS, max(length - rows - margin, margin + 4)))


def name_prefix(name: str) -> str:
    """The letters that the name of a program begins with."""
    return name[: len(name) - len(name.lstrip(ascii_letters))]


def _rows(recording: RecordingSignals, first: int, end: int) -> RecordingSignals:
    signals, valid = recording.signals[first:end], recording.valid[first:end]
    return RecordingSignals(recording.name, signals, valid)


def _join(first: RecordingSignals, second: RecordingSignals) -> RecordingSignals:
    """Two parts, whose last and first FADE_ROWS rows are cross-faded."""
    fade, count = FADE_ROWS, len(first.signals) - FADE_ROWS
    share = (np.arange(1, fade + 1) / (fade + 1))[:, None]
    seam = first.signals[count:] * (1 - share) + second.signals[:fade] * share
    parts = first.signals[:count], seam, second.signals[fade:]
    both = first.valid[count:] & second.valid[:fade]
    valid = np.concatenate([first.valid[:count], both, second.valid[fade:]])
    return RecordingSignals(first.name, np.concatenate(parts).astype(np.float32), valid)


def _splice(
    recording: RecordingSignals, donor: RecordingSignals, row: int, donor_row: int, rows: int
) -> RecordingSignals:
    """A recording whose rows from `row` on are those of a donor from `donor_row` on."""
    part = _rows(donor, donor_row, donor_row + rows)
    rest = _rows(recording, row + rows - FADE_ROWS, len(recording.signals))
    return _join(_join(_rows(recording, 0, row + FADE_ROWS), part), rest)
