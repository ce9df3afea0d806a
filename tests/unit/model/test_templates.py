"""Templates recover planted states, and each window's log-likelihoods are those of its own rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from learning_data import (
    CHANNELS,
    RECORDINGS,
    ROWS,
    STEP_SECONDS,
    of_no_program,
    tiny_programs,
    tiny_split,
)
from numpy.typing import NDArray

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY, apply_control
from gcodefp.dataset.store import Split
from gcodefp.model.templates import (
    DISCRIMINANTS,
    THRESHOLDS,
    Templates,
    feature_offsets,
    fit_templates,
)

STATES = 2 * ROWS
OFFSETS = feature_offsets(STEP_SECONDS)
REACH = max(OFFSETS)
FEATURES = len(OFFSETS) * len(THRESHOLDS) * CHANNELS
PLANTED = np.random.default_rng(1).normal(size=(STATES, CHANNELS))
"""What the sensors measure in each state."""
DISTURBANCE = np.random.default_rng(2).normal(size=CHANNELS)
"""Pattern over the channels of what differs between recordings, much stronger than the states."""


def planted_split(recordings: Sequence[str], rows: int = ROWS) -> Split:
    split = tiny_split(recordings, rows)
    random = np.random.default_rng(list("".join(recordings).encode()))
    level = 3 * random.normal(size=(len(split.state), 1))
    noise = 0.1 * random.normal(size=split.signals.shape)
    signals = PLANTED[split.state.astype(int)] + level * DISTURBANCE + noise
    return replace(split, signals=signals.astype(np.float32))


TRAIN = planted_split(RECORDINGS["train"])
TEST = planted_split(("face_009", "pocket_009"))


def fit(train: Split) -> Templates:
    return fit_templates(train, tiny_programs(tiny_split(RECORDINGS["train"])))


def accuracy(templates: Templates, split: Split = TEST) -> float:
    """Share of inner rows whose most probable state is exactly the true one."""
    right = []
    for recording in range(len(split.recordings)):
        rows = np.flatnonzero(split.recording == recording)
        likelihood = templates.log_likelihood(torch.as_tensor(split.signals[rows])[None])[0]
        # Features of the first and last rows are cut off.
        right.append((likelihood.argmax(-1).numpy() == split.state[rows])[REACH:-REACH])
    return float(np.concatenate(right).mean())


def are_equal(one: Templates, other: Templates) -> bool:
    same = all(map(torch.equal, one[:3], other[:3]))
    return same and one.offsets == other.offsets


def are_finite(templates: Templates) -> bool:
    likelihood = templates.log_likelihood(torch.as_tensor(TEST.signals)[None])
    return all(bool(tensor.isfinite().all()) for tensor in (*templates[:3], likelihood))


@pytest.fixture(scope="module")
def templates() -> Templates:
    return fit(TRAIN)


def test_discriminants_recover_the_states_whatever_differs_between_recordings(
    templates: Templates,
) -> None:
    assert [tuple(tensor.shape) for tensor in templates[:3]] == [
        (FEATURES, DISCRIMINANTS),
        (STATES, DISCRIMINANTS),
        (DISCRIMINANTS,),
    ]
    assert accuracy(templates) > 0.95
    # The nearest mean of the samples themselves is another state's.
    distance = np.linalg.norm(TEST.signals[:, None] - PLANTED, axis=2)
    assert (distance.argmin(1) == TEST.state).mean() < 0.3
    assert (templates.weight.diff() <= 0).all()
    assert ((templates.weight > 0) & (templates.weight <= 1)).all()


@pytest.mark.parametrize("count", [2, 6])
def test_the_unit_is_the_deviation_of_one_recording(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few there are: of two recordings, each is near to their mean."""
    # Where the only feature of a sample is nearly the sample.
    monkeypatch.setattr("gcodefp.model.templates.THRESHOLDS", (0.0,))
    split = tiny_split([f"{name}_{i:03}" for name in ("face", "pocket") for i in range(count)])
    # With all channels there would be more features than samples can tell apart.
    noise = 0.5 * np.random.default_rng(0).normal(size=(len(split.state), 2))
    planted = 0.1 * (PLANTED[split.state.astype(int), :2] + noise).astype(np.float32)
    lengths = fit(replace(split, signals=planted)).projection.norm(dim=0)
    assert float(lengths.mean()) == pytest.approx(1 / 0.05, rel=0.15)


