"""The numbers of one fold as sentences, which are no conclusion."""

from dataclasses import replace
from pathlib import Path

import pytest
from result_files import results_of, spoilt, write_results

from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    PRIMARY,
    TREES,
    WHOLE,
    WHOLE_SUFFIX,
    PredictorEntry,
    compared_baselines,
)
from gcodefp.evaluation.significance import MIN_RECORDINGS
from gcodefp.reporting.conclusions import best_baseline, one_fold
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import interval, interval_text


def evaluated(results: Results, **values: object) -> Results:
    """Other values in metrics.json."""
    return replace(results, evaluation={**results.evaluation, **values})


@pytest.mark.parametrize(("model", "baseline"), [(0.0, 0.5), (0.5, 0.0)])
def test_one_fold_has_numbers_and_supports_no_conclusion(
    tmp_path: Path, model: float, baseline: float
) -> None:
    """`model` and `baseline` are shares of wrong rows."""
    results = results_of(write_results(tmp_path, spoilt(model), spoilt(baseline, seed=2)))
    result = one_fold(evaluated(results, recordings=MIN_RECORDINGS))
    assert result.conclusion.startswith("One fold (")
    assert "snakemake --cores all protocols" in result.conclusion
    own = "snakemake --cores all --configfile config.yaml my.yaml -- protocols"
    assert f": {own} repeats" in one_fold(replace(results, protocols_command=own)).conclusion
    assert "beat" not in str(result)
    scores, gain = results.evaluation["models"], results.evaluation["differences"][MODEL]
    for part in (
        f"The best baseline for windows is {NEIGHBOUR} with {interval(scores[NEIGHBOUR][PRIMARY])}",
        interval_text(gain[NEIGHBOUR], "+.1f", unit=" percentage points"),
    ):
        assert part in result.evidence
    assert "never seen in training" in result.tested_on
    assert "rough" not in result.answers["Caveats"]
    doubt = f"with windows gcodefp is worse than {NEIGHBOUR} (-"
    assert (doubt in result.answers["Caveats"]) == (model > baseline)


def test_a_difference_that_may_be_zero_is_a_doubt(results: Results) -> None:
    gain = {"value": 0.01, "low": -0.02, "high": 0.04}
    for name, text in ((MODEL, "windows"), (WHOLE, "whole recordings")):
        differences = {**results.evaluation["differences"], name: {NEIGHBOUR: gain}}
        caveats = one_fold(evaluated(results, differences=differences)).answers["Caveats"]
        worse = {**differences, name: {NEIGHBOUR: {"value": -0.1, "low": -0.2, "high": -0.05}}}
        for count, word in ((MIN_RECORDINGS, "worse than"), (MIN_RECORDINGS - 1, "not shown to")):
            few = evaluated(results, differences=worse, recordings=count)
            caveat = one_fold(few).answers["Caveats"]
            assert ("intervals themselves are rough" in caveat) == (count < MIN_RECORDINGS)
            assert f"with {text} gcodefp is {word}" in caveat
            note = "(-10.0 percentage points [-20.0, -5.0]; fewer than 6 recordings)"
            assert (note in caveat) == (count < MIN_RECORDINGS)
        shown = f"not shown to be better than {NEIGHBOUR} (+1.0 percentage points [-2.0, +4.0]"
        assert f"with {text} gcodefp is {shown}" in caveats


def test_a_baseline_without_states_is_not_the_best(results: Results) -> None:
    models = results.evaluation["models"]
    assert models[MAJORITY][PRIMARY]["value"] is None
    rest = {name: score for name, score in models.items() if name != NEIGHBOUR}
    assert [name for name in rest if PREDICTORS[name].kind == BASELINE] == [MAJORITY]
    assert best_baseline(rest) is None
    result = one_fold(evaluated(results, models=rest))
    assert "baseline" not in result.evidence


def test_windows_have_no_rival_that_sees_whole_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{TREES}{WHOLE_SUFFIX}"
    monkeypatch.setitem(PREDICTORS, name, PredictorEntry("trees_whole", BASELINE))
    predictors = [MODEL, WHOLE, NEIGHBOUR, name, ELAPSED]
    assert compared_baselines(MODEL, predictors) == [NEIGHBOUR]
    assert compared_baselines(WHOLE, predictors) == [NEIGHBOUR, name]
