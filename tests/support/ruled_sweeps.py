"""Sweeps with rules, and runs of them without training."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweep_documents import RATE, specification

from gcodefp.sweeps.sampling import ConfigurationSequence, Observation
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.specification import Specification

SMALL = {
    "optimizer": {"values": ["adam", "sgd"]},
    "momentum": {"values": [0.5, 0.9]},
    "num_layers": {"min": 1, "max": 3},
}
MIXED = {
    "optimizer": {"values": ["adam", "sgd"]},
    "momentum": {"min": 0.1, "max": 0.9},
    "learning_rate": RATE,
}
ONLY_SGD = {"momentum": "optimizer == 'sgd'"}


def ruled(parameters: Mapping[str, Any], method: str = "random", **rules: Any) -> Specification:
    sweep = specification(method=method, parameters=parameters)
    return replace(sweep, options=read_options(sweep.parameters, **rules))


def run(sweep: Specification, runs: int, seed: int = 0) -> list[Observation]:
    """So many runs one after another, each with the loss 1."""
    plan, earlier = ConfigurationSequence(sweep, seed), []
    for number in range(runs):
        made = plan.propose(number, earlier)
        earlier.append(Observation(made.hyperparameters, made.latent, 1.0))
    return earlier
