"""All programs of the train split side by side, one place for each step of time.

A place is a moment of a program. What the machine does there, and what the sensors say on average,
is known from the train recordings; a stretch of sensor rows is read by finding its places.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.programs.identification import (
    executed_pairs,
    find_programs,
    is_same_program,
    program_seconds,
)
from gcodefp.programs.lag import JointLags, joint_lags, lag_against
from gcodefp.recordings.cleaning import Recording

UNKNOWN = -1
EPSILON_SECONDS = 1e-6
Signals = NDArray[np.floating]


@dataclass(frozen=True)
class Programs:
    """K programs with P places in all; L train recordings, C channels, E executed lines.

    Attributes:
        names: (K,) of the programs.
        first: (K + 1,) first place of each program, and P.
        line: (P,) line number that the controller of most train recordings reports there.
        block: (P,) canonical text of the block at that line.
        position_mm: (P, 3) tool position that they report, their mean; NaN where unknown.
        mm_per_unit: (P,) millimetres per length unit of the block.
        template: (P, C) scaled signals, the mean of the train recordings.
        weight: (K, C) how much each channel counts where a program's lag is sought.
        lag_seconds: (L,) lag of each train recording, relative to its program's median.
        lag_program: (L,) the program of each.
        executed_line, executed_block, executed_program: (E,) all lines that a train recording
            reports, with their blocks and programs; one recording alone misses the short ones.
        step_seconds: () time from one place to the next: the median period of the train rows.
    """

    names: NDArray[np.str_]
    first: NDArray[np.int32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]
    template: NDArray[np.float32]
    weight: NDArray[np.float32]
    lag_seconds: NDArray[np.float64]
    lag_program: NDArray[np.int16]
    executed_line: NDArray[np.int64]
    executed_block: NDArray[np.str_]
    executed_program: NDArray[np.int16]
    step_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.first[-1])

    def program_of_state(self) -> NDArray[np.int64]:
        """The program of each place, (P,)."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.first))

    def states(self, program: int) -> slice:
        """The places of one program."""
        return slice(int(self.first[program]), int(self.first[program + 1]))


class Alignment(NamedTuple):
    """Where the N rows of a recording are in its program.

    Attributes:
        program: its index; UNKNOWN if the train split has none of it.
        lag_seconds: of the sensors, relative to the program's median; NaN if unknown.
        state: (N,) the place that the sensors see at each row, with a fraction; NaN if unknown.
        lag_corrected_row: (N,) the row at which the controller reported what the sensors see now.
    """

    program: int
    lag_seconds: float
    state: NDArray[np.float32]
    lag_corrected_row: NDArray[np.int32]


def learn_programs(train: Sequence[Recording], signals: Mapping[str, Signals]) -> Programs:
    """Programs of the train split; `signals` are the scaled signals (N, C) of each recording."""
    periods = np.concatenate([np.diff(r.seconds) for r in train])
    # Clocks of whole seconds repeat themselves.
    step = round(float(np.median(periods[periods > 0])), 6)
    found = find_programs(train)
    learnt = [_learn(p.reference, runs, [signals[r.name] for r in runs], step) for p, runs in found]
    executed = [sorted(program.executed) for program, _ in found]
    pairs = [pair for of in executed for pair in of]
    return Programs(
        names=np.array([program.name for program, _ in found]),
        first=np.cumsum([0, *(len(of.template) for of in learnt)]).astype(np.int32),
        line=np.concatenate([of.line for of in learnt]),
        block=np.concatenate([of.block for of in learnt]),
        position_mm=np.concatenate([of.position_mm for of in learnt]),
        mm_per_unit=np.concatenate([of.mm_per_unit for of in learnt]),
        template=np.concatenate([of.template for of in learnt]),
        weight=np.stack([of.lags.weight for of in learnt]).astype(np.float32),
        lag_seconds=np.concatenate([of.lags.seconds for of in learnt]),
        lag_program=_repeated([len(of.lags.seconds) for of in learnt]),
        executed_line=np.array([line for line, _ in pairs]),
        executed_block=np.array([block for _, block in pairs]),
        executed_program=_repeated([len(of) for of in executed]),
        step_seconds=np.array(step),
    )


def _repeated(counts: Sequence[int]) -> NDArray[np.int16]:
    """0, 1, 2 and so on, each so many times."""
    return np.repeat(np.arange(len(counts), dtype=np.int16), counts)


