"""Layouts: what is wrong with one is said in a line, with its key."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcodefp.errors import UserError
from gcodefp.recordings.laboratory.layout import Layout, describe_layout, parse_layout, read_layout
from gcodefp.recordings.laboratory.quantities import parse_target

TEXT = """
sources:
  controller:
    files: "{name}.csv"
    clock: {format: time_of_day, column: time}
    columns:
      line: {as: line, missing: [-1], fill: hold}
      x: x [mm]
  toolhead:
    files: "{name}_accel.csv"
    clock: {format: unix, column: t, unit: ms}
    columns:
      "accel_{axis}": toolhead.A{axis} [m/s^2]
"""


def content() -> dict[str, Any]:
    return yaml.safe_load(TEXT)


def test_a_layout_is_the_same_after_dataset_json() -> None:
    layout = parse_layout(content(), "lab.yaml")
    stored = parse_layout(describe_layout(layout), "dataset.json")
    assert describe_layout(stored) == describe_layout(layout)
    assert layout.row_source() == "controller"
    assert describe_layout(layout)["sources"]["controller"]["columns"]["x"] == "x [mm]"


def controller(text: dict[str, Any]) -> Any:
    return text["sources"]["controller"]


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "key": (lambda c: controller(c).update(fils=1), "controller.fils: no such key; .* 'files'"),
    "class": (lambda c: controller(c).update(Clock={}), "controller.Clock: no such .*'clock'"),
    "class as column": (
        lambda c: controller(c)["columns"].update(Column={"as": "a.Ax [g]", "scal": 2}),
        "columns.Column.scal: no such key",
    ),
    "missing": (lambda c: controller(c).pop("clock"), "controller: 'clock' is missing; add it"),
    "type": (lambda c: controller(c).update(columns=3), "columns: 3 is not a mapping"),
    "choice": (lambda c: controller(c)["clock"].update(format="uni"), "'uni' is none of .*'unix'"),
    "zone": (
        lambda c: controller(c)["clock"].update(timezone="Mars"),
        "'Mars' is no time zone. The time zone of times",
    ),
    "rate": (lambda c: controller(c).update(clock={"format": "sample"}), "sample needs rate_hz"),
    "quantity": (lambda c: add(c, "a.Aq [g]"), "'Aq' is no quantity; known are: Ax"),
    "no unit": (lambda c: add(c, "a.Ax"), r"columns.new: 'a.Ax' needs its unit .* \[g\]"),
    "dimension": (lambda c: add(c, "a.Ax [V]"), "V cannot be converted to g"),
    "unit": (lambda c: add(c, "a.Ax [furlings]"), "'furlings' is not a unit"),
    "endless unit": (lambda c: add(c, "a.Ax [9**9**9 g]"), "is not a unit"),
    "unit of a text": (lambda c: add(c, "block [mm]"), r"has no unit; remove \[mm\]"),
    "placeholder": (lambda c: add(c, "{node}.Ax [g]"), "{node} is not in the column's name"),
    "twice": (lambda c: add(c, "x [in]"), "two of them are 'x_mm'; remove one"),
    "equals": (lambda c: add(c, {"as": "a.Ax [g]", "equals": ["1"]}), "equals belongs to running"),
    "pattern": (lambda c: controller(c).update(files="{nam}.csv"), "{nam}: did you mean 'name'"),
    "brace": (lambda c: controller(c).update(files="{name.csv"), "expected '}'"),
    "rows": (lambda c: c.update(rows="toolhad"), "rows: 'toolhad' is no source; .*'toolhead'"),
    "no labels": (lambda c: controller(c).update(columns={"x": "x [mm]"}), "no source reports"),
    "regex": (lambda c: controller(c).update(format="lines"), "regex belongs to format lines"),
    "broken regex": (lambda c: lines(c, "(?P<line>"), "regex: missing"),
    "group": (lambda c: lines(c, "(?P<time>.*) (?P<lin>.*)"), "no group 'line'; .*'lin'"),
    "name groups": (lambda c: c.update(recording="(?P<op>.*)"), "unknown group 'op'"),
    "bands": (lambda c: controller(c).update(bands=[0.5, 0.2]), r"\[0.5, 0.2\] has to ascend"),
    "separator": (lambda c: controller(c).update(separator=", "), "not one character"),
    "program": (lambda c: c.update(program={"files": "a", "number": "byte"}), "did you mean 'numb"),
}  # fmt: skip


def add(text: dict[str, Any], target: Any) -> None:
    controller(text)["columns"]["new"] = target


def lines(text: dict[str, Any], regex: str) -> None:
    controller(text).update(format="lines", regex=regex)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_key_is_named_in_one_line(name: str) -> None:
    change, message = WRONG[name]
    wrong = content()
    change(wrong)
    with pytest.raises(UserError, match=message) as error:
        parse_layout(wrong, "lab.yaml")
    assert str(error.value).startswith("lab.yaml: ")
    assert "\n" not in str(error.value)


def test_a_layout_that_does_not_exist() -> None:
    for name in ("no_such_machine", "no/such.yaml", "x" * 300):
        with pytest.raises(UserError, match=re.escape(f"a file in {Path.cwd()} nor")):
            read_layout(name)
    with pytest.raises(UserError, match="yaml' is neither a file nor a shipped"):
        read_layout("/no/such.yaml")


@pytest.mark.parametrize(
    ("target", "column", "at_zero", "at_one"),
    [
        ("a.Ax [g]", "a.Ax", 0, 1),
        ("a.ax [m/s^2]", "a.Ax", 0, 1 / 9.80665),
        ("a.Ax [mm/s^2]", "a.Ax", 0, 1e-3 / 9.80665),
        ("a.Gx [rad/s]", "a.Gx", 0, 57.29577951308232),
        ("a.Mx [gauss]", "a.Mx", 0, 100),
        ("a.Mx [nT]", "a.Mx", 0, 1e-3),
        ("bed.Temperature [degF]", "bed.Temperature", -160 / 9, -155 / 9),
        ("air.Pressure [mbar]", "air.Pressure", 0, 0.1),
        ("S.Current [mA]", "S.Current", 0, 1e-3),
        ("tool.Fx [lbf]", "tool.Fx", 0, 4.4482216152605),
        ("x [in]", "x_mm", 0, 25.4),
        ("feed [mm/s]", "feed", 0, 60),
        ("c1.raw", "c1.raw", 0, 1),
        ("c1.raw [counts]", "c1.raw", 0, 1),
    ],
)
def test_units_become_canonical(target: str, column: str, at_zero: float, at_one: float) -> None:
    parsed = parse_target(target)
    assert parsed.column == column
    assert parsed.offset == pytest.approx(at_zero)
    assert parsed.scale + parsed.offset == pytest.approx(at_one, rel=1e-9)


def test_the_schema_for_editors_describes_every_key() -> None:
    definitions = Layout.model_json_schema()["$defs"].values()
    for section in (Layout.model_json_schema(), *definitions):
        for key, field in section["properties"].items():
            assert "description" in field or "$ref" in str(field), key
