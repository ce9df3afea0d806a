"""Whether this project's trainer can run a sweep: its hyperparameters, their values, the metric."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from itertools import product
from math import prod
from typing import Any

from gcodefp.errors import UserError, did_you_mean, shown
from gcodefp.model.hyperparameters import (
    DEFAULT_OBJECTIVE,
    HYPERPARAMETERS,
    LOGGED_METRICS,
    Objective,
    parse_hyperparameters,
)
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.values import key_path, leaf

_OTHER_NAMES = {
    "max_epochs": "epochs n_epochs num_epochs num_train_epochs",
    "learning_rate": "lr max_lr",
    "batch_size": "train_batch_size per_device_train_batch_size",
    "num_layers": "layers n_layers num_encoder_layers num_hidden_layers",
    "d_model": "hidden_size hidden_dim embed_dim",
    "nhead": "heads n_heads num_heads num_attention_heads",
    "dropout": "dropout_rate dropout_prob",
    "weight_decay": "wd l2",
    "grad_clip": "gradient_clip_val max_grad_norm",
    "label_smoothing": "label_smoothing_factor",
    "optimizer": "optim",
    "seed": "random_seed",
}
ALIASES = {alias: name for name, aliases in _OTHER_NAMES.items() for alias in aliases.split()}
"""Usual names in other trainers -> ours."""
MAX_PAIRS = 100_000
"""Pairs of nhead and d_model that are compared; of more, one fits."""
MIN_SIMILARITY = 0.85
"""Names that are less alike mean different hyperparameters: num_workers is not num_layers."""
MIN_SIMILARITY_MARGIN = 0.02
"""How much nearer the nearest word has to be than the next, to be the one that is meant."""


def nearest(word: str, words: Iterable[str], near: float = 0.75) -> str | None:
    """The one of these words that is meant; None if none is near enough, or two are."""
    words = sorted(words)
    if (same := same_letters(word, words)) is not None:
        return same
    close = get_close_matches(word, words, n=2, cutoff=near)
    if len(close) == 2:
        # The arguments in the order of get_close_matches: the ratio is not symmetric.
        first, second = (SequenceMatcher(None, other, word).ratio() for other in close)
        if first - second < MIN_SIMILARITY_MARGIN:
            return None
    return close[0] if close else None


def hyperparameter_meant(name: str) -> str | None:
    """The trainer's hyperparameter that another name is meant to be; None if there is none."""
    if name.lower() in ALIASES:
        return ALIASES[name.lower()]
    meant = nearest(name, HYPERPARAMETERS, MIN_SIMILARITY)
    # layers_1 and layers_2 are two things.
    digits = re.sub(r"\D", "", name)
    return None if digits else meant


def hyperparameter_hint(name: str) -> str:
    """The tail of an error message about a hyperparameter that the trainer does not have."""
    if name.lower() in ALIASES:
        return f"it is called {ALIASES[name.lower()]!r} here"
    return did_you_mean(hyperparameter_meant(name) or name, HYPERPARAMETERS)


def same_letters(word: str, words: Iterable[str]) -> str | None:
    """The one of these words that differs in case and punctuation alone; None if none or two do."""
    same = [other for other in words if _letters(other) == _letters(word)]
    return same[0] if len(same) == 1 else None


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def check_trainable(specification: Specification, where: str) -> None:
    """Makes sure that no run of a sweep can fail for its hyperparameters.

    Raises UserError: with the key's path, the value and the fix.
    """
    if problems := list(trainer_problems(specification, where)):
        raise UserError("\n".join(problems))


def trainer_problems(specification: Specification, where: str) -> Iterator[str]:
    """Everything for which the trainer cannot run a sweep."""
    combined = specification.options.combined.texts
    yield from metric_problems(specification.objective, where, combined)
    yield from parameter_problems(specification.parameters, where)


