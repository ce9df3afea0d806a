"""The `parameters` of a sweep: what W&B infers when `distribution` is left out, and every check."""

import math
import re
from collections.abc import Mapping
from typing import Any

from gcodefp.errors import UserError, did_you_mean
from gcodefp.sweeps.distributions import ARGUMENTS, DEFAULTS, DISTRIBUTIONS, Parameter
from gcodefp.sweeps.values import SEPARATOR, key_path, reject_foreign, reject_text_number

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LARGEST_EXPONENT = 20.0
"""exp() of more is no hyperparameter's value."""


def read_parameters(config: Any, where: str, group: str = "") -> dict[str, Parameter]:
    """All entries of `parameters`, those of nested ones too, by path and sorted by it.

    Args:
        where: the file, for the error message.
        group: path of the block that is read, with a separator at its end.

    Raises:
        UserError: with the key's path, the value and what would be right.
    """
    here = f"{where}: {key_path(group)}".rstrip(".")
    if not isinstance(config, Mapping) or not config:
        raise UserError(f"{here}: {config!r} must map hyperparameters to distributions")
    parameters: dict[str, Parameter] = {}
    for name in sorted(config, key=str):
        path = f"{group}{name}"
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(
                f"{where}: {key_path(path)}: a name begins with a letter and holds letters, digits,"
                " '_', '-' and '.'"
            )
        entry = config[name]
        if isinstance(entry, Mapping) and "parameters" in entry:
            if len(entry) > 1:
                raise UserError(
                    f"{where}: {key_path(path)}: has parameters of its own and, besides, "
                    f"{sorted(set(entry) - {'parameters'})}; keep one or the other"
                )
            parameters |= read_parameters(entry["parameters"], where, path + SEPARATOR)
        else:
            parameters[path] = read_parameter(entry, f"{where}: {key_path(path)}")
    return parameters


def read_parameter(config: Any, where: str) -> Parameter:
    """One entry of `parameters`, checked.

    Args:
        where: file and path of keys, for the error message.

    Raises:
        UserError: with the key, the value and what would be right.
    """
    if not isinstance(config, Mapping):
        raise UserError(
            f"{where}: {config!r} is no mapping; write `value: {config!r}` below it for a constant"
        )
    distribution = config.get("distribution", None) or _inferred(config, where)
    if distribution not in DISTRIBUTIONS:
        raise UserError(
            f"{where}.distribution: {distribution!r}; "
            f"{did_you_mean(str(distribution), DISTRIBUTIONS)}"
        )
    names = _argument_names(distribution)
    for key in config:
        if key not in (*names, "distribution"):
            raise UserError(
                f"{where}.{key}: not a key of {distribution}; {did_you_mean(str(key), names)}"
            )
    if distribution == "constant":
        return Parameter(distribution, {}, (_need(config, "value", where),))
    if distribution.startswith("categorical"):
        return _categorical(distribution, config, where)
    arguments = {
        name: _number(config.get(name, DEFAULTS.get(name)), f"{where}.{name}") for name in names
    }
    _check_ranges(distribution, arguments, where)
    if distribution == "int_uniform":
        low, high = (_whole(arguments[key], f"{where}.{key}") for key in ("min", "max"))
        return Parameter(distribution, {"min": low, "max": high}, range(low, high + 1))
    return Parameter(distribution, arguments)


def _inferred(config: Mapping[str, Any], where: str) -> str:
    """W&B's distribution for a parameter that names none."""
    if "probabilities" in config:
        return "categorical_w_probabilities"
    if "values" in config:
        return "categorical"
    if "value" in config:
        return "constant"
    if "min" in config and "max" in config:
        low, high = config["min"], config["max"]
        kinds = {type(_number(low, f"{where}.min")), type(_number(high, f"{where}.max"))}
        if len(kinds) == 2:
            raise UserError(
                f"{where}: min {low!r} and max {high!r} are a whole number and a float; write both"
                f" as floats ({float(low)!r}, {float(high)!r}) or both as whole numbers"
            )
        return "int_uniform" if kinds == {int} else "uniform"
    if "mu" in config or "sigma" in config:
        return "normal"
    raise UserError(f"{where}: needs value, values, or min and max; it has {list(config)}")


