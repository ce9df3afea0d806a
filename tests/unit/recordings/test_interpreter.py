"""Programs of several dialects with end points computed manually."""

import gzip
import math
from pathlib import Path

import pytest
from second_interpreters import TOLERANCE_MM, own_path, path_error_mm, read_path

from gcodefp.errors import UserError
from gcodefp.recordings.interpreter import (
    Interpretation,
    interpret_program,
    program_flow,
)
from gcodefp.recordings.interpreter.dialects import Dialect, detect_dialect
from gcodefp.recordings.program_file import read_program


def ends(run: Interpretation) -> list[tuple[float, ...]]:
    """X, Y, Z at the end of each block that moves, rounded to 1e-4 mm."""
    moving = [block for block in run.blocks if block.moves]
    return [tuple(round(x, 4) + 0.0 for x in block.end_mm[:3]) for block in moving]


GRBL = """\
%
(Plate, 2 holes (M3))
N10 g21g90 ; metric
N20 G0X.5Y-.5Z5.*71
/N30 G0 X100
G91 G1 Z-6 F120
x10 (no G word)y10
G90 G20 X1 F10
G21 G53 G0 Z-1
G92 X0
G1 X1
G92.1
G0 X0 Y0
G10 L2 P2 X100 Y50
G55 X1 Y1
G10 L20 P2 X0
X5
G54 X0
G4 P1.5
M30
X999
"""


def test_modes_offsets_and_forms_of_words() -> None:
    run = interpret_program(GRBL, machine_zero_mm=(0, 0, -10), skips_deletable=True)
    assert run.dialect is Dialect.RS274
    assert run.not_understood == []
    assert run.notes == ()
    assert ends(run)[:-1] == [
        (0.5, -0.5, 5), (0.5, -0.5, -1), (10.5, 9.5, -1), (25.4, 9.5, -1), (25.4, 9.5, -11),
        (26.4, 9.5, -11), (0, 0, -11), (101, 51, -11), (106, 51, -11), (0, 51, -11),
    ]  # fmt: skip
    lines = [block.line for block in run.blocks]
    assert lines == [3, 4, *range(6, 21)]
    texts = {block.line: block.text for block in run.blocks}
    assert texts[4] == "G0 X0.5 Y-0.5 Z5"
    assert texts[7] == "X10 Y10"
    by_line = {block.line: block for block in run.blocks}
    assert by_line[8].feed_mm_min == 254
    assert by_line[4].feed_mm_min == 0
    assert by_line[19].kind == "dwell"
    assert by_line[19].moves[0].seconds == 1.5
    assert by_line[15].modal.work_offset == 2
    assert by_line[15].modal.offset_mm[:2] == (100, 50)


ARCS = """\
G17 G21 G90 F100
G0 X10 Y0 Z0
G3 X0 Y10 I-10 J0
G2 X0 Y10 I0 J-10 Z-3 P2
G3 X-10 Y0 R10
G2 X0 Y-10 R-10
G18 G0 X0 Y0 Z0
G2 X5 Z5 I5
G19 G3 Y5 Z10 J5
G17 G90.1 G2 X15 Y5 I10 J5
"""


def test_arcs_of_all_planes_turns_and_radii() -> None:
    run = interpret_program(ARCS)
    assert run.not_understood == []
    arcs = [block.moves[0] for block in run.blocks if block.kind == "arc"]
    quarter = math.pi / 2
    assert [arc.sweep for arc in arcs] == pytest.approx(
        [quarter, -8 * quarter, quarter, -3 * quarter, -3 * quarter, 3 * quarter, -2 * quarter]
    )
    assert [arc.centre_mm for arc in arcs[:2]] == [(0, 0, 0), (0, 0, 0)]
    assert arcs[1].length_mm == pytest.approx(math.hypot(40 * math.pi, 3))
    assert arcs[3].centre_mm[:2] == pytest.approx((0, 0), abs=1e-9)
    assert arcs[4].centre_mm == (5, 0, 0)
    assert arcs[5].centre_mm == (5, 5, 5)
    for arc in arcs:
        assert arc.radius_mm == pytest.approx(5 if arc.plane != 17 or arc is arcs[-1] else 10)


RS274 = Path(__file__).parent / "rs274"


