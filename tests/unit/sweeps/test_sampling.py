import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_documents import RATE, specification

from gcodefp.sweeps import bayes
from gcodefp.sweeps.sampling import (
    ConfigurationSequence,
    Exhausted,
    Observation,
    propose,
    total_runs,
)
from gcodefp.sweeps.space import Proposal

MIXED = {
    "learning_rate": RATE,
    "dropout": {"min": 0.0, "max": 0.5},
    "num_layers": {"min": 1, "max": 4},
    "batch_size": {"values": [8, 16, 64]},
    "optimizer": {"values": ["adam", "sgd"], "probabilities": [0.9, 0.1]},
    "max_epochs": {"value": 3},
}
SMALL = {"num_layers": {"values": [1, 2, 3]}, "optimizer": {"values": ["adam", "sgd"]}}


def loss_of(hyperparameters: Any) -> float:
    return (math.log(hyperparameters["learning_rate"]) + 4) ** 2 + hyperparameters["dropout"]


def as_earlier(proposal: Proposal, loss: float | None) -> Observation:
    return Observation(proposal.hyperparameters, proposal.latent, loss)


def run_bayes(seed: int, runs: int, **changes: Any) -> list[Observation]:
    sweep = specification(method="bayes", **{"parameters": MIXED, **changes})
    earlier: list[Observation] = []
    for number in range(runs):
        made = propose(sweep, seed, number, earlier)
        loss = loss_of(made.hyperparameters) if "parameters" not in changes else 1.0
        earlier.append(as_earlier(made, loss))
    return earlier


def keys(runs: list[Any]) -> list[str]:
    return [json.dumps(run.hyperparameters, sort_keys=True) for run in runs]


def test_a_grid_sorts_keys_and_varies_the_last_fastest() -> None:
    parameters = {
        "num_layers": {"min": 1, "max": 2},
        "batch_size": {"values": [32, 8]},
        "dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        "max_epochs": {"value": 3},
    }
    sweep = specification(method="grid", run_cap=None, parameters=parameters)
    expected = itertools.product([32, 8], [0, 0.1, 0.2], [3], [1, 2])
    names = ["batch_size", "dropout", "max_epochs", "num_layers"]
    made = [dict(propose(sweep, 0, number, []).hyperparameters) for number in range(12)]
    assert made == [dict(zip(names, values, strict=True)) for values in expected]
    with pytest.raises(Exhausted):
        propose(sweep, 0, 12, [])
    assert ConfigurationSequence(sweep, 0).size(None) == total_runs(sweep) == 12


def test_the_cap_of_a_grid() -> None:
    for cap, total in ((5, 5), (6, 6), (7, 6)):
        assert total_runs(specification(method="grid", parameters=SMALL, run_cap=cap)) == total


def test_random_search_is_a_function_of_seed_and_number() -> None:
    sweep = specification(parameters=MIXED)
    first = [propose(sweep, 7, number, []) for number in range(6)]
    earlier = [as_earlier(made, 1.0) for made in first]
    for number in reversed(range(6)):
        assert propose(sweep, 7, number, earlier) == first[number]
    assert propose(sweep, 8, 0, []) != first[0]
    assert len(set(keys(first))) == 6


def test_random_search_is_the_same_in_another_process() -> None:
    code = (
        "import json; from sweep_documents import specification; from test_sampling import MIXED;"
        "from gcodefp.sweeps.sampling import propose;"
        "print(json.dumps(propose(specification(parameters=MIXED), 7, 3, [])))"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env=environment,
    ).stdout
    assert json.loads(printed) == [*propose(specification(parameters=MIXED), 7, 3, [])]


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_nothing_repeats_and_a_small_space_ends(method: str) -> None:
    sweep = specification(method=method, parameters=SMALL)
    earlier: list[Observation] = []
    for number in range(6):
        # Some fail, some go on: both count as given out.
        loss = (0.5, None, math.inf)[number % 3]
        earlier.append(as_earlier(propose(sweep, 3, number, earlier), loss))
    assert len(set(keys(earlier))) == 6
    with pytest.raises(Exhausted):
        propose(sweep, 3, 6, earlier)


