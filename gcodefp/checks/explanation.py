"""How a sweep is understood, as plain text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gcodefp.checks.notes import dotted, is_inferred, most_epochs, notes_on, reached_bands
from gcodefp.search.distributions import Parameter
from gcodefp.search.sampling import Plan
from gcodefp.search.space import COUNTABLE, combinations, configurations, varying
from gcodefp.search.specification import Specification

SAMPLES = 5
SEED = 0
LONGEST_LIST = 8


def explain(specification: Specification, more: Sequence[str] = ()) -> str:
    """All that decides a sweep's runs, aligned, and notes on what may surprise.

    Args:
        more: notes besides those that the sweep itself asks for.
    """
    parts = [_aligned(_settings(specification)), _aligned(_parameters(specification))]
    if notes := [*more, *notes_on(specification)]:
        parts.append("\n".join(["notes", *(f"- {note}" for note in notes)]))
    return "\n\n".join(parts)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _settings(specification: Specification) -> list[tuple[str, str]]:
    objective, rules = specification.objective, specification.rules
    target, running = specification.target, specification.impute_while_running
    rows = [
        ("method", specification.method),
        ("metric", f"{objective.metric}, {objective.goal}"),
        ("target", "none" if target is None else f"{target:g}: no run starts once one reached it"),
        (
            "impute",
            f"{specification.impute} for failed runs; while running: {running or 'nothing'}",
        ),
        ("early termination", _bands(specification)),
        ("run_cap", "none" if specification.run_cap is None else str(specification.run_cap)),
        ("space", _space(specification)),
    ]
    if specification.method == "grid":
        rows.append(("runs of the grid", _grid_size(specification)))
    rows += [("constraint", constraint.text) for constraint in rules.constraints]
    rows += [
        ("condition", f"{dotted(path)}: {condition.text}")
        for path, condition in (rules.conditions or {}).items()
    ]
    rows += [("first", ", ".join(f"{dotted(k)} {v}" for k, v in p.items())) for p in rules.first]
    if rules.width is not None:
        rows.append(("width", str(rules.width)))
    return rows


def _grid_size(specification: Specification) -> str:
    most = specification.run_cap or COUNTABLE
    size = Plan(specification, SEED).size(most)
    return f"{most} or more" if size == most and specification.run_cap is None else str(size)


def _bands(specification: Specification) -> str:
    rule = specification.early_terminate
    if rule is None:
        return "none"
    bands = ", ".join(map(str, reached_bands(specification)))
    after = f"after epochs {bands}" if bands else "after no epoch"
    compared = "value there" if rule.strict else "best value so far"
    return (
        f"hyperband {after} (of {most_epochs(specification)}); a run goes on if its "
        f"{compared} is among the best 1/{rule.eta:g}"
    )


def _space(specification: Specification) -> str:
    size = combinations(specification)
    if size is None:
        return "infinite"
    if size > COUNTABLE:
        return f"{size} configurations"
    possible = len(configurations(specification) or ())
    return f"{size} configurations, {possible} of them possible"


def _parameters(specification: Specification) -> list[tuple[str, ...]]:
    random = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = [
        ("parameter", "distribution", "arguments", "varies", f"{SAMPLES} samples")
    ]
    vary = varying(specification)
    for path, parameter in specification.parameters.items():
        samples = [parameter.value(float(u)) for u in random.random(SAMPLES)]
        inferred = " (inferred)" if is_inferred(specification, path) else ""
        rows.append(
            (
                dotted(path),
                parameter.distribution + inferred,
                _arguments(parameter),
                "yes" if path in vary else "no",
                ", ".join(map(_short, samples)),
            )
        )
    return rows


def _arguments(parameter: Parameter) -> str:
    if parameter.arguments:
        return ", ".join(f"{name} {_short(value)}" for name, value in parameter.arguments.items())
    shown = ", ".join(map(_short, parameter.choices[:LONGEST_LIST]))
    if len(parameter.choices) > LONGEST_LIST:
        shown += f", ... ({len(parameter.choices)} values)"
    if parameter.probabilities:
        shown += " with probabilities " + ", ".join(map(_short, parameter.probabilities))
    return shown


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
