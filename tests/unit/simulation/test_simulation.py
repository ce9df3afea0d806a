"""Simulated programs and recordings, and the stage that writes them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcodefp.recordings.columns import MM_PER_UNIT, NODE_QUANTITIES, REQUIRED, parse_operation
from gcodefp.recordings.gcode import parse_block
from gcodefp.simulation.programs import PROGRAMS, build_program
from gcodefp.simulation.recording import (
    add_faults,
    format_clock,
    plan_program,
    simulate_recording,
    simulate_recordings,
)

FIRST, SECOND, THIRD = "face50", "pocket25", "adaptive25"


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_readable_and_of_the_promised_size(name: str) -> None:
    program = build_program(name)
    assert 25 <= len(program) <= 200
    assert 40 < plan_program(name).seconds < 70
    assert all(parse_block(line.text) for line in program)
    assert program[-1].text == "M30"
    assert [line.number for line in program] == list(range(16, 16 + len(program)))
    assert plan_program(name).moves[-1].end_mm[2] == pytest.approx(25.9926)  # machine Z zero


def test_loops_are_larger_in_a_larger_program() -> None:
    small, large = (
        max(word.number for line in build_program("adaptive25", scale)
            for word in parse_block(line.text) if word.letter == "R")
        for scale in (1, 1.5)
    )  # fmt: skip
    assert large == pytest.approx(1.5 * small, rel=0.01)


def test_a_recording_depends_on_its_name_and_the_seed_alone(tmp_path: Path) -> None:
    few = simulate_recordings(tmp_path / "few", 1, 0, [FIRST, SECOND])
    assert len(simulate_recordings(tmp_path / "many", 2, 0, [THIRD, SECOND, FIRST])) == 6
    simulate_recordings(tmp_path / "other", 1, 1, [FIRST, SECOND])
    for path in few:
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()
        assert path.read_bytes() != (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("name", PROGRAMS)
def test_recordings_have_the_schema_of_the_real_ones(name: str, tmp_path: Path) -> None:
    path = simulate_recordings(tmp_path, 1, 1, [name])[0]
    assert path.name == f"{name}_001.csv.gz"
    assert parse_operation(path.name.removesuffix(".csv.gz")) == name
    table = pd.read_csv(path)
    columns = {"stat", "unit", "feed", "momo", "vel", "plane", "spindle", "x_motor"}
    assert {*REQUIRED, *columns} <= set(table.columns)
    nodes = {column.partition(".")[0] for column in table if "." in column}
    assert len(nodes) >= 5
    groups = ("imu", "mag", "mic", "environment", "optical")
    quantities = [name for group in groups for name in NODE_QUANTITIES[group]]
    assert {f"{node}.{quantity}" for node in nodes for quantity in quantities} <= set(table)
    assert 140 <= len(table) <= 300
    texts = {line.number: line.text for line in build_program(name)}
    assert table["gcode_string"].tolist() == [texts[line] for line in table["gcode_line"]]


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
def test_line_numbers_step_back_once_and_the_end_is_in_millimetres(name: str) -> None:
    table = simulate_recording(name, 2, 0)
    line = table["gcode_line"].to_numpy()
    backwards = np.flatnonzero(np.diff(line) < 0)
    assert len(backwards) == 1
    assert line[backwards[0] + 1] == 16
    assert 8 <= backwards[0] + 1 <= 10
    assert line[: backwards[0] + 1].min() > 16
    tail = table["gcode_string"] == "M30"
    assert tail.iloc[-1]
    assert (table.loc[tail, ["unit", "stat"]] == [1, 3]).all().all()
    assert (table.loc[~tail, ["unit", "stat"]] == [0, 5]).all().all()
    machine_frame = tail | table["gcode_string"].str.startswith("G53")
    for axis in "xyz":
        shift = table[f"mpo{axis}"] - table[f"pos{axis}"] * table["unit"].astype(str).map(
            MM_PER_UNIT
        )
        assert shift[machine_frame].abs().max() < 1e-3
        assert np.ptp(shift[~machine_frame]) < 1e-3


def test_reports_name_the_executed_block_and_slow_down_at_rest() -> None:
    table = simulate_recording(FIRST, 1, 0)
    passes = table[table["gcode_string"] == "G1 X-0.1254"].groupby("gcode_line")["posx"]
    assert len(passes) >= 3
    for _, x in passes:
        assert (np.diff(x) <= 0).all()
        assert np.ptp(x) > 1.5
    period = pd.to_timedelta(table["t_console"]).dt.total_seconds().diff().to_numpy()[1:]
    assert np.all(period >= 0)
    assert np.median(period) == pytest.approx(0.257, abs=0.005)
    at_end = (table["gcode_string"] == "M30").to_numpy()[:-1]
    assert np.median(period[at_end]) == pytest.approx(0.515, abs=0.01)
    assert format_clock(3600 + 59.9996) == "01:01:00.000"


def test_faults_are_rare_but_occur() -> None:
    whole = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["a.Ax", "b.Ax"])
    counts = {"missing": 0, "repeated": 0, "frozen": 0}
    for seed in range(80):
        table = add_faults(whole, np.random.default_rng(seed))
        counts["missing"] += bool(table.isna().any().any())
        counts["repeated"] += len(table) > len(whole)
        counts["frozen"] += bool((table.nunique() < 99 - table.isna().sum() - 2).any())
    assert all(3 <= count <= 20 for count in counts.values()), counts