def test_one_configuration_is_a_space_too() -> None:
    parameters = {"learning_rate": {"value": 0.1}}
    for method in ("grid", "random", "bayes"):
        sweep = specification(method=method, parameters=parameters)
        only = propose(sweep, 0, 0, [])
        assert only == Proposal({"learning_rate": 0.1}, {})
        with pytest.raises(Exhausted):
            propose(sweep, 0, 1, [as_earlier(only, 1.0)])


def test_bayes_repeats_with_the_same_earlier_runs_only() -> None:
    first, again, other = run_bayes(1, 9), run_bayes(1, 9), run_bayes(2, 1)
    assert first == again
    assert keys(first)[0] != keys(other)[0]
    sweep = specification(method="bayes", parameters=MIXED)
    better = [run._replace(loss=-(run.loss or 0.0)) for run in first]
    assert propose(sweep, 1, 9, first) != propose(sweep, 1, 9, better)


@pytest.mark.parametrize("gaussian_process_runs", [60, 0])
def test_bayes_learns_from_the_losses(
    monkeypatch: pytest.MonkeyPatch, gaussian_process_runs: int
) -> None:
    monkeypatch.setattr(bayes, "GAUSSIAN_PROCESS_RUNS", gaussian_process_runs)
    runs = run_bayes(5, 16)
    assert len(set(keys(runs))) == 16
    losses = [run.loss or 0.0 for run in runs]
    assert sum(losses[8:]) < 0.6 * sum(losses[:8])


def test_bayes_keeps_away_from_what_runs() -> None:
    sweep = specification(method="bayes", parameters={"dropout": {"min": 0.0, "max": 0.5}})
    earlier = []
    for u in (0.05, 0.15, 0.25, 0.35, 0.55, 0.65, 0.75, 0.85, 0.95):
        made = Proposal({"dropout": u / 2}, {"dropout": u})
        earlier.append(as_earlier(made, abs(u - 0.4)))
    proposals: list[float] = []
    for number in range(9, 14):
        made = propose(sweep, 0, number, earlier)
        proposals.append(made.latent["dropout"])
        earlier.append(as_earlier(made, None))
    assert len(set(proposals)) == 5
    assert min(abs(p - 0.4) for p in proposals) < 0.1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**40), number=st.integers(0, 20))
def test_values_stay_inside_their_bounds(seed: int, number: int) -> None:
    made = propose(specification(parameters=MIXED), seed, number, []).hyperparameters
    assert 0.001 <= made["learning_rate"] <= 0.1
    assert 0 <= made["dropout"] <= 0.5
    assert made["num_layers"] in (1, 2, 3, 4)
    assert made["batch_size"] in (8, 16, 64)
    assert made["optimizer"] in ("adam", "sgd")
    assert made["max_epochs"] == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_values_of_bayes_stay_inside_their_bounds(seed: int) -> None:
    for run in run_bayes(seed, 12):
        assert 0.001 <= run.hyperparameters["learning_rate"] <= 0.1
        assert run.hyperparameters["num_layers"] in (1, 2, 3, 4)
        assert set(run.latent) == set(MIXED) - {"max_epochs"}
        assert all(0 <= u <= 1 for u in run.latent.values())


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_impossible_combinations_are_never_given(method: str) -> None:
    parameters = {"d_model": {"values": [12, 16, 20]}, "nhead": {"values": [4, 8]}}
    sweep = specification(method=method, parameters=parameters, run_cap=9)
    earlier: list[Observation] = []
    for number in range(4):
        made = propose(sweep, 0, number, earlier)
        earlier.append(as_earlier(made, 1.0))
    given = {(run.hyperparameters["d_model"], run.hyperparameters["nhead"]) for run in earlier}
    assert given == {(12, 4), (16, 4), (16, 8), (20, 4)}
    with pytest.raises(Exhausted):
        propose(sweep, 0, 4, earlier)
