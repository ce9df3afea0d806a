"""The decoder: templates of both splits, rejection of unknown programs, certainty of blocks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from fitted_decoder import TRAIN, VAL, Fitted, recording_of
from learning_data import CPU, RECORDINGS, ROWS, SENSORS, tiny_split
from numpy.typing import NDArray

from gcodefp.dataset.store import Split, join_splits
from gcodefp.evaluation import decoder_fitting
from gcodefp.evaluation.decode import decode_windows, predict_split
from gcodefp.evaluation.decoder import Decoder
from gcodefp.evaluation.decoder_fitting import TEMPERATURES, fit_decoder, rejection
from gcodefp.evaluation.names import WHOLE
from gcodefp.evaluation.prediction import predict_recording
from gcodefp.evaluation.speed import template_match, without_rest
from gcodefp.model import hmm
from gcodefp.model.data import to_tensors
from gcodefp.model.templates import fit_templates


def signals_of(split: Split, recording: int = 0) -> torch.Tensor:
    return torch.as_tensor(split.signals[split.recording == recording].copy())


def template_matches(decoder: Decoder, split: Split) -> NDArray[np.float64]:
    assert decoder.templates is not None
    chain = decoder.chain(CPU)
    parts = [signals_of(split, index) for index in range(len(split.recordings))]
    return np.array([template_match(decoder.templates, chain, part) for part in parts])


def test_the_last_templates_are_those_of_train_and_val(fitted: Fitted) -> None:
    both = join_splits(TRAIN, VAL)
    names = [*RECORDINGS["train"], *RECORDINGS["val"]]
    assert both.recordings[both.recording].tolist() == np.repeat(names, ROWS).tolist()
    np.testing.assert_array_equal(
        both.blocks[both.block], np.concatenate([s.blocks[s.block] for s in (TRAIN, VAL)])
    )
    np.testing.assert_array_equal(
        both.lag_corrected_row[len(TRAIN.row) :], len(TRAIN.row) + VAL.lag_corrected_row
    )
    decoder = fitted.decoder
    assert decoder.templates is not None
    expected = fit_templates(both, decoder.programs)
    assert all(map(torch.equal, decoder.templates[:3], expected[:3]))
    train_alone = fit_templates(TRAIN, decoder.programs)
    assert not torch.equal(decoder.templates.mean, train_alone.mean)


def test_each_recording_is_fitted_by_templates_of_others(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, names = fitted.decoder, [*RECORDINGS["train"], *RECORDINGS["val"]]
    assert len(decoder.template_matches) == len(names)
    # With so many parts each has one recording of each program: the first, the second, and so on.
    monkeypatch.setattr(decoder_fitting, "PARTS", 100)
    alone = fit_decoder(decoder.checkpoint, TRAIN, VAL, CPU)
    by_program = [[n for n in names if n.startswith(program)] for program in ("face", "pocket")]
    expected = []
    for fold in zip(*by_program, strict=True):
        others = fit_templates(tiny_split([n for n in names if n not in fold]), decoder.programs)
        for name in fold:
            signals = torch.as_tensor(tiny_split([name]).signals)
            expected.append(template_match(others, decoder.chain(CPU), signals))
    assert alone.template_matches.tolist() == pytest.approx(expected, abs=1e-5)
    in_sample = template_matches(decoder, join_splits(TRAIN, VAL))
    assert decoder.template_matches.mean() < in_sample.mean(), "own templates fit better"


def test_a_recording_of_no_program_is_refused_and_those_of_the_programs_are_not(
    fitted: Fitted,
) -> None:
    decoder, test = fitted.decoder, tiny_split(RECORDINGS["test"])
    random = np.random.default_rng(0)
    noise = torch.as_tensor(random.normal(size=(ROWS, len(SENSORS))), dtype=torch.float32)
    rate = 1 / (1 + len(decoder.template_matches))
    for signals in (noise, signals_of(TRAIN).flip(0)):
        rejected = rejection(decoder, signals)
        assert rejected is not None
        assert rejected.is_rejected
        assert rejected.fit < template_matches(decoder, test).min() <= 0
        assert rejected.p_value == pytest.approx(rate)
        assert rejected.false_alarm_rate == pytest.approx(max(0.05, rate))
    accepted = rejection(decoder, signals_of(TRAIN))
    assert accepted is not None
    assert not accepted.is_rejected


def test_rest_around_the_program_is_cut_off_and_motion_is_not(fitted: Fitted) -> None:
    decoder, signals = fitted.decoder, signals_of(tiny_split(RECORDINGS["test"]))
    random = np.random.default_rng(0)
    rest = torch.as_tensor(0.1 * random.normal(size=(2, 3 * ROWS, len(SENSORS))) - 1).float()

    def cut(*parts: torch.Tensor) -> torch.Tensor:
        assert decoder.templates is not None
        return without_rest(decoder.templates, decoder.chain(CPU), torch.cat(parts))

    def is_rejected(*parts: torch.Tensor) -> bool:
        prediction = predict_recording(decoder, recording_of(torch.cat(parts).numpy()), CPU)
        assert prediction.rejection is not None
        assert prediction.refusal is prediction.rejection, "its former name"
        noted = replace(prediction, notes=("CAVEAT: the clock runs backwards 1 times",))
        assert (noted.mark == "REJECTED") == prediction.rejection.is_rejected
        return prediction.rejection.is_rejected

    for count in (8, 3 * ROWS):
        padded = rest[0, :count], signals, rest[1, :count]
        assert len(cut(*padded)) == pytest.approx(ROWS, abs=2)
        assert not is_rejected(*padded)
    assert is_rejected(rest[0, :8], signals, rest[1, :8].flip(0)) == is_rejected(signals)
    other = signals_of(TRAIN, 4).flip(0)
    walk = torch.as_tensor(random.normal(size=(3 * ROWS, len(SENSORS))).cumsum(0)).float()
    for motion in ((signals, other), (other, signals), (walk,), (other, other)):
        assert len(cut(*motion)) == sum(map(len, motion))
        assert is_rejected(*motion)


def test_the_fit_of_blocks_of_rows_is_that_of_all_rows_at_once(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = template_matches(fitted.decoder, VAL)
    monkeypatch.setattr(hmm, "MAX_CELLS", 1)
    np.testing.assert_allclose(template_matches(fitted.decoder, VAL), at_once, atol=1e-6)


def test_p_values_count_recordings_that_fit_as_badly(fitted: Fitted) -> None:
    signals = signals_of(VAL)
    fit = template_matches(fitted.decoder, VAL)[0]
    for below, count in ((0, 99), (3, 99), (4, 99), (5, 99), (99, 99), (0, 9)):
        others = np.array([fit - 1] * below + [fit + 1] * (count - below), np.float32)
        rejected = rejection(fitted.decoder._replace(template_matches=others), signals)
        assert rejected is not None
        assert rejected.p_value == pytest.approx((1 + below) / (1 + count))
        assert rejected.false_alarm_rate == pytest.approx(max(0.05, 1 / (1 + count)))
        assert rejected.is_rejected == ((below <= 4 and count == 99) or count == 9)
    equal = rejection(
        fitted.decoder._replace(template_matches=np.full(9, fit, np.float32)), signals
    )
    assert equal is not None
    assert equal.p_value == 1


def test_wrong_labels_raise_the_temperature(fitted: Fitted) -> None:
    """Of val rows with a block of another row the decoder cannot be certain."""
    checkpoint = fitted.decoder.checkpoint
    assert fitted.decoder.temperature == 1, "its answers are right"
    block = VAL.block.copy()
    random = np.random.default_rng(0)
    wrong = random.choice(len(block), len(block) // 3, replace=False)
    block[wrong] = block[np.roll(wrong, 1)]
    decoder = fit_decoder(checkpoint, TRAIN, replace(VAL, block=block), CPU)
    assert decoder.temperature in TEMPERATURES[1:]
    data = to_tensors(VAL, decoder.description, CPU)
    cold, warm = (decode_windows(d, data) for d in (decoder._replace(temperature=1.0), decoder))
    # Posteriors are float32, and only those with a temperature are normalised again.
    assert (warm.confidence <= cold.confidence + 1.2e-7).all()
    assert warm.confidence.mean() < cold.confidence.mean()
    assert warm.blocks.tolist() == cold.blocks.tolist()
    # Whole recordings, in evaluation and in predict.
    decoders = (decoder._replace(temperature=1.0), decoder)
    cold_whole, warm_whole = (predict_split(d, VAL, CPU).confidence[WHOLE] for d in decoders)
    assert (warm_whole <= cold_whole + 1e-9).all()
    assert warm_whole.mean() < cold_whole.mean()
    recording = recording_of(tiny_split(["face_009"], noise=2.0).signals)
    cold_one, warm_one = (predict_recording(d, recording, CPU) for d in decoders)
    assert warm_one.mean_confidence < cold_one.mean_confidence
    assert warm_one.mean_median_lag_confidence < cold_one.mean_median_lag_confidence
