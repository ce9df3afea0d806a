"""What --fix changes in a sweep YAML, and that it changes nothing else."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_documents import WHERE

from gcodefp.errors import UserError
from gcodefp.sweeps.fixes import apply_fixes

CASES: dict[str, tuple[str, str]] = {
    "value": ("method: gird # µ 漢\n", "method: grid # µ 漢\n"),
    "quotes": ("'method': 'gird'\n", "'method': 'grid'\n"),
    "null and layout stay": (
        "method: gird\nrun_cap:   null\nname: [ 1,2 ]\n",
        "method: grid\nrun_cap:   null\nname: [ 1,2 ]\n",
    ),
    "windows lines": ("method: gird\r\nrun_cap: 2\r\n", "method: grid\r\nrun_cap: 2\r\n"),
    "no last line end": ("run_cap: '2'", "run_cap: 2"),
    "key": ("max_runs: 3   # cap\n", "run_cap: 3   # cap\n"),
    "two keys for one": ("max_runs: 3\ncount: 4\n", "run_cap: 3\ncount: 4\n"),
    "quoted key": ('{"max_runs": 1, "name": 2}\n', '{"run_cap": 1, "name": 2}\n'),
    "number as key": (
        "metric: {name: val/loss, 3: 1, gaol: minimize}\n",
        "metric: {name: val/loss, 3: 1, goal: minimize}\n",
    ),
    "metric": (
        "# the search\nmethod: bayes # c\nparameters:\n  learning_rate: {value: 0.1}\n",
        "# the search\nmetric: {name: val/aligned_acc, goal: maximize}\nmethod: bayes # c\n"
        "parameters:\n  learning_rate: {value: 0.1}\n",
    ),
    "metric in a flow": (
        '{"method": "bayes", "run_cap": 3}\n',
        '{metric: {name: val/aligned_acc, goal: maximize}, "method": "bayes", "run_cap": 3}\n',
    ),
    "goal of a loss": (
        "metric: {name: val/loss, goal: max}\n",
        "metric: {name: val/loss, goal: minimize}\n",
    ),
    "punctuation of a metric": ("metric: {name: val_loss}\n", "metric: {name: val/loss}\n"),
    "anchors stay": (
        "method: &m gird\nmetric: {name: &n val_loss, goal: minimize}\n",
        "method: &m grid\nmetric: {name: &n val/loss, goal: minimize}\n",
    ),
    "folded text": ("run_cap: >\n  2\nmethod: grid\n", "run_cap: 2\nmethod: grid\n"),
    "byte order mark": ("\ufeffmethod: gird\n", "\ufeffmethod: grid\n"),
    "parameters with names of keys": (
        "parameters: {values: {valeus: [1]}, method: {value: 1}}\nmetod: grid\n",
        "parameters: {values: {values: [1]}, method: {value: 1}}\nmethod: grid\n",
    ),
    "one place by an alias": (
        "parameters:\n  lr: &n {min: 1e-5, max: 0.1}\n  dropout: *n\n",
        "parameters:\n  learning_rate: &n {min: 1.0e-5, max: 0.1}\n  dropout: *n\n",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_place_changes_and_nothing_else(name: str) -> None:
    before, after = CASES[name]
    assert apply_fixes(before, WHERE)[0] == after


def test_anchor_that_serves_two_places_is_refused() -> None:
    text = "parameters:\n  dropout: &n {min: 0, max: 0.5}\n  seed: {<<: *n, max: 3}\n"
    with pytest.raises(UserError, match=r"anchor serves several values.*dropout.min: 0 -> 0.0"):
        apply_fixes(text, WHERE)


SWEEP = """# head µ
method: bayesian   # how
metric: {"name": val/loss, "gaol": minimize}  # what
max_runs: 20
early_terminate: {min_iter: 27}  # when

parameters:
  # the rate
  lr:
    distribution: log_uniform
    min: 1e-5   # low
    max: 1e-1

  optimizer:
    values:
      - Adam   # capital
      - sgd
  dropout: {min: 0, max: 0.5}
"""
CHANGES = {
    "bayesian": "bayes", "gaol": "goal", "max_runs": "run_cap", " lr:": " learning_rate:",
    "log_uniform": "log_uniform_values", "1e-5": "1.0e-5", "1e-1": "0.1", "Adam": "adam",
    "min: 0,": "min: 0.0,",
}  # fmt: skip


def test_sweep_keeps_comments_order_and_layout() -> None:
    text, _, fixes = apply_fixes(SWEEP, WHERE)
    expected = SWEEP
    for old, new in CHANGES.items():
        expected = expected.replace(old, new)
    assert text == expected
    assert len(fixes) == len(CHANGES)
    assert apply_fixes(text, WHERE)[::2] == (text, [])


@pytest.mark.parametrize(
    "text",
    [
        # Another name for what is there already, here or in another group.
        "method: grid\nparameters: {lr: {value: 1}, learning_rate: {value: 1}}\n",
        "method: grid\nparameters: {a: {parameters: {lr: {value: 1}}}, learning_rate: {value: 2}}",
        "method: grid\nrun_cap: 1\nmax_runs: 2\n",
        # Each of two could be changed, and so could either value.
        "method: grid\nparameters: {nhead: {values: [3, 4]}, d_model: {value: 64}}\n",
        "early_terminate: {type: hyperband, max_iter: 27}\nmetric: {name: val/loss}\n",
        # Other metrics than those that are logged.
        *(
            f"method: random\nmetric: {{name: {name}, goal: maximize}}\n"
            for name in ("combined_score", "val/f1_score", "val/accuracy", "eval/f1", "val/acc")
        ),
        # Exponents, as far as can be told.
        "method: random\nparameters: {dropout: {distribution: log_uniform, min: -5, max: -1}}\n",
        # Two things alike.
        "method: random\nparameters: {num_workers: {value: 1}, dropout_2: {value: 1}}\n",
    ],
)
def test_what_has_no_single_answer_stays(text: str) -> None:
    assert apply_fixes(text, WHERE)[::2] == (text, [])


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


@settings(max_examples=40, deadline=None)
@given(
    entries=st.dictionaries(KEYS, ENTRIES, max_size=5), method=st.sampled_from(["gird", "bayes"])
)
def test_any_sweep_is_fixed_at_once(entries: dict[str, str], method: str) -> None:
    """All comments stay, and no entry is lost."""
    body = "\n".join(f"  {name}: {entry}" for name, entry in entries.items())
    text = f"# top\nmethod: {method} # m\nparameters:\n{body}\n# end\n"
    changed, document, _ = apply_fixes(text, WHERE)
    assert apply_fixes(changed, WHERE)[::2] == (changed, [])
    assert changed.count("#") == text.count("#")
    before, after = yaml.safe_load(text)["parameters"], document["parameters"]
    assert len(before or ()) == len(after or ())
