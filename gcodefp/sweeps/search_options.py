"""What the configuration adds to a sweep's YAML, which stays W&B's.

Constraints that every run has to satisfy, conditions under which a parameter is drawn at all, the
configurations to try first, and the width within which a parallel search is reproducible.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gcodefp.command_line import positive
from gcodefp.errors import UserError, did_you_mean, shown
from gcodefp.model.hyperparameters import HYPERPARAMETERS
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.expressions import CombinedMetrics, Expression, read_combined
from gcodefp.sweeps.parameters import dotted, flatten, hyperparameter_value, leaf
from gcodefp.yaml_input import load_yaml

if TYPE_CHECKING:
    from gcodefp.sweeps.specification import Specification

EXAMPLES = 50
Values = Mapping[str, Any]
"""Path of a parameter -> value."""


@dataclass(frozen=True)
class SearchOptions:
    """What the configuration adds to a sweep, checked.

    Attributes:
        constraints: have to be true of every run.
        conditions: path -> expression; where it is false, the run has no such parameter.
        first_points: values by path of the first runs; the other parameters are drawn.
        combined: metrics that the trainer computes from those that it logs.
        width: run k is decided by the results of the runs up to k - width alone, so that
            timing decides nothing; None is as fast as it can be.
        has_script: a user script trains, whose defaults are not known.
    """

    constraints: tuple[Expression, ...] = ()
    conditions: Mapping[str, Expression] = field(default_factory=dict)
    first_points: tuple[Values, ...] = ()
    width: int | None = None
    combined: CombinedMetrics = field(default_factory=CombinedMetrics)
    has_script: bool = field(default=False, compare=False)

    def active(self, values: Values) -> dict[str, Any]:
        """The values without those whose condition is false."""
        names = named_values(values, self.has_script) if self.conditions else {}
        inactive = {path for path, c in self.conditions.items() if not c.holds(names)}
        return {path: value for path, value in values.items() if path not in inactive}

    def allow(self, values: Values) -> bool:
        """Whether all constraints are true of a run."""
        names = named_values(values, self.has_script) if self.constraints else {}
        return all(constraint.holds(names) for constraint in self.constraints)

    def describe(self) -> dict[str, Any]:
        """As sweep.json holds them; `read_options` reads it again. Empty if there are none."""
        described: dict[str, Any] = {
            "constraints": [constraint.text for constraint in self.constraints],
            "conditions": {path: c.text for path, c in self.conditions.items()},
            "first": [dict(values) for values in self.first_points],
            "width": self.width,
        }
        if self.combined.texts:  # Only then is it a part of the sweep's identity.
            described["combined"] = dict(self.combined.texts)
        return {"rules": described} if any(described.values()) else {}


NO_OPTIONS = SearchOptions()


def named_values(values: Values, has_script: bool = False) -> dict[str, Any]:
    """What expressions read: every value by its dotted path, and by its own name if that is unique.

    A hyperparameter that a run does not set has the default of this project's trainer, and none if
    a user script trains.
    """
    trainer = {} if has_script else HYPERPARAMETERS
    names = {name: setting.default for name, setting in trainer.items()}
    leaves = Counter(leaf(path) for path in values)
    names |= {leaf(path): value for path, value in values.items() if leaves[leaf(path)] == 1}
    return names | {dotted(path): value for path, value in values.items()}


def read_options(
    parameters: Mapping[str, Parameter],
    constraints: Sequence[Any] = (),
    conditions: Mapping[str, Any] | None = None,
    first: Sequence[Any] = (),
    width: int | None = None,
    combined: Mapping[str, Any] | None = None,
    has_script: bool = False,
) -> SearchOptions:
    """Checks the options of a sweep with these parameters.

    Raises UserError: it names the key below `sweep` in the configuration, and the value.
    """
    names = set(named_values(dict.fromkeys(parameters), has_script))
    checked = [Expression(t, names, f"sweep.constraints[{i}]") for i, t in enumerate(constraints)]
    texts = _by_path(conditions or {}, parameters, "sweep.conditions")
    when = {path: Expression(t, names, f"sweep.conditions.{n}") for path, (n, t) in texts.items()}
    _check_chain(when)
    points = tuple(_point(point, parameters, f"sweep.first[{i}]") for i, point in enumerate(first))
    metrics = read_combined(combined or {})
    options = SearchOptions(tuple(checked), when, points, width, metrics, has_script)
    random = np.random.default_rng(0)
    for _ in range(EXAMPLES):
        values = {path: parameter.value(random.random()) for path, parameter in parameters.items()}
        options.allow(options.active(values))  # A string divided by a number fails now.
    return options


def _by_path(
    values: Mapping[str, Any], paths: Iterable[str], where: str
) -> dict[str, tuple[str, Any]]:
    """Names and values by the path that each name means, which may be dotted or slashed."""
    by_path: dict[str, tuple[str, Any]] = {}
    for name, value in values.items():
        text = dotted(str(name))
        meant = [path for path in paths if text in (dotted(path), leaf(path))]
        if len(meant) != 1:
            hint = "it is in several groups" if meant else did_you_mean(text, map(dotted, paths))
            raise UserError(f"{where}: {shown(name)} is not a parameter of the sweep; {hint}")
        if meant[0] in by_path:
            raise UserError(f"{where}: {name} and {by_path[meant[0]][0]} are the same; keep one")
        by_path[meant[0]] = name, value
    return by_path


def _check_chain(conditions: Mapping[str, Expression]) -> None:
    names = {name for path in conditions for name in (leaf(path), dotted(path))}
    for condition in conditions.values():
        if conditional := sorted(condition.names & names):
            raise UserError(
                f"{condition.where}: {condition.text!r} depends on {conditional[0]}, which has a "
                "condition itself; write both conditions in one expression with `and`"
            )


def _point(point: Any, parameters: Mapping[str, Parameter], where: str) -> dict[str, Any]:
    if not isinstance(point, Mapping) or not point:
        raise UserError(f"{where}: {shown(point)} must map hyperparameters to values")
    values = {}
    for path, (name, value) in _by_path(flatten(point), parameters, where).items():
        parameter = parameters[path]
        try:
            hyperparameter_value(value)
        except ValueError as error:
            raise UserError(f"{where}.{name}: {error}") from None
        if (unit := parameter.to_unit(value)) is None:
            limits = ", ".join(f"{k} {shown(v)}" for k, v in parameter.describe().items())
            raise UserError(f"{where}.{name}: {shown(value)} is not in the sweep's range: {limits}")
        # As the sweep has it: 64 where 64.0 was written.
        is_listed = parameter.choices or parameter.is_quantized
        values[path] = parameter.value(unit) if is_listed else value
    return values


# The same rules as flags of a command.


def add_option_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `sweep` in the configuration that are not in the YAML."""
    group = parser.add_argument_group("options besides the YAML; all but --width may repeat")
    for name, text in (
        ("constraint", "'d_model %% nhead == 0', true of every run"),
        ("condition", "\"momentum: optimizer == 'sgd'\", when the parameter is drawn"),
        ("combined", "'score: 0.7 * val/aligned_acc - 0.3 * val/loss', a metric of logged ones"),
        ("first", "'{learning_rate: 0.004}', a configuration to try first"),
    ):
        group.add_argument(f"--{name}", action="append", default=[], help=text)
    group.add_argument("--width", type=positive, help="runs at a time, of a reproducible search")


