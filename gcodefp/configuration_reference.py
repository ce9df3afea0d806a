"""Writes the reference of the configuration: every key, what it may be, and what is shipped.

All of it comes from the schema that checks the configuration and from the shipped config.yaml, so
that what a user reads is what is checked.
"""

import argparse
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gcodefp.command_line import run_step, step_parser
from gcodefp.evaluation.metrics import with_definitions
from gcodefp.files import write_text

logger = logging.getLogger("gcodefp.configuration_reference")

Schema = Mapping[str, Any]

HEAD = """\
# Configuration

<!-- Written by `make docs` from config.yaml and workflow/schemas/config.schema.yaml. -->

Every key has to be there, and no other may be: what is left out or misspelt is an error that names
file, key and value. `make run CONFIG=mine.yaml` lays another file over `config.yaml`, in which only
what differs stands. What decides a training is no key here but a parameter of the sweep
([sweeps.md](sweeps.md); `python -m gcodefp.train --help` lists them).
"""
TABLE = "| key | what | values | shipped |\n| --- | --- | --- | --- |\n"
KINDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "null": "`null`",
}
"""Type of JSON Schema -> what it is called."""
LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("configuration_reference", __doc__)
    add = parser.add_argument
    add(
        "--schema",
        type=Path,
        default=Path("workflow/schemas/config.schema.yaml"),
        help="JSON Schema, as YAML (default: %(default)s)",
    )
    add("--config", type=Path, default=Path("config.yaml"), help="default: %(default)s")
    add("--output", type=Path, required=True, help="the Markdown file")
    add("--metrics", type=Path, help="the Markdown file whose tables of metrics are made anew")
    return run_step(parser, _write, argv)


def _write(arguments: argparse.Namespace) -> None:
    schema, shipped = (
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in (arguments.schema, arguments.config)
    )
    write_text(arguments.output, reference(schema, shipped))
    logger.info("%s", arguments.output)
    if arguments.metrics:
        page = arguments.metrics.read_text(encoding="utf-8")
        write_text(arguments.metrics, with_definitions(page))
        logger.info("%s", arguments.metrics)


def reference(schema: Schema, shipped: Mapping[str, Any]) -> str:
    """The page in Markdown: keys of no section first, then a heading and a table for each section.

    Args:
        schema: of the configuration.
        shipped: the configuration whose values and order are shown.
    """
    known = schema["properties"]
    plain = [name for name in shipped if "properties" not in known[name]]
    parts = [HEAD, TABLE + "".join(_row(name, known[name], shipped[name]) for name in plain)]
    for name in shipped:
        if name not in plain:
            parts += [f"## `{name}`\n", _linked(known[name]["description"]) + "\n"]
            parts.append(TABLE + "".join(_rows(known[name], shipped[name])))
    return "\n".join(parts)


def _rows(section: Schema, shipped: Mapping[str, Any]) -> Iterator[str]:
    for name, value in shipped.items():
        yield _row(name, section["properties"][name], value)


def _row(name: str, schema: Schema, value: Any) -> str:
    cells = (f"`{name}`", schema["description"], allowed(schema), f"`{_in_yaml(value)}`")
    # A bar would end the cell.
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def allowed(schema: Schema) -> str:
    """What a schema lets through, in words: `whole number, at least 1, or null`."""
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "array" in kinds:
        return _allowed_list(schema)
    if "object" in kinds:
        inner = schema.get("additionalProperties")
        return f"map of names to {allowed(inner)}" if inner else "map of names to values"
    nonempty = "non-empty " if schema.get("minLength") else ""
    told = [nonempty + KINDS[kind] for kind in kinds if kind != "null"]
    told += [f"{word} {schema[key]:g}" for key, word in LIMITS.items() if key in schema]
    if "pattern" in schema:
        told.append(f"matches `{schema['pattern']}`")
    return ", ".join(told) + (", or `null`" if "null" in kinds else "")


def _allowed_list(schema: Schema) -> str:
    told = f"list: {allowed(schema['items'])}"
    told += "; at least one" if schema.get("minItems") else ""
    return told + ("; nothing twice" if schema.get("uniqueItems") else "")


def _linked(text: str) -> str:
    """The pages that a text names, from the project's folder, as links from their own folder."""
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)


def _in_yaml(value: Any) -> str:
    """A value as it stands in config.yaml, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.removesuffix("...\n").strip()


if __name__ == "__main__":
    sys.exit(main())
