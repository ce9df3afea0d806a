"""How well deviations are detected: altered copies of good recordings, by kind of alteration.

Each altered copy is judged as any recording. Intervals are of a bootstrap over the recordings that
were altered. Baselines see the same copies: how long the recording is, how its energy differs from
the program's, and its distance to the template by dynamic time warping.

Shapes: N rows, T states, C channels.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcodefp.detection.attacks import GOOD, Altered, alter
from gcodefp.detection.detector import Detector
from gcodefp.detection.deviations import WINDOW_SECONDS
from gcodefp.detection.template import Array, PlacedRecording, SensedRecording, Template
from gcodefp.detection.verdict import live_limit
from gcodefp.programs.lag import moving_average

logger = logging.getLogger("gcodefp.detection")

RATES = (0.01, 0.05)
RESAMPLES = 1000
LIVE_RATE = 0.05
"""Share of the good recordings that may raise a warning while they run."""
DTW_CHANNELS = 12


class Scored(NamedTuple):
    """One altered copy.

    Attributes:
        name: of the recording that was altered.
        scores: detector or baseline -> score, more is worse.
        p_value: of the detector.
        location_error, delay: seconds; NaN without one.
            least_rate: of false alarms that can be promised.
    """

    kind: str
    name: str
    scores: dict[str, float]
    p_value: float
    least_rate: float
    verdict: str
    location_error: float
    delay: float


def evaluate_detector(
    detector: Detector,
    test: Sequence[PlacedRecording],
    donors: Sequence[PlacedRecording],
    seed: int = 0,
    detectors: Callable[[int], Detector] | None = None,
) -> dict[str, Any]:
    """Alters test recordings, judges them and counts.

    Args:
        donors: recordings that segments are taken of.
        detectors: index of a test recording -> the detector that judges it; None: always the same.
    """
    rng = np.random.default_rng(seed)
    scored: list[Scored] = []
    for index, placed in enumerate(test):
        own = detectors(index) if detectors else detector
        if own.templates[placed.program] is None:
            continue
        for altered in alter(placed, donors, placed_step(own), rng):
            scored.append(score_copy(own, altered, placed.recording.name))
    return summarise(scored, detector)


def placed_step(detector: Detector) -> float:
    """Seconds from one row to the next."""
    return next(t.step_seconds for t in detector.templates if t is not None)


def score_copy(detector: Detector, altered: Altered, name: str) -> Scored:
    """Judges a copy, by the detector and the baselines."""
    recording, program, step = altered.recording, altered.program, placed_step(detector)
    judged = detector.judge(recording, program)
    template = detector.template(program)
    location = delay = np.nan
    if np.isfinite(altered.row):
        # A wrong feed is everywhere: it has no place.
        if judged.segments and altered.row:
            worst = max(judged.segments, key=lambda segment: segment.seconds)
            location = abs(worst.first - altered.row) * step
        limit, _ = live_limit(detector.calibration, LIVE_RATE)
        warned = np.flatnonzero(detector.live_gains(recording, program) > limit)
        warned = warned[warned >= altered.row]
        delay = float(warned[0] - altered.row) * step if len(warned) else np.inf
    scores = {
        "detector": judged.judgement.score,
        "row count": abs(judged.statistics.length - _usual_length(detector, program)),
        "energy per window": energy_deviation(template, recording),
        "time warping": warping_distance(template, recording),
    }
    p_value, least = judged.judgement.p_value, 1 / (len(detector.calibration.program) + 1)
    return Scored(altered.kind, name, scores, p_value, least, judged.verdict, location, delay)


def _usual_length(detector: Detector, program: int) -> float:
    calibration = detector.calibration
    return float(np.median(calibration.statistics[calibration.program == program, 0]))


def energy_deviation(template: Template, recording: SensedRecording) -> float:
    """Largest change of the mean square of all channels from the template's, in a window."""
    rows = max(1, round(WINDOW_SECONDS / template.step_seconds))
    own, usual = (
        moving_average((values**2).mean(1, keepdims=True), rows)[:, 0]
        for values in (template.smooth(recording.normalised), template.mean)
    )
    common = min(len(own), len(usual))
    return float(np.abs(np.log((own[:common] + 0.05) / (usual[:common] + 0.05))).max())


