"""Labels rows from a program's file and the sensors alone, where no controller reports lines.

`sensed_motion` says what the channels measure at each time of a program. A forward and a backward
pass over deviations from a constant speed then follow pauses and other speeds, and say how certain
the program's time is at each row. Where the controller reports positions, these alone are aligned.

Model and machine limits are fitted to the train recordings.

Shapes: N rows of a recording, C channels, D deviations.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from gcodefp.errors import UserError
from gcodefp.programs.lag import SMOOTHING_SECONDS, interpolate_rows
from gcodefp.programs.motion import MachineLimits, Move, Trajectory, moves_of, plan
from gcodefp.programs.sensed_motion import (
    TREND_SECONDS,
    Array,
    MotionModel,
    Timeline,
    filter_signals,
    fit_limits,
    fit_motion_model,
    fit_regression,
    measured_rows,
    start_scores,
    timeline,
)
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.clock import median_period, odd_rows_in
from gcodefp.recordings.interpreter import ExecutedBlock, interpret_program
from gcodefp.recordings.program_file import read_program

logger = logging.getLogger("gcodefp.dataset")

SPEEDS = tuple(2.0 ** (k / 14) for k in range(-14, 15))
"""Factors of the planned speed: a feed override, or a machine that is faster than planned."""
MAX_DEVIATION_SECONDS = 30.0
"""Of pauses, and of other speeds in parts of a program: at least."""
MIN_PAUSE_RATIO = 1.5
"""Of the log-likelihoods with and without a pause, where the program may have run twice."""
MAX_ALIGNED = 6_000_000
"""Rows times deviations: more of them, as a long pause needs, are not aligned."""
CHANGE_PROBABILITY = 0.005
"""Of running a row ahead of, or behind, the constant speed from one row to the next."""
PAUSE_PROBABILITY = 0.001
RESUME_PROBABILITY = 0.05
"""Of beginning and of ending a pause, from one row to the next."""
MAX_UNCERTAINTY_SECONDS = 1.0
"""Rows that are less certain have no label."""
REFITS = 2
MIN_STEP_SECONDS = 0.1
"""Of the rows that are aligned; those of faster recordings are interpolated."""
MIN_SCALE = 0.1
"""Of a channel in a program, of its standard deviation in the whole recording."""
MIN_RATIO = 1.5
"""Of what the motion explains of the signals to what it explains of others with their spectrum."""
MIN_SHARE = 0.25
"""Of the median score per row of the train recordings, in a recording that follows its program."""
LIMITS_PROGRAMS, LIMITS_RECORDINGS = 6, 3
"""To which the machine's limits are fitted."""


class RowLabels(NamedTuple):
    """The program's time at N rows.

    Attributes:
        program_seconds: (N,) since the program's start; negative before, beyond its end after.
        uncertainty_seconds: (N,) standard deviation.
        score: log-likelihood per row of the program above that of no motion, at the best constant
            speed.
    """

    program_seconds: Array
    uncertainty_seconds: Array
    score: float


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
    signals = {n: _signals(recordings[n], channels, step) for p in programs for n in p.recordings}
    in_train = [[n for n in program.recordings if n in train] for program in programs]
    if limits is None:
        pairs = zip(programs, in_train, strict=True)
        some = [
            (p.moves, [signals[n] for n in names[:LIMITS_RECORDINGS]])
            for p, names in pairs
            if names
        ]
        limits = fit_limits(some[:LIMITS_PROGRAMS], step)
        logger.info(
            "machine limits fitted to the train recordings: %.0f mm/s^2, X %.0f mm/min",
            *(limits.acceleration_mm_s2, limits.axis_rate_mm_min[0]),
        )
    labelled, reasons = dict(recordings), dict[str, str]()
    for program, names in zip(programs, in_train, strict=True):
        if not names:
            reason = f"no train recording runs {program.path.name}"
            reasons |= dict.fromkeys(program.recordings, reason)
            continue
        trajectory = plan(program.moves, limits)
        motions = {speed: timeline(trajectory, step, speed) for speed in SPEEDS}
        model = _fit(program, [signals[name] for name in names], motions)
        labels = {n: label_rows(signals[n], motions, model) for n in program.recordings}
        usual = float(np.median([labels[name].score for name in names]))
        for name in program.recordings:
            own = recordings[name]
            if own.seconds[-1] < min(TREND_SECONDS, trajectory.seconds):
                reasons[name] = (
                    f"{own.seconds[-1]:.1f} s of it are too short to tell where in "
                    f"{program.path.name} they are: at least {TREND_SECONDS:g} s"
                )
            elif labels[name].score < MIN_SHARE * usual:
                reasons[name] = f"its signals do not follow the motion of {program.path.name}"
            else:
                labelled[name] = _with_labels(own, program, trajectory, labels[name], step)
                if not len(labelled[name].row):
                    reasons[name] = f"no row tells where in {program.path.name} it is"
    return {n: r for n, r in labelled.items() if n not in reasons}, reasons


