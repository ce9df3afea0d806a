"""Rows are labelled from a program's file and the sensors of simulated recordings."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.programs.labelling import MAX_UNCERTAINTY_SECONDS, label_recordings
from gcodefp.programs.motion import MachineLimits, plan
from gcodefp.programs.sensed_motion import filter_signals, fit_limits
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.gcode import format_block, parse_block
from gcodefp.simulation.programs import build_program
from gcodefp.simulation.recording import plan_program
from gcodefp.simulation.sensors import NODES, machine_load, measure_node

STEP_SECONDS = 0.25
APPROACH_SECONDS = 6.0
QUANTITIES = ("Gx", "Gy", "Mx", "My", "Mz", "RMS")
Warp = list[tuple[float, float, float]]
"""Parts of the recording: from and to which of its seconds, and how fast the program runs."""


def program_file(folder: Path, program: str) -> Path:
    """A program of the simulator as a file, without its move in the machine's frame."""
    lines = [line.text for line in build_program(program) if "G53" not in line.text]
    path = folder / f"{program}.gcode"
    path.write_text("\n".join(["G20", *lines]))
    return path


def simulated(
    path: Path,
    program: str,
    seed: int,
    warp: Warp | None = None,
    limits: MachineLimits | None = None,
) -> tuple[Recording, NDArray[np.float64]]:
    """A recording without reports, and the program's time at its rows."""
    rng = np.random.default_rng(seed)
    trajectory = plan(plan_program(program).moves, limits)
    fine = np.arange(-rng.uniform(1, 6), 3 * trajectory.seconds, 0.01)
    rate = np.ones(len(fine))
    for start, end, speed in warp or []:
        rate[(fine >= start) & (fine < end)] = speed
    elapsed = np.cumsum(rate) * 0.01
    elapsed -= np.interp(0.0, fine, elapsed)
    seconds = np.arange(fine[0], np.interp(trajectory.seconds, elapsed, fine) + 3, STEP_SECONDS)
    truth = np.interp(seconds, fine, elapsed)
    engagement = np.array([line.engagement for line in build_program(program)])
    load = machine_load(trajectory, engagement, truth)
    signals = {
        f"{node.name}.{quantity}": samples
        for node in NODES[:4]
        for quantity, samples in measure_node(node, load, rng).items()
        if quantity in QUANTITIES
    }
    count = len(seconds)
    recording = Recording(
        name=f"{program}_{seed}",
        operation=program,
        row=np.arange(count, dtype=np.int32),
        seconds=seconds - seconds[0],
        blocks=np.full(count, str(path)),
        lines=np.zeros(count, np.int64),
        mm_per_unit=np.ones(count, np.float32),
        position_mm=np.full((count, 3), np.nan, np.float32),
        signals=pd.DataFrame(signals),
        environment=np.full((count, 2), np.nan, np.float32),
        counts=Counter(),
        program=path,
    )
    return recording, truth


def label(
    pairs: list[tuple[Recording, NDArray[np.float64]]], limits: MachineLimits | None = None
) -> tuple[dict[str, Recording], dict[str, str], dict[str, NDArray[np.float64]]]:
    """Labelled recordings, reasons, and distances in mm from where the tool was at each row."""
    recordings = {recording.name: recording for recording, _ in pairs}
    labelled, reasons = label_recordings(recordings, list(recordings)[:4], limits)
    distances = {}
    for recording, truth in pairs:
        if recording.name in labelled:
            own = labelled[recording.name]
            true = plan_program(own.operation).kinematics_at(truth[own.row]).position_mm
            # No program says where the machine is before its first move.
            is_later = truth[own.row] > APPROACH_SECONDS
            distances[own.name] = np.linalg.norm(own.position_mm - true, axis=1)[is_later]
    return labelled, reasons, distances


PLAIN = [1, 2, 3, 4]
"""Seeds of the train recordings, which run as planned."""


def test_rows_get_lines_although_the_program_pauses_or_runs_at_another_feed(tmp_path: Path) -> None:
    path = program_file(tmp_path, "face40")
    pairs = [simulated(path, "face40", seed) for seed in PLAIN]
    pause, slow, fast = [(20.0, 26.0, 0.0)], [(0.0, 999.0, 0.8)], [(15.0, 45.0, 1.15)]
    pairs += [simulated(path, "face40", 5 + i, warp) for i, warp in enumerate([pause, slow, fast])]
    labelled, reasons, distances = label(pairs, MachineLimits())
    assert not reasons
    for name, distance in distances.items():
        # The feed is 9.3 mm/s.
        assert np.median(distance) < 3, name
        assert (distance > 10).mean() < 0.15, name
        own = labelled[name]
        assert len(own.row) > 0.8 * plan_program("face40").seconds / STEP_SECONDS
        assert (np.diff(own.lines) >= 0).all()
        assert own.label_uncertainty_seconds is not None
        assert own.label_uncertainty_seconds < MAX_UNCERTAINTY_SECONDS
        assert own.counts["outside_program_rows"] > 0
    texts = path.read_text().split("\n")
    pairs_seen = set(zip(own.lines.tolist(), own.blocks.tolist(), strict=True))
    assert all(format_block(parse_block(texts[line - 1])) == block for line, block in pairs_seen)


