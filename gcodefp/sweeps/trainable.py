"""Whether this project's trainer can run a sweep: its hyperparameters, their values, the metric."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
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
from gcodefp.sweeps.parameters import key_path, leaf
from gcodefp.sweeps.specification import Specification

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


def same_letters(word: str, words: Iterable[str]) -> str | None:
    """The one of these words that differs in case and punctuation alone; None if none or two do."""

    def letters(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    same = [other for other in words if letters(other) == letters(word)]
    return same[0] if len(same) == 1 else None


def hyperparameter_meant(name: str) -> str | None:
    """The trainer's hyperparameter that another name is meant to be; None if there is none."""
    if name.lower() in ALIASES:
        return ALIASES[name.lower()]
    is_numbered = re.search(r"\d", name)  # layers_1 and layers_2 are two things.
    return None if is_numbered else nearest(name, HYPERPARAMETERS, MIN_SIMILARITY)


def check_trainable(specification: Specification, where: str) -> None:
    """Makes sure that no run of a sweep can fail for its hyperparameters.

    Raises UserError: with the key's path, the value and the fix.
    """
    combined = specification.options.combined.texts
    problems = [
        *metric_problems(specification.objective, where, combined),
        *parameter_problems(specification.parameters, where),
    ]
    if problems:
        raise UserError("\n".join(problems))


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
    for path, parameter in parameters.items():
        name, entry = leaf(path), f"{where}: {key_path(path)}"
        if name not in HYPERPARAMETERS:
            alias = ALIASES.get(name.lower())
            near = did_you_mean(hyperparameter_meant(name) or name, HYPERPARAMETERS)
            hint = f"it is called {alias!r} here" if alias else near
            yield f"{entry}: no such hyperparameter; {hint}"
        elif name in paths:
            yield f"{entry}: {name} also appears at {key_path(paths[name])}; keep one"
        elif (problem := _value_problem(path, parameter, where)) is not None:
            yield problem
        paths.setdefault(name, path)


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


def _value_problem(path: str, parameter: Parameter, where: str) -> str | None:
    """Every value that can be drawn must be one that the trainer takes with some other values."""
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
