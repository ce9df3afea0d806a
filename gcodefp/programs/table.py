"""The programs of the train split, whose time steps are the states of the hidden Markov model.

Line, block and tool position of each state, and the mean signals of the sensors, are fitted to the
train recordings; rows of sensors are decoded to states.

Shapes: N rows of a recording, C channels, K programs, P states, M states of one program, R
recordings of one program, L train recordings, E executed lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.files import read_arrays, write_arrays
from gcodefp.programs.identification import (
    SAME_PROGRAM_SHARE,
    Program,
    executed_lines,
    find_programs,
    program_seconds,
    same_block_share,
)
from gcodefp.programs.lag import (
    MAX_LAG_SECONDS,
    Lag,
    Signals,
    estimate_joint_lags,
    estimate_lag,
    interpolate_rows,
)
from gcodefp.recordings.cleaning import Recording

UNKNOWN = -1
EPSILON_SECONDS = 1e-6
ABSENT_SECONDS = 15.0
MAX_STATES = 100_000
"""Two hundred programs of two minutes have as many at four rows a second."""


@dataclass(frozen=True)
class Programs:
    """K programs with P states in all.

    Attributes:
        names: (K,) of the programs.
        first: (K + 1,) first state of each program, and P.
        line: (P,) line number that most train recordings report there.
        block: (P,) canonical text of the block at that line.
        position_mm: (P, 3) mean of the reported tool positions; NaN where unknown.
        mm_per_unit: (P,) millimetres per length unit of the block.
        template: (P, C) mean standardised signals of the train recordings; files call them so.
        noise: (C, C) shrunk covariance of recordings in one state, for the estimate of lags.
        lag_seconds: (L,) lag of each train recording, relative to its program's median.
        lag_program: (L,) program of each train recording.
        executed_line, executed_block, executed_program: (E,) all lines that a train recording
            reports, with their blocks and programs; one recording misses short lines.
        step_seconds: () time from one state to the next: the median period of the train rows.
    """

    names: NDArray[np.str_]
    first: NDArray[np.int32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]
    template: NDArray[np.float32]
    noise: NDArray[np.float32]
    lag_seconds: NDArray[np.float64]
    lag_program: NDArray[np.int16]
    executed_line: NDArray[np.int64]
    executed_block: NDArray[np.str_]
    executed_program: NDArray[np.int16]
    step_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.first[-1])

    def program_of_state(self) -> NDArray[np.int64]:
        """The program of each state, (P,)."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.first))

    def state_slice(self, program: int) -> slice:
        """Slice of the states of one program."""
        return slice(int(self.first[program]), int(self.first[program + 1]))


class LagCorrectedLabels(NamedTuple):
    """The program and the lag-corrected states of a recording of N rows.

    Attributes:
        program: its index; UNKNOWN if it is not in the train split.
        lag: of the sensors, relative to the program's median.
        state: (N,) the state that the sensors measure at each row, with a fraction; NaN if unknown.
        lag_corrected_row: (N,) the row at which the controller reported that state.
    """

    program: int
    lag: Lag
    state: NDArray[np.float32]
    lag_corrected_row: NDArray[np.int32]


