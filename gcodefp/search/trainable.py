"""Whether this project's trainer can run a sweep: its hyperparameters, their values, the metric."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import KNOWN, hyperparameters_from
from gcodefp.learning.objective import METRICS
from gcodefp.search.distributions import Parameter
from gcodefp.search.names import hyperparameter_hint, metric_meant
from gcodefp.search.nesting import key_path, leaf
from gcodefp.search.specification import Specification


def check_trainable(specification: Specification, where: str) -> None:
    """Makes sure that no run of a sweep can fail for what it was given.

    Raises:
        UserError: with the key's path, the value and the way out.
    """
    for problem in untrainable(specification, where):
        raise problem


def untrainable(specification: Specification, where: str) -> Iterator[UserError]:
    """Everything for which the trainer cannot run a sweep."""
    objective, parameters = specification.objective, specification.parameters
    if objective.metric not in METRICS:
        meant = metric_meant(objective.metric, objective.goal)
        yield UserError(
            f"{where}: metric.name: {objective.metric!r} is not logged by the trainer; "
            f"write {meant!r}, or one of {', '.join(METRICS)}"
        )
    seen: dict[str, str] = {}
    whole = True
    for path, parameter in parameters.items():
        name, place = leaf(path), f"{where}: {key_path(path)}"
        if name not in KNOWN:
            yield UserError(f"{place}: no such hyperparameter; {hyperparameter_hint(name)}")
        elif name in seen:
            yield UserError(f"{place}: {name} stands at {key_path(seen[name])} too; keep one")
        elif (problem := _value_problem(path, parameter, where)) is not None:
            whole = False
            yield problem
        seen.setdefault(name, path)
    for path, value in misfits(parameters) if whole else ():
        other = "d_model" if leaf(path) == "nhead" else "nhead"
        verb = "divides no value of" if other == "d_model" else "is divided by no value of"
        yield UserError(
            f"{where}: {key_path(path)}: {value} {verb} {other}, "
            f"{list(_supports(parameters)[other])}; remove it, or change {other}"
        )


def accepts(values: Mapping[str, Any]) -> bool:
    """Whether the trainer takes a combination; those of another trainer are not judged.

    Args:
        values: path -> value.
    """
    asked = {leaf(path): value for path, value in values.items()}
    if not asked.keys() <= KNOWN.keys():
        return True
    try:
        hyperparameters_from(asked)
    except UserError:
        return False
    return True


def misfits(parameters: Mapping[str, Parameter]) -> list[tuple[str, Any]]:
    """Paths and listed values of nhead and d_model that fit no value of the other.

    Those of a range that do not fit are never drawn, as long as one fits.
    """
    supports = _supports(parameters)
    if any(values is None for values in supports.values()):
        return []
    paths = {leaf(path): path for path in parameters}
    fits = [
        pair
        for pair in product(supports["nhead"], supports["d_model"])
        if not int(pair[1]) % int(pair[0])
    ]
    found = []
    for index, name in enumerate(("nhead", "d_model")):
        if name not in paths:
            continue
        fitting = {pair[index] for pair in fits}
        if parameters[paths[name]].distribution.startswith(("cat", "const")):
            found += [(paths[name], value) for value in supports[name] if value not in fitting]
        elif not fitting:
            found.append((paths[name], supports[name][0]))
    return found


def _supports(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """All values of nhead and d_model; None for one that has infinitely many."""
    by_name = {leaf(path): parameter for path, parameter in parameters.items()}
    return {
        name: by_name[name].support() if name in by_name else [KNOWN[name].default]
        for name in ("nhead", "d_model")
    }


def _value_problem(path: str, parameter: Parameter, where: str) -> UserError | None:
    """Every value that could be drawn must be one that the trainer takes."""
    name = leaf(path)
    parent = f"{where}: {key_path(path)}".removesuffix(f".{name}")
    if parameter.distribution == "int_uniform":
        values: list[Any] = [parameter.choices[0], parameter.choices[-1]]
    else:
        values = list(parameter.choices) or [parameter.value(0.0), parameter.value(1.0)]
    for value in values:
        asked = {"d_model": 2, "nhead": 1} | {name: value} | _partner(name, value)
        try:
            hyperparameters_from(asked, parent)
        except UserError as error:
            reached = "" if parameter.choices else f" (the distribution reaches {value:g})"
            return UserError(f"{error}{reached}")
    return None


def _partner(name: str, value: Any) -> dict[str, Any]:
    """The other of d_model and nhead, so that only the value itself is checked here."""
    return {"d_model": value * 2} if name == "nhead" and isinstance(value, int) else {}
