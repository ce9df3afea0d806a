"""The table of programs, and the alignment of recordings with it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from replays import CHANNELS, FIRST_LINE, LINES, STEP, Replay, blocks, motion, replay

from gcodefp.errors import UserError
from gcodefp.programs import table
from gcodefp.programs.table import (
    UNKNOWN,
    LagCorrectedLabels,
    Programs,
    fit_programs,
    lag_corrected_labels,
    read_programs,
    write_programs,
)

LAGS = (0.0, 0.5, 0.75, 0.75, 1.25, 5.0, 9.0)
"""Seconds of the train recordings."""
MEDIAN = 0.75


def runs(program: int = 0, jitter: bool = False) -> list[Replay]:
    """Recordings of one program with the lags above, whose reports are at the same times or not."""
    random = np.random.default_rng(program)
    times = [(random.uniform(0, STEP), 0.8 * STEP) if jitter else (0.0, 0.0) for _ in LAGS]
    return [replay(f"{'ab'[program]}_{i}", program, lag, *times[i]) for i, lag in enumerate(LAGS)]


def by_length(train: list[Replay]) -> list[Replay]:
    return sorted(train, key=lambda run: (run.recording.seconds[-1], run.recording.name))


def fit(train: list[Replay]) -> Programs:
    signals = {run.recording.name: run.signals for run in train}
    return fit_programs([run.recording for run in train], signals)


def align(run: Replay, programs: Programs) -> LagCorrectedLabels:
    return lag_corrected_labels(run.recording, run.signals, programs, {})


def test_more_states_than_can_be_decoded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    train = [*runs(0), *runs(1)]
    count = len(fit(train))
    monkeypatch.setattr(table, "MAX_STATES", count)
    assert len(fit(train)) == count
    monkeypatch.setattr(table, "MAX_STATES", count - 1)
    with pytest.raises(UserError, match=f"have {count} states, one for each row of {STEP:g} s"):
        fit(train)


def test_a_recording_that_ended_early_says_nothing_of_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = runs(0)
    whole = fit(train)
    first = by_length(train)[0]
    half = len(first.recording.row) // 2
    arrays = ("row", "seconds", "blocks", "lines", "mm_per_unit", "position_mm")
    cut = {name: getattr(first.recording, name)[:half] for name in arrays}
    short = replace(first.recording, **cut, signals=first.recording.signals.iloc[:half])
    train[train.index(first)] = first._replace(recording=short, signals=first.signals[:half])
    assert np.abs(fit(train).position_mm - whole.position_mm).max() > 1
    monkeypatch.setattr(table, "ABSENT_SECONDS", 1.0)
    assert np.abs(fit(train).position_mm - whole.position_mm).max() < 0.5
    assert (fit(train).line == whole.line).mean() > 0.98


def test_the_table_holds_the_reports_and_signals_of_each_state() -> None:
    programs = fit([*runs(0), *runs(1)])
    assert programs.names.tolist() == ["a", "b"]
    assert programs.step_seconds == STEP
    lengths = [len(replay("a", program).recording.row) for program in (0, 1)]
    assert programs.first.tolist() == [0, lengths[0], sum(lengths)]
    assert len(programs) == len(programs.block) == sum(lengths)
    assert programs.program_of_state().tolist() == [0] * lengths[0] + [1] * lengths[1]
    assert programs.lag_program.tolist() == [0] * len(LAGS) + [1] * len(LAGS)
    assert programs.template.shape == (len(programs), CHANNELS)
    for program in (0, 1):
        states, exact = programs.state_slice(program), replay("a", program).recording
        for field, expected in (
            (programs.block, exact.blocks),
            (programs.line, exact.lines),
            (programs.position_mm, exact.position_mm),
            (programs.mm_per_unit, exact.mm_per_unit),
        ):
            np.testing.assert_array_equal(field[states], expected)
        executed = programs.executed_program == program
        assert set(programs.executed_block[executed].tolist()) == set(blocks(program).tolist())
        # Seven recordings without their lags: the noise of each is as strong as the motion.
        noiseless = motion(program, exact.seconds - MEDIAN)
        assert np.corrcoef(programs.template[states].ravel(), noiseless.ravel())[0, 1] > 0.85


def test_lines_begin_neither_late_nor_early_at_any_times_of_reports() -> None:
    train = runs(0, jitter=True)
    programs = fit(train)
    reference = by_length(train)[len(train) // 2].recording
    lines = np.arange(FIRST_LINE + 1, FIRST_LINE + LINES)
    delays = [
        np.argmax(programs.line == line) * programs.step_seconds
        - reference.seconds[np.argmax(reference.lines == line)]
        for line in lines
    ]
    assert np.abs(delays).max() <= STEP
    assert abs(np.mean(delays)) < STEP / 4
    assert set(programs.line.tolist()) >= set(lines.tolist())


@pytest.mark.parametrize("jitter", [False, True])
def test_lags_of_train_recordings_are_relative_to_the_median(jitter: bool) -> None:
    train = runs(0, jitter)
    programs = fit(train)
    true = np.array([LAGS[int(run.recording.name[-1])] for run in by_length(train)])
    error = programs.lag_seconds - (true - MEDIAN)
    assert np.sqrt(np.mean(error**2)) < STEP / 3
    assert np.abs(error).max() < STEP / 2
    assert np.median(programs.lag_seconds) == pytest.approx(0, abs=1e-9)
    # Aligned like any other recording, they have the same lags.
    lags = [align(run, programs).lag.seconds for run in by_length(train)]
    np.testing.assert_allclose(lags, true - MEDIAN, atol=STEP / 2)


@pytest.mark.parametrize("jitter", [False, True])
@pytest.mark.parametrize("lag", [0.25, 2.5, 7.75])
def test_a_recording_is_aligned_by_its_sensors(lag: float, jitter: bool) -> None:
    train = runs(1, jitter)
    programs = fit([*runs(0), *train])
    run = replay("b_new", 1, lag, 0.1 * jitter, 0.2 * jitter)
    alignment = align(run, programs)
    assert programs.names[alignment.program] == "b"
    assert alignment.lag.seconds == pytest.approx(lag - MEDIAN, abs=STEP / 3)
    # The time at which the sensors measured, but for the lag that all recordings share.
    measured = run.program_seconds - (lag - MEDIAN)
    start = by_length(train)[len(train) // 2].program_seconds[0]
    expected = programs.first[1] + (measured - start) / programs.step_seconds
    expected = np.clip(expected, programs.first[1], programs.first[2] - 1)
    assert np.abs(alignment.state - expected).mean() < 1 / 2
    assert np.abs(alignment.state - expected).max() < 1.7
    assert programs.first[1] <= alignment.state.min()
    assert alignment.state.max() <= programs.first[2] - 1
    # The row at which the controller reported that time.
    nearest = np.abs(run.program_seconds - measured[:, None]).argmin(1)
    distance = np.abs(alignment.lag_corrected_row - nearest)
    assert distance.max() <= 1 + jitter
    assert distance.mean() < (0.7 if jitter else 0.05)
    block = programs.block[np.rint(alignment.state).astype(int)]
    assert (block == run.recording.blocks[alignment.lag_corrected_row]).mean() > 0.9


def test_a_recording_of_no_program_has_no_state() -> None:
    run = replay("b_1", 1)
    alignment = align(run, fit(runs(0)))
    assert alignment.program == UNKNOWN
    assert np.isnan(alignment.lag.seconds)
    assert np.isnan(alignment.state).all()
    assert alignment.lag_corrected_row.tolist() == list(range(len(run.recording.row)))


def test_programs_are_read_as_written_in_any_order_of_recordings(tmp_path: Path) -> None:
    train = [*runs(0), *runs(1, jitter=True)]
    programs, path = fit(train), tmp_path / "programs.npz"
    write_programs(path, programs)
    read = read_programs(path, "make it")
    for name, array in vars(programs).items():
        np.testing.assert_array_equal(getattr(read, name), array)
        assert getattr(read, name).dtype == array.dtype
    write_programs(tmp_path / "other.npz", fit(train[::-1]))
    assert path.read_bytes() == (tmp_path / "other.npz").read_bytes()
