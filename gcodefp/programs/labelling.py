"""Labels rows from a program's file and the sensors alone, where no controller reports lines.

`sensed_motion` says what the channels measure at each time of a program, `row_alignment` at which
time of the program each row is, and how certain that is. Where the controller reports positions,
these alone are aligned. Model and machine limits are fitted to the train recordings.

Shapes: N rows of a recording, C channels.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from gcodefp.errors import UserError
from gcodefp.programs.lag import interpolate_rows
from gcodefp.programs.motion import MachineLimits, Move, Trajectory, moves_of, plan
from gcodefp.programs.row_alignment import RowLabels, label_rows
from gcodefp.programs.sensed_motion import (
    TREND_SECONDS,
    Array,
    Motion,
    MotionModel,
    filter_signals,
    fit_limits,
    fit_motion_model,
    fit_regression,
    measured_rows,
    sample_motion,
    shift_uncertainty_seconds,
)
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.clock import median_period
from gcodefp.recordings.interpreter import ExecutedBlock, interpret_program
from gcodefp.recordings.laboratory.program_file import read_program

logger = logging.getLogger("gcodefp.dataset")

SPEEDS = tuple(2.0 ** (k / 14) for k in range(-14, 15))
"""Factors of the planned speed: a feed override, or a machine that is faster than planned."""
MAX_UNCERTAINTY_SECONDS = 1.0
"""Rows that are less certain have no label."""
REFITS = 2
MIN_STEP_SECONDS = 0.1
"""Of the rows that are aligned; those of faster recordings are interpolated."""
MIN_REPORTED_SHARE = 0.75
"""Of a recording's rows with a position on an axis that is aligned."""
MIN_EXPLAINED_RATIO = 1.5
"""Of what the motion explains of the signals to what it explains of others with their spectrum."""
MIN_LOG_RATIO_SHARE = 0.25
"""Of the train recordings' median log-likelihood ratio, in one that follows its program."""
LIMITS_PROGRAMS, LIMITS_RECORDINGS = 6, 3
"""To which the machine's limits are fitted."""


class ProgramText(NamedTuple):
    """The blocks that a program file executes, their moves, and the recordings that run it."""

    path: Path
    recordings: list[str]
    blocks: list[ExecutedBlock]
    moves: list[Move]


def label_recordings(
    recordings: Mapping[str, Recording], train: Collection[str], limits: MachineLimits | None
) -> tuple[dict[str, Recording], dict[str, str]]:
    """Recordings whose rows have labels, and the reasons why others have none.

    Args:
        recordings: by name; those without a program file stay as they are.
        train: names of the recordings to which model and limits are fitted.
        limits: of the machine; None: they are fitted.

    Raises:
        UserError: a program file cannot be read, has no motion, or the train recordings do not
            follow it.
    """
    programs = _programs(recordings)
    if not programs:
        return dict(recordings), {}
    periods = [median_period(r.seconds) for r in recordings.values()]
    step = max(float(np.median(periods)), MIN_STEP_SECONDS)
    channels = _common_channels([recordings[name] for name in train])
    signals: dict[str, Array] = {}
    for program in programs:
        signals |= _signals({n: recordings[n] for n in program.recordings}, channels, step)
    limits = limits or _fit_limits(programs, train, signals, step)
    labelled, reasons = dict(recordings), dict[str, str]()
    for program in programs:
        trajectory = plan(program.moves, limits)
        reasons |= _unlabelled(program, trajectory, recordings, train)
        own = {n: signals[n] for n in program.recordings if n not in reasons}
        if not own:
            continue
        motions = {speed: sample_motion(trajectory, step, speed) for speed in SPEEDS}
        model = _fit(program, [signal for name, signal in own.items() if name in train], motions)
        shift = shift_uncertainty_seconds([own[n] for n in own if n in train], motions[1.0], model)
        labels = {name: label_rows(signal, motions, model) for name, signal in own.items()}
        usual = float(np.median([labels[name].log_ratio for name in own if name in train]))
        for name, rows in labels.items():
            labelled[name] = _with_labels(recordings[name], program, trajectory, rows, step, shift)
            if rows.log_ratio < MIN_LOG_RATIO_SHARE * usual:
                reasons[name] = f"its signals do not follow the motion of {program.path.name}"
            elif not len(labelled[name].row):
                reasons[name] = f"no row tells where in {program.path.name} it is"
    return {n: r for n, r in labelled.items() if n not in reasons}, reasons