def align_recording(recording: Recording, signals: Signals, programs: Programs) -> Alignment:
    """Finds a recording's lag and places, with the help of what its controller says.

    That is for training and for numbers that say that they know the controller's clock; nothing
    that is read here may reach a prediction that is reported without.
    """
    count = len(recording.row)
    index = _program_of(recording, programs)
    if index == UNKNOWN:
        nowhere = np.full(count, np.nan, np.float32)
        return Alignment(UNKNOWN, np.nan, nowhere, np.arange(count, dtype=np.int32))
    step = float(programs.step_seconds)
    states = programs.states(index)
    template = programs.template[states]
    clock = program_seconds(recording, programs.line[states], np.arange(len(template)) * step)
    laid = _laid_out(signals, clock, len(template), step)
    lag = lag_against(laid, template, programs.weight[index], step)
    state = np.clip((clock - lag) / step, 0, len(template) - 1)
    return Alignment(
        index,
        lag,
        (programs.first[index] + state).astype(np.float32),
        np.rint(np.interp(clock - lag, clock, np.arange(count))).astype(np.int32),
    )


class _Learnt(NamedTuple):
    """One program of P places, as its train recordings tell it; names as in Programs."""

    lags: JointLags
    template: NDArray[np.float32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]


def _learn(
    reference: Recording, runs: Sequence[Recording], signals: Sequence[Signals], step: float
) -> _Learnt:
    length = int(reference.seconds[-1] / step) + 1
    times = np.arange(length, dtype=np.float64) * step
    clocks = [program_seconds(run, reference.lines, reference.seconds) for run in runs]
    pairs = list(zip(signals, clocks, strict=True))
    lags = joint_lags([_laid_out(of, clock, length, step) for of, clock in pairs], step)
    total, count = np.zeros((length, signals[0].shape[1])), np.zeros((length, 1))
    for (of, clock), lag in zip(pairs, lags.seconds, strict=True):
        seen = (times >= clock[0] - lag) & (times <= clock[-1] - lag)
        total[seen] += _laid_out(of, clock - lag, length, step)[seen]
        count[seen] += 1
    template = (total / np.maximum(count, 1)).astype(np.float32)
    # A line belongs to the step nearest to its begin, so that it begins neither late nor early.
    return _Learnt(lags, template, *_reported(runs, clocks, times + step / 2))


def _reported(
    runs: Sequence[Recording], clocks: Sequence[NDArray[np.float64]], times: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float32], NDArray[np.float32]]:
    """Line, block, position and unit that the controllers report at some times of a program.

    Of a short line every recording reports another moment, or none: most votes win.
    """
    # A row reports what has begun by then.
    rows = [
        np.maximum(np.searchsorted(clock, times + EPSILON_SECONDS, side="right") - 1, 0)
        for clock in clocks
    ]
    lines = np.stack([run.lines[row] for run, row in zip(runs, rows, strict=True)])
    votes = (lines[:, None] == lines[None]).sum(0)
    winner = votes.argmax(0)
    blocks = np.stack([run.blocks[row] for run, row in zip(runs, rows, strict=True)])
    units = np.stack([run.mm_per_unit[row] for run, row in zip(runs, rows, strict=True)])
    state = np.arange(len(times))
    at_winner = (winner, state)
    positions = np.stack([run.position_mm[row] for run, row in zip(runs, rows, strict=True)])
    return lines[at_winner], blocks[at_winner], _mean_known(positions), units[at_winner]


def _mean_known(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over recordings (R, P, 3) of what is known, (P, 3); NaN where none knows it."""
    known = np.isfinite(positions)
    total = np.where(known, positions, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan).astype(np.float32)


def _laid_out(
    signals: Signals, clock: NDArray[np.float64], length: int, step: float
) -> NDArray[np.float64]:
    """Signals (N, C) read off at every step of a clock (N,), (length, C)."""
    at = np.interp(np.arange(length) * step, clock, np.arange(len(clock)))
    low = np.minimum(at.astype(int), len(clock) - 2)
    share = (at - low)[:, None]
    laid: NDArray[np.float64] = signals[low] * (1 - share) + signals[low + 1] * share
    return laid


def _program_of(recording: Recording, programs: Programs) -> int:
    executed = executed_pairs(recording.lines, recording.blocks)
    for index in range(len(programs.names)):
        of = programs.executed_program == index
        known = executed_pairs(programs.executed_line[of], programs.executed_block[of])
        if is_same_program(executed, known):
            return index
    return UNKNOWN


def write_programs(path: Path, programs: Programs) -> None:
    """Writes the NPZ; the same programs give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **vars(programs))


def read_programs(path: Path, rebuild: str) -> Programs:
    """Reads the NPZ.

    Raises:
        UserError: the file is missing or torn; `rebuild` makes it anew.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            return Programs(**{field: arrays[field] for field in Programs.__dataclass_fields__})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {rebuild}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it anew: {rebuild}") from None
