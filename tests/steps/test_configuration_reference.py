from pathlib import Path
from typing import Any

import pytest
import yaml

from gcodefp.configuration_reference import allowed, main, reference
from gcodefp.evaluation.metrics import with_definitions

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))

SMALL = {
    "properties": {
        "speed": {"description": "How fast.", "type": "number", "exclusiveMinimum": 0},
        "tool": {
            "description": "What cuts; docs/tools.md explains it.",
            "properties": {
                "name": {"description": "Its | name.", "type": ["string", "null"]},
                "teeth": {"description": "How many.", "type": "integer", "minimum": 1},
            },
        },
    }
}


def test_the_page_is_what_the_schema_and_the_shipped_configuration_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["--output", str(tmp_path / "page.md")]) == 0
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    committed = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert committed == written, (
        "docs/configuration.md is not what the schema and config.yaml say; run: make docs"
    )


def test_keys_stand_in_the_shipped_order_with_values_and_a_section_for_each_group() -> None:
    page = reference(SMALL, {"tool": {"teeth": 4, "name": None}, "speed": 1.5})
    table = ["| key | what | values | shipped |", "| --- | --- | --- | --- |"]
    expected = [
        *table,
        "| `speed` | How fast. | number, above 0 | `1.5` |",
        "",
        "## `tool`",
        "",
        "What cuts; [tools.md](tools.md) explains it.",
        "",
        *table,
        "| `teeth` | How many. | whole number, at least 1 | `4` |",
        "| `name` | Its \\| name. | text, or `null` | `null` |",
    ]
    assert page.splitlines()[-len(expected) :] == expected


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["auto", "cpu"]}, "`auto`, `cpu`"),
        ({"type": "boolean"}, "`true` or `false`"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "number, at least 0, at most 1"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "text, matches `^[a-z]+$`"),
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
def test_what_a_key_may_be_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert allowed(schema) == words


def test_every_section_says_what_it_is() -> None:
    """A missing section is answered with this text."""
    for name, schema in SCHEMA["properties"].items():
        assert schema["description"].endswith("."), name


def test_tables_of_metrics_are_those_of_the_registry() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert page == with_definitions(page), "docs/metrics.md is out of date; run: make docs"
    assert with_definitions(page.replace("| `gcode` |", "| `gone` |")) == page
