"""The flags for what the configuration adds to a sweep's YAML, shared by several steps."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from gcodefp.command_line import positive
from gcodefp.errors import UserError
from gcodefp.search.rules import read_rules
from gcodefp.search.specification import Specification


def add_rule_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `sweep` in the configuration that are not in the YAML."""
    group = parser.add_argument_group("rules besides the YAML")
    add = group.add_argument
    add("--constraint", action="append", default=[], help="'d_model %% nhead == 0'; may repeat")
    add(
        "--condition",
        action="append",
        default=[],
        help="\"momentum: optimizer == 'sgd'\": when the parameter is drawn; may repeat",
    )
    add(
        "--first",
        action="append",
        default=[],
        help="'{learning_rate: 0.004}': a configuration to try first; may repeat",
    )
    add(
        "--width",
        type=positive,
        help="how many runs may go on at a time in a search that repeats bit by bit",
    )


def with_rules(
    specification: Specification, arguments: argparse.Namespace, first: Sequence[str] | None = None
) -> Specification:
    """The sweep with the rules that these flags ask for.

    Args:
        first: instead of the first points that the flags name.

    Raises:
        UserError: a flag is not what it should be.
    """
    conditions: dict[str, Any] = {}
    for text in arguments.condition:
        name, separator, expression = text.partition(":")
        if not separator:
            raise UserError(f'--condition {text!r}: write "NAME: EXPRESSION"')
        conditions[name.strip()] = expression.strip()
    rules = read_rules(
        specification.parameters,
        constraints=arguments.constraint,
        conditions=conditions,
        first=[_mapping(text) for text in (arguments.first if first is None else first)],
        width=_width(specification, arguments.width),
    )
    return replace(specification, rules=rules)


def _width(specification: Specification, width: int | None) -> int | None:
    """None where it decides nothing: such runs repeat bit by bit without it."""
    if width and specification.impute_while_running:
        raise UserError(
            "metric.impute_while_running depends on timing; leave it out, or set no sweep.width"
        )
    return width if specification.looks_at_results else None


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, Mapping):
        raise UserError(f"--first {text!r}: write a mapping such as '{{learning_rate: 0.004}}'")
    return value