def _programs(recordings: Mapping[str, Recording]) -> list[ProgramText]:
    """The programs of recordings that need labels; files with one text are one program.

    Raises:
        UserError: a file cannot be read or has no motion.
    """
    runs: dict[str, tuple[Path, list[str]]] = {}
    for name, recording in recordings.items():
        if recording.program is not None:
            text = read_program(recording.program)
            runs.setdefault(text, (recording.program, []))[1].append(name)
    programs = []
    for text, (path, names) in runs.items():
        run = interpret_program(text)
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
        programs.append(ProgramText(path, names, run.blocks, moves))
    return programs


def _common_channels(train: Sequence[Recording]) -> pd.Index:
    """Channels that most recordings have."""
    names = [channel for r in train for channel in r.signals.columns[r.signals.notna().any()]]
    return pd.Index(sorted(n for n in set(names) if names.count(n) > len(train) / 2))


def _signals(recording: Recording, channels: pd.Index, step_seconds: float) -> Array:
    """Filtered signals at even rows: positions if the controller reports them, else channels."""
    if np.isfinite(recording.position_mm).all(1).mean() > 1 - MIN_SHARE:
        samples = recording.position_mm.astype(np.float64)
    else:
        samples = recording.signals.reindex(columns=channels).to_numpy(np.float64)
    times = np.arange(0.0, recording.seconds[-1] + step_seconds / 2, step_seconds)
    rows = np.interp(times, recording.seconds, np.arange(len(samples)))
    return filter_signals(interpolate_rows(samples, rows), step_seconds)


