"""How well deviations are detected: altered copies of good recordings, by kind of alteration.

Each altered copy is judged as any recording. Intervals are of a bootstrap over the recordings that
were altered. Baselines see the same copies: how long the recording is, how its energy differs from
the program's, its distance to the profile by dynamic time warping, and how sure `predict` is.

Shapes: N rows, T states, C channels.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.alterations import GOOD, AlteredCopy, altered_copies
from gcodefp.detection.detector import Detector
from gcodefp.detection.deviations import WINDOW_SECONDS
from gcodefp.detection.live import LIVE
from gcodefp.detection.profile import LabelledSignals, Profile, RecordingSignals
from gcodefp.evaluation.bootstrap import (
    Estimate,
    estimate,
    multiplicities,
    percentile_interval,
    quantile,
    with_interval,
)
from gcodefp.programs.lag import moving_average
from gcodefp.recordings.clock import rows_in

if TYPE_CHECKING:
    from gcodefp.evaluation.decoder import Decoder

logger = logging.getLogger("gcodefp.detection")

RATES = (0.01, 0.05)
AUROC_RESAMPLES = 200
DTW_CHANNELS = 12


class JudgedCopy(NamedTuple):
    """One altered copy.

    Attributes:
        name: of the recording that was altered.
        anomaly_scores: of the detector and each baseline; more is worse.
        p_value: of the detector.
        location_error, delay: seconds; NaN without one.
    """

    kind: str
    name: str
    anomaly_scores: dict[str, float]
    p_value: float
    verdict: str
    location_error: float
    delay: float


def evaluate_detector(
    detector: Detector,
    test: Sequence[LabelledSignals],
    donors: Sequence[LabelledSignals],
    seed: int = 0,
    decoder: "Decoder | None" = None,
) -> dict[str, Any]:
    """Alters test recordings, judges them and counts.

    Args:
        donors: recordings that spliced rows are taken of.
        decoder: of a network that no test recording was shown to; None: that baseline is missing.
    """
    rng = np.random.default_rng(seed)
    scored: list[JudgedCopy] = []
    for labelled in test:
        if detector.profiles[labelled.program] is None:
            continue
        for altered in altered_copies(labelled, donors, detector.names, row_seconds(detector), rng):
            scored.append(judge_copy(detector, altered, labelled.recording.name, decoder))
    return summarise(scored, detector)


def row_seconds(detector: Detector) -> float:
    """Seconds from one row to the next."""
    return next(profile.step_seconds for profile in detector.profiles if profile is not None)


def judge_copy(
    detector: Detector, altered: AlteredCopy, name: str, decoder: "Decoder | None" = None
) -> JudgedCopy:
    """Judges a copy, by the detector and the baselines."""
    recording, program, step = altered.recording, altered.program, row_seconds(detector)
    judgement = detector.judge(recording, program)
    profile = detector.profile(program)
    location = delay = np.nan
    if np.isfinite(altered.row):
        if judgement.deviations and altered.is_local:
            longest = max(judgement.deviations, key=lambda deviation: deviation.seconds)
            location = abs(longest.first - altered.row) * step
        thresholds, _ = detector.live_thresholds()
        is_above = (detector.live_statistics(recording, program) > thresholds).any(1)
        warned = np.flatnonzero(is_above)
        warned = warned[warned >= altered.row]
        delay = float(warned[0] - altered.row) * step if len(warned) else np.inf
    calibration = detector.calibration
    usual_seconds = float(np.median(calibration.seconds[calibration.program == program]))
    anomaly_scores = {
        "detector": judgement.test.score,
        "row count": abs(len(recording.signals) * step - usual_seconds),
        "energy per window": energy_deviation(profile, recording),
        "time warping": warping_distance(profile, recording),
    }
    if decoder is not None:
        anomaly_scores |= decoder_uncertainty(decoder, recording, program)
    tested = judgement.test.p_value, judgement.verdict
    return JudgedCopy(altered.kind, name, anomaly_scores, *tested, location, delay)


def energy_deviation(profile: Profile, recording: RecordingSignals) -> float:
    """Largest change of the mean square of all channels from the profile's, in a window."""
    rows = rows_in(WINDOW_SECONDS, profile.step_seconds)
    own, usual = (
        moving_average((values**2).mean(1, keepdims=True), rows)[:, 0]
        for values in (profile.smooth(recording.standardised), profile.mean)
    )
    common = min(len(own), len(usual))
    return float(np.abs(np.log((own[:common] + 0.05) / (usual[:common] + 0.05))).max())


def warping_distance(profile: Profile, recording: RecordingSignals) -> float:
    """Distance per row by dynamic time warping, over the channels of the highest contrast."""
    from dtaidistance import dtw_ndim

    contrast = profile.background / profile.variance.mean(0)
    channels = np.argsort(-contrast)[:DTW_CHANNELS]
    own = profile.smooth(recording.standardised)[:, channels]
    mean = profile.mean[:, channels]
    window = abs(len(own) - len(mean)) + round(15 / profile.step_seconds)
    own, mean = (np.ascontiguousarray(values) for values in (own, mean))
    return float(dtw_ndim.distance_fast(own, mean, window=window)) / np.sqrt(len(own))