def fit_programs(
    train: Sequence[Recording],
    signals: Mapping[str, Signals],
    max_lag_seconds: float = MAX_LAG_SECONDS,
    same_share: float = SAME_PROGRAM_SHARE,
) -> Programs:
    """Programs of the train split; `signals` are the standardised signals (N, C) of each recording.

    Args:
        same_share: as in `group_by_program`.
    """
    periods = np.concatenate([np.diff(r.seconds) for r in train])
    # A clock with whole seconds has periods of 0.
    step = round(float(np.median(periods[periods > 0])), 6)
    programs = find_programs(train, same_share)
    if (states := sum(_length(program, step) for program in programs)) > MAX_STATES:
        raise UserError(
            f"the programs of the train recordings have {states:,} states, one for each row of "
            f"{step:g} s; at most {MAX_STATES:,} can be decoded: resample the recordings to fewer "
            "rows a second, or exclude some with recordings.exclude"
        )
    timed = [_on_program_clock(program, signals, step) for program in programs]
    lags = estimate_joint_lags((each.resampled() for each in timed), step, max_lag_seconds)
    fitted = [_fit(each, seconds, step) for each, seconds in zip(timed, lags.seconds, strict=True)]
    executed = [sorted(program.executed) for program in programs]
    lines = [line for program in executed for line in program]

    def concatenate(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(each, name) for each in fitted])

    return Programs(
        names=np.array([program.name for program in programs]),
        first=np.cumsum([0, *(len(each.mean_signals) for each in fitted)]).astype(np.int32),
        line=concatenate("line"),
        block=concatenate("block"),
        position_mm=concatenate("position_mm"),
        mm_per_unit=concatenate("mm_per_unit"),
        template=concatenate("mean_signals"),
        noise=lags.noise.astype(np.float32),
        lag_seconds=np.concatenate(lags.seconds),
        lag_program=_repeat_indices([len(seconds) for seconds in lags.seconds]),
        executed_line=np.array([number for number, _ in lines]),
        executed_block=np.array([block for _, block in lines]),
        executed_program=_repeat_indices([len(program) for program in executed]),
        step_seconds=np.array(step),
    )


def _repeat_indices(counts: Sequence[int]) -> NDArray[np.int16]:
    """Index of each count, repeated count times."""
    return np.repeat(np.arange(len(counts), dtype=np.int16), counts)


def _length(program: Program, step: float) -> int:
    """Number of a program's states."""
    return int(program.reference.seconds[-1] / step) + 1


class _Timed(NamedTuple):
    """The recordings of a program of M states."""

    recordings: Sequence[Recording]
    signals: Sequence[Signals]  # (N, C) of each recording
    clocks: Sequence[NDArray[np.float64]]  # (N,) time in the program, as its controller reports it
    times: NDArray[np.float64]  # (M,) of the states

    def resampled(self) -> list[Signals]:
        """The signals of each recording at the times of the states, (M, C)."""
        pairs = zip(self.signals, self.clocks, strict=True)
        return [_resample(samples, clock, self.times) for samples, clock in pairs]


def _on_program_clock(program: Program, signals: Mapping[str, Signals], step: float) -> _Timed:
    recordings, reference = program.recordings, program.reference
    clocks = [program_seconds(r, reference.lines, reference.seconds) for r in recordings]
    times = np.arange(_length(program, step), dtype=np.float64) * step
    return _Timed(recordings, [signals[r.name] for r in recordings], clocks, times)


class _Fitted(NamedTuple):
    """Mean signals and reports of a program; names as in Programs."""

    mean_signals: NDArray[np.float32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]


def _fit(program: _Timed, lag_seconds: NDArray[np.float64], step: float) -> _Fitted:
    """Mean signals and reports of a program, with the lag of each recording."""
    recordings, signals, clocks, times = program
    total, count = np.zeros((len(times), signals[0].shape[1])), np.zeros((len(times), 1))
    for samples, clock, lag in zip(signals, clocks, lag_seconds, strict=True):
        in_recording = (times >= clock[0] - lag) & (times <= clock[-1] - lag)
        total[in_recording] += _resample(samples, clock - lag, times)[in_recording]
        count[in_recording] += 1
    mean_signals = (total / np.maximum(count, 1)).astype(np.float32)
    # Half a step later: a line starts at the state nearest to its start, without bias.
    return _Fitted(mean_signals, *_reports(recordings, clocks, times + step / 2))


