"""The detector: a template of each program and its calibration, and its file, detector.npz.

Shapes: P states of K programs, C channels, R good recordings, S statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gcodefp.dataset.store import Description, Split
from gcodefp.detection.alignment import INSIDE
from gcodefp.detection.deviations import (
    Aligned,
    Segment,
    Statistics,
    align_recording,
    find_segments,
    measure,
)
from gcodefp.detection.live import FALSE_ALARMS_PER_HOUR, LIVE, live_limits, live_statistics
from gcodefp.detection.reading import EvenRecording
from gcodefp.detection.template import (
    Array,
    PlacedRecording,
    SensedRecording,
    Template,
    fit_template,
    resample,
    sensor_numbers,
)
from gcodefp.detection.verdict import (
    FALSE_ALARM_RATE,
    MIN_LEVEL,
    REBUILD,
    Calibration,
    Judgement,
    judge,
    name_verdict,
    pooling_p,
)
from gcodefp.documents import ArraySpec, check_arrays
from gcodefp.errors import UserError
from gcodefp.files import read_arrays, write_arrays
from gcodefp.programs.lag import moving_average

LEAST_RECORDINGS = 3
"""Good recordings of a program without which it cannot be judged."""
FOLDS = 20
EXPECTED_ROWS = 9


class Judged(NamedTuple):
    """A recording that was judged.

    Attributes:
        program: index of the program that it should be.
        levels: (K,) share of the expected fit as each program; NaN where that was not needed.
    """

    program: int
    verdict: str
    judgement: Judgement
    statistics: Statistics
    segments: list[Segment]
    levels: Array
    aligned: Aligned


@dataclass(frozen=True)
class Detector:
    """Templates and calibration of K programs.

    Attributes:
        names: (K,) of the programs of the dataset.
        templates: program -> its template; None with fewer than LEAST_RECORDINGS.
        expected: program -> (T,) fit of good recordings in each state.
        usual_drift: drift that all but a hundredth of the good recordings do not exceed, s.
    """

    names: tuple[str, ...]
    templates: Sequence[Template | None]
    expected: Sequence[Array]
    calibration: Calibration
    usual_drift: float

    def template(self, program: int) -> Template:
        """Raises UserError: the program has too few good recordings."""
        if (template := self.templates[program]) is None:
            raise UserError(
                f"program {self.names[program]}: fewer than {LEAST_RECORDINGS} good recordings in "
                "the train and val split, which cannot say what is usual; record it more often"
            )
        return template

    def judge(
        self, recording: SensedRecording, program: int, rate: float = FALSE_ALARM_RATE
    ) -> Judged:
        """Judges a recording that should be of a program."""
        aligned = align_recording(self.template(program), recording)
        statistics = measure(aligned, self.expected[program])
        judgement = judge(self.calibration, statistics, program, rate)
        segments = find_segments(aligned, self.usual_drift)
        levels = np.full(len(self.names), np.nan)
        levels[program] = -statistics.level
        if judgement.deviates and levels[program] < MIN_LEVEL:
            levels = self.levels(recording)
        own = self.calibration.statistics[self.calibration.program == program]
        usual = np.median(own, axis=0).tolist()
        verdict = name_verdict(judgement, statistics, usual, segments, levels.tolist(), program)
        return Judged(program, verdict, judgement, statistics, segments, levels, aligned)

    def levels(self, recording: SensedRecording) -> Array:
        """Share of the expected fit of a recording as each program, (K,); 0 without a template."""
        return np.array([
            0.0 if template is None
            else -measure(align_recording(template, recording), expected).level
            for template, expected in zip(self.templates, self.expected, strict=True)
        ])  # fmt: skip

    def live_statistics(self, recording: SensedRecording, program: int) -> Array:
        """What `live.LIVE` names, while a recording is read, (N, L)."""
        return live_statistics(self.template(program), self.expected[program], recording)

    def live_limits(self, per_hour: float = FALSE_ALARMS_PER_HOUR) -> tuple[Array, float]:
        """Limits of these (L,), and the rate of false alarms per hour."""
        return live_limits(self.calibration.live, self.calibration.seconds, per_hour)


def placed_recordings(
    recordings: Sequence[EvenRecording], splits: Sequence[Split], description: Description
) -> list[PlacedRecording]:
    """The recordings of some splits, on the states of their lag-corrected labels."""
    # torch takes seconds to import, and judge needs none.
    from gcodefp.model.templates import labelled_recordings

    programs, by_name = description.programs, {even.recording.name: even for even in recordings}
    placed = []
    for split in splits:
        for passage in labelled_recordings(split, programs):
            rows, program, states = passage.rows, passage.program, passage.states
            even = by_name.get(str(split.recordings[split.recording[rows[0]]]))
            if even is None:
                continue
            own = np.full(int(np.diff(programs.first)[program]), np.nan)
            at = np.interp(split.row[rows], even.file_row, even.position)
            own[states - programs.first[program]] = np.interp(
                passage.state_rows, np.arange(len(at)), at
            )
            placed.append(PlacedRecording(even.recording, program, own))
    return placed


def _profile(aligned: Aligned) -> Array:
    """The fit in each state, (T,); NaN where there is none."""
    profile = np.full(aligned.fits.shape[1], np.nan)
    inside = aligned.path.condition == INSIDE
    profile[aligned.state[inside]] = aligned.fit[inside]
    return profile


def _expected(profiles: Sequence[Array]) -> Array:
    """Median of fits (R, T) in each state, (T,); the overall median where there is none."""
    stacked = np.ma.masked_invalid(np.stack(profiles))
    median = np.ma.median(stacked, axis=0).filled(float(np.ma.median(stacked)))
    return moving_average(np.asarray(median)[:, None], EXPECTED_ROWS)[:, 0]


def fit_detector(
    placed: Sequence[PlacedRecording],
    names: Sequence[str],
    channels: Sequence[str],
    step_seconds: float,
) -> Detector:
    """Fits the detector to good recordings; programs with few of them have no template."""
    templates: list[Template | None] = []
    expected: list[Array] = []
    statistics, programs, live, seconds = [], [], [], []
    for program in range(len(names)):
        own = [recording for recording in placed if recording.program == program]
        if len(own) < LEAST_RECORDINGS:
            templates.append(None)
            expected.append(np.zeros(1))
            continue
        parts, length = [resample(p, step_seconds) for p in own], len(own[0].position)
        fold = np.arange(len(own)) % min(len(own), FOLDS)
        folds = {
            number: fit_template(
                [part for part, own_fold in zip(parts, fold, strict=True) if own_fold != number],
                length, channels, step_seconds,
            )
            for number in set(fold.tolist())
        }  # fmt: skip
        pairs = [(folds[number], o.recording) for o, number in zip(own, fold.tolist(), strict=True)]
        measured = [align_recording(template, recording) for template, recording in pairs]
        profiles = [_profile(aligned) for aligned in measured]
        for index, (aligned, pair) in enumerate(zip(measured, pairs, strict=True)):
            usual = _expected(profiles[:index] + profiles[index + 1 :])
            statistics.append(measure(aligned, usual))
            programs.append(program)
            live.append(live_statistics(pair[0], usual, pair[1]).max(0))
            seconds.append(len(aligned.fit) * step_seconds)
        templates.append(fit_template(parts, length, channels, step_seconds))
        expected.append(_expected(profiles))
    if not statistics:
        none = np.zeros((0, len(Statistics._fields))), np.zeros((0, len(LIVE)))
        nothing = Calibration(none[0], np.zeros(0, int), none[1], np.zeros(0))
        return Detector(tuple(names), templates, expected, nothing, 0.0)
    arrays = np.array(statistics), np.array(programs), np.array(live), np.array(seconds)
    calibration = Calibration(*arrays)
    scores = np.array([max(own.values()) for own in calibration.scores()])
    calibration = Calibration(*arrays, pooling_p(scores, arrays[1]))
    drift = float(np.quantile(arrays[0][:, Statistics._fields.index("drift")], 0.99))
    return Detector(tuple(names), templates, expected, calibration, drift)


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


def write_detector(path: Path, detector: Detector, description: Description) -> None:
    """Writes detector.npz; the same detector gives the same bytes."""
    fitted = [template for template in detector.templates if template is not None]
    lengths = [0 if template is None else len(template) for template in detector.templates]
    nothing = np.zeros((0, len(description.scaler.channels)))
    calibration = detector.calibration
    write_arrays(path, {
        "learning_digest": np.array(description.training_data_digest()),
        "first": np.cumsum([0, *lengths]),
        "mean": np.concatenate([nothing, *(t.mean for t in fitted)]).astype(np.float32),
        "variance": np.concatenate([nothing, *(t.variance for t in fitted)]).astype(np.float32),
        "background": np.concatenate([nothing, *(t.background[None] for t in fitted)]),
        "expected": np.concatenate([
            usual[:length] for usual, length in zip(detector.expected, lengths, strict=True)
        ]),
        "statistics": calibration.statistics, "program": calibration.program,
        "live": calibration.live, "seconds": calibration.seconds,
        "pooled_p": np.array(calibration.pooled_p),
        "usual_drift": np.array(detector.usual_drift),
    })  # fmt: skip


def read_detector(path: Path, description: Description) -> Detector:
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
    templates: list[Template | None] = []
    expected = []
    backgrounds = iter(arrays["background"])
    for first, end in pairwise(arrays["first"].tolist()):
        mean, variance = (arrays[name][first:end].astype(float) for name in ("mean", "variance"))
        has_template = end > first
        templates.append(
            Template(mean, variance, next(backgrounds), *numbers, step) if has_template else None
        )
        expected.append(arrays["expected"][first:end])
    fields = ("statistics", "program", "live", "seconds")
    pooled_p = float(arrays["pooled_p"])
    calibration = Calibration(**{name: arrays[name] for name in fields}, pooled_p=pooled_p)
    names = tuple(description.programs.names.tolist())
    drift = float(arrays["usual_drift"])
    return Detector(names, templates, expected, calibration, drift)
