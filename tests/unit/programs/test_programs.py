"""Programs as tables, and the places that the sensors of a recording see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from replays import CHANNELS, FIRST_LINE, LINES, STEP, Replay, blocks, motion, replay

from gcodefp.errors import UserError
from gcodefp.programs.table import (
    UNKNOWN,
    Alignment,
    Programs,
    align_recording,
    learn_programs,
    read_programs,
    write_programs,
)

LAGS = (0.0, 0.5, 0.75, 0.75, 1.25, 5.0, 9.0)
"""Seconds of the train recordings; rows."""
MEDIAN = 0.75


def runs(program: int = 0, anyhow: bool = False) -> list[Replay]:
    """Recordings of one program with the lags above, whose reports fall together or anyhow."""
    random = np.random.default_rng(program)
    fall = [(random.uniform(0, STEP), 0.8 * STEP) if anyhow else (0.0, 0.0) for _ in LAGS]
    return [replay(f"{'ab'[program]}_{i}", program, lag, *fall[i]) for i, lag in enumerate(LAGS)]


def by_length(train: list[Replay]) -> list[Replay]:
    return sorted(train, key=lambda run: (run.recording.seconds[-1], run.recording.name))


def learn(train: list[Replay]) -> Programs:
    signals = {run.recording.name: run.signals for run in train}
    return learn_programs([run.recording for run in train], signals)


def state(run: Replay, programs: Programs) -> Alignment:
    return align_recording(run.recording, run.signals, programs)


# The table


def test_the_table_says_what_the_machine_does_at_each_step() -> None:
    programs = learn([*runs(0), *runs(1)])
    assert programs.names.tolist() == ["a", "b"]
    assert programs.step_seconds == STEP
    lengths = [len(replay("a", program).recording.row) for program in (0, 1)]
    assert programs.first.tolist() == [0, lengths[0], sum(lengths)]
    assert len(programs) == len(programs.block) == sum(lengths)
    assert programs.program_of_state().tolist() == [0] * lengths[0] + [1] * lengths[1]
    assert programs.lag_program.tolist() == [0] * len(LAGS) + [1] * len(LAGS)
    for program in (0, 1):
        states, exact = programs.states(program), replay("a", program).recording
        for field, expected in (
            (programs.block, exact.blocks),
            (programs.line, exact.lines),
            (programs.position_mm, exact.position_mm),
            (programs.mm_per_unit, exact.mm_per_unit),
        ):
            np.testing.assert_array_equal(field[states], expected)
        executed = programs.executed_program == program
        assert set(programs.executed_block[executed].tolist()) == set(blocks(program).tolist())
        # Seven recordings, the lag taken out: the noise of each is as strong as the motion.
        seen = motion(program, exact.seconds - MEDIAN)
        assert np.corrcoef(programs.template[states].ravel(), seen.ravel())[0, 1] > 0.85
    assert programs.template.shape == (len(programs), CHANNELS)


def test_lines_begin_neither_late_nor_early_however_the_reports_fall() -> None:
    train = runs(0, anyhow=True)
    programs = learn(train)
    reference = by_length(train)[len(train) // 2].recording
    lines = np.arange(FIRST_LINE + 1, FIRST_LINE + LINES)
    late = [
        np.argmax(programs.line == line) * programs.step_seconds
        - reference.seconds[np.argmax(reference.lines == line)]
        for line in lines
    ]
    assert np.abs(late).max() <= STEP
    assert abs(np.mean(late)) < STEP / 4
    assert set(programs.line.tolist()) >= set(lines.tolist())


def test_a_recording_without_positions_hides_none() -> None:
    train = runs(0)
    unknown = np.full_like(train[0].recording.position_mm, np.nan)
    blind = train[0]._replace(recording=replace(train[0].recording, position_mm=unknown))
    np.testing.assert_array_equal(learn([blind, *train[1:]]).position_mm, learn(train).position_mm)
    assert np.isnan(learn([blind]).position_mm).all()


# Where in the program


@pytest.mark.parametrize("anyhow", [False, True])
def test_train_recordings_have_their_lags_relative_to_the_median(anyhow: bool) -> None:
    train = runs(0, anyhow)
    found = learn(train)
    true = np.array([LAGS[int(run.recording.name[-1])] for run in by_length(train)])
    error = found.lag_seconds - (true - MEDIAN)
    assert np.sqrt(np.mean(error**2)) < STEP / 3
    assert np.abs(error).max() < STEP / 2
    assert np.median(found.lag_seconds) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("anyhow", [False, True])
@pytest.mark.parametrize("lag", [0.25, 0.75, 2.5, 7.75])
def test_a_recording_is_placed_by_its_sensors(lag: float, anyhow: bool) -> None:
    train = runs(1, anyhow)
    programs = learn([*runs(0), *train])
    run = replay("b_new", 1, lag, 0.1 * anyhow, 0.2 * anyhow)
    alignment = state(run, programs)
    assert programs.names[alignment.program] == "b"
    assert alignment.lag_seconds == pytest.approx(lag - MEDIAN, abs=STEP / 3)
    # What the sensors see, with the delay that all recordings share left in.
    sensed = run.program_seconds - (lag - MEDIAN)
    start = by_length(train)[len(train) // 2].program_seconds[0]
    expected = programs.first[1] + (sensed - start) / programs.step_seconds
    expected = np.clip(expected, programs.first[1], programs.first[2] - 1)
    assert np.abs(alignment.state - expected).mean() < 1 / 2
    assert np.abs(alignment.state - expected).max() < 1.7
    assert alignment.state.min() >= programs.first[1]
    assert alignment.state.max() <= programs.first[2] - 1
    # What the controller reported then.
    nearest = np.abs(run.program_seconds - sensed[:, None]).argmin(1)
    off = np.abs(alignment.lag_corrected_row - nearest)
    assert off.max() <= 1 + anyhow
    assert off.mean() < (0.7 if anyhow else 0.05)
    block = programs.block[np.rint(alignment.state).astype(int)]
    assert (block == run.recording.blocks[alignment.lag_corrected_row]).mean() > 0.9


def test_a_train_recording_is_placed_as_it_was_learnt() -> None:
    train = runs(0)
    programs = learn(train)
    lags = [state(run, programs).lag_seconds for run in train]
    np.testing.assert_allclose(lags, np.array(LAGS) - MEDIAN, atol=STEP / 3)


def test_another_program_has_no_place() -> None:
    run = replay("b_1", 1)
    alignment = state(run, learn(runs(0)))
    assert alignment.program == UNKNOWN
    assert np.isnan(alignment.lag_seconds)
    assert np.isnan(alignment.state).all()
    assert alignment.lag_corrected_row.tolist() == list(range(len(run.recording.row)))


# The file


def test_programs_are_read_as_they_were_written(tmp_path: Path) -> None:
    programs = learn([*runs(0), *runs(1)])
    path = tmp_path / "programs.npz"
    write_programs(path, programs)
    found = read_programs(path, "make it")
    for name, array in vars(programs).items():
        np.testing.assert_array_equal(getattr(found, name), array)
        assert getattr(found, name).dtype == array.dtype


def test_the_same_recordings_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    train = [*runs(0), *runs(1, anyhow=True)]
    write_programs(tmp_path / "one.npz", learn(train))
    write_programs(tmp_path / "other.npz", learn(train[::-1]))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_a_torn_or_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "programs.npz"
    with pytest.raises(UserError, match=r"programs\.npz: no such file; it is made by: make it"):
        read_programs(path, "make it")
    write_programs(path, learn(runs(0)))
    whole = path.read_bytes()
    np.savez(tmp_path / "lacking.npz", names=np.array(["a"]))
    lacking = (tmp_path / "lacking.npz").read_bytes()
    for torn in (b"", b"PK\x03\x04", b"nonsense" * 99, whole[:-100], lacking):
        path.write_bytes(torn)
        with pytest.raises(UserError, match=r"programs\.npz: cannot be read .* anew: make it"):
            read_programs(path, "make it")
