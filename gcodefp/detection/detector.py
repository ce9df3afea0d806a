"""The detector: a profile of each program and its calibration, and its file, detector.npz.

Shapes: P states of K programs, C channels, R good recordings, S statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gcodefp.dataset.store import DatasetDescription, Split
from gcodefp.detection.alignment import INSIDE
from gcodefp.detection.deviations import (
    Alignment,
    Deviation,
    Statistics,
    align_to_program,
    find_deviations,
    measure,
)
from gcodefp.detection.live import FALSE_ALARMS_PER_HOUR, LIVE, live_statistics, live_thresholds
from gcodefp.detection.profile import (
    Array,
    LabelledSignals,
    Profile,
    RecordingSignals,
    fit_profile,
    sensor_numbers,
    state_samples,
)
from gcodefp.detection.reading import UniformRecording
from gcodefp.detection.verdict import (
    FALSE_ALARM_RATE,
    MIN_MATCH_SHARE,
    REBUILD,
    CalibrationSet,
    ConformalTest,
    conformal_test,
    name_verdict,
    pooling_p,
)
from gcodefp.documents import ArraySpec, check_arrays
from gcodefp.errors import UserError
from gcodefp.files import read_arrays, write_arrays
from gcodefp.programs.lag import moving_average

MIN_PROFILED = 3
"""Good recordings of a program without which it cannot be judged."""
PARTS = 20
"""Of the good recordings of a program, each in turn aligned with a profile of the others."""
EXPECTED_ROWS = 9


class Judgement(NamedTuple):
    """A recording that was judged.

    Attributes:
        program: index of the program that it should be.
        match_shares: (K,) share of the expected match as each program; NaN where not needed.
    """

    program: int
    verdict: str
    test: ConformalTest
    statistics: Statistics
    deviations: list[Deviation]
    match_shares: Array
    alignment: Alignment


@dataclass(frozen=True)
class Detector:
    """Profiles and calibration set of K programs.

    Attributes:
        names: (K,) of the programs of the dataset.
        profiles: program -> its profile; None with fewer than MIN_PROFILED.
        usual_drift: drift that all but a hundredth of the good recordings do not exceed, s.
    """

    names: tuple[str, ...]
    profiles: Sequence[Profile | None]
    calibration: CalibrationSet
    usual_drift: float

    def profile(self, program: int) -> Profile:
        """Raises UserError: the program has too few good recordings."""
        if (profile := self.profiles[program]) is None:
            raise UserError(
                f"program {self.names[program]}: fewer than {MIN_PROFILED} good recordings in "
                "the train and val split, which cannot say what is usual; record it more often"
            )
        return profile

    def judge(
        self, recording: RecordingSignals, program: int, rate: float = FALSE_ALARM_RATE
    ) -> Judgement:
        """Judges a recording that should be of a program."""
        profile = self.profile(program)
        alignment = align_to_program(profile, recording)
        statistics = measure(alignment, profile.expected)
        test = conformal_test(self.calibration, statistics, program, rate)
        deviations = find_deviations(alignment, self.usual_drift)
        match_shares = np.full(len(self.names), np.nan)
        match_shares[program] = statistics.match_share
        if test.deviates and match_shares[program] < MIN_MATCH_SHARE:
            match_shares = self.match_shares(recording)
        own = self.calibration.statistics[self.calibration.program == program]
        medians = np.median(own, axis=0).tolist()
        verdict = name_verdict(
            test, statistics, medians, deviations, match_shares.tolist(), program
        )
        return Judgement(program, verdict, test, statistics, deviations, match_shares, alignment)

    def match_shares(self, recording: RecordingSignals) -> Array:
        """Share of the expected match of a recording as each program, (K,); 0 without a profile."""
        return np.array([
            0.0 if profile is None
            else measure(align_to_program(profile, recording), profile.expected).match_share
            for profile in self.profiles
        ])  # fmt: skip

    def live_statistics(self, recording: RecordingSignals, program: int) -> Array:
        """The statistics of `live.LIVE` after each row of a recording, (N, L)."""
        return live_statistics(self.profile(program), recording)

    def live_thresholds(self, per_hour: float = FALSE_ALARMS_PER_HOUR) -> tuple[Array, float]:
        """Thresholds of these, (L,), and the rate of false warnings per hour."""
        return live_thresholds(self.calibration.live, self.calibration.seconds, per_hour)


def labelled_signals(
    recordings: Sequence[UniformRecording], splits: Sequence[Split], description: DatasetDescription
) -> list[LabelledSignals]:
    """The recordings of some splits, on the states of their lag-corrected labels."""
    # torch takes seconds to import, and judge needs none.
    from gcodefp.model.templates import labelled_recordings

    programs, by_name = description.programs, {each.recording.name: each for each in recordings}
    labelled = []
    for split in splits:
        for recording in labelled_recordings(split, programs):
            rows, program, states = recording.rows, recording.program, recording.states
            uniform = by_name.get(str(split.recordings[split.recording[rows[0]]]))
            if uniform is None:
                continue
            own = np.full(int(np.diff(programs.first)[program]), np.nan)
            at = np.interp(split.row[rows], uniform.file_row, uniform.uniform_row)
            own[states - programs.first[program]] = np.interp(
                recording.state_rows, np.arange(len(at)), at
            )
            labelled.append(LabelledSignals(uniform.recording, program, own))
    return labelled


def _match_by_state(alignment: Alignment) -> Array:
    """The match in each state, (T,); NaN where there is none."""
    by_state = np.full(alignment.matches.shape[1], np.nan)
    inside = alignment.path.path_state == INSIDE
    by_state[alignment.state[inside]] = alignment.match[inside]
    return by_state


def _expected(matches_by_state: Sequence[Array]) -> Array:
    """Median of matches (R, T) in each state, (T,); the overall median where there is none."""
    stacked = np.ma.masked_invalid(np.stack(matches_by_state))
    median = np.ma.median(stacked, axis=0).filled(float(np.ma.median(stacked)))
    return moving_average(np.asarray(median)[:, None], EXPECTED_ROWS)[:, 0]


def fit_detector(
    labelled: Sequence[LabelledSignals],
    names: Sequence[str],
    channels: Sequence[str],
    step_seconds: float,
) -> Detector:
    """Fits the detector to good recordings; programs with few of them have no profile."""
    profiles: list[Profile | None] = []
    measured: list[tuple[Statistics, int, Array, float]] = []
    for program in range(len(names)):
        own = [recording for recording in labelled if recording.program == program]
        profile = None
        if len(own) >= MIN_PROFILED:
            profile, good = _fit_program(own, channels, step_seconds)
            measured += good
        profiles.append(profile)
    if not measured:
        none = np.zeros((0, len(Statistics._fields))), np.zeros((0, len(LIVE)))
        nothing = CalibrationSet(none[0], np.zeros(0, int), none[1], np.zeros(0))
        return Detector(tuple(names), profiles, nothing, 0.0)
    statistics, programs, live, seconds = map(np.array, zip(*measured, strict=True))
    calibration = CalibrationSet(statistics, programs, live, seconds)
    scores = np.array([max(own.values()) for own in calibration.scores()])
    calibration = replace(calibration, pooled_p=pooling_p(scores, programs))
    drift = float(np.quantile(statistics[:, Statistics._fields.index("drift")], 0.99))
    return Detector(tuple(names), profiles, calibration, drift)


def _fit_program(
    own: Sequence[LabelledSignals], channels: Sequence[str], step_seconds: float
) -> tuple[Profile, list[tuple[Statistics, int, Array, float]]]:
    """The profile of a program, and the fields of CalibrationSet of each good recording."""
    samples, length = [state_samples(p, step_seconds) for p in own], len(own[0].state_rows)
    part = np.arange(len(own)) % min(len(own), PARTS)
    without = {
        number: fit_profile(
            [s for s, own_part in zip(samples, part, strict=True) if own_part != number],
            length, channels, step_seconds,
        )
        for number in set(part.tolist())
    }  # fmt: skip
    profiles = [without[number] for number in part.tolist()]
    alignments = [align_to_program(p, o.recording) for p, o in zip(profiles, own, strict=True)]
    matches = [_match_by_state(alignment) for alignment in alignments]
    measured = []
    for index, (good, alignment) in enumerate(zip(own, alignments, strict=True)):
        expected = _expected(matches[:index] + matches[index + 1 :])
        profile = replace(profiles[index], expected=expected)
        live = live_statistics(profile, good.recording).max(0)
        seconds = len(alignment.match) * step_seconds
        measured.append((measure(alignment, expected), good.program, live, seconds))
    profile = fit_profile(samples, length, channels, step_seconds)
    return replace(profile, expected=_expected(matches)), measured


ARRAYS = {
    "learning_digest": ArraySpec("U", ()),
    "first": ArraySpec("i", ("G",), 0),
    "mean": ArraySpec("f", ("P", "C")),
    "variance": ArraySpec("f", ("P", "C"), 1e-9),
    "background": ArraySpec("f", ("K", "C"), 1e-9),
    "expected": ArraySpec("f", ("P",)),
    "statistics": ArraySpec("f", ("R", len(Statistics._fields))),
    "program": ArraySpec("i", ("R",), 0),
    "live": ArraySpec("f", ("R", len(LIVE))),
    "seconds": ArraySpec("f", ("R",), 0),
    "pooled_p": ArraySpec("f", (), 0, 1, nan=True),
    "usual_drift": ArraySpec("f", (), 0),
}


def write_detector(path: Path, detector: Detector, description: DatasetDescription) -> None:
    """Writes detector.npz; the same detector gives the same bytes."""
    fitted = [profile for profile in detector.profiles if profile is not None]
    lengths = [0 if profile is None else len(profile) for profile in detector.profiles]
    nothing = np.zeros((0, len(description.scaler.channels)))
    calibration = detector.calibration
    write_arrays(path, {
        "learning_digest": np.array(description.training_data_digest()),
        "first": np.cumsum([0, *lengths]),
        "mean": np.concatenate([nothing, *(t.mean for t in fitted)]).astype(np.float32),
        "variance": np.concatenate([nothing, *(t.variance for t in fitted)]).astype(np.float32),
        "background": np.concatenate([nothing, *(t.background[None] for t in fitted)]),
        "expected": np.concatenate([np.zeros(0), *(profile.expected for profile in fitted)]),
        "statistics": calibration.statistics, "program": calibration.program,
        "live": calibration.live, "seconds": calibration.seconds,
        "pooled_p": np.array(calibration.pooled_p),
        "usual_drift": np.array(detector.usual_drift),
    })  # fmt: skip


def read_detector(path: Path, description: DatasetDescription) -> Detector:
    """Reads detector.npz.

    Raises:
        UserError: it is missing or damaged, or was fitted to another dataset.
    """
    arrays = read_arrays(path, list(ARRAYS), REBUILD)
    if str(arrays["learning_digest"]) != description.training_data_digest():
        raise UserError(f"{path}: was fitted to another dataset; fit it again with: {REBUILD}")
    channels, first = description.scaler.channels, arrays["first"]
    lengths = {"G": len(description.programs.names) + 1, "C": len(channels)}
    lengths |= {"P": int(first.max(initial=0)), "K": int((np.diff(first) > 0).sum())}
    check_arrays(arrays, ARRAYS, path, REBUILD, lengths)
    numbers = sensor_numbers(channels)
    step = float(description.programs.step_seconds)
    profiles: list[Profile | None] = []
    backgrounds = iter(arrays["background"])
    for first, end in pairwise(arrays["first"].tolist()):
        mean, variance, expected = (
            arrays[name][first:end].astype(float) for name in ("mean", "variance", "expected")
        )
        profile = None
        if end > first:
            profile = Profile(mean, variance, next(backgrounds), *numbers, step, expected)
        profiles.append(profile)
    fields = ("statistics", "program", "live", "seconds")
    pooled_p = float(arrays["pooled_p"])
    calibration = CalibrationSet(**{name: arrays[name] for name in fields}, pooled_p=pooled_p)
    names = tuple(description.programs.names.tolist())
    return Detector(names, profiles, calibration, float(arrays["usual_drift"]))
