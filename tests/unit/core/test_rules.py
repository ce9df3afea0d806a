"""What the rules import is there: only a run of Snakemake would notice otherwise."""

import ast
import importlib
from pathlib import Path

WORKFLOW = Path(__file__).parents[3] / "workflow"


def test_what_the_rules_import_exists() -> None:
    lines = [line for path in WORKFLOW.rglob("*.smk") for line in path.read_text().splitlines()]
    imports = [line for line in lines if line.startswith("from gcodefp")]
    assert len(imports) > 5
    for line in imports:
        (statement,) = ast.parse(line).body
        assert isinstance(statement, ast.ImportFrom)
        module = importlib.import_module(str(statement.module))
        assert [name.name for name in statement.names if not hasattr(module, name.name)] == []
