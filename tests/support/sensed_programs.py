"""Recordings of two invented programs as `detection` sees them: smooth signals and noise."""

import numpy as np

from gcodefp.detection.detector import Detector, fit_detector
from gcodefp.detection.profile import LabelledSignals, RecordingSignals
from gcodefp.programs.lag import moving_average

STEP = 0.25
LENGTH = 240
CHANNELS = [f"{node}.{name}" for node in ("a", "b", "c") for name in ("Ax", "Mx", "My", "RMS")]
NAMES = ("disc", "ring")
REST = 12


def expected_signals(program: int) -> np.ndarray:
    """(LENGTH, C) of one program, with standstill at both ends."""
    rng = np.random.default_rng(program)
    signals = moving_average(rng.normal(size=(LENGTH, len(CHANNELS))), 7)
    signals[:REST] = signals[-REST:] = 0.0
    return signals / signals.std(0)


def record(program: int, number: int, noise: float = 0.5) -> LabelledSignals:
    """A good recording that begins `number` % 5 rows late, in a session of its own gain."""
    rng = np.random.default_rng([program, number])
    delay = number % 5
    signals = np.pad(expected_signals(program), ((delay, 5 - delay), (0, 0)))
    signals = rng.uniform(0.5, 2.0) * (signals + rng.normal(0, noise, signals.shape))
    recording = RecordingSignals(
        f"{NAMES[program]}_{number:03d}", signals.astype(np.float32), np.ones(signals.shape, bool)
    )
    return LabelledSignals(recording, program, np.arange(LENGTH) + float(delay))


def good_recordings(count: int = 12) -> list[LabelledSignals]:
    """So many of each program."""
    return [record(program, number) for program in (0, 1) for number in range(count)]


def fitted(count: int = 12) -> Detector:
    """The detector of `good_recordings`."""
    return fit_detector(good_recordings(count), NAMES, CHANNELS, STEP)