def decoder_uncertainty(
    decoder: "Decoder", recording: RecordingSignals, program: int
) -> dict[str, float]:
    """How unsure `predict` is of a recording, and of its program: less is better."""
    import torch

    from gcodefp.dataset.channels import zscore
    from gcodefp.evaluation.prediction import agreement

    if len(recording.signals) < decoder.description.window:
        return {"confidence": 0.0, "agreement": 0.0}
    signals = np.where(recording.valid, recording.signals, np.nan).astype(np.float64)
    if decoder.description.scaler.zscored:
        signals = zscore(signals)
    tensor = torch.as_tensor(np.nan_to_num(signals), dtype=torch.float32)
    decoded = decoder.decode_recording(tensor)
    states = decoded.emission_state, decoded.state
    is_of_program = decoded.program == program
    return {
        "confidence": -float(decoded.confidence.mean() * decoded.program_probability[program]),
        "agreement": -agreement(decoder.programs, *states) * is_of_program,
    }


def summarise(scored: Sequence[JudgedCopy], detector: Detector) -> dict[str, Any]:
    """Rates by kind of alteration, for detection.json."""
    good = [copy for copy in scored if copy.kind == GOOD]
    kinds = dict.fromkeys(copy.kind for copy in scored)
    count = len(detector.calibration.program)
    least_rate = 1 / (count + 1)
    thresholds, per_hour = detector.live_thresholds() if count else ((), None)
    programs = np.unique(detector.calibration.program)
    pooled_p = detector.calibration.pooled_p
    return {
        "calibration": {
            "recordings": count,
            "least_rate": least_rate,
            "pooled": detector.calibration.is_pooled,
            "pooled_p": pooled_p if np.isfinite(pooled_p) else None,
            "programs": [str(detector.names[program]) for program in programs],
        },
        "live": {
            "limits": dict(zip(LIVE, map(float, thresholds), strict=False)),
            "false_alarms_per_hour": per_hour,
        },
        "good_recordings": len(good),
        "kinds": {
            kind: _summarise_kind([c for c in scored if c.kind == kind], good, least_rate)
            for kind in kinds
        },
    }


def _summarise_kind(
    copies: Sequence[JudgedCopy], good: Sequence[JudgedCopy], least_rate: float
) -> dict[str, Any]:
    recording = np.unique([copy.name for copy in copies], return_inverse=True)[1]
    p_values = np.array([copy.p_value for copy in copies])
    errors = np.array([copy.location_error for copy in copies])
    delays = np.array([copy.delay for copy in copies])
    summary: dict[str, Any] = {"copies": len(copies)}
    for rate in RATES:
        alarms = p_values <= max(rate, least_rate)
        summary[f"detected_at_{rate:g}"] = _json(estimate(alarms, np.ones(len(alarms)), recording))
    if good and copies[0].kind != GOOD:
        names = copies[0].anomaly_scores
        summary["auroc"] = {name: auroc(good, copies, name) for name in names}
    if np.isfinite(errors).any():
        summary["location_error_seconds"] = _json(with_interval(quantile(errors, recording)))
    if not np.isnan(delays).all():
        warned = np.isfinite(delays)
        summary["live_detected"] = _json(estimate(warned, np.ones(len(warned)), recording))
        quantiles = [
            with_interval(quantile(np.where(warned, delays, np.nan), recording, level)).value
            for level in (0.5, 0.95)
        ]
        summary["live_delay_seconds"] = dict(zip(("median", "p95"), quantiles, strict=True))
    verdicts = [copy.verdict for copy in copies]
    summary["verdicts"] = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    return summary


def auroc(
    good: Sequence[JudgedCopy], copies: Sequence[JudgedCopy], name: str
) -> dict[str, float | None]:
    """Probability that a copy has a higher anomaly score than a good recording, with its interval.

    A resample has a good recording as often as its copies.
    """
    from sklearn.metrics import roc_auc_score

    both = [*good, *copies]
    recordings, index = np.unique([copy.name for copy in both], return_inverse=True)
    scores = np.array([copy.anomaly_scores[name] for copy in both])
    value = float(roc_auc_score(np.arange(len(both)) >= len(good), scores))
    order = np.argsort(-scores, kind="stable")
    is_altered, scores, index = order >= len(good), scores[order], index[order]
    drawn = [
        weighted_auroc(is_altered, scores, weights)
        for weights in multiplicities(len(recordings))[:AUROC_RESAMPLES, index]
        if weights[is_altered].any() and weights[~is_altered].any()
    ]
    low, high = percentile_interval(np.array(drawn))
    return {"value": value, "low": low, "high": high}


def weighted_auroc(is_altered: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
    """roc_auc_score of falling scores, bit by bit, without its checks, which take 99 % of it."""
    is_altered, scores, weights = (x[weights > 0] for x in (is_altered, scores, weights))
    is_last = np.append(np.diff(scores) != 0, True)
    counts = np.cumsum(np.stack([weights * ~is_altered, weights * is_altered]), axis=1)[:, is_last]
    if counts.shape[1] > 2:
        counts = counts[:, np.pad(np.diff(counts, 2).any(axis=0), 1, constant_values=True)]
    x, y = np.pad(counts / counts[:, -1:], ((0, 0), (1, 0)))
    return float(np.trapezoid(y, x))


def _json(number: Estimate) -> dict[str, float | None]:
    return {"value": number.value, "low": number.low, "high": number.high}
