"""Writes docs/configuration.md and the JSON Schemas of config.yaml and of layouts."""

import argparse
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gcodefp.command_line import command_parser, run_command
from gcodefp.config import Config
from gcodefp.evaluation.metrics import update_definitions
from gcodefp.files import write_text
from gcodefp.recordings.laboratory.layout import Layout

logger = logging.getLogger("gcodefp.configuration_reference")

Schema = Mapping[str, Any]

HEAD = """\
# Configuration

<!-- Written by `make docs` from gcodefp/config.py and config.yaml. -->

Every key has to be there, and no other may be: a missing or misspelt key is an error that names
file, key and value. `make run CONFIG=mine.yaml` lays another file over `config.yaml`; it holds only
the keys that differ. Hyperparameters of a training are not keys here but parameters of the sweep
([sweeps.md](sweeps.md); `python -m gcodefp.train --help` lists them).
"""
TABLE = "| key | meaning | values | shipped |\n| --- | --- | --- | --- |\n"
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "null": "`null`",
    "object": "map of names to values",
}
"""Type of JSON Schema -> its name in the page."""
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("configuration_reference", __doc__)
    add = parser.add_argument
    add("--config", type=Path, default=Path("config.yaml"), help="default: %(default)s")
    add("--schema", type=Path, help="write the JSON Schema to this file, as YAML")
    add("--layout-schema", type=Path, help="write the JSON Schema of layouts to this file, as YAML")
    add("--output", type=Path, required=True, help="the Markdown file")
    add("--metrics", type=Path, help="the Markdown file whose tables of metrics are rebuilt")
    return run_command(parser, _write, argv)


def _write(arguments: argparse.Namespace) -> None:
    schema = Config.model_json_schema()
    shipped = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    write_text(arguments.output, reference(schema, shipped))
    _write_schema(arguments.schema, "gcodefp/config.py", schema)
    _write_schema(
        arguments.layout_schema,
        "gcodefp/recordings/laboratory/layout.py",
        Layout.model_json_schema(),
    )
    logger.info("%s", arguments.output)
    if arguments.metrics:
        page = arguments.metrics.read_text(encoding="utf-8")
        write_text(arguments.metrics, update_definitions(page))
        logger.info("%s", arguments.metrics)


def _write_schema(path: Path | None, origin: str, schema: Schema) -> None:
    if path is not None:
        comment = f"# Written by `make docs` from {origin}, for editors.\n"
        write_text(path, comment + yaml.safe_dump(schema, sort_keys=False, width=100))


def reference(schema: Schema, shipped: Mapping[str, Any]) -> str:
    """The page in Markdown: keys without a section first, then a table for each section.

    Args:
        schema: of the configuration, as pydantic writes it.
        shipped: the configuration whose values and order are shown.
    """
    plain, sections = [], []
    for name, value in shipped.items():
        key = schema["properties"][name]
        if "$ref" not in key:
            plain.append(_row(name, key, value))
            continue
        section = schema["$defs"][key["$ref"].rpartition("/")[2]]
        rows = [_row(inner, section["properties"][inner], value[inner]) for inner in value]
        text = re.sub(r"docs/(\w+\.md)", r"[\1](\1)", section["description"])
        sections += [f"## `{name}`\n", f"{text}\n", TABLE + "".join(rows)]
    return "\n".join([HEAD, TABLE + "".join(plain), *sections])


def _row(name: str, schema: Schema, value: Any) -> str:
    shipped = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    shipped = shipped.removesuffix("...\n").strip()
    cells = (f"`{name}`", schema["description"], allowed(schema), f"`{shipped}`")
    # A bar would end the cell.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def allowed(schema: Schema) -> str:
    """The values that a schema accepts: `whole number, at least 1, or null`."""
    if "anyOf" in schema:
        kinds = [allowed(kind) for kind in schema["anyOf"] if kind.get("type") != "null"]
        return ", ".join(kinds) + ", or `null`"
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema.get("type") == "array":
        text = f"list: {allowed(schema['items'])}"
        text += "; at least one" if schema.get("minItems") else ""
        return text + ("; nothing twice" if schema.get("uniqueItems") else "")
    inner = schema.get("additionalProperties")
    if isinstance(inner, Mapping):
        return f"map of names to {allowed(inner)}"
    parts = [("non-empty " if schema.get("minLength") else "") + KINDS[schema["type"]]]
    parts += [f"{word} {schema[key]:.12g}" for key, word in LIMITS.items() if key in schema]
    parts += [f"matches `{schema['pattern']}`"] if "pattern" in schema else []
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