@pytest.mark.parametrize("name", ["arcs", "offsets", "cycles", "flow"])
def test_the_path_is_that_of_linuxcnc(name: str) -> None:
    """NAME.path is what LinuxCNC's rs274 makes of NAME.ngc: second_interpreters.py --record."""
    path = own_path((RS274 / f"{name}.ngc").read_text(encoding="utf-8"))
    expected = read_path(RS274 / f"{name}.path")
    assert len(expected) > 10
    assert path_error_mm(path, expected) <= TOLERANCE_MM
    longer = [(*row[:1], row[1] + 0.02, *row[2:]) for row in path]
    assert path_error_mm(longer, expected) > TOLERANCE_MM


def test_arcs_that_do_not_fit_are_not_understood_but_end_where_they_say() -> None:
    run = interpret_program("G0 X10\nG2 X20 Y0 I7\nG2 X30 R2\nG2 X40\nG1 X41")
    assert [line for line, *_ in run.not_understood] == [2, 3, 4]
    assert run.blocks[-1].start_mm[0] == 40
    assert run.blocks[-1].end_mm[0] == 41


FANUC = """\
%
O0001 (PLATE)
N1 G21 G90 G54 G98 G17
#100=10.0
#101=[#100*2+ABS[-1]-1]
G43 H1 Z50.
G0 X0 Y0
G81 X#100 Y0 Z-5. R2. F200
X#101 (SECOND HOLE)
G99 G83 X30. Q3. Z-7.
G80 G0 Z50.
#1=0
WHILE [#1 LT 3] DO1
G91 G1 X1.
#1=#1+1
END1
G90
IF [#1 EQ 3] GOTO 20
X999.
N20 M98 P21000
G65 P2000 A5. B-1.5
G0 X#5041
IF [#9 EQ #0] THEN #2=7
X#9 Y#2
G28 G91 Z0
M30
O1000
G91 X-1. Y2.
G90
M99
O2000
G1 X#1 Y#2
M99
%
"""


def test_a_program_of_fanuc_with_macros_cycles_and_subprograms() -> None:
    run = interpret_program(FANUC)
    assert run.dialect is Dialect.FANUC
    assert run.not_understood == []
    assert ends(run) == [
        (0, 0, 50), (10, 0, 50), (20, 0, 50), (30, 0, 2), (30, 0, 50),
        (31, 0, 50), (32, 0, 50), (33, 0, 50), (32, 2, 50), (31, 4, 50), (5, -1.5, 50),
        (5, 7, 50), (5, 7, 0),
    ]  # fmt: skip
    drilled = next(block for block in run.blocks if block.line == 8)
    assert drilled.text == "G81 X10 Y0 Z-5 R2 F200"
    assert drilled.kind == "feed"
    assert [(m.kind, m.end_mm[2]) for m in drilled.moves] == [
        ("rapid", 50), ("rapid", 2), ("feed", -5), ("rapid", 50),
    ]  # fmt: skip
    pecks = [m.end_mm[2] for b in run.blocks if b.line == 10 for m in b.moves if m.kind == "feed"]
    assert pecks == [-1, -4, -7]
    executed = [block.line for block in run.blocks if block.line in (14, 28)]
    assert executed == [14, 14, 14, 28, 28]


LINUXCNC = """\
o<hole> sub
  G0 X#1 Y[#2 * 2]
  o110 if [#3 GT 0]
    G1 Z-#3 F[50 + 10]
  o110 elseif [#3 EQ 0]
    G1 Z-1 F10
  o110 else
    G1 Z-2 F10
  o110 endif
  G0 Z5
o<hole> endsub [#1 + 100]
G21 G90
#<_depth> = 3
o<hole> call [1] [1.5] [#<_depth>]
o<hole> call [#<_value>] [0] [0]
o100 repeat [2]
G91 G1 X1 F100
G90
o100 endrepeat
#5=0
o101 while [#5 LT 5]
#5=[#5+1]
o102 if [#5 EQ 2]
o101 continue
o102 endif
o103 if [#5 GE 4]
o101 break
o103 endif
G1 Y#5
o101 endwhile
o104 do
#5=[#5 - 1]
o104 while [#5 GT 0]
G0 X[cos[60]*10] Y[atan[1]/[1]] Z#5
G0 X[2**3 mod 5 + -[1]]
M2
"""