def _fit_limits(
    programs: Sequence[ProgramText],
    train: Collection[str],
    signals: Mapping[str, Array],
    step_seconds: float,
) -> MachineLimits:
    in_train = [(p.moves, [signals[n] for n in p.recordings if n in train]) for p in programs]
    some = [(moves, own[:LIMITS_RECORDINGS]) for moves, own in in_train if own]
    limits = fit_limits(some[:LIMITS_PROGRAMS], step_seconds)
    logger.info(
        "machine limits fitted to the train recordings: %.0f mm/s^2, X %.0f mm/min",
        *(limits.acceleration_mm_s2, limits.axis_rate_mm_min[0]),
    )
    return limits


def _unlabelled(
    program: ProgramText,
    trajectory: Trajectory,
    recordings: Mapping[str, Recording],
    train: Collection[str],
) -> dict[str, str]:
    """Why recordings of a program cannot be aligned with it."""
    needed = min(TREND_SECONDS, trajectory.seconds)
    reasons = {
        name: f"{recordings[name].seconds[-1]:.1f} s of it are too short to tell where in "
        f"{program.path.name} they are: at least {needed:g} s"
        for name in program.recordings
        if recordings[name].seconds[-1] < needed
    }
    if not any(name in train and name not in reasons for name in program.recordings):
        reason = f"no train recording runs {program.path.name}"
        reasons = dict.fromkeys(program.recordings, reason) | reasons
    return reasons


def _programs(recordings: Mapping[str, Recording]) -> list[ProgramText]:
    """The programs of recordings that need labels; files with one text are one program.

    Raises:
        UserError: a file cannot be read or has no motion.
    """
    runs: dict[tuple[str, float], tuple[Path, list[str]]] = {}
    for name, recording in recordings.items():
        if recording.program is not None:
            key = read_program(recording.program), float(recording.mm_per_unit[0])
            runs.setdefault(key, (recording.program, []))[1].append(name)
    programs = []
    for (text, mm_per_unit), (path, names) in runs.items():
        run = interpret_program(text, mm_per_unit=mm_per_unit)
        moves = moves_of(run.blocks)
        if not moves:
            raise UserError(f"{path}: has no block that moves the machine; is it the right file?")
        if (still := next((m for m in moves if m.motion and m.feed_mm_min <= 0), None)) is not None:
            block = run.blocks[still.line_index]
            raise UserError(
                f"{path}: line {block.line}, {block.text!r}, has no feed rate: its time cannot be "
                "planned; write F and mm/min there as the machine runs it"
            )
        if run.not_understood:
            logger.warning("%s: %s", path.name, run.summary())
        for note in run.notes:
            logger.warning("%s: %s", path.name, note)
        programs.append(ProgramText(path, names, run.blocks, moves))
    return programs


def _common_channels(train: Sequence[Recording]) -> pd.Index:
    """Channels that most recordings have."""
    names = [channel for r in train for channel in r.signals.columns[r.signals.notna().any()]]
    return pd.Index(sorted(n for n in set(names) if names.count(n) > len(train) / 2))


def _signals(
    members: Mapping[str, Recording], channels: pd.Index, step_seconds: float
) -> dict[str, Array]:
    """Filtered signals at even rows: the axes that all recordings report, else channels."""
    finite = [np.isfinite(r.position_mm).mean(0) >= MIN_REPORTED_SHARE for r in members.values()]
    axes = np.all(finite, axis=0)
    signals = {}
    for name, recording in members.items():
        table = recording.signals.reindex(columns=channels)
        samples = recording.position_mm[:, axes] if axes.any() else table.to_numpy()
        times = np.arange(0.0, recording.seconds[-1] + step_seconds / 2, step_seconds)
        rows = np.interp(times, recording.seconds, np.arange(len(samples)))
        resampled = interpolate_rows(samples.astype(np.float64), rows)
        signals[name] = filter_signals(resampled, step_seconds)
    return signals


