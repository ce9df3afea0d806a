from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.sweeps.fixes import Change, Repair, edited, repaired, repeated_keys


def value(*path: str | int, new: Any) -> Repair:
    return Repair(Change.VALUE, path, None, new, "")


def key(*path: str | int, new: str) -> Repair:
    return Repair(Change.KEY, path, path[-1], new, "")


def add(*path: str | int, after: str, new: Any) -> Repair:
    return Repair(Change.ADD, path, after, new, "")


def remove(*path: str | int) -> Repair:
    return Repair(Change.REMOVE, path, None, None, "")


CASES: dict[str, tuple[str, Repair, str | None]] = {
    "value": ("a: 1e-5  # c\nb: 2\n", value("a", new=1e-5), "a: 1.0e-5  # c\nb: 2\n"),
    "large value": ("a: 1e22", value("a", new=1e22), "a: 1.0e+22"),
    "last line": ("b: 2\na: '16'", value("a", new=16), "b: 2\na: 16"),
    "quotes stay": ("a: 'x' # c\n", value("a", new="y"), "a: 'y' # c\n"),
    "double quotes": ('a: "x"\n', value("a", new="y"), 'a: "y"\n'),
    "windows lines": ("a: x\r\nb: 2\r\n", value("a", new="y"), "a: y\r\nb: 2\r\n"),
    "beyond ascii": ("# µ 漢\na: x # ü\n", value("a", new="y"), "# µ 漢\na: y # ü\n"),
    "in a flow": ("{a: {b: x, c: 1}}", value("a", "b", new="y"), "{a: {b: y, c: 1}}"),
    "in a list": ("a: [1, '2', 3]", value("a", 1, new=2), "a: [1, 2, 3]"),
    "in a block list": ("a:\n- 1\n- '2' # c\n", value("a", 1, new=2), "a:\n- 1\n- 2 # c\n"),
    "empty value": ("a:\nb: 1\n", value("a", new=0.5), "a: 0.5\nb: 1\n"),
    "empty to mapping": ("a: # c\nb: 1\n", value("a", new={"x": "y"}), "a: {x: y} # c\nb: 1\n"),
    "after an anchor": ("a: &n  x\n", value("a", new="y"), "a: &n  y\n"),
    "two places by an anchor": ("a: &n {x: 1}\nb: {<<: *n}\n", value("a", "x", new=2), None),
    "one place by a merge": (
        "a: &n {x: 1}\nb: *n\n",
        value("b", "x", new=2),
        "a: &n {x: 2}\nb: *n\n",
    ),
    "the last of two": ("a: 1\na: 2\n", value("a", new=3), "a: 1\na: 3\n"),
    "key": ("a:  # c\n  b: 1\n", key("a", new="x"), "x:  # c\n  b: 1\n"),
    "quoted key": ('{"a": 1, "b": 2}', key("a", new="x"), '{"x": 1, "b": 2}'),
    "key in a block": ("a:\n  b: 1 # c\n", key("a", "b", new="x"), "a:\n  x: 1 # c\n"),
    "number as key": ("a: {3: 1}\n", key("a", 3, new="x"), "a: {x: 1}\n"),
    "key that stands twice": ("a: 1\na: 2\n", key("a", new="x"), None),
    "add to a block": (
        "a:\n  b: 1  # c\n\n  # d\n  e: 2\n",
        add("a", "n", after="b", new=2),
        "a:\n  b: 1  # c\n  n: 2\n\n  # d\n  e: 2\n",
    ),
    "add at the end": ("a:\n  b: 1", add("a", "n", after="b", new=2), "a:\n  b: 1\n  n: 2\n"),
    "add to a flow": ("a: {b: 1}\n", add("a", "n", after="b", new=2), "a: {b: 1, n: 2}\n"),
    "add to quoted keys": (
        '{"a": {"b": 1, "c": 2}}',
        add("a", "n", after="b", new="t"),
        '{"a": {"b": 1, "n": "t", "c": 2}}',
    ),
    "add to a flow of lines": (
        "a: {\n  b: 1,\n  c: 2\n}\n",
        add("a", "n", after="b", new=2),
        "a: {\n  b: 1,\n  n: 2,\n  c: 2\n}\n",
    ),
    "add a block": (
        "a: x\r\nb: 1\r\n",
        add("m", after="a", new={"n": "v/a", "g": "max"}),
        "a: x\r\nm:\r\n  n: v/a\r\n  g: max\r\nb: 1\r\n",
    ),
    "add a flow": (
        "{'a': 'x'}",
        add("m", after="a", new={"n": "v"}),
        "{'a': 'x', 'm': {'n': 'v'}}",
    ),
    "remove the first": ("a: [1, 2, 3] # c\n", remove("a", 0), "a: [2, 3] # c\n"),
    "remove the last": ("a: [1, 2, 3] # c\n", remove("a", 2), "a: [1, 2] # c\n"),
    "remove between lines": ("a: [\n  1,\n  2, # c\n]\n", remove("a", 0), "a: [\n  2, # c\n]\n"),
    "remove before a comment": (
        "a: [\n  1, # b\n  2, # c\n]\n",
        remove("a", 0),
        "a: [\n  # b\n  2, # c\n]\n",
    ),
    "remove after a comment": ("a: [1, # c\n 2]\n", remove("a", 1), "a: [1, # c\n ]\n"),
    "remove a line": ("a:\n  - 1 # b\n  - 2 # c\n", remove("a", 1), "a:\n  - 1 # b\n"),
    "remove the last line": ("a:\n- 1\n- 2", remove("a", 1), "a:\n- 1\n"),
    "remove a list in a list": ("- - 1\n  - 2\n", remove(0, 0), None),
    "nothing there": ("a: 1\n", value("b", "c", new=1), None),
}