def test_a_program_of_linuxcnc_with_o_words_and_expressions() -> None:
    run = interpret_program(LINUXCNC)
    assert run.dialect is Dialect.LINUXCNC
    assert run.not_understood == []
    assert ends(run) == [
        (1, 3, 0), (1, 3, -3), (1, 3, 5), (101, 0, 5), (101, 0, -1), (101, 0, 5),
        (102, 0, 5), (103, 0, 5), (103, 1, 5), (103, 3, 5), (5, 45, 0), (2, 45, 0),
    ]  # fmt: skip
    assert {block.kind for block in run.blocks if block.text.startswith(("O", "#"))} == {"flow"}


PRINTER = """\
; generated by PrusaSlicer
M73 P0 R5
M117 Printing (1/2): please wait E1 X2
M862.3 P "MK3S"
G28 W ; home
G90
M82
G1X10Y10E5F1200
G92 E0
G1 X20 E1E-1
G1 X20 E1.5
M83
G1 X30 E.5
G0 Y20 F6000
G91
G1 Z.2 E-.25
G90
G1 E2
T0
G28 X Y
G4 S2
G4 P500
G29
M201 X500 E5000 F7
M84 X Y E
"""


def test_a_program_of_a_printer() -> None:
    run = interpret_program(PRINTER)
    assert run.dialect is Dialect.MARLIN
    assert [line for line, *_ in run.not_understood] == [10, 23]
    moved = [(b.line, *(round(x, 4) for x in b.end_mm)) for b in run.blocks if b.moves]
    assert moved[1:-3] == [
        (10, 20, 10, 0, 6), (11, 20, 10, 0, 6.5), (13, 30, 10, 0, 7), (14, 30, 20, 0, 7),
        (16, 30, 20, 0.2, 6.75), (18, 30, 20, 0.2, 7),
    ]  # fmt: skip
    assert moved[0] == (8, 10, 10, 0, 5)
    assert moved[-3] == (20, 0, 0, 0.2, 7)
    assert [b.moves[0].seconds for b in run.blocks if b.kind == "dwell"] == [2, 0.5]
    texts = {block.line: block.text for block in run.blocks}
    assert texts[3] == "M117 Printing : please wait E1 X2"
    assert texts[25] == "M84 X0 Y0 E0"
    assert texts[8] == "G1 X10 Y10 E5 F1200"
    assert {b.line: b.feed_mm_min for b in run.blocks}[14] == 6000


def test_turns_of_a_printers_arcs() -> None:
    run = interpret_program("G92 E0\nG2 Z1 I5 P1\nG2 X10 I5 P1\nG2 X0 I-5", dialect=Dialect.MARLIN)
    sweeps = [block.moves[0].sweep for block in run.blocks[1:]]
    assert sweeps == pytest.approx([-2 * math.pi, -3 * math.pi, -math.pi])


def test_klipper_keeps_relative_extrusion_and_saved_states() -> None:
    run = interpret_program(
        "SET_VELOCITY_LIMIT ACCEL=3000 ; slow\nM83\nG90\nG1 X1 E1\nG1 X2 E1\n"
        "SAVE_GCODE_STATE NAME=a\nG91\nG1 X1 E1\nG92 X0 E9\nRESTORE_GCODE_STATE NAME=a\nG1 X5\n"
        "START_PRINT BED=60\n"
    )
    assert run.dialect is Dialect.KLIPPER
    assert run.blocks[0].text == "SET_VELOCITY_LIMIT ACCEL=3000"
    assert [b.end_mm[0] for b in run.blocks if b.moves] == [1, 2, 3, 5]
    assert run.blocks[4].end_mm[3] == 2
    assert run.blocks[-1].modal.offset_mm == (0, 0, 0, 1)
    assert [text for _, text, _ in run.not_understood] == ["START_PRINT BED=60"]


@pytest.mark.parametrize(
    ("text", "dialect", "blocks"),
    [
        ("0 BEGIN PGM A MM\n1 L X+10 Y-5 R0 FMAX ; go\n2 END PGM A MM", Dialect.HEIDENHAIN,
         ["BEGIN PGM A MM", "L X+10 Y-5 R0 FMAX", "END PGM A MM"]),
        ("N10 G0 X10\nN20 G2 X20 CR=5 ; arc\nR1=R1+1\nGOTOB LOOP", Dialect.SIEMENS,
         ["G0 X10", "G2 X20 CR=5", "R1=R1+1", "GOTOB LOOP"]),
    ],
)  # fmt: skip
def test_other_dialects_are_texts(text: str, dialect: Dialect, blocks: list[str]) -> None:
    run = interpret_program(text)
    assert run.dialect is dialect
    assert [block.text for block in run.blocks] == blocks
    assert run.understood_share == 0
    assert not any(block.moves for block in run.blocks)


