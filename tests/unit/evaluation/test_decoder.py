"""The decoder: weights chosen on val, posteriors of windows of any length, and its file."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fitted_decoder import TRAIN, VAL, Fitted, recording_of
from learning_data import (
    CPU,
    OPERATIONS,
    RECORDINGS,
    ROWS,
    WINDOW,
    load,
    of_no_program,
    tiny_split,
    untrained,
)
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.decoder import (
    DECODER_FILE,
    UNTUNED_NETWORK_WEIGHT,
    Decoder,
    read_decoder,
    write_decoder,
)
from gcodefp.evaluation.decoder_fitting import (
    MIN_PROBABILITY,
    NETWORK_WEIGHTS,
    STRIDE_ROWS,
    TEMPLATE_WEIGHTS,
    choose_weights,
    one_standard_error_rule,
)
from gcodefp.evaluation.prediction import predict_recording
from gcodefp.evaluation.speed import MAX_SPEED_RATIO, train_speeds
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.hmm import decode_sequences
from gcodefp.model.templates import labelled_recordings

LARGE_VAL = tiny_split([f"{name}_{number:03}" for name in OPERATIONS for number in range(20, 28)])
PAIRS = [(n, t) for n in NETWORK_WEIGHTS for t in TEMPLATE_WEIGHTS if n or t]
STEPS_PER_SECOND = 4


@pytest.fixture
def both(fitted: Fitted) -> Decoder:
    """Both emission models, whichever are better."""
    return fitted.decoder._replace(network_weight=0.3, template_weight=0.2)


def random_checkpoint(fitted: Fitted) -> Checkpoint:
    data = load(fitted.checkpoint.parent.parent / "dataset")
    return fitted.decoder.checkpoint._replace(network=untrained(data, d_model=16))


def without_signals(split: Split) -> Split:
    """Noise alone."""
    noise = np.random.default_rng(0).normal(size=split.signals.shape)
    return replace(split, signals=noise.astype(np.float32))


def signals_of(name: str, rows: int = ROWS, noise: float = 0.3) -> torch.Tensor:
    return torch.as_tensor(tiny_split([name], rows, noise).signals)


# The choice on val


def test_a_random_network_is_left_out(fitted: Fitted) -> None:
    decoder = choose_weights(random_checkpoint(fitted), TRAIN, LARGE_VAL, CPU)
    assert decoder.summary == "templates alone"
    assert decoder.network_weight == 0 < decoder.template_weight


def test_useless_templates_are_left_out(fitted: Fitted) -> None:
    decoder = choose_weights(fitted.decoder.checkpoint, without_signals(TRAIN), LARGE_VAL, CPU)
    assert decoder.summary == "network alone"
    assert decoder.template_weight == 0 < decoder.network_weight


def test_of_pairs_within_a_standard_error_the_lowest_weights_are_chosen() -> None:
    pairs = [(0.0, 0.05), (0.0, 0.1), (0.0, 0.2), (0.03, 0.0)]
    deficit = np.array([[0.02, 0.0, 0.3, 0.01]] * 6).T
    spread = np.zeros_like(deficit)
    spread[0] = spread[3] = [0.1, -0.1, 0.1, -0.1, 0.1, -0.1]

    def chosen(differences: NDArray[np.float64]) -> tuple[float, float]:
        scores = [np.full((8, 4), -column).T for column in differences.T]
        return pairs[one_standard_error_rule(pairs, scores)]

    assert chosen(deficit + spread) == (0.0, 0.05), "0.02 with an error of 0.045"
    assert chosen(deficit + spread / 10) == (0.0, 0.1)
    assert chosen((deficit + spread)[:, :5]) == (0.0, 0.1), "too few recordings for an error"


def test_the_log_scores_of_all_pairs_decide(fitted: Fitted) -> None:
    decoder = choose_weights(fitted.decoder.checkpoint, TRAIN, VAL, CPU)
    assert (decoder.network_weight, decoder.template_weight) == (
        fitted.decoder.network_weight, fitted.decoder.template_weight,
    )  # fmt: skip
    np.testing.assert_allclose(decoder.tried[:, :2], PAIRS, rtol=1e-6)
    best = PAIRS[int(decoder.tried[:, 2].argmax())]
    for weight, of_best in zip(
        (decoder.network_weight, decoder.template_weight), best, strict=True
    ):
        assert (weight > 0) == (of_best > 0)
    assert decoder.network_weight + decoder.template_weight <= sum(best)
    index = PAIRS.index((decoder.network_weight, decoder.template_weight))
    assert decoder.describe()["val_log_score"] == pytest.approx(decoder.tried[index, 2], abs=1e-4)
    # Word for word, for some pairs.
    for index in (0, 4, len(PAIRS) - 1):
        tried = decoder._replace(network_weight=PAIRS[index][0], template_weight=PAIRS[index][1])
        log_scores, hits = [], []
        for name in RECORDINGS["val"]:
            state = tiny_split([name]).state.astype(int)
            centres = posteriors_of(tried, signals_of(name), WINDOW).numpy()
            for start in range(0, len(centres), STRIDE_ROWS):
                true, posterior = state[start + WINDOW // 2], centres[start]
                first = ROWS * (true // ROWS)
                low = max(first, true - STEPS_PER_SECOND)
                high = min(first + ROWS - 1, true + STEPS_PER_SECOND)
                log_scores.append(np.log(max(posterior[low : high + 1].sum(), MIN_PROBABILITY)))
                hits.append(low <= posterior.argmax() <= high)
        expected = [np.mean(log_scores), np.mean(hits)]
        np.testing.assert_allclose(decoder.tried[index, 2:], expected, atol=1e-4)


def short(split: Split) -> Split:
    """Recordings of less than a window."""
    kept = split.row < WINDOW - 1
    rows = {name: getattr(split, name)[kept] for name in ("signals", "state", "program")}
    return replace(split, **rows, recording=split.recording[kept], row=split.row[kept])


def unknown_states(split: Split) -> Split:
    """As labels of unknown programs, shuffled: the first row happens to have a program."""
    state = np.full_like(split.state, np.nan)
    state[::ROWS] = split.state[::ROWS]
    return replace(split, state=state)


@pytest.mark.parametrize("change", [of_no_program, short, unknown_states])
def test_without_a_val_recording_of_a_program_the_network_decodes_alone(
    fitted: Fitted, change: Callable[[Split], Split], tmp_path: Path
) -> None:
    checkpoint = fitted.decoder.checkpoint
    with warnings.catch_warnings(action="error"):
        decoder = choose_weights(checkpoint, TRAIN, change(VAL), CPU)
    assert decoder.summary == "network alone"
    assert (decoder.network_weight, decoder.template_weight) == (UNTUNED_NETWORK_WEIGHT, 0)
    assert decoder.tried.shape == (0, 4)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(fitted.checkpoint.read_bytes())
    write_decoder(tmp_path / DECODER_FILE, decoder, path)
    signals = signals_of("face_005")
    alone = Decoder(checkpoint)
    assert torch.equal(
        all_emissions(read_decoder(checkpoint, path, CPU), signals), all_emissions(alone, signals)
    )


# Emissions and posteriors


def all_emissions(decoder: Decoder, signals: torch.Tensor) -> torch.Tensor:
    """Emissions of a recording (N, C), (N, P)."""
    with torch.no_grad():
        return decoder.recording_emissions(signals).chunk(0, len(signals))[0]


def posteriors_of(decoder: Decoder, signals: torch.Tensor, rows: int) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(list(decoder.centre_posteriors(signals, rows)))


def direct_posteriors(decoder: Decoder, signals: torch.Tensor, rows: int) -> torch.Tensor:
    """Of the centre rows of all windows, each window cut out and decoded by itself."""
    chain, posteriors = decoder.chain(CPU), []
    with torch.no_grad():
        for start in range(len(signals) - rows + 1):
            window = signals[start : start + rows]
            if rows > WINDOW:
                emissions = all_emissions(decoder, window)[None]
            else:
                encoded = decoder.network.encode(window[None])
                emissions = decoder.window_emissions(encoded, window[None])
            posteriors.append(decode_sequences(emissions, chain).posterior[0, rows // 2])
    return torch.stack(posteriors)


@pytest.mark.parametrize("weights", [(0.1, 0.05), (0.1, 0.0), (0.0, 0.05)])
@pytest.mark.parametrize("rows", [WINDOW, WINDOW + 1, 16, 21, ROWS])
def test_centre_posteriors_are_those_of_each_window_by_itself(
    both: Decoder, rows: int, weights: tuple[float, float]
) -> None:
    decoder = both._replace(network_weight=weights[0], template_weight=weights[1])
    signals = signals_of("pocket_005", 40, noise=1.0)
    expected = direct_posteriors(decoder, signals, rows)
    posteriors = posteriors_of(decoder, signals, rows)
    torch.testing.assert_close(posteriors, expected, rtol=1e-3, atol=1e-5)
    assert (expected.amax(-1) < 0.999).any(), "otherwise the emissions need not be right"


@pytest.mark.parametrize("zscored", [False, True])
@pytest.mark.parametrize("name", ["face_005", "pocket_005"])
def test_decoding_a_whole_recording_is_what_predict_does(
    both: Decoder, name: str, zscored: bool
) -> None:
    # Each state has a line of its own, by which the prediction's path is known.
    description = both.description
    programs = replace(both.programs, line=np.arange(len(both.programs)))
    scaler = replace(description.scaler, zscored=zscored)
    described = replace(description, programs=programs, scaler=scaler)
    decoder = both._replace(checkpoint=both.checkpoint._replace(description=described))
    recording = recording_of(tiny_split([name], 40, noise=1.0).signals)
    path = predict_recording(decoder, recording, CPU).line
    np.testing.assert_array_equal(decoder.decode_centres(scaler.apply(recording), None), path)
    assert len(set(path.tolist())) > 20
    signals = torch.as_tensor(scaler.apply(recording))
    emissions = all_emissions(decoder, signals)
    posterior = decode_sequences(emissions[None], decoder.chain(CPU)).posterior[0].numpy()
    mass = posterior.reshape(len(posterior), 2, ROWS).sum(2).mean(0)
    own = posterior[:, mass.argmax() * ROWS :][:, :ROWS]
    assert path.tolist() == (mass.argmax() * ROWS + own.argmax(1)).tolist()
    decoded = decoder.decode_recording(signals)
    assert decoded.emission_state.tolist() == emissions.argmax(-1).tolist()
    assert decoded.program == mass.argmax() == (name == "pocket_005")
    np.testing.assert_allclose(decoded.program_probability, mass, atol=1e-6)
    centres = decoder.decode_centres(scaler.apply(recording), 16)
    assert centres.shape == (40 - 16 + 1,)
    expected = direct_posteriors(decoder, torch.as_tensor(scaler.apply(recording)), 16).argmax(-1)
    assert (centres == expected.numpy()).mean() > 0.95


def test_packets_are_decoded_in_the_program_of_the_whole_recording(both: Decoder) -> None:
    """Though the signals of one packet alone are those of another program."""
    description = both.description
    document = {**description.document, "recordings": {"face_001": {"reordered_rows": 8}}}
    programs = replace(both.programs, line=np.arange(len(both.programs)))
    described = replace(description, programs=programs, document=document)
    decoder = both._replace(checkpoint=both.checkpoint._replace(description=described))
    face, pocket = (tiny_split([name]).signals for name in ("face_005", "pocket_005"))
    recording = recording_of(np.concatenate([face[:24], pocket[8:18], face[24:27]]))
    recording.row_range = np.repeat([0, 1, 2], [24, 10, 3])
    alone = decoder.decode_recording(torch.as_tensor(description.scaler.apply(recording)[24:34]))
    assert alone.program == 1
    prediction = predict_recording(decoder, recording, CPU)
    assert prediction.program.name == programs.names[0]
    assert prediction.line.max() < ROWS, "all states are those of the first program"
    assert 0.5 < prediction.program.probability < 0.9


# Other speeds


def twice_as_fast(split: Split) -> Split:
    kept = split.row % 2 == 0
    per_row = {name: getattr(split, name)[kept] for name in ("signals", "state", "program", "row")}
    return replace(split, recording=split.recording[kept], **per_row)


def test_recordings_as_fast_as_a_train_recording_are_decoded_at_its_speed(
    fitted: Fitted, tmp_path: Path
) -> None:
    assert fitted.decoder.speeds == ()
    recordings = labelled_recordings(TRAIN, fitted.decoder.programs)
    faster = labelled_recordings(twice_as_fast(TRAIN), fitted.decoder.programs)
    speeds = train_speeds([*recordings, faster[0]])
    assert speeds[-1] == pytest.approx(2, rel=0.1)
    assert max(np.divide(speeds, (1.0, *speeds[:-1]))) <= MAX_SPEED_RATIO + 1e-6
    slower = recordings[0]._replace(state_rows=2 * recordings[0].state_rows)
    assert train_speeds([*recordings, slower])[0] == pytest.approx(0.5, rel=0.1)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(fitted.checkpoint.read_bytes())
    write_decoder(path.with_name(DECODER_FILE), fitted.decoder._replace(speeds=speeds), path)
    decoder = read_decoder(fitted.decoder.checkpoint, path, CPU)
    assert decoder.speeds == speeds

    new = tiny_split(["face_050"])
    usual, fast = torch.as_tensor(new.signals), twice_as_fast(new)

    def near(searched: Decoder) -> float:
        decoded = searched.decode_recording(torch.as_tensor(fast.signals))
        assert len(decoded.blocks.blocks) == len(decoded.confidence) == len(fast.state)
        return float((np.abs(decoded.state - fast.state) <= 2).mean())

    assert near(decoder) > 0.9 > 0.5 > near(fitted.decoder)
    same, alone = (each.decode_recording(usual) for each in (decoder, fitted.decoder))
    np.testing.assert_array_equal(same.state, alone.state)
