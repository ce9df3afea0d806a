"""The table of protocols: of folds that are made here, and as the command writes it."""

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_files import spoilt, true_blocks, write_results

from gcodefp.evaluation.metrics import METRICS as REGISTRY
from gcodefp.evaluation.names import ELAPSED, MODEL, NEIGHBOUR, PRIMARY, STATE_ORACLE, TREES, WHOLE
from gcodefp.evaluation.significance import BEATS, NOT_BETTER, UNDECIDED, FoldValues, half_width
from gcodefp.protocols import main
from gcodefp.reporting.conclusions import conclude
from gcodefp.reporting.protocols_table import Fold, markdown, protocol_rows, table_csv

ROWS = 10
CORRECT = {MODEL: 6, WHOLE: 7, NEIGHBOUR: 3, TREES: 4, ELAPSED: 8, STATE_ORACLE: 9}
"""Rows of each recording that a predictor has right."""
METRICS = {"gcode_error_rate": 0.8, "position_error_mm": 12.0}
TRAIN_RECORDINGS = 8


def fold(
    by: str,
    recordings: list[str],
    seed: int = 0,
    primary: Mapping[str, float | None] | None = None,
    **changed: float | None,
) -> Fold:
    """An evaluation; `changed` are metrics, or `correct`, the rows of MODEL.

    `primary` are the shares of PRIMARY that differ from .5.
    """
    correct = {**CORRECT, MODEL: changed.pop("correct", CORRECT[MODEL])}

    def score(value: float | None, low: float = 1, high: float = 1) -> dict[str, Any]:
        return {"value": value, "low": value and value * low, "high": value and value * high}

    measured = dict.fromkeys(REGISTRY, score(0.5)) | {
        name: score(value, 0.5, 2) for name, value in {**METRICS, **changed}.items()
    }
    shares = {**dict.fromkeys(CORRECT, 0.5), **(primary or {})}
    document = {
        "leaky": by == "window", "controller_is_input": False,
        "split": {"by": by, "held_out": [], "seed": seed}, "recordings": len(recordings),
        "train_recordings": TRAIN_RECORDINGS,
        "models": {name: {**measured, PRIMARY: score(share)} for name, share in shares.items()},
    }  # fmt: skip
    row = np.tile(np.arange(ROWS), len(recordings))
    return Fold(document, np.repeat(recordings, ROWS), {n: row < c for n, c in correct.items()})


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return protocol_rows([
        fold("window", ["face_001", "face_002"], correct=9),
        fold("recording", ["face_001", "face_002"], gcode_error_rate=0.4),
        fold("recording", ["face_002", "face_003"], seed=1, correct=2,
             primary={MODEL: 0.9, TREES: 0.7}),
        fold("chronological", ["face_003"]),
    ])  # fmt: skip


def flat(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(table_csv(rows)))


def test_each_protocol_has_a_row_the_leaky_one_last_and_marked(rows: list[dict[str, Any]]) -> None:
    text = markdown(rows, ["session: no recording matches damage*"])
    _, _, *lines = (line for line in text.splitlines() if line.startswith("| "))
    assert [line.startswith("| **LEAKY, too optimistic** window: ") for line in lines] == [
        False, False, True,
    ]  # fmt: skip
    assert len({line.count("|") for line in lines}) == 1
    assert "Excluded: session: no recording matches damage*." in text
    table = flat(rows)
    assert table["protocol"].tolist() == ["recording", "chronological", "window"]
    assert table["leaky"].tolist() == [False, False, True]
    assert table["gcode_error_rate_windows_high"][0] == pytest.approx(0.8)
    assert table["best_baseline"][0] == table["baseline_windows"][0] == TREES
    assert table["within_1s_best_baseline"][0] == pytest.approx(0.6)
    assert table["kind_whole"].tolist()[0] == UNDECIDED
    assert table["difference_windows"].tolist() == pytest.approx([0.1, np.nan, np.nan], nan_ok=True)


def test_block_accuracy_is_pooled_and_other_metrics_are_means_of_folds(
    rows: list[dict[str, Any]],
) -> None:
    primary, single, _ = rows
    assert (primary["folds"], primary["rows"]) == (2, 40)
    assert primary["recordings"] == ["face_001", "face_002", "face_003"]
    # face_001 has 6 of 10 right, face_002 6 and 2 in two folds (drawn as one), face_003 2.
    assert primary["exact"][MODEL] == pytest.approx({"value": 0.4, "low": 0.2, "high": 0.6})
    assert primary["exact"][WHOLE]["value"] == pytest.approx(0.7)
    assert (primary["baseline"], set(primary["exact"])) == (TREES, set(CORRECT))
    error_rate = {"value": 0.6, "low": 0.4, "high": 0.8}
    assert primary["measured"]["gcode_error_rate"][MODEL] == pytest.approx(error_rate)
    near = {"value": 0.7, "low": 0.5, "high": 0.9}
    assert primary["measured"][PRIMARY][MODEL] == pytest.approx(near)
    assert single["verdicts"] == {}
    # Of one fold it is the interval of its own evaluation.
    interval = {"value": 12.0, "low": 6.0, "high": 24.0}
    assert single["measured"]["position_error_mm"][WHOLE] == interval


