"""What is told of a finished pipeline in one sentence."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.evaluation.names import BASELINE, ELAPSED, MAJORITY, NEIGHBOUR, PREDICTORS
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import (
    BEATS,
    ENOUGH_RECORDINGS,
    FAILS,
    UNDECIDED,
    best_baseline,
    verdict,
)


@pytest.mark.parametrize(
    ("written", "neighbour", "kind", "words"),
    [(0.0, 0.5, BEATS, "beats"), (0.5, 0.0, FAILS, "does not beat"),
     (0.5, 0.52, UNDECIDED, "does not beat")],
)  # fmt: skip
def test_the_verdict_says_what_the_numbers_say(
    tmp_path: Path, written: float, neighbour: float, kind: str, words: str
) -> None:
    options = write_results(tmp_path, spoilt(written), spoilt(neighbour, seed=2))
    found = verdict(changed(results_of(options), recordings=ENOUGH_RECORDINGS))
    assert found.kind == kind
    assert words in found.headline
    assert "never seen in training" in found.sentence


def test_few_recordings_leave_every_advantage_undecided(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.0), spoilt(0.5, seed=2)))
    found = verdict(changed(results, recordings=ENOUGH_RECORDINGS - 1))
    assert found.kind == UNDECIDED
    assert "no difference is beyond doubt" in found.caveat


def changed(results: Results, **told: object) -> Results:
    """The same with other things said in metrics.json."""
    return replace(results, evaluation=MappingProxyType({**results.evaluation, **told}))


def test_only_who_is_told_nothing_has_to_be_beaten(tmp_path: Path) -> None:
    """The elapsed time and perfect sensing are right everywhere here."""
    results = results_of(write_results(tmp_path, spoilt(0.3), spoilt(0.6, seed=1)))
    scores = results.evaluation["models"]
    assert scores[ELAPSED]["gcode"]["value"] == 1.0
    assert best_baseline(scores) == NEIGHBOUR
    found = verdict(results)
    assert f"the best baseline, {NEIGHBOUR}" in found.headline
    whole, ceiling, elapsed = found.context.split(". ")
    assert f"{100 * (results.predictions.right()).mean():.1f} %" in whole
    assert "perfect sensing would get 100.0 %" in ceiling
    assert "Without any sensor" in elapsed
    assert "100.0 %" in elapsed


def test_a_verdict_without_baselines_compares_nothing(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    models = results.evaluation["models"]
    told = {name: of for name, of in models.items() if PREDICTORS[name].kind != BASELINE}
    assert set(models) - set(told) == {NEIGHBOUR, MAJORITY}
    assert best_baseline(told) is None
    found = verdict(changed(results, models=told))
    assert found.kind == UNDECIDED
    assert "no baseline" in found.headline
    assert "100.0 %" in found.sentence