def _fit(
    program: ProgramText, recordings: Sequence[Array], motions: Mapping[float, Timeline]
) -> MotionModel:
    planned = motions[1.0]
    if not any(measured_rows(signals).any() for signals in recordings):
        raise UserError(
            f"{program.path}: no sensor of the {len(recordings)} train recordings ever changes: "
            "nothing in them tells which line runs; are the right columns mapped?"
        )
    model, score = fit_motion_model(recordings, planned)
    by_chance = fit_motion_model([_surrogate(signals) for signals in recordings], planned)[1]
    if score < MIN_RATIO * by_chance:
        raise UserError(
            f"{program.path}: the {len(recordings)} train recordings do not follow its motion (log-"
            f"likelihood {score:.0f}, by chance {by_chance:.0f}): is it the program that ran? A "
            "sensor that is faster than the rows needs features of its samples"
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


def _refit(
    recordings: Sequence[Array], motion: Timeline, labels: Sequence[RowLabels]
) -> MotionModel:
    """The model fitted to labelled rows, which may have run at other speeds or paused."""
    features, samples = [], []
    for signals, rows in zip(recordings, labels, strict=True):
        index = rows.program_seconds / motion.step_seconds + motion.first_row
        inside = (index >= 0) & (index <= len(motion.features) - 1)
        inside &= rows.uncertainty_seconds <= MAX_UNCERTAINTY_SECONDS
        features.append(interpolate_rows(motion.features, index[inside]))
        samples.append(signals[inside])
    return fit_regression(np.concatenate(features), np.concatenate(samples))


def label_rows(signals: Array, motions: Mapping[float, Timeline], model: MotionModel) -> RowLabels:
    """The program's time at each row.

    The recording's own constant speed and start are searched first.

    Args:
        signals: filtered, (N, C).
        motions: speed, as a factor of the planned one -> the program's motion at it.
    """
    scores = {speed: start_scores(signals, motion, model) for speed, motion in motions.items()}
    likeliest = max(scores, key=lambda speed: float(scores[speed].max()))
    length = len(motions[likeliest].features)
    if len(signals) > 2 * length:
        # Idle hours are quieter than the program, whose signals were scaled with them.
        start = int(scores[likeliest].argmax()) - length + 1
        running = signals[max(start, 0) : start + length]
        signals = signals / np.maximum(running.std(0), MIN_SCALE)
        scores = {speed: start_scores(signals, motion, model) for speed, motion in motions.items()}
    # A pause looks like a lower speed, until the rows are aligned.
    candidates = [
        (_align(signals, motions[speed], int(scores[speed].argmax()), model), speed)
        for speed in dict.fromkeys((likeliest, 1.0))
    ]
    (_, row, spread), speed = max(candidates, key=lambda candidate: candidate[0][0])
    motion = motions[speed]
    scale = motion.step_seconds * speed
    length = len(motion.features) - 2 * motion.first_row
    score = float(scores[likeliest].max()) / min(len(signals), length)
    return RowLabels(row * scale, spread * scale, score)


def _align(
    signals: Array, motion: Timeline, best: int, model: MotionModel
) -> tuple[float, Array, Array]:
    """What `_align_within` returns; long pauses are followed where the recording has time for them.

    There may be time for another run of the program, too, which may look like the end of the first
    one: then a pause has to explain much more.
    """
    count, length = len(signals), len(motion.features) - 2 * motion.first_row
    least = round(MAX_DEVIATION_SECONDS / motion.step_seconds)
    aligned = _align_within(least, signals, motion, best, model)
    spare = min(count - length, MAX_ALIGNED // (2 * count))
    if spare > least:
        longer = _align_within(spare, signals, motion, best, model)
        if longer[0] > aligned[0] * (MIN_PAUSE_RATIO if spare > length else 1.0):
            return longer
    return aligned


def _align_within(
    limit: int, signals: Array, motion: Timeline, best: int, model: MotionModel
) -> tuple[float, Array, Array]:
    """Log-likelihood, and mean and standard deviation of the program's row at each row, (N,).

    Args:
        limit: the longest deviation, in rows.
        best: index of the start in `start_scores`.
    """
    start, step_seconds = best - len(motion.features) + 1, motion.step_seconds
    deviations = np.arange(-limit, limit + 1)
    expected = np.pad(motion.features @ model.coefficients, ((1, 1), (0, 0)))
    weighted = expected @ model.precision
    energy = (weighted * expected).sum(1) / 2
    is_measured = measured_rows(signals)
    emissions = np.empty((len(signals), len(deviations)))
    for column, deviation in enumerate(deviations):
        rows = np.clip(np.arange(len(signals)) - start + deviation + 1, 0, len(expected) - 1)
        emissions[:, column] = (signals * weighted[rows]).sum(1) - energy[rows] * is_measured
    # Neighbouring rows share samples.
    likelihood, posterior, is_paused = _posterior(
        emissions / odd_rows_in(SMOOTHING_SECONDS, step_seconds)
    )
    mean = posterior @ deviations
    spread = np.sqrt(np.maximum(posterior @ deviations**2 - mean**2, 0.0))
    # A machine that stands still does not tell in which block.
    spread = np.where(is_paused, limit, spread)
    return likelihood, np.arange(len(signals)) - start - motion.first_row + mean, spread


def _posterior(emissions: Array) -> tuple[float, Array, NDArray[np.bool_]]:
    """Log-likelihood, probability of each deviation at each row (N, D), and paused rows (N,).

    By a forward and a backward pass.

    The machine runs, or pauses: then the deviation falls by one a row, and nothing is expected of
    the signals.

    Args:
        emissions: (N, D) log-likelihoods of running above those of no motion.
    """
    stay = np.log(1 - 2 * CHANGE_PROBABILITY - PAUSE_PROBABILITY)
    change, pause = np.log(CHANGE_PROBABILITY), np.log(PAUSE_PROBABILITY)
    remain, resume = np.log(1 - RESUME_PROBABILITY), np.log(RESUME_PROBABILITY)
    nothing = np.full(emissions.shape[1], -np.inf)

    def add(*terms: Array) -> Array:
        total: Array = np.logaddexp.reduce(terms)
        return total

    running, paused = [emissions[0]], [nothing]
    for emission in emissions[1:]:
        last, rest = running[-1], paused[-1]
        moved = (last + stay, _above(last) + change, _below(last) + change, rest + resume)
        running.append(add(*moved) + emission)
        paused.append(add(_above(last) + pause, _above(rest) + remain))
    after, after_pause = [np.zeros_like(nothing)], [np.zeros_like(nothing)]
    for emission in emissions[:0:-1]:
        ahead, rest = after[-1] + emission, after_pause[-1]
        moved = (ahead + stay, _above(ahead) + change, _below(ahead) + change, _below(rest) + pause)
        after.append(add(*moved))
        after_pause.append(add(ahead + resume, _below(rest) + remain))
    joint = np.array(running) + after[::-1], np.array(paused) + after_pause[::-1]
    either = np.logaddexp(*joint)
    likelihood = float(special.logsumexp(either[0]))
    is_paused = special.logsumexp(joint[1], axis=1) > likelihood + np.log(0.5)
    return likelihood, special.softmax(either, axis=1), is_paused


def _above(scores: Array) -> Array:
    """Scores of the deviation one row above each, (D,)."""
    return np.append(scores[1:], -np.inf)


def _below(scores: Array) -> Array:
    return np.append(-np.inf, scores[:-1])


def _with_labels(
    recording: Recording,
    program: ProgramText,
    trajectory: Trajectory,
    labels: RowLabels,
    step_seconds: float,
) -> Recording:
    """The rows within the program, with lines, blocks and positions."""
    row = recording.seconds / step_seconds
    grid = np.arange(len(labels.program_seconds))
    seconds = np.interp(row, grid, labels.program_seconds)
    uncertainty = np.interp(row, grid, labels.uncertainty_seconds)
    inside = (seconds >= 0) & (seconds <= trajectory.seconds)
    kept = inside & (uncertainty <= MAX_UNCERTAINTY_SECONDS)
    state = trajectory.state_at(seconds[kept])
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
        mm_per_unit=np.array([block.modal.mm_per_unit for block in blocks], np.float32),
        position_mm=state.position_mm.astype(np.float32),
        signals=recording.signals[kept],
        environment=recording.environment[kept],
        counts=counts,
        label_uncertainty_seconds=float(np.median(uncertainty[kept])) if kept.any() else None,
    )