def _fit(
    program: ProgramText, recordings: Sequence[Array], motions: Mapping[float, Motion]
) -> MotionModel:
    planned = motions[1.0]
    if not any(measured_rows(signals).any() for signals in recordings):
        raise UserError(
            f"{program.path}: no sensor of the {len(recordings)} train recordings ever changes: "
            "nothing in them tells which line runs; are the right columns mapped?"
        )
    model, log_ratio = fit_motion_model(recordings, planned)
    by_chance = fit_motion_model([_surrogate(signals) for signals in recordings], planned)[1]
    if log_ratio < MIN_EXPLAINED_RATIO * by_chance:
        raise UserError(
            f"{program.path}: the {len(recordings)} train recordings do not follow its motion (log-"
            f"likelihood ratio {log_ratio:.0f}, by chance {by_chance:.0f}): is it the program that "
            "ran? A sensor that is faster than the rows needs features of its samples"
        )
    for _ in range(REFITS):
        model = _refit(recordings, planned, [label_rows(s, motions, model) for s in recordings])
    return model


def _surrogate(signals: Array) -> Array:
    """Signals (N, C) with the same spectrum and random phases, and so without the motion.

    Theiler and others 1992, Physica D 58; channels keep their phases relative to each other.
    """
    spectrum = np.fft.rfft(signals, axis=0)
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, (len(spectrum), 1))
    return np.fft.irfft(spectrum * np.exp(1j * phase), len(signals), axis=0)


def _refit(recordings: Sequence[Array], motion: Motion, labels: Sequence[RowLabels]) -> MotionModel:
    """The model fitted to labelled rows, which may have run at other speeds or paused."""
    features, samples = [], []
    for signals, rows in zip(recordings, labels, strict=True):
        index = rows.program_seconds / motion.step_seconds + motion.first_row
        inside = (index >= 0) & (index <= len(motion.features) - 1)
        inside &= rows.uncertainty_seconds <= MAX_UNCERTAINTY_SECONDS
        features.append(interpolate_rows(motion.features, index[inside]))
        samples.append(signals[inside])
    return fit_regression(np.concatenate(features), np.concatenate(samples))


def _with_labels(
    recording: Recording,
    program: ProgramText,
    trajectory: Trajectory,
    labels: RowLabels,
    step_seconds: float,
    shift_seconds: float,
) -> Recording:
    """The rows within the program, with lines, blocks and positions.

    A shift that all recordings share is uncertain by `shift_seconds`. It excludes no row: the
    labels of one recording are as good as those of the next.
    """
    row = recording.seconds / step_seconds
    grid = np.arange(len(labels.program_seconds))
    seconds = np.interp(row, grid, labels.program_seconds)
    uncertainty = np.interp(row, grid, labels.uncertainty_seconds)
    inside = (seconds >= 0) & (seconds <= trajectory.seconds)
    kept = inside & (uncertainty <= MAX_UNCERTAINTY_SECONDS)
    state = trajectory.kinematics_at(seconds[kept])
    index = np.array([move.line_index for move in trajectory.moves])[state.move_index]
    blocks = [program.blocks[i] for i in index.tolist()]
    lines = np.array([block.line for block in blocks])
    # A loop repeats lines: then the order of execution numbers them.
    has_loops = any(b.line < a.line for a, b in pairwise(program.blocks))
    counts = recording.counts.copy()
    counts["outside_program_rows"] += int((~inside).sum())
    counts["uncertain_rows"] += int((inside & ~kept).sum())
    clock = recording.seconds[kept]
    return replace(
        recording,
        row=recording.row[kept],
        seconds=clock - clock[:1],
        blocks=np.array([block.text for block in blocks], np.str_),
        lines=index + 1 if has_loops else lines,
        mm_per_unit=np.array([block.mm_per_unit for block in blocks], np.float32),
        position_mm=state.position_mm.astype(np.float32),
        signals=recording.signals[kept],
        environment=recording.environment[kept],
        counts=counts,
        label_uncertainty_seconds=float(np.hypot(np.median(uncertainty[kept]), shift_seconds))
        if kept.any()
        else None,
    )