def test_the_shift_that_all_recordings_share_is_in_the_uncertainty(tmp_path: Path) -> None:
    """A pocket of alike passes may be labelled a little late, by all recordings alike."""
    uncertain = {}
    for program in ("face40", "adaptive25"):
        pairs = [simulated(program_file(tmp_path, program), program, seed) for seed in PLAIN]
        labelled, *_ = label(pairs, MachineLimits())
        own = [recording.label_uncertainty_seconds for recording in labelled.values()]
        uncertain[program] = min(u for u in own if u is not None)
    assert uncertain["adaptive25"] > 0.15 > 0.1 > uncertain["face40"]


@pytest.mark.parametrize(("acceleration", "rate"), [(60.0, 3000.0), (250.0, 1000.0)])
def test_the_limits_of_the_machine_are_fitted(
    acceleration: float, rate: float, tmp_path: Path
) -> None:
    """They are searched from the simulator's, which are others."""
    limits = MachineLimits(acceleration, axis_rate_mm_min=(rate, rate, 0.45 * rate))
    path = program_file(tmp_path, "pocket25")
    recordings = [simulated(path, "pocket25", seed, None, limits)[0] for seed in PLAIN]
    signals = [filter_signals(r.signals.to_numpy(), STEP_SECONDS) for r in recordings]
    moves = plan_program("pocket25").moves
    fitted = plan(moves, fit_limits([(moves, signals)], STEP_SECONDS)).seconds
    # Slower rapids and a lower acceleration resemble each other; the time that they take does not.
    true, simulators = plan(moves, limits).seconds, plan(moves).seconds
    assert abs(true - simulators) > 2
    assert abs(true - fitted) < abs(true - simulators) / 2


def test_sensors_without_the_motion_are_refused(tmp_path: Path) -> None:
    path, other = program_file(tmp_path, "face40"), program_file(tmp_path, "adaptive25")
    pairs = [simulated(path, "face40", seed) for seed in PLAIN]
    stranger, truth = simulated(path, "adaptive25", 9)
    labelled, reasons, _ = label([*pairs, (stranger, truth)], MachineLimits())
    assert set(reasons) == {"adaptive25_9"}
    assert "do not follow the motion of face40" in reasons["adaptive25_9"]
    assert len(labelled) == len(PLAIN)
    for recording, _ in pairs:
        recording.program = other
    with pytest.raises(UserError, match="the 4 train recordings do not follow its motion"):
        label(pairs, MachineLimits())


def test_reported_positions_are_aligned_alone(tmp_path: Path) -> None:
    path = program_file(tmp_path, "pocket25")
    pairs = []
    for seed in PLAIN:
        recording, truth = simulated(path, "pocket25", seed)
        position = plan_program("pocket25").kinematics_at(truth).position_mm
        recording.position_mm = position.astype(np.float32)
        noise = np.random.default_rng(seed).normal(size=recording.signals.shape)
        recording.signals = pd.DataFrame(noise, columns=recording.signals.columns)
        pairs.append((recording, truth))
    *_, distances = label(pairs, MachineLimits())
    assert np.median(np.concatenate(list(distances.values()))) < 2
    pairs[0][0].position_mm[:, 2] = np.nan  # The other axes are enough, for half a second.
    *_, distances = label(pairs, MachineLimits())
    assert np.median(np.concatenate(list(distances.values()))) < 5
    pairs[0][0].position_mm[:] = np.nan
    with pytest.raises(UserError, match="do not follow its motion"):
        label(pairs, MachineLimits())  # Not all report them: sensors count, which are noise here.


def test_a_long_pause_and_a_gap_in_the_samples_do_not_shift_the_labels(tmp_path: Path) -> None:
    path = program_file(tmp_path, "face40")
    pairs = [simulated(path, "face40", seed) for seed in PLAIN]
    pairs.append(simulated(path, "face40", 5, [(20.0, 80.0, 0.0)]))
    gap = simulated(path, "face40", 6)
    gap[0].signals.iloc[50:150] = np.nan
    labelled, reasons, distances = label([*pairs, gap], MachineLimits())
    assert not reasons
    for name in ("face40_5", "face40_6"):
        assert (distances[name] > 10).mean() < 0.1, name
        assert len(labelled[name].row) > 0.8 * plan_program("face40").seconds / STEP_SECONDS
    assert labelled["face40_5"].counts["uncertain_rows"] > 0.8 * 60 / STEP_SECONDS


def test_a_program_without_a_feed_rate_is_refused(tmp_path: Path) -> None:
    pair = simulated(program_file(tmp_path, "face40"), "face40", 1)
    path = pair[0].program = tmp_path / "no_feed.nc"
    path.write_text("G21\nG0 X5\nG1 X10\n")
    with pytest.raises(UserError, match=r"no_feed\.nc: line 3, 'G1 X10', has no feed rate"):
        label([pair], MachineLimits())


@pytest.mark.parametrize("constant", [1.0, np.nan])
def test_sensors_that_never_change_are_refused(tmp_path: Path, constant: float) -> None:
    path = program_file(tmp_path, "face40")
    pairs = [simulated(path, "face40", seed) for seed in PLAIN]
    for recording, _ in pairs:
        recording.signals.iloc[:] = constant
    with pytest.raises(UserError, match="no sensor of the 4 train recordings ever changes"):
        label(pairs, MachineLimits())
