from pathlib import Path

import pytest

from gcodefp.configuration_reference import main
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


def test_tables_of_metrics_are_those_of_the_registry() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert page == update_definitions(page), "docs/metrics.md is out of date; run: make docs"
    assert update_definitions(page.replace("| `gcode` |", "| `gone` |")) == page