def _reports(
    recordings: Sequence[Recording],
    clocks: Sequence[NDArray[np.float64]],
    times: NDArray[np.floating],
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float32], NDArray[np.float32]]:
    """Line, block, position and unit that the controllers report at M times of a program.

    Reports of a short line differ between recordings: the majority decides. A recording that ended
    ABSENT_SECONDS before, or began as much later, has no vote.
    """
    # A row reports the line that has started by then.
    rows = [
        np.maximum(np.searchsorted(clock, times + EPSILON_SECONDS, side="right") - 1, 0)
        for clock in clocks
    ]

    def reported(name: str) -> NDArray[Any]:
        """A report of all recordings, (R, M) or (R, M, 3)."""
        return np.stack([getattr(r, name)[row] for r, row in zip(recordings, rows, strict=True)])

    is_present = np.stack(
        [(times >= c[0] - ABSENT_SECONDS) & (times <= c[-1] + ABSENT_SECONDS) for c in clocks]
    )
    lines = reported("lines")
    votes = np.stack([((lines == own) & is_present).sum(0) for own in lines]) * is_present
    majority = votes.argmax(0), np.arange(len(times))
    return (
        lines[majority],
        reported("blocks")[majority],
        _finite_mean(np.where(is_present[..., None], reported("position_mm"), np.float32(np.nan))),
        reported("mm_per_unit")[majority],
    )


def _finite_mean(positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over recordings (R, M, 3) of finite positions, (M, 3); NaN where there is none."""
    finite = np.isfinite(positions)
    total = np.where(finite, positions, 0.0).sum(0)
    return np.where(finite.any(0), total / np.maximum(finite.sum(0), 1), np.nan).astype(np.float32)


def _resample(
    signals: Signals, clock: NDArray[np.float64], times: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Signals (N, C) with a clock (N,) at M times, (M, C)."""
    return interpolate_rows(signals, np.interp(times, clock, np.arange(len(clock))))


def lag_corrected_labels(
    recording: Recording,
    signals: Signals,
    programs: Programs,
    groups: Mapping[str, NDArray[np.bool_]],
    max_lag_seconds: float = MAX_LAG_SECONDS,
    same_share: float = SAME_PROGRAM_SHARE,
) -> LagCorrectedLabels:
    """Estimates a recording's lag and states from its controller's reports.

    For training labels and oracles only; predictions from sensors alone must not use it.

    Args:
        groups: group of channels -> (C,) whether a channel belongs to it; each has its own lag.
    """
    count = len(recording.row)
    index = _find_program(recording, programs, same_share)
    if index == UNKNOWN:
        state, row = np.full(count, np.nan, np.float32), np.arange(count, dtype=np.int32)
        return LagCorrectedLabels(UNKNOWN, Lag(np.nan, {}), state, row)
    step = float(programs.step_seconds)
    states = programs.state_slice(index)
    mean_signals = programs.template[states]
    times = np.arange(len(mean_signals)) * step
    clock = program_seconds(recording, programs.line[states], times)
    resampled, noise = _resample(signals, clock, times), programs.noise
    lag = estimate_lag(resampled, mean_signals, noise, step, groups, max_lag_seconds)
    sensed = clock - lag.seconds
    state = np.clip(sensed / step, 0, len(mean_signals) - 1)
    return LagCorrectedLabels(
        index,
        lag,
        (programs.first[index] + state).astype(np.float32),
        np.rint(np.interp(sensed, clock, np.arange(count))).astype(np.int32),
    )


def _find_program(recording: Recording, programs: Programs, same_share: float) -> int:
    executed = executed_lines(recording.lines, recording.blocks)
    shares = []
    for index in range(len(programs.names)):
        in_program = programs.executed_program == index
        lines = executed_lines(
            programs.executed_line[in_program], programs.executed_block[in_program]
        )
        shares.append(same_block_share(executed, lines))
    best = int(np.argmax(shares))
    return best if shares[best] >= same_share else UNKNOWN


def write_programs(path: Path, programs: Programs) -> None:
    """Writes the NPZ; the same programs give the same bytes."""
    write_arrays(path, vars(programs))


def read_programs(path: Path, rebuild: str) -> Programs:
    """Reads the NPZ.

    Raises:
        UserError: the file is missing or truncated; it names `rebuild`, the command that makes it.
    """
    return Programs(**read_arrays(path, list(Programs.__dataclass_fields__), rebuild))
