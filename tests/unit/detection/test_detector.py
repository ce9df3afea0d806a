"""Verdicts, deviations and false alarms on recordings of two invented programs."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from gcodefp.detection.alignment import INSIDE
from gcodefp.detection.alterations import GOOD, HARMLESS, altered_copies
from gcodefp.detection.detector import Detector, Judgement, fit_detector
from gcodefp.detection.deviations import ELSEWHERE, EXTRA, MISSING, Statistics
from gcodefp.detection.evaluation import evaluate_detector
from gcodefp.detection.live import live_thresholds
from gcodefp.detection.profile import LabelledSignals, RecordingSignals
from gcodefp.detection.verdict import (
    ANOTHER,
    AS_EXPECTED,
    DEVIATES,
    LATE,
    LONG,
    NO_PROGRAM,
    PAUSED,
    STOPPED,
    CalibrationSet,
    conformal_test,
    pooling_p,
    tail_scores,
)
from gcodefp.errors import UserError
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


def good_recordings(count: int) -> list[LabelledSignals]:
    """So many of each program."""
    return [record(program, number) for program in (0, 1) for number in range(count)]


TEST = [record(program, number) for program in (0, 1) for number in range(100, 112)]


@cache
def detector() -> Detector:
    return fit_detector(good_recordings(12), NAMES, CHANNELS, STEP)


def with_rows(labelled: LabelledSignals, rows: np.ndarray) -> RecordingSignals:
    recording = labelled.recording
    return RecordingSignals(recording.name, recording.signals[rows], recording.valid[rows])


def judged(labelled: LabelledSignals, rows: np.ndarray, rate: float = 0.05) -> Judgement:
    return detector().judge(with_rows(labelled, rows), labelled.program, rate)


ALL = np.arange(LENGTH + 5)


def test_good_recordings_raise_no_more_alarms_than_promised() -> None:
    verdicts = [judged(labelled, ALL).verdict for labelled in TEST]
    assert verdicts.count(AS_EXPECTED) >= 21


@pytest.mark.parametrize(
    ("rows", "verdict", "kind", "first"),
    [
        (np.concatenate([ALL[:100], ALL[140:]]), DEVIATES, MISSING, 100),
        (np.concatenate([ALL[:120], np.resize(ALL[-8:], 40), ALL[120:]]), PAUSED, EXTRA, 120),
        (ALL[:180], STOPPED, MISSING, 180),
        (ALL[60:], LATE, MISSING, 0),
    ],
)
def test_what_is_missing_or_extra_is_named_and_placed(
    rows: np.ndarray, verdict: str, kind: str, first: int
) -> None:
    result = judged(TEST[1], rows)
    longest = max(result.deviations, key=lambda deviation: deviation.seconds)
    assert (result.verdict, longest.kind) == (verdict, kind)
    assert abs(longest.first - first) <= 4
    assert longest.seconds == pytest.approx(abs(len(ALL) - len(rows)) * STEP, abs=1.5)


def test_a_repeated_recording_is_too_long_and_names_what_repeats() -> None:
    result = judged(TEST[0], np.tile(ALL, 5))
    assert result.verdict == LONG
    repeats = [s for s in result.deviations if s.kind == ELSEWHERE]
    assert sum(s.seconds for s in repeats) == pytest.approx(4 * LENGTH * STEP, rel=0.1)


def test_a_recording_reversed_in_time_deviates() -> None:
    assert judged(TEST[0], ALL[::-1], rate=1e-6).test.deviates


def test_another_program_is_named_and_noise_is_none() -> None:
    other = TEST[-1].recording
    result = detector().judge(other, program=0)
    assert result.verdict == ANOTHER
    assert int(np.argmax(result.match_shares)) == 1
    noise = np.random.default_rng(5).normal(size=other.signals.shape).astype(np.float32)
    assert detector().judge(other._replace(signals=noise), program=0).verdict == NO_PROGRAM


def test_one_loud_group_or_a_dead_node_outvotes_no_others() -> None:
    labelled = TEST[2]
    signals = labelled.recording.signals.copy()
    loud = [index for index, name in enumerate(CHANNELS) if name.endswith("RMS")]
    signals[100:140, loud] += 10 * signals.std()
    louder = labelled.recording._replace(signals=signals)
    alignment = detector().judge(louder, labelled.program).alignment
    assert 0.3 < alignment.match[100:140].mean() < 0.9
    assert (alignment.path.path_state == INSIDE).mean() > 0.9
    is_dead = np.array([name.startswith("b.") for name in CHANNELS])
    without_node = labelled.recording._replace(valid=labelled.recording.valid & ~is_dead)
    assert detector().judge(without_node, labelled.program).verdict == AS_EXPECTED


def test_the_rate_is_at_least_one_in_n_plus_one() -> None:
    calibration = detector().calibration
    result = conformal_test(calibration, Statistics(*calibration.statistics[0]), 0, 1e-6)
    assert result.rate == pytest.approx(1 / 25)
    assert 1 / 25 <= result.p_value <= 1


def test_what_does_not_fit_at_all_deviates_whatever_one_outlier_did() -> None:
    good = np.array(
        [Statistics(70 + i / 50, 0, 0, 0, 0, 0.1, i / 200 - 1, -1, 0) for i in range(99)]
    )
    good[0, 0] = 700.0
    calibration = CalibrationSet(good, np.zeros(99, np.int64), np.zeros((99, 3)), np.ones(99))
    noise = Statistics(71, 0, 63, 0, 0, 0, 0, -1, 0)
    result = conformal_test(calibration, noise, 0)
    assert (result.p_value, result.alarms) == (0.01, ("neg_match_share",))


def test_alarms_of_exchangeable_recordings_are_as_rare_as_the_rate() -> None:
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(200):
        drawn = rng.standard_t(3, size=(21, len(Statistics._fields)))
        program = np.zeros(20, np.int64)
        good = CalibrationSet(drawn[:20], program, np.zeros((20, 3)), np.ones(20))
        alarms.append(conformal_test(good, Statistics(*drawn[20]), 0, 0.1).deviates)
    assert 0.04 <= np.mean(alarms) <= 0.16


def test_programs_that_differ_are_calibrated_apart() -> None:
    scores = np.concatenate([np.linspace(0, 1, 20), np.linspace(3, 4, 20)])
    program = np.repeat([0, 1], 20)
    calibration = replace(
        detector().calibration, program=program, pooled_p=pooling_p(scores, program)
    )
    assert not calibration.is_pooled
    assert calibration.comparable(1).tolist() == (program == 1).tolist()
    assert detector().calibration.is_pooled


def test_a_tail_with_an_outlier_asks_for_more() -> None:
    good = np.zeros((50, len(Statistics._fields)))
    good[:, 0] = np.linspace(0, 1, 50)
    outlier = good.copy()
    outlier[-1, 0] = 100.0
    far = np.full(len(Statistics._fields), 5.0)
    assert (
        tail_scores(far, good, ["duration"])["duration"]
        > tail_scores(far, outlier, ["duration"])["duration"]
        > 1
    )


def test_lengths_that_differ_are_no_evidence() -> None:
    steady, ends = detector().calibration, {"missing_start", "missing_end"}
    assert set(steady.used_statistics()) & {"duration", *ends} == {"duration"}
    statistics = steady.statistics.copy()
    statistics[:, 0] += np.random.default_rng(0).uniform(0, 60, len(statistics))
    by_hand = replace(steady, statistics=statistics)
    assert set(by_hand.used_statistics()) & {"duration", *ends} == ends


def test_live_statistics_are_those_of_the_rows_so_far() -> None:
    labelled = TEST[0]
    rows = np.concatenate([ALL[:140], np.resize(ALL[-8:], 60), ALL[140:]])
    altered = with_rows(labelled, rows)
    statistics = detector().live_statistics(altered, 0)
    part = RecordingSignals("part", altered.signals[:170], altered.valid[:170])
    # The moving average looks two rows ahead.
    assert np.allclose(detector().live_statistics(part, 0)[:168], statistics[:168], atol=0.5)
    assert (statistics[:99] == 0).all()
    thresholds, per_hour = detector().live_thresholds()
    assert 0 < per_hour < 100
    warned = np.flatnonzero((statistics > thresholds).any(1))
    assert 140 < warned[0] < 200


def test_noise_is_warned_of_while_it_runs() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(2 * LENGTH, len(CHANNELS))).astype(np.float32)
    statistics = detector().live_statistics(RecordingSignals("n", noise, noise < 9), 0)
    assert (statistics > detector().live_thresholds()[0]).any()


def test_live_limits_keep_the_rate_over_all_statistics() -> None:
    live = np.random.default_rng(0).exponential(size=(200, 3)) + 2.0
    thresholds, per_hour = live_thresholds(live, np.full(200, 90.0), 2.0)
    alarms = (live > thresholds).any(1).sum()
    assert per_hour == (alarms + 1) / 5 <= 2.0
    assert alarms >= 6
    # One in all the time is the least that can be promised.
    assert live_thresholds(live, np.full(200, 90.0), 0.0)[1] == pytest.approx(1 / 5)


def test_alterations_keep_seams_quiet_and_are_found() -> None:
    altered = {
        a.kind: a for a in altered_copies(TEST[0], TEST, NAMES, STEP, np.random.default_rng(0))
    }
    assert {GOOD, *HARMLESS} <= set(altered)
    count = len(TEST[0].recording.signals)
    assert len(altered["cut 10 s"].recording.signals) == count - 40
    assert all(len(altered[kind].recording.signals) == count for kind in HARMLESS)
    evaluated = evaluate_detector(detector(), TEST[::4], [*TEST, *good_recordings(3)])
    kinds = evaluated["kinds"]
    for kind in ("cut 10 s", "pause 10 s", "another program", "last quarter missing"):
        assert kinds[kind]["detected_at_0.05"]["value"] == 1.0
        assert kinds[kind]["auroc"]["detector"]["value"] == 1.0
    assert kinds["put back"]["detected_at_0.05"]["value"] <= 0.5
    assert kinds["cut 10 s"]["location_error_seconds"]["value"] <= 2


def test_programs_with_few_recordings_cannot_be_judged() -> None:
    few = [labelled for labelled in good_recordings(3) if labelled.recording.name != "ring_002"]
    own = fit_detector(few, NAMES, CHANNELS, STEP)
    with pytest.raises(UserError, match="program ring: fewer than 3 good recordings"):
        own.judge(few[-1].recording, 1)
    none = fit_detector(few[-2:], NAMES, CHANNELS, STEP)
    assert none.profiles == [None, None]
    assert evaluate_detector(none, TEST, TEST)["kinds"] == {}
