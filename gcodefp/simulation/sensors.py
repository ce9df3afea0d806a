"""The sensor nodes: their mounting and their signals.

Names, offsets and noise levels are medians over real recordings; positions are estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.motion import Kinematics, Trajectory, Vector

Triple = tuple[float, float, float]

FIXED: Triple = (0.0, 0.0, 0.0)
BED: Triple = (0.0, -1.0, 0.0)
HEAD: Triple = (1.0, 0.0, 1.0)
GANTRY: Triple = (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Node:
    """One sensor node.

    Attributes:
        axis_motion: factors of its motion with X, Y and Z (-1: the bed moves against Y).
        location_mm: in the machine frame when all axes are at work zero.
        gravity_g, gyro_deg_s, field_ut: its samples at rest, offsets included.
        vibration_g: standard deviation of its aliased vibration while the tool cuts.
        gyro_vibration_deg_s: the same of its gyros.
        stray_x_ut, stray_y_ut: the motors' field while X or Y moves forwards (backwards: the
            opposite). For X the pattern is half the difference between rightward and leftward
            passes of real face recordings, for Y an estimate. All are larger than measured (1.7
            times for X), as is `microphone_gain`: tuned so that extra trees predict lines and
            positions of 48 recordings about as well as of 48 real ones.
        idle_level: microphone level with the spindle idling.
        microphone_gain: for the motors of X, Y and Z, and for the cut.
    """

    name: str
    axis_motion: Triple
    location_mm: Triple
    gravity_g: Triple
    gyro_deg_s: Triple
    field_ut: Triple
    vibration_g: Triple
    gyro_vibration_deg_s: Triple
    stray_x_ut: Triple
    stray_y_ut: Triple
    idle_level: float
    microphone_gain: tuple[float, float, float, float]
    temperature_c: float
    light_level: float


NODES = (
    Node("frame_r2", FIXED, (170.0, 40.0, -60.0), (-1.006, -0.076, 0.025), (5.34, 1.85, 2.03),
         (-3.3, 16.0, -92.0), (0.0056, 0.0059, 0.0145), (0.13, 0.14, 0.06),
         (0.34, 0.34, 0.0), (0.51, -1.02, 0.68),
         1600.0, (0.182, 0.091, 0.091, 0.726), 32.0, 150.0),
    Node("y_bed__3", BED, (40.0, 60.0, -30.0), (-0.995, -0.030, 0.014), (-5.15, -7.98, 0.42),
         (-12.7, 35.7, 64.0), (0.0229, 0.0181, 0.0108), (0.18, 0.16, 0.09),
         (0.68, 0.51, 0.0), (2.73, -1.36, 3.75),
         1700.0, (0.091, 0.327, 0.054, 0.816), 32.2, 5.5),
    Node("spindle2", HEAD, (60.0, 30.0, 80.0), (-0.949, 0.288, -0.008), (2.52, 1.53, 1.24),
         (10.5, 4.3, 7.2), (0.065, 0.150, 0.032), (1.68, 0.70, 0.11),
         (-1.88, 9.38, -1.88), (1.02, 1.71, -0.68),
         2150.0, (0.163, 0.054, 0.182, 0.998), 39.8, 195.0),
    Node("frame_l2", FIXED, (-60.0, 40.0, -60.0), (-0.991, 0.040, -0.006), (-1.74, -0.90, 0.90),
         (-31.7, 36.3, -39.5), (0.0036, 0.0052, 0.0124), (0.11, 0.09, 0.06),
         (0.86, 1.71, -5.96), (-0.51, 0.86, 1.02),
         1550.0, (0.29, 0.073, 0.073, 0.635), 33.7, 170.0),
    Node("frame_b2", FIXED, (60.0, 170.0, -60.0), (-1.007, -0.003, -0.011), (-0.37, 2.52, 5.11),
         (17.8, 18.1, -48.9), (0.0048, 0.0075, 0.0281), (0.09, 0.10, 0.08),
         (1.71, 1.54, 2.56), (3.07, -3.75, 1.71),
         1600.0, (0.128, 0.272, 0.073, 0.363), 31.0, 280.0),
    Node("y_bed__4", BED, (-20.0, 60.0, -30.0), (-1.008, 0.122, -0.010), (2.83, 1.71, 4.01),
         (-6.3, 30.2, 36.7), (0.0170, 0.0172, 0.0076), (0.08, 0.08, 0.07),
         (0.51, 0.0, 0.34), (-2.05, 1.19, 2.39),
         1500.0, (0.054, 0.363, 0.054, 0.726), 32.5, 5.2),
)  # fmt: skip


@dataclass(frozen=True)
class Magnet:
    """A motor or a piece of steel as a magnetic dipole: location in mm, moment in A m^2."""

    axis_motion: Triple
    location_mm: Triple
    moment_a_m2: Triple


MAGNETS = (
    Magnet(FIXED, (40.0, 220.0, -90.0), (0.0, 0.016, 0.041)),  # Y motor
    Magnet(FIXED, (-130.0, 30.0, 90.0), (0.049, 0.0, 0.016)),  # X motor
    Magnet(GANTRY, (60.0, 20.0, 190.0), (0.016, 0.0, 0.049)),  # Z motor
    Magnet(HEAD, (50.0, -10.0, 90.0), (0.008, 0.024, 0.024)),  # spindle motor
    Magnet(BED, (90.0, -40.0, -70.0), (0.041, 0.016, 0.0)),  # ways of the bed
)


# What the nodes measure while the machine follows a trajectory.
#
# The real signals were sampled far below the frequencies of the vibration and interpolated onto
# the controller's reports, so vibration is aliased: only its amplitude has information. Here it is
# noise whose amplitude follows the cut and the axes' speeds, drawn at the nodes' sample times.

SAMPLE_SECONDS = 0.12
DROPPED_SHARE = 0.05
STANDARD_GRAVITY_MM_S2 = 9806.65
REFERENCE_SPEED_MM_S = 9.3
"""The cutting feed, at which the motors' sounds have their nominal level."""
STRAY_FIELD_SPEED_MM_S = 2.0
"""The speed at which a motor's stray field reaches 76 % of its full strength."""
VACUUM_UT_MM3 = 1e8
"""mu0 / 4 pi in microtesla mm^3 per A m^2."""