def warping_distance(template: Template, recording: SensedRecording) -> float:
    """Distance per row by dynamic time warping, over the channels of the highest contrast."""
    from dtaidistance import dtw_ndim

    contrast = template.background / template.variance.mean(0)
    channels = np.argsort(-contrast)[:DTW_CHANNELS]
    own = template.smooth(recording.normalised)[:, channels]
    mean = template.mean[:, channels]
    window = abs(len(own) - len(mean)) + round(15 / template.step_seconds)
    own, mean = (np.ascontiguousarray(values) for values in (own, mean))
    return float(dtw_ndim.distance_fast(own, mean, window=window)) / np.sqrt(len(own))


def auroc(good: Array, altered: Array) -> float:
    """Probability that an altered recording has a higher score than a good one; ties are half."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([good, altered]))[len(good) :]
    return float((ranks.sum() - len(altered) * (len(altered) + 1) / 2) / len(good) / len(altered))


def summarise(scored: Sequence[Scored], detector: Detector) -> dict[str, Any]:
    """Rates by kind of alteration, for detection.json."""
    good = [copy for copy in scored if copy.kind == GOOD]
    kinds = dict.fromkeys(copy.kind for copy in scored)
    names = list(scored[0].scores) if scored else []
    count = len(detector.calibration.program)
    limit, per_hour = live_limit(detector.calibration, LIVE_RATE) if count else (None, None)
    programs = np.unique(detector.calibration.program)
    return {
        "calibration": {
            "recordings": count,
            "least_rate": 1 / (count + 1),
            "pooled": detector.calibration.is_pooled,
            "pooled_p": _number(detector.calibration.pooled_p),
            "programs": [str(detector.names[program]) for program in programs],
        },
        "live": {"gain_limit": limit, "false_alarms_per_hour": per_hour},
        "good_recordings": len(good),
        "kinds": {
            kind: _summarise_kind([c for c in scored if c.kind == kind], good, names)
            for kind in kinds
        },
    }


def _summarise_kind(
    copies: Sequence[Scored], good: Sequence[Scored], names: Sequence[str]
) -> dict[str, Any]:
    p_values = np.array([copy.p_value for copy in copies])
    least = np.array([copy.least_rate for copy in copies])
    delays = np.array([copy.delay for copy in copies])
    errors = np.array([copy.location_error for copy in copies])
    summary: dict[str, Any] = {"copies": len(copies)}
    for rate in RATES:
        alarms = p_values <= np.maximum(rate, least)
        summary[f"detected_at_{rate:g}"] = _interval(alarms.astype(float), np.mean)
    for name in names:
        usual, own = (np.array([c.scores[name] for c in group]) for group in (good, copies))
        if len(usual) and copies[0].kind != GOOD:
            summary.setdefault("auroc", {})[name] = _auroc_interval(usual, own)
    if np.isfinite(errors).any():
        summary["location_error_seconds"] = float(np.nanmedian(errors))
    if not np.isnan(delays).all():
        summary["live_detected"] = float(np.isfinite(delays).mean())
        warned = delays[np.isfinite(delays)]
        quantiles = np.quantile(warned, [0.5, 0.95]).tolist() if len(warned) else [None, None]
        summary["live_delay_seconds"] = {"median": quantiles[0], "p95": quantiles[1]}
    verdicts = [copy.verdict for copy in copies]
    summary["verdicts"] = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    return summary


def _interval(values: Array, statistic: Callable[[Array], Any]) -> Mapping[str, float]:
    """The statistic with a 95 % interval of a bootstrap over recordings."""
    rng = np.random.default_rng(0)
    drawn = [
        float(statistic(values[rng.integers(len(values), size=len(values))]))
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"value": float(statistic(values)), "low": low, "high": high}


def _auroc_interval(good: Array, altered: Array) -> Mapping[str, float]:
    rng = np.random.default_rng(0)
    drawn = [auroc(rng.choice(good, len(good)), rng.choice(altered, len(altered)))
             for _ in range(RESAMPLES // 5)]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return {"value": auroc(good, altered), "low": low, "high": high}


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
