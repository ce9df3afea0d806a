"""What a name that is not known here is meant to be: misspelt, or as other trainers write it."""

import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

from gcodefp.errors import did_you_mean
from gcodefp.learning.hyperparameters import KNOWN
from gcodefp.learning.objective import HEADLINE, METRICS

ALIASES = {
    "epochs": "max_epochs",
    "n_epochs": "max_epochs",
    "num_epochs": "max_epochs",
    "num_train_epochs": "max_epochs",
    "lr": "learning_rate",
    "max_lr": "learning_rate",
    "train_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "layers": "num_layers",
    "n_layers": "num_layers",
    "num_encoder_layers": "num_layers",
    "num_hidden_layers": "num_layers",
    "hidden_size": "d_model",
    "hidden_dim": "d_model",
    "embed_dim": "d_model",
    "heads": "nhead",
    "n_heads": "nhead",
    "num_heads": "nhead",
    "num_attention_heads": "nhead",
    "dropout_rate": "dropout",
    "dropout_prob": "dropout",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "gradient_clip_val": "grad_clip",
    "max_grad_norm": "grad_clip",
    "label_smoothing_factor": "label_smoothing",
    "optim": "optimizer",
    "random_seed": "seed",
}
"""Usual names in other trainers -> ours."""

NEAR = 0.85
"""Two hyperparameters' names that are less alike are two things: num_workers is no num_layers."""
LEAD = 0.02
"""So much nearer the nearest word has to be than the next, to be the one that is meant."""


def nearest(word: str, known: Iterable[str], near: float = 0.6) -> str | None:
    """The one known word that is meant; None if none is near enough, or two are."""
    words = sorted(known)
    same = [other for other in words if _letters(other) == _letters(word)]
    if len(same) == 1:
        return same[0]
    close = get_close_matches(word, words, n=2, cutoff=near)
    if len(close) == 2:
        # The arguments in the order of get_close_matches: the ratio is not symmetric.
        first, second = (SequenceMatcher(None, other, word).ratio() for other in close)
        if first - second < LEAD:
            return None
    return close[0] if close else None


def hyperparameter_meant(name: str) -> str | None:
    """The trainer's hyperparameter that another name is meant to be; None if there is none."""
    if name.lower() in ALIASES:
        return ALIASES[name.lower()]
    meant = nearest(name, KNOWN, NEAR)
    # layers_1 and layers_2 are two things.
    digits = re.sub(r"\D", "", name)
    return None if digits else meant


def hyperparameter_hint(name: str) -> str:
    """The tail of an error message about a hyperparameter that the trainer does not have."""
    if name.lower() in ALIASES:
        return f"it is called {ALIASES[name.lower()]!r} here"
    return did_you_mean(hyperparameter_meant(name) or name, KNOWN)


def metric_meant(name: str, goal: str) -> str:
    """The logged metric that another name is meant to be, else the usual one of the same goal."""
    of_goal = [metric for metric in METRICS if metric.endswith("_acc") == (goal == "maximize")]
    usual = HEADLINE.metric if goal == "maximize" else "val/loss"
    return nearest(name, of_goal, NEAR) or usual


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())
