"""The sensor nodes: where they sit, what they are bolted to, and their usual readings.

Names, offsets and noise levels are medians over real recordings; positions are estimates.
"""

from dataclasses import dataclass

Triple = tuple[float, float, float]

FIXED: Triple = (0.0, 0.0, 0.0)
BED: Triple = (0.0, -1.0, 0.0)
HEAD: Triple = (1.0, 0.0, 1.0)
GANTRY: Triple = (1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Node:
    """One sensor node.

    Attributes:
        carried: how far it moves with X, Y and Z of the tool (the bed runs against Y).
        place_mm: in the machine frame when all axes are at work zero.
        gravity_g, gyro_deg_s, field_ut: what it reads at rest, offsets included.
        shake_g: standard deviation of its aliased vibration while the tool cuts.
        spin_deg_s: the same of its gyros.
        stray_x_ut, stray_y_ut: the motors' field while X or Y moves forwards (backwards: the
            opposite). For X the pattern is half the difference between rightward and leftward
            passes of real face recordings, for Y a guess. All are larger than measured (1.7
            times for X), as are `ears`: tuned, so that extra trees find lines and positions in
            48 recordings about as well as in as many real ones.
        loudness: microphone level with the spindle running free.
        ears: how well it hears the motors of X, Y and Z, and the cut.
    """

    name: str
    carried: Triple
    place_mm: Triple
    gravity_g: Triple
    gyro_deg_s: Triple
    field_ut: Triple
    shake_g: Triple
    spin_deg_s: Triple
    stray_x_ut: Triple
    stray_y_ut: Triple
    loudness: float
    ears: tuple[float, float, float, float]
    temperature_c: float
    light: float


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
    """A motor or a piece of steel as a magnetic dipole: place in mm, moment in A m^2."""

    carried: Triple
    place_mm: Triple
    moment_a_m2: Triple


MAGNETS = (
    Magnet(FIXED, (40.0, 220.0, -90.0), (0.0, 0.016, 0.041)),  # Y motor
    Magnet(FIXED, (-130.0, 30.0, 90.0), (0.049, 0.0, 0.016)),  # X motor
    Magnet(GANTRY, (60.0, 20.0, 190.0), (0.016, 0.0, 0.049)),  # Z motor
    Magnet(HEAD, (50.0, -10.0, 90.0), (0.008, 0.024, 0.024)),  # spindle motor
    Magnet(BED, (90.0, -40.0, -70.0), (0.041, 0.016, 0.0)),  # ways of the bed
)