def metric_problems(
    objective: Objective, where: str, combined: Collection[str] = ()
) -> Iterator[str]:
    """A metric that the trainer does not log, and that is none of the combined ones."""
    if objective.metric not in LOGGED_METRICS and objective.metric not in combined:
        near = get_close_matches(objective.metric, LOGGED_METRICS, n=1)
        yield (
            f"{where}: metric.name: {shown(objective.metric)} is not logged by the trainer; "
            f"the usual ones are {DEFAULT_OBJECTIVE.metric} (goal: maximize) and val/loss, the "
            f"nearest {near[0] if near else 'none'}; all are {', '.join(LOGGED_METRICS)}"
        )


def parameter_problems(parameters: Mapping[str, Parameter], where: str) -> Iterator[str]:
    """Hyperparameters and values that the trainer does not take."""
    paths: dict[str, str] = {}
    are_values_right = True
    for path, parameter in parameters.items():
        name, entry = leaf(path), f"{where}: {key_path(path)}"
        if name not in HYPERPARAMETERS:
            yield f"{entry}: no such hyperparameter; {hyperparameter_hint(name)}"
        elif name in paths:
            yield f"{entry}: {name} also appears at {key_path(paths[name])}; keep one"
        elif (problem := _value_problem(path, parameter, where)) is not None:
            are_values_right = False
            yield problem
        paths.setdefault(name, path)
    for path, value in incompatible_values(parameters) if are_values_right else ():
        other = "d_model" if leaf(path) == "nhead" else "nhead"
        verb = "divides no value of" if other == "d_model" else "is divided by no value of"
        yield (
            f"{where}: {key_path(path)}: {value} {verb} {other}, "
            f"{shown(list(_supports(parameters)[other]))}; remove it, or change {other}"
        )


def accepts(values: Mapping[str, Any]) -> bool:
    """Whether the trainer takes these values, by path; those of another trainer always pass."""
    hyperparameters = {leaf(path): value for path, value in values.items()}
    if not hyperparameters.keys() <= HYPERPARAMETERS.keys():
        return True
    try:
        parse_hyperparameters(hyperparameters)
    except UserError:
        return False
    return True


def incompatible_values(parameters: Mapping[str, Parameter]) -> list[tuple[str, Any]]:
    """Paths and listed values of nhead and d_model that fit no value of the other.

    Those of a range that do not fit are never drawn, as long as one fits.
    """
    supports = _supports(parameters)
    if any(values is None for values in supports.values()):
        return []
    if prod(map(len, supports.values())) > MAX_PAIRS:
        return []
    paths = {leaf(path): path for path in parameters}
    fits = [
        pair
        for pair in product(supports["nhead"], supports["d_model"])
        if not int(pair[1]) % int(pair[0])
    ]
    unfit = []
    for index, name in enumerate(("nhead", "d_model")):
        if name not in paths:
            continue
        fitting = {pair[index] for pair in fits}
        if parameters[paths[name]].distribution.startswith(("cat", "const")):
            unfit += [(paths[name], value) for value in supports[name] if value not in fitting]
        elif not fitting:
            unfit.append((paths[name], supports[name][0]))
    return unfit


def _supports(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """All values of nhead and d_model; None for one that has infinitely many."""
    by_name = {leaf(path): parameter for path, parameter in parameters.items()}
    return {
        name: by_name[name].support() if name in by_name else [HYPERPARAMETERS[name].default]
        for name in ("nhead", "d_model")
    }


def _value_problem(path: str, parameter: Parameter, where: str) -> str | None:
    """Every value that can be drawn must be one that the trainer takes."""
    name = leaf(path)
    parent = f"{where}: {key_path(path)}".removesuffix(f".{name}")
    if parameter.distribution == "int_uniform":
        values: list[Any] = [parameter.choices[0], parameter.choices[-1]]
    else:
        values = list(parameter.choices) or [parameter.value(0.0), parameter.value(1.0)]
    for value in values:
        partner = {"d_model": value * 2} if name == "nhead" and isinstance(value, int) else {}
        try:
            parse_hyperparameters({"d_model": 2, "nhead": 1} | {name: value} | partner, parent)
        except UserError as error:
            reached = "" if parameter.choices else f" (the distribution reaches {value:g})"
            return f"{error}{reached}"
    return None
