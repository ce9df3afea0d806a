"""Every sweep that the guides show runs here, as it stands or after what --fix does to it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_documents import GUIDES, WHERE, guide

from gcodefp.errors import UserError
from gcodefp.sweeps.check import problems
from gcodefp.sweeps.fixes import apply_fixes
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.run_folder import run_folders
from gcodefp.sweeps.specification import Specification, read_specification
from gcodefp.sweeps.trainable import check_trainable
from gcodefp.sweeps.values import flatten

SWEEPS = {"000": 5, "002": 10}
"""Guide -> how many sweeps it shows with a method and parameters."""
CUT_OFF = {"000": 1, "002": 2}
"""Those whose parameters it leaves out (`...`)."""
CASES = [(number, ordinal) for number, count in SWEEPS.items() for ordinal in range(count)]

AS_THEY_STAND = {("000", 0), ("000", 3), ("002", 2)}
OTHER_TRAINERS: dict[tuple[str, int], set[str]] = {
    ("002", 5): {"model.type", "model.size", "optimizer.type"},
    ("002", 7): {"architecture", "pretrained", "mixup_alpha", "cutmix_alpha"},
    ("002", 8): {"model_name", "warmup_ratio", "adam_beta1", "adam_beta2"},
}
"""Sweeps of other trainers -> the hyperparameters that ours does not have."""
OTHER_METRICS = {("002", ordinal) for ordinal in (0, 1, 5, 7, 8)}


def shown(number: str) -> Iterator[tuple[str, bool]]:
    """The YAML text of each sweep, and whether its parameters are there."""
    for language, block in re.findall(r"```(yaml|python)\n(.*?)```", guide(number), re.DOTALL):
        if language == "yaml":
            document = yaml.safe_load(block)
            if isinstance(document, dict) and {"method", "parameters"} <= set(document):
                yield block, document["parameters"] is not None
            continue
        try:
            tree = ast.parse(block)
        except SyntaxError:  # Entries of `parameters` alone; test_entries reads them.
            assert "'method'" not in block
            continue
        for node in ast.walk(tree):
            keys = node.keys if isinstance(node, ast.Dict) else []
            if {"method", "parameters"} <= {getattr(key, "value", None) for key in keys}:
                config = ast.literal_eval(node)
                whole = isinstance(config["parameters"], dict)  # {...} is a set
                yield yaml.safe_dump(config, sort_keys=False) if whole else "", whole


def sweeps(number: str) -> list[str]:
    return [text for text, whole in shown(number) if whole]


def read(text: str) -> Specification:
    return read_specification(yaml.safe_load(text), WHERE)


@pytest.mark.parametrize("number", SWEEPS)
def test_every_sweep_is_read(number: str) -> None:
    blocks = list(shown(number))
    assert len(sweeps(number)) == SWEEPS[number]
    assert len(blocks) == SWEEPS[number] + CUT_OFF[number]
    # By another way: every method that is written down in a block is one of them.
    methods = re.findall(r"^\s*'?method'?: ", guide(number), re.MULTILINE)
    without_parameters = guide(number).count("method: grid  # Exhaustive search (no duplicates)")
    assert len(methods) == len(blocks) + without_parameters


def test_both_guides_are_read() -> None:
    if GUIDES.exists():
        assert {path.name[:3] for path in GUIDES.glob("*.txt")} == set(SWEEPS)


@pytest.mark.parametrize(("number", "ordinal"), CASES)
def test_it_is_understood_as_it_stands_or_after_the_fix_that_is_offered(
    number: str, ordinal: int
) -> None:
    text = sweeps(number)[ordinal]
    changed, _, fixes = apply_fixes(text, WHERE)
    messages = problems(yaml.safe_load(text), WHERE)
    if (number, ordinal) in AS_THEY_STAND:
        assert not fixes
        assert not messages
    else:
        assert messages
        with pytest.raises(UserError):
            check_trainable(read(text), WHERE)
        # The readers' own messages hold what the fixes write.
        for fix in fixes:
            new = fix.new["name"] if isinstance(fix.new, dict) else fix.new
            assert any(str(new) in message for message in messages), fix.describe()
    assert read(changed).parameters


@pytest.mark.parametrize(("number", "ordinal"), CASES)
def test_trainer_takes_it_or_names_what_is_not_its_own(number: str, ordinal: int) -> None:
    text = apply_fixes(sweeps(number)[ordinal], WHERE)[0]
    specification = read(text)
    messages = problems(yaml.safe_load(text), WHERE)
    if not messages:
        check_trainable(specification, WHERE)
    names = {
        re.sub(r"^.*?: parameters\.|: no such hyper.*", "", message).replace(".parameters.", ".")
        for message in messages
        if "not logged by the trainer" not in message
    }
    assert names == OTHER_TRAINERS.get((number, ordinal), set())
    assert len(messages) - len(names) == ((number, ordinal) in OTHER_METRICS)


@pytest.mark.parametrize(("number", "ordinal"), CASES)
def test_engine_runs_it(number: str, ordinal: int, tmp_path: Path) -> None:
    text = apply_fixes(sweeps(number)[ordinal], WHERE)[0]
    specification = read(text)
    assigned: list[dict[str, Any]] = []

    def objective(run: LeasedRun) -> dict[str, Any]:
        assigned.append(flatten(run.hyperparameters))
        return {"state": "finished", "best_value": 0.5, "parameters": 1}

    assert LocalEngine(specification, 1, 4, tmp_path).work(objective, lambda: None) == 4
    assert len(run_folders(tmp_path)) == 4
    for values in assigned:
        assert values.keys() == specification.parameters.keys()
        for path, value in values.items():
            assert specification.parameters[path].latent(value) is not None
    assert len({str(values) for values in assigned}) == 4


@pytest.mark.parametrize(("number", "count"), [("002", 16)])
def test_entries_that_stand_alone_are_understood(number: str, count: int) -> None:
    """The innermost dicts of the blocks that are no whole sweep, after the fix."""
    entries = 0
    for block in re.findall(r"```python\n(.*?)```", guide(number), re.DOTALL):
        if "'method'" in block:
            continue
        for name, body in re.findall(r"'(\w+)': (\{[^{}]*\})", block):
            entries += 1
            sweep = {"method": "random", "parameters": {name: ast.literal_eval(body)}}
            assert read(apply_fixes(yaml.safe_dump(sweep), WHERE)[0]).parameters
    assert entries == count
