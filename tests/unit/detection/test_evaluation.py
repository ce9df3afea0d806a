"""The baselines that deviations are compared with, and how alarms are summarised."""

from pathlib import Path

import numpy as np
import pytest
from fitted_decoder import VAL, fit_in
from sklearn.metrics import roc_auc_score

from gcodefp.detection.evaluation import JudgedCopy, auroc, decoder_uncertainty, weighted_auroc
from gcodefp.detection.profile import RecordingSignals


def test_the_decoder_doubts_noise_and_another_program(tmp_path: Path) -> None:
    decoder = fit_in(tmp_path).decoder
    rows = VAL.recording == 0
    program = int(VAL.program[rows][0])
    recording = RecordingSignals("val", VAL.signals[rows], VAL.valid[rows])
    noise = np.random.default_rng(0).normal(size=recording.signals.shape)
    own = decoder_uncertainty(decoder, recording, program)
    other = decoder_uncertainty(decoder, recording, 1 - program)
    assert own["agreement"] < other["agreement"] == 0.0
    assert own["confidence"] < other["confidence"]
    # How certain the decoder is says nothing of noise: its probabilities are of known programs.
    in_noise = decoder_uncertainty(decoder, recording._replace(signals=noise), program)
    assert own["agreement"] < in_noise["agreement"]
    short = recording._replace(signals=noise[:2], valid=recording.valid[:2])
    assert decoder_uncertainty(decoder, short, program) == {"confidence": 0.0, "agreement": 0.0}


def test_auroc_has_an_interval_over_recordings() -> None:
    def scored(name: str, score: float) -> JudgedCopy:
        return JudgedCopy("", name, {"detector": score}, 0.5, "", np.nan, np.nan)

    good = [scored(name, score) for name, score in (("a", 0.0), ("b", 1.0))]
    altered = [scored(name, score) for name, score in (("a", 1.0), ("b", 2.0))]
    area = auroc(good, altered, "detector")
    assert area == {"value": pytest.approx(0.875), "low": pytest.approx(0.875), "high": 1.0}


def test_weighted_auroc_is_that_of_scikit_learn_bit_by_bit() -> None:
    random = np.random.default_rng(0)
    for levels in (2, 5, 10**9):
        for size in (2, 7, 60):
            scores = -np.sort(-random.integers(levels, size=size) / 7)
            is_altered = random.permutation(size) < size // 2
            weights = random.integers(4, size=size)
            weights[[is_altered.argmax(), (~is_altered).argmax()]] = 1
            expected = roc_auc_score(is_altered, scores, sample_weight=weights)
            assert weighted_auroc(is_altered, scores, weights) == expected