def with_options(
    specification: "Specification",
    arguments: argparse.Namespace,
    first: Sequence[str] | None = None,
) -> "Specification":
    """The sweep with the rules that these flags ask for, and perhaps other `first` configurations.

    Raises UserError: a flag is not what it should be.
    """
    if specification.script and arguments.combined:
        raise UserError(
            f"sweep.combined: {specification.script.name} logs its metrics itself, and gcodefp's "
            "own trainer alone combines them; remove sweep.combined, and let the script log "
            f"{arguments.combined[0].partition(':')[0]}"
        )
    points = arguments.first if first is None else first
    options = read_options(
        specification.parameters,
        constraints=arguments.constraint,
        conditions=read_named("--condition", arguments.condition),
        combined=read_named("--combined", arguments.combined),
        first=[load_yaml(text, f"--first {text!r}") for text in points],
        # Runs that depend on no results are bit-identical without it.
        width=arguments.width if specification.depends_on_results else None,
        has_script=specification.script is not None,
    )
    if arguments.width and specification.impute_while_running:
        raise UserError(
            "metric.impute_while_running depends on timing; remove it, or set no sweep.width"
        )
    return replace(specification, options=options)


def read_named(flag: str, texts: Sequence[str]) -> dict[str, str]:
    """`NAME: EXPRESSION` of each text, by name."""
    expressions: dict[str, str] = {}
    for text in texts:
        name, separator, expression = text.partition(":")
        if not separator or name.strip() in expressions:
            raise UserError(f'{flag} {text!r}: write "NAME: EXPRESSION", and each name once')
        expressions[name.strip()] = expression.strip()
    return expressions