def _argument_names(distribution: str) -> tuple[str, ...]:
    plain = distribution.removeprefix("q_")
    names = ARGUMENTS.get(plain, ("min", "max"))
    return (*names, "q") if distribution.startswith("q_") else names


def _categorical(distribution: str, config: Mapping[str, Any], where: str) -> Parameter:
    values = _need(config, "values", where)
    if not isinstance(values, list) or not values:
        raise UserError(f"{where}.values: {values!r} is no list of values")
    for index, value in enumerate(values):
        reject_foreign(value, f"{where}.values[{index}]")
    if distribution == "categorical":
        return Parameter(distribution, {}, tuple(values))
    shares = _need(config, "probabilities", where)
    if not isinstance(shares, list) or len(shares) != len(values):
        raise UserError(
            f"{where}.probabilities: {shares!r} needs one number for each of {values!r}"
        )
    numbers = [_number(p, f"{where}.probabilities[{i}]") for i, p in enumerate(shares)]
    if min(numbers) < 0 or not math.isclose(sum(numbers), 1.0, abs_tol=1e-6):
        raise UserError(f"{where}.probabilities: {shares!r} must be at least 0 and sum to 1")
    return Parameter(distribution, {}, tuple(values), tuple(numbers))


def _check_ranges(distribution: str, arguments: Mapping[str, float], where: str) -> None:
    for key in ("sigma", "q", "a", "b"):
        if key in arguments and arguments[key] <= 0:
            raise UserError(f"{where}.{key}: {arguments[key]!r} must be above 0")
    if "min" not in arguments:
        return
    low, high = arguments["min"], arguments["max"]
    if low > high:
        raise UserError(f"{where}: min {low!r} is above max {high!r}; exchange them")
    if low == high:
        raise UserError(f"{where}: min and max are both {low!r}; write `value: {low!r}` instead")
    if distribution.endswith("_values") and low <= 0:
        raise UserError(f"{where}.min: {low!r} must be above 0 for {distribution}")
    if plainly_values(distribution, low, high):
        raise UserError(
            f"{where}: the bounds of {distribution} are natural-log exponents: {low!r} to {high!r} "
            f"means values from exp({low!r}) to exp({high!r}); for values from {low!r} to {high!r} "
            f"write `distribution: {distribution}_values`"
        )
    if "q" in arguments:
        if distribution == "q_log_uniform":
            low, high = math.exp(low), math.exp(high)
        if arguments["q"] > high - low:
            raise UserError(
                f"{where}.q: {arguments['q']!r} is larger than the range {low:.6g} to {high:.6g}; "
                "make q smaller"
            )


def plainly_values(distribution: str, low: float, high: float) -> bool:
    """Whether bounds that W&B takes for natural-log exponents are meant as values.

    Both in (0, 1] would mean values between 1 and 2.7: a small rate or a share is meant.
    """
    if "log_uniform" not in distribution or distribution.endswith("_values"):
        return False
    largest = -low if distribution.startswith("inv_") else high
    return 0 < low <= high <= 1 or largest > LARGEST_EXPONENT


def _need(config: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in config:
        raise UserError(f"{where}: {key!r} is missing; it has {list(config)}")
    if key == "value":
        reject_foreign(config[key], f"{where}.value")
    return config[key]


def _number(value: Any, where: str) -> float:
    reject_text_number(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{where}: {value!r} is no number")
    return value


def _whole(value: float, where: str) -> int:
    if value != int(value):
        raise UserError(f"{where}: {value!r} is not whole, as int_uniform needs it")
    return int(value)