@dataclass(frozen=True)
class MachineLoad:
    """The machine at T sample times; engagement (T,) is the share of the tool's width that cuts."""

    state: Kinematics
    engagement: Vector
    spindle_on: NDArray[np.bool_]


def machine_load(
    trajectory: Trajectory, engagement_of_line: Vector, seconds: Vector
) -> MachineLoad:
    """The load at times (T,) after the start of the program."""
    state = trajectory.kinematics_at(seconds)
    line = np.array([move.line_index for move in trajectory.moves])[state.move_index]
    moving = (seconds > 0) & (seconds < trajectory.seconds)
    engagement = np.where(moving, engagement_of_line[line], 0.0)
    return MachineLoad(state, engagement, seconds < trajectory.seconds + 2.0)


def sample_clock(first_seconds: float, last_seconds: float, rng: np.random.Generator) -> Vector:
    """Sample times of a node: a steady clock with jitter and lost samples."""
    count = int((last_seconds - first_seconds) / SAMPLE_SECONDS) + 2
    seconds = first_seconds + SAMPLE_SECONDS * (np.arange(count) + rng.uniform(0, 0.3, count))
    is_kept = rng.random(count) > DROPPED_SHARE
    is_kept[[0, -1]] = True
    return np.asarray(seconds[is_kept])


def measure_node(node: Node, load: MachineLoad, rng: np.random.Generator) -> Mapping[str, Vector]:
    """All quantities of a node at the T times of the load, by name (`Ax` ... `RMS`)."""
    count = len(load.engagement)
    speed = np.abs(load.state.velocity_mm_s) / REFERENCE_SPEED_MM_S
    cut = load.engagement * (0.5 + 0.5 * np.minimum(speed.sum(axis=1), 2.0))
    cutting_gain = 0.5 + 0.7 * cut + np.minimum(speed, 4.0) @ np.array(node.microphone_gain[:3])
    vibration_gain = np.where(load.spindle_on, cutting_gain, 0.15)[:, None]
    axis_motion = np.array(node.axis_motion)

    gravity = np.array(node.gravity_g) + rng.normal(0, 0.001, 3)
    inertia = -load.state.acceleration_mm_s2 * axis_motion / STANDARD_GRAVITY_MM_S2
    # Sensor x points down: the machine's Z is the node's -x, its X and Y are y and z.
    inertia = np.stack([-inertia[:, 2], inertia[:, 0], inertia[:, 1]], axis=1)
    vibration = rng.normal(0, 1, (count, 3)) * vibration_gain * np.array(node.vibration_g)
    acceleration = gravity + inertia + vibration

    gyro_bias = np.array(node.gyro_deg_s) + rng.normal(0, 0.06, 3)
    gyro = gyro_bias + rng.normal(0, 1, (count, 3)) * vibration_gain * np.array(
        node.gyro_vibration_deg_s
    )
    gyro = gyro + random_walk(rng, (count, 3), 0.002)

    columns = _axis_columns("A", acceleration) | _axis_columns("G", gyro)
    columns |= _axis_columns("M", _magnetic_field(node, load, rng))
    columns |= _environment(node, count, rng)
    columns["RMS"] = _microphone(node, speed, cut, load.spindle_on, rng)
    return columns