@pytest.mark.parametrize("name", CASES)
def test_one_place_changes_and_nothing_else(name: str) -> None:
    before, repair, after = CASES[name]
    assert edited(before, repair) == after


SWEEP = """# head µ
method: bayesian   # how
metric: {"name": val/loss, "gaol": minimize}  # what
max_runs: 20
early_terminate: {type: hyperband, max_iter: 27}  # when

parameters:
  # the rate
  lr:
    distribution: log_uniform
    min: 1e-5   # low
    max: 1e-1

  nhead: {values: [3, 4, 8]}  # heads
  d_model:
    values:
      - 64
      - 70   # odd one
  dropout: {min: 0, max: 0.5}
"""
FIXED = """# head µ
method: bayes   # how
metric: {"name": val/loss, "goal": minimize}  # what
run_cap: 20
early_terminate: {type: hyperband, max_iter: 27, s: 2}  # when

parameters:
  # the rate
  learning_rate:
    distribution: log_uniform_values
    min: 1.0e-5   # low
    max: 0.1

  nhead: {values: [4, 8]}  # heads
  d_model:
    values:
      - 64
  dropout: {min: 0.0, max: 0.5}
"""


def test_a_sweep_keeps_comments_order_and_layout() -> None:
    text, done = repaired(SWEEP)
    assert text == FIXED
    assert len(done) == 11
    assert repaired(text) == (text, [])


@pytest.mark.parametrize(
    "text",
    [
        # Another name for what is there already, here or in another group.
        "method: grid\nparameters: {lr: {value: 1}, learning_rate: {value: 1}}\n",
        "method: grid\nparameters: {a: {parameters: {lr: {value: 1}}}, learning_rate: {value: 2}}",
        "method: grid\nrun_cap: 1\nmax_runs: 2\n",
        # No other value is left.
        "method: grid\nparameters: {nhead: {values: [3]}, d_model: {value: 64}}\n",
        # Exponents, as far as can be told.
        "method: random\nparameters: {dropout: {distribution: log_uniform, min: -5, max: -1}}\n",
        # Two things alike.
        "method: random\nparameters: {num_workers: {value: 1}, dropout_2: {value: 1}}\n",
    ],
)
def test_what_has_no_single_answer_is_left_alone(text: str) -> None:
    assert repaired(text) == (text, [])


KEYS = st.sampled_from(
    ["lr", "epochs", "dropout", "n_heads", "hidden_size", "optimizer", "foo", "a"]
)
SCALARS = st.sampled_from(["1e-5", "'2'", "0.5", "3", "Adam", "true", "null", "7.0", "1e-1"])
ENTRIES = st.one_of(
    SCALARS.map("{{value: {}}}".format),
    st.lists(SCALARS, max_size=4).map(lambda values: f"{{values: [{', '.join(values)}]}}"),
    st.builds("{{min: {}, max: {}}}".format, SCALARS, SCALARS),
    st.builds(
        "\n    distribution: {}  # c\n    min: {}\n    max: {}  # d".format,
        st.sampled_from(["log_uniform", "loguniform", "q_log_uniform", "uniform", "unifrom"]),
        SCALARS,
        SCALARS,
    ),
    SCALARS,
)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.dictionaries(KEYS, ENTRIES, max_size=5), method=st.sampled_from(["gird", "bayes"])
)
def test_any_sweep_is_repaired_to_an_end(entries: dict[str, str], method: str) -> None:
    """Once is enough, all comments stay, and no value is lost."""
    body = "\n".join(f"  {name}: {entry}" for name, entry in entries.items())
    text = f"# top\nmethod: {method} # m\nparameters:\n{body}\n# end\n"
    fixed, _ = repaired(text)
    again, more = repaired(fixed)
    assert (again, more) == (fixed, [])
    assert fixed.count("#") == text.count("#")
    before, after = yaml.safe_load(text)["parameters"], yaml.safe_load(fixed)["parameters"]
    assert len(before or ()) == len(after or ())


def test_keys_that_stand_twice_are_found() -> None:
    assert repeated_keys("a: {b: 1, c: 2, b: 3}\nd: 1\n") == ["a.b"]
    assert repeated_keys("a: [{b: 1}, {b: 1}]") == []
    assert repeated_keys("") == []
