from pathlib import Path
from typing import Any

import pytest

from gcodefp.configuration_reference import allowed, main
from gcodefp.evaluation.metrics import update_definitions

ROOT = Path(__file__).parents[2]


def test_docs_and_json_schema_are_what_the_models_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page, schema, layout = (tmp_path / name for name in ("page.md", "config.yaml", "layout.yaml"))
    flags = ["--output", page, "--schema", schema, "--layout-schema", layout]
    assert main([str(flag) for flag in flags]) == 0
    for written, committed in (
        (page, "docs/configuration.md"),
        (schema, "workflow/schemas/config.schema.yaml"),
        (layout, "workflow/schemas/layout.schema.yaml"),
    ):
        text = (ROOT / committed).read_text(encoding="utf-8")
        assert text == written.read_text(encoding="utf-8"), f"{committed} is old: make docs"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["auto", "cpu"]}, "`auto`, `cpu`"),
        ({"type": "boolean"}, "`true` or `false`"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number, at least 0, at most 1"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "text, matches `^[a-z]+$`"),
        (
            {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]},
            "whole number, above 0, or `null`",
        ),
        (
            {"type": "array", "items": {"enum": ["a"]}, "minItems": 1, "uniqueItems": True},
            "list: `a`; at least one; nothing twice",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
            "map of names to non-empty text",
        ),
    ],
)
def test_accepted_values_in_words(schema: dict[str, Any], words: str) -> None:
    assert allowed(schema) == words


def test_tables_of_metrics_are_those_of_the_registry() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert page == update_definitions(page), "docs/metrics.md is out of date; run: make docs"
    assert update_definitions(page.replace("| `gcode` |", "| `gone` |")) == page
