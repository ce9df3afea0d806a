"""The verdict on a finished pipeline, in words."""

from dataclasses import replace
from pathlib import Path

import pytest
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.evaluation.names import BASELINE, ELAPSED, MAJORITY, NEIGHBOUR, PREDICTORS
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import (
    BEATS,
    MIN_RECORDINGS,
    NOT_BETTER,
    UNDECIDED,
    best_baseline,
    verdict,
)


def evaluated(results: Results, **values: object) -> Results:
    """Other values in metrics.json."""
    return replace(results, evaluation={**results.evaluation, **values})


@pytest.mark.parametrize(
    ("model", "baseline", "recordings", "kind", "words"),
    [(0.0, 0.5, MIN_RECORDINGS, BEATS, "beats"),
     (0.5, 0.0, MIN_RECORDINGS, NOT_BETTER, "does not beat"),
     (0.5, 0.52, MIN_RECORDINGS, UNDECIDED, "does not beat"),
     (0.0, 0.5, MIN_RECORDINGS - 1, UNDECIDED, "does not beat")],
)  # fmt: skip
def test_the_verdict_follows_from_the_difference_to_the_best_baseline(
    tmp_path: Path, model: float, baseline: float, recordings: int, kind: str, words: str
) -> None:
    """`model` and `baseline` are shares of wrong rows."""
    options = write_results(tmp_path, spoilt(model), spoilt(baseline, seed=2))
    result = verdict(evaluated(results_of(options), recordings=recordings))
    assert result.kind == kind
    assert words in result.conclusion
    assert "never seen in training" in result.evidence
    is_few = recordings < MIN_RECORDINGS
    assert ("no difference is significant" in result.caveat) == is_few


def test_privileged_baselines_are_context(tmp_path: Path) -> None:
    """The elapsed time and the upper bound are right everywhere here."""
    results = results_of(write_results(tmp_path, spoilt(0.3), spoilt(0.6, seed=1)))
    scores = results.evaluation["models"]
    assert scores[ELAPSED]["gcode"]["value"] == 1.0
    assert best_baseline(scores) == NEIGHBOUR
    result = verdict(results)
    assert f"the best baseline, {NEIGHBOUR}" in result.conclusion
    whole, bound, elapsed = result.context.split(". ")
    assert f"{100 * results.predictions.is_correct().mean():.1f} %" in whole
    assert "without the lag is 100.0 %" in bound
    assert "Without any sensor" in elapsed
    assert "100.0 %" in elapsed


def test_a_verdict_without_baselines_compares_nothing(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    models = results.evaluation["models"]
    rest = {name: score for name, score in models.items() if PREDICTORS[name].kind != BASELINE}
    assert set(models) - set(rest) == {NEIGHBOUR, MAJORITY}
    assert best_baseline(rest) is None
    result = verdict(evaluated(results, models=rest))
    assert result.kind == UNDECIDED
    assert "no baseline" in result.conclusion
    assert "100.0 %" in result.evidence