@pytest.mark.parametrize("count", [1, 2])
def test_what_could_not_be_measured_is_empty(count: int) -> None:
    missing: dict[str, float | None] = {NEIGHBOUR: None, TREES: None}
    rows = protocol_rows([
        fold("program", ["face_001"], seed, missing, position_error_mm=None)
        for seed in range(count)
    ])  # fmt: skip
    head, _, cells = markdown(rows, []).splitlines()[:3]
    row = dict(zip(head.split(" | "), cells.split(" | "), strict=True))
    assert row["best baseline"] == row["tool position error, mm: whole recordings"] == "-"
    assert flat(rows)["position_error_mm_whole"].isna().all()


def test_the_command_writes_the_table_of_evaluations_each_of_which_counts_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path, spoilt(0.3), true_blocks())
    first, second = tmp_path / "evaluation", tmp_path / "another"
    shutil.copytree(first, second)
    reason, missing = "session: no recording matches", tmp_path / "missing"
    command = ["--winner", str(tmp_path / "best/run.json"), "--output", str(tmp_path)]
    command += ["--left-out", reason, "--evaluations"]
    assert main([*command, str(first)]) == 0
    document = json.loads((tmp_path / "protocols.json").read_text())
    assert len(document["provenance"]["inputs"]) == 1 + 2
    assert (document["left_out"], document["winner"]["sweeps"]) == ([reason], ["abcd1234"])
    rows = document["protocols"]
    assert (tmp_path / "protocols.md").read_text() == markdown(rows, [reason])
    assert (tmp_path / "protocols.csv").read_text() == table_csv(rows)
    split = f"{second}/metrics.json: split: is that of {first}/metrics.json; name each fold once"
    for folders, problem in (
        ([first, second], split),
        ([missing], f"{missing}/metrics.json: no such file; it is made by"),
    ):
        assert main([*command, *map(str, folders)]) == 1
        assert problem in capsys.readouterr().err


# Verdicts


def test_five_folds_that_agree_beat_the_best_baseline() -> None:
    shares = [0.6, 0.7, 0.65, 0.6, 0.7]
    rows = protocol_rows([
        fold("recording", ["face_001", "face_002"], seed,
             {MODEL: share, NEIGHBOUR: 0.4, TREES: 0.5})
        for seed, share in enumerate(shares)
    ])  # fmt: skip
    result = rows[0]["verdicts"][MODEL]
    assert (result["kind"], result["baseline"]) == (BEATS, TREES)
    assert result["conclusion"].startswith(f"From windows gcodefp beats the best baseline, {TREES}")
    gains = [share - 0.5 for share in shares]
    assert [each["difference"] for each in result["folds"]] == pytest.approx(gains)
    width = half_width(gains, 2 / TRAIN_RECORDINGS)
    expected = {"value": 0.15, "low": 0.15 - width, "high": 0.15 + width}
    assert result["difference"] == pytest.approx(expected)
    for part in (f"+15.0 percentage points [{100 * (0.15 - width):+.1f}, ", "5 folds",
                 "gcodefp 65.0 %, baseline 50.0 %", "+10.0 (seed 0), +20.0 (seed 1)",
                 "hyperparameters were chosen once, on the val split"):  # fmt: skip
        assert part in result["evidence"]
    assert f"**{result['conclusion']}** {result['evidence']}" in markdown(rows, [])
    table = flat(rows)
    assert (table["kind_windows"][0], table["kind_whole"][0]) == (BEATS, NOT_BETTER)
    assert table["difference_windows_low"][0] == pytest.approx(0.15 - width)


@pytest.mark.parametrize(
    ("shares", "kind", "words", "problems"),
    [
        ([0.8] * 11 + [0.49], UNDECIDED,
         "it is better on average, but the sign is reversed in the fold of seed 11", []),
        ([0.51, 0.9, 0.52, 0.8, 0.51], UNDECIDED, "but the interval contains 0", []),
        ([0.4] * 5, NOT_BETTER, "does not beat the best baseline, extra trees: it is worse", []),
        ([0.4, 0.7, 0.4, 0.4, 0.4], NOT_BETTER, "on average it is not better", []),
        ([0.6, 0.7, 0.65, 0.6], UNDECIDED, "it takes 5 folds by recording or more", []),
        ([0.6], UNDECIDED, "and these are 1", []),
        ([], UNDECIDED, "no baseline predicts the time in the program", []),
        ([0.6, 0.61, 0.62, 0.63, 0.64], UNDECIDED,
         "From windows there is no conclusion: NO SENSING.", ["NO SENSING"]),
    ],
)  # fmt: skip
def test_nothing_else_beats_it_and_the_reason_is_stated(
    shares: list[float], kind: str, words: str, problems: list[str]
) -> None:
    folds = [FoldValues(seed, share, 0.5, 2, 8) for seed, share in enumerate(shares)]
    result = conclude(MODEL, TREES if folds else None, folds, problems)
    assert result["kind"] == kind
    assert words in result["conclusion"]
    assert "beats" not in result["conclusion"]


def test_a_baseline_that_a_fold_lacks_is_not_the_best() -> None:
    """Its mean over the other folds would be of other recordings."""
    (row,) = protocol_rows([
        fold("recording", ["face_001"], seed, {TREES: share})
        for seed, share in enumerate([0.9, 0.9, 0.9, 0.9, None])
    ])  # fmt: skip
    assert {row["baseline"], *(v["baseline"] for v in row["verdicts"].values())} == {NEIGHBOUR}