@pytest.mark.parametrize(
    "text",
    [
        "N1 G0 X1\nGOTO 1",
        "#1=1\nWHILE [#1 EQ 1] DO1\nEND1",
        "o1 while [1]\no1 endwhile",
        "O1\nM98 P1",
        "o<a> sub\no<a> call\no<a> endsub\no<a> call",
    ],
)
def test_endless_programs_are_an_error(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_flow, "MAX_REPEATED_LINES", 1000)
    with pytest.raises(UserError, match=r"endless loop|within each other"):
        interpret_program(text)


def test_what_cannot_be_traced_is_listed() -> None:
    run = interpret_program(
        "G21\nG41 D1\nG1 X1 F10\nG40\nX2\nG5 X3\nX#900\nG1 X1 X2\nG90 G91\nG68 R45\nY1\n"
        "G69\nG76 Z-1 R0\nG31 X9\n"
    )
    assert [line for line, *_ in run.not_understood] == [2, 3, 6, 7, 8, 9, 10, 11, 13, 14]
    assert run.understood_share == pytest.approx(4 / 14)
    assert "line 2: 'G41 D1'" in run.summary()


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("G1 X1 E1", Dialect.MARLIN),
        ("M190S65\nG28", Dialect.MARLIN),
        ("; thumbnail\n;FLAVOR:Marlin\nG0 X1", Dialect.MARLIN),
        ("M117 Z=0.2 of 3\nG92 E0", Dialect.MARLIN),
        ("SET_GCODE_OFFSET Z=0.1\nG1 X1 E1", Dialect.KLIPPER),
        ("G0 X1 (SET_FAN)", Dialect.RS274),
        ("G0 X1 ; R1=5 #<a>", Dialect.RS274),
        ("M6 T1\nM98P2", Dialect.FANUC),
        ("%\nO1234(PART)\nG0 X1", Dialect.FANUC),
        ("G0 X[#<x>]", Dialect.LINUXCNC),
        ("O<a> CALL", Dialect.LINUXCNC),
        ("%_N_PART_MPF\nG0 X1", Dialect.SIEMENS),
        ("G0 X=R5 Y=2", Dialect.SIEMENS),
    ],
)
def test_dialects_are_recognised(text: str, dialect: Dialect) -> None:
    assert detect_dialect(text) is dialect


MACH3 = """\
(Mach3)
G21 G90 G17 G94 G80 G40 G49
G0 X0 Y0 Z5
G52 X10 Y10
X1 Y1
M98 P200 L2
G52 X0 Y0
M30
O200
G91 G0 X1
G1 Z-6 F300
G2 X0 Y0 I1 J0
G90 G0 Z5
M99
"""


def test_a_program_of_mach3_with_a_local_origin_and_a_subprogram() -> None:
    run = interpret_program(MACH3)
    holes = [(x, 11, z) for x in (12, 13) for z in (5, -1, -1, 5)]
    assert ends(run) == [(0, 0, 5), (11, 11, 5), *holes]
    circles = [block.moves[0] for block in run.blocks if block.kind == "arc"]
    assert [c.sweep for c in circles] == pytest.approx([-2 * math.pi] * 2)
    assert [block.line for block in run.blocks if block.kind == "flow"] == [6, 14, 14, 8]


def test_program_files(tmp_path: Path) -> None:
    path = tmp_path / "a.gcode"
    path.write_bytes(gzip.compress("G0 X1 ; \u00b5".encode()))
    assert read_program(path) == "G0 X1 ; \u00b5"
    path.write_bytes(b"G0 X1 ; \xb5\rX2\r\nX3")
    assert [block.line for block in interpret_program(read_program(path)).blocks] == [1, 2, 3]
    for content in (b"GCDE\1\0", b"\x1f\x8b broken"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.gcode: (is binary|cannot be read)"):
            read_program(path)
