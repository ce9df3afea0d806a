"""Altered recordings differ from the good one of the same name where they should."""

import numpy as np
import pytest

from gcodefp.recordings.clock import elapsed_seconds
from gcodefp.simulation.alterations import ALTERATIONS, KEPT_SHARE, PAUSE_SECONDS, altered_lines
from gcodefp.simulation.programs import PROGRAMS, build_program
from gcodefp.simulation.recording import simulate_recording

GOOD = simulate_recording("pocket25", 1, 0)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_every_program_can_be_altered(alteration: str) -> None:
    rng = np.random.default_rng(0)
    unchanged = {"pause", "truncated", "cut", "spliced", "put_back", "offset"}
    for program in PROGRAMS:
        same = altered_lines(program, alteration, rng) == build_program(program)
        assert same == (alteration in unchanged), program
    altered = simulate_recording("pocket25", 1, 0, alteration)
    assert set(altered.columns) >= {"t_console", "gcode_line", "gcode_string"}
    assert len(altered) > 100


def test_alterations_change_what_they_name() -> None:
    def seconds(alteration: str) -> float:
        table = simulate_recording("pocket25", 1, 0, alteration)
        return float(elapsed_seconds(table["t_console"])[-1])

    expected = float(elapsed_seconds(GOOD["t_console"])[-1])
    assert seconds("feed-30") > seconds("feed-10") > expected > seconds("feed+30")
    assert seconds("pause") == pytest.approx(expected + PAUSE_SECONDS, abs=2)
    assert seconds("fewer_passes") < expected - 5
    assert len(simulate_recording("pocket25", 1, 0, "truncated")) == int(len(GOOD) * KEPT_SHARE)


def test_a_splice_changes_ten_seconds_and_putting_back_nothing() -> None:
    column = next(name for name in GOOD if name.endswith(".My"))
    samples = {kind: simulate_recording("pocket25", 1, 0, kind) for kind in ("spliced", "put_back")}
    changed = (samples["spliced"][column] != GOOD[column]).sum()
    assert 30 <= changed <= 40
    assert np.allclose(samples["put_back"][column], GOOD[column], equal_nan=True)