def random_walk(rng: np.random.Generator, shape: tuple[int, ...], step: float) -> Vector:
    """A drift along the first axis that starts at zero."""
    return np.cumsum(rng.normal(0, step, shape), axis=0)


def dipole_field_ut(offset_mm: Vector, moment_a_m2: Vector) -> Vector:
    """The field of a point dipole at offsets (T, 3), in microtesla (Jackson, eq. 5.56)."""
    distance = np.linalg.norm(offset_mm, axis=1, keepdims=True)
    unit = offset_mm / distance
    along = (unit @ moment_a_m2)[:, None]
    return np.asarray(VACUUM_UT_MM3 * (3 * along * unit - moment_a_m2) / distance**3)


def _magnetic_field(node: Node, load: MachineLoad, rng: np.random.Generator) -> Vector:
    position = load.state.position_mm
    count = len(position)
    field = np.array(node.field_ut) + rng.normal(0, 0.6, 3) + random_walk(rng, (count, 3), 0.02)
    for magnet in MAGNETS:
        relative = np.array(node.axis_motion) - np.array(magnet.axis_motion)
        location = np.array(node.location_mm) - np.array(magnet.location_mm)
        moment = np.array(magnet.moment_a_m2)
        resting_field = dipole_field_ut(location[None, :], moment)
        field = field + dipole_field_ut(location + position * relative, moment) - resting_field
    motor_direction = np.tanh(load.state.velocity_mm_s[:, :2] / STRAY_FIELD_SPEED_MM_S)
    field = field + motor_direction @ np.array([node.stray_x_ut, node.stray_y_ut])
    field = field + rng.normal(0, 0.5, (count, 3))
    # In real recordings interpolation of empty samples reduces magnetometer readings.
    is_interpolated = rng.random(count) < 0.03
    gain = np.where(is_interpolated, rng.random(count), 1.0)
    return np.asarray(np.round(field, 0) * gain[:, None])


def _microphone(
    node: Node, speed: Vector, cut: Vector, spindle_on: NDArray[np.bool_], rng: np.random.Generator
) -> Vector:
    count = len(cut)
    motors = np.minimum(speed, 5.0) @ np.array(node.microphone_gain[:3])
    # Motors and cut add to the spindle; the level fluctuates by a fifth.
    level = np.where(spindle_on, 1.0, 0.2) + motors + node.microphone_gain[3] * cut
    session = np.exp(rng.normal(0, 0.08))
    flicker = np.exp(rng.normal(0, 0.18, count) + random_walk(rng, (count,), 0.004))
    return np.asarray(node.idle_level * session * level * flicker)


def _environment(node: Node, count: int, rng: np.random.Generator) -> dict[str, Vector]:
    temperature = node.temperature_c + rng.normal(0, 0.5) + rng.normal(0, 0.005, count)
    columns = {
        "Pressure": np.round(99.6 + rng.normal(0, 0.02) + random_walk(rng, (count,), 5e-4), 1),
        "Temperature": temperature + 1e-4 * np.arange(count) + random_walk(rng, (count,), 5e-4),
        "Proximity": np.abs(rng.normal(90, 40, count)),
    }
    light = node.light_level * np.exp(rng.normal(0, 0.15)) * rng.uniform(0.1, 1.0, count)
    for colour, share in {"R": 0.35, "G": 0.38, "B": 0.36, "A": 1.0}.items():
        columns[f"Color{colour}"] = light * share * np.exp(rng.normal(0, 0.05, count))
    return columns


def _axis_columns(letter: str, values: Vector) -> dict[str, Vector]:
    return {f"{letter}{axis}": values[:, index] for index, axis in enumerate("xyz")}


def motor_currents(load: MachineLoad, rng: np.random.Generator) -> dict[str, Vector]:
    """The four motor currents in ampere: almost pure noise, little load."""
    count = len(load.engagement)
    speed = np.abs(load.state.velocity_mm_s) / REFERENCE_SPEED_MM_S
    thrust = np.abs(load.state.acceleration_mm_s2) / 250.0
    spindle = np.where(load.spindle_on, 5.2 + 0.04 * load.engagement, 5.0)
    currents = {"spindle": spindle + rng.normal(0, 0.13, count)}
    for axis, name in enumerate(("x_motor", "y_motor", "z_motor")):
        load_current = 0.001 * np.minimum(speed[:, axis], 4.0) + 0.001 * thrust[:, axis]
        currents[name] = 0.2 + load_current + rng.normal(0, 0.008, count)
    return currents
