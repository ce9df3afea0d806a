"""Every promise of the documentation has a test, and the code keeps the rules on names."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PROMISES = yaml.safe_load((ROOT / "tests/promises.yaml").read_text(encoding="utf-8"))
VAGUE_NAMES = {"of", "found", "known", "told", "said"}


@pytest.mark.parametrize("entry", PROMISES, ids=lambda entry: entry["promise"][:40])
def test_promise_is_documented_and_its_tests_exist(entry: dict) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    texts = (" ".join(page.read_text(encoding="utf-8").split()) for page in pages)
    assert any(" ".join(entry["promise"].split()) in text for text in texts)
    for test in entry["tests"]:
        file, _, name = test.partition("::")
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), test


def test_no_module_hides_one_of_the_standard_library() -> None:
    """`wandb agent` runs gcodefp/train.py as a script: Python then looks there first."""
    names = {path.stem for path in (ROOT / "gcodefp").iterdir()}
    assert names & set(sys.stdlib_module_names) == set()


def test_no_variable_has_a_vague_name() -> None:
    vague = []
    folders = ("gcodefp", "tests", "benchmarks")
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "arg", None) if isinstance(node, ast.arg) else None
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                name = node.id
            if name in VAGUE_NAMES:
                vague.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    assert vague == []