def test_a_mean_is_that_of_the_interpolated_rows() -> None:
    """States lie between rows: recordings are sampled at any phase."""
    late = replace(TRAIN, state=(TRAIN.state + 0.25).clip(max=ROWS - 1 + ROWS * TRAIN.program))
    fitted = fit(late)
    samples = TRAIN.signals.reshape(-1, ROWS, CHANNELS)[:3]
    by_row = np.concatenate([np.tanh(samples - threshold) for threshold in THRESHOLDS], axis=2)
    for state in (8, 20):
        rows = state + np.array(OFFSETS)
        # Row `state` measures state + 0.25.
        own = 0.75 * by_row[:, rows] + 0.25 * by_row[:, rows - 1]
        features = own.mean(0).ravel()
        expected = features @ fitted.projection.double().numpy()
        np.testing.assert_allclose(fitted.mean[state], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("step_seconds", "offsets"),
    [
        (0.257, (-4, -2, 0, 2, 4)),
        (0.05, (-20, -10, 0, 10, 20)),
        (0.6, (-2, -1, 0, 1, 2)),
        (3.0, (-2, -1, 0, 1, 2)),
    ],
)
def test_features_reach_a_second_at_any_rate(step_seconds: float, offsets: tuple[int]) -> None:
    assert feature_offsets(step_seconds) == offsets


@pytest.mark.parametrize("rows", [1, REACH, 2 * REACH, 16, 33])
def test_rows_of_a_window_have_the_likelihoods_of_the_window_cut_out(rows: int) -> None:
    random = torch.Generator().manual_seed(0)
    templates = Templates(
        *(torch.randn(shape, generator=random) for shape in ((FEATURES, 3), (STATES, 3))),
        torch.tensor([0.9, 0.5, 0.1]),
        OFFSETS,
    )
    signals = torch.randn(40, CHANNELS, generator=random)
    shared = templates.project_windows(signals, rows)
    assert len(shared) <= 2 * REACH + 1, "a long recording has no memory for more"
    for start in range(40 - rows + 1):
        expected = templates.log_likelihood(signals[None, start : start + rows])[0]
        own = torch.stack(
            [shared[templates.window_cut(row, rows)][start + row] for row in range(rows)]
        )
        torch.testing.assert_close(templates.log_prob(own), expected)


def test_a_gap_in_the_states_is_filled_from_both_sides() -> None:
    """One recording ends early, the only other one begins late."""
    face = planted_split(("face_001", "face_002", "pocket_001"))
    early, late = (face.recording == index for index in (0, 1))
    state = face.state.copy()
    state[early] = state[early].clip(max=10)
    state[late] = state[late].clip(min=20)
    kept = ~((early & (state >= 10)) | (late & (state <= 20)))
    rows = {name: getattr(face, name)[kept] for name in ("signals", "recording", "program")}
    mean = fit(replace(face, **rows, state=state[kept])).mean
    for row, nearest in ((10, 9), (14, 9), (16, 21), (20, 21)):
        assert torch.equal(mean[row], mean[nearest]), row
    assert not torch.equal(mean[9], mean[21])


def waiting(value: float, first: int, end: int) -> Split:
    """Face recordings that go on for 16 rows, of which some have samples of `value`."""
    split = planted_split(RECORDINGS["train"], ROWS + 16)
    is_changed = (split.row >= first) & (split.row < end)
    signals = split.signals.copy()
    signals[is_changed] = value
    return replace(split, signals=signals)


def test_rows_before_and_after_a_program_do_not_count() -> None:
    # Features of the last state's neighbour reach REACH rows.
    beyond, end = ROWS - 1 + REACH, ROWS + 16
    assert are_equal(fit(waiting(1e3, beyond, end)), fit(waiting(-7, beyond, end)))
    assert not are_equal(fit(waiting(1e3, beyond - 2, end)), fit(waiting(-7, beyond - 2, end)))


def test_a_recording_of_no_program_does_not_count(templates: Templates) -> None:
    other = of_no_program(planted_split(("face_007",)))
    joined = {
        name: np.concatenate([getattr(TRAIN, name), getattr(other, name)])
        for name in ("signals", "state", "program", "recordings")
    }
    recording = np.concatenate([TRAIN.recording, other.recording + len(TRAIN.recordings)])
    assert are_equal(fit(replace(TRAIN, **joined, recording=recording)), templates)


def test_controls_and_dead_channels_stay_finite() -> None:
    dead: NDArray[np.float32] = TRAIN.signals.copy()
    dead[:, 2] = 0
    for train in (
        apply_control(TRAIN, "train", LABELS_SHUFFLED, 8),
        apply_control(of_no_program(TRAIN), "train", LABELS_SHUFFLED, 8),
        apply_control(TRAIN, "train", PRESENCE_ONLY, 8),
        replace(TRAIN, signals=dead),
    ):
        assert are_finite(fit(train))
    assert not fit(apply_control(TRAIN, "train", PRESENCE_ONLY, 8)).weight.any()


def test_the_same_recordings_give_the_same_templates(templates: Templates) -> None:
    assert are_equal(fit(TRAIN), templates)
    order = np.concatenate([np.flatnonzero(TRAIN.recording == r) for r in (4, 0, 5, 1, 3, 2)])
    rows = {name: getattr(TRAIN, name)[order] for name in ("signals", "state", "program")}
    again = fit(replace(TRAIN, **rows))
    signals = torch.as_tensor(TEST.signals)[None, :ROWS]
    torch.testing.assert_close(
        again.log_likelihood(signals), templates.log_likelihood(signals), rtol=1e-3, atol=1e-3
    )
