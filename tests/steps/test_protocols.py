"""The table of protocols, made from small evaluations that are written here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_documents import DECODER, PROVENANCE, write_best

from gcodefp.evaluation.metrics import METRICS as REGISTRY
from gcodefp.evaluation.names import (
    ELAPSED,
    EVALUATION_FORMAT,
    GCODEFP,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    PRIMARY,
    STATE_ORACLE,
    TREES,
    WHOLE,
)
from gcodefp.evaluation.significance import BEATS, NOT_BETTER, UNDECIDED, FoldValues, half_width
from gcodefp.files import write_json
from gcodefp.protocols import main
from gcodefp.reporting.conclusions import conclude
from gcodefp.reporting.protocols_table import read_protocols

ROWS = 10
CORRECT = {MODEL: 6, WHOLE: 7, NEIGHBOUR: 3, TREES: 4, ELAPSED: 8, STATE_ORACLE: 9}
"""Rows of each recording that a predictor has right."""
METRICS = {"gcode_error_rate": 0.8, "position_error_mm": 12.0}
TRAIN_RECORDINGS = 8


def evaluation(
    folder: Path,
    by: str,
    recordings: list[str],
    seed: int = 0,
    primary: Mapping[str, float | None] | None = None,
    **changed: float | None,
) -> Path:
    """The files of an evaluation; `changed` are metrics, or `correct`, the rows of MODEL.

    `primary` are the shares of PRIMARY that differ from .5.
    """
    correct = {**CORRECT, MODEL: changed.pop("correct", CORRECT[MODEL])}
    count, counted = ROWS * len(recordings), {"n": 0, "recordings": 0}
    share = {"value": 0.5, "low": 0.5, "high": 0.5, **counted}
    measured = dict.fromkeys(REGISTRY, share) | {
        name: {"value": value, "low": value and value / 2, "high": value and value * 2, **counted}
        for name, value in {**METRICS, **changed}.items()
    }
    models = {
        name: {**measured, PRIMARY: {**share, **dict.fromkeys(("value", "low", "high"), value)}}
        for name, value in {**dict.fromkeys(CORRECT, 0.5), **(primary or {})}.items()
    }
    matrix = {"true": ["a"], "predicted": ["a"], "counts": [[count]]}
    content = {
        "provenance": PROVENANCE, "device": "cpu", "external": None, "excluded": [],
        "leaky": by == "window", "controller_is_input": False,
        "split": {"by": by, "held_out": [], "seed": seed}, "recordings": len(recordings),
        "train_recordings": TRAIN_RECORDINGS, "rows": count, "segments": 1, "controls": [],
        "models": models, "confusion": {"operation": matrix, "command": matrix},
        "differences": {name: {NEIGHBOUR: share, TREES: share} for name in GCODEFP},
        "decoder": DECODER, "ladder": [], "doubtful_lags": [], "baselines": {},
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    row = np.tile(np.arange(ROWS), len(recordings))
    arrays: dict[str, Any] = {
        f"{PREDICTORS[name].array}_block": np.where(row < rows, "G1", "G0")
        for name, rows in correct.items()
    }
    for kind in ("executed", "reconstructed"):
        arrays |= {f"{kind}_recording": np.zeros(1, int), f"{kind}_block": np.array(["G1"])}
    np.savez(
        folder / "predictions.npz",
        recordings=np.array(recordings), recording=np.repeat(np.arange(len(recordings)), ROWS),
        seconds=np.zeros(count), executed_seconds=np.zeros(1), mm_per_unit=np.ones(count),
        position_mm=np.zeros((count, 3)), true_block=np.full(count, "G1"), **arrays,
    )  # fmt: skip
    return folder


def collect(folder: Path, *evaluations: Path, more: tuple[str, ...] = ()) -> int:
    write_best(folder / "best")
    winner = ["--winner", str(folder / "best/run.json")]
    return main(["--evaluations", *map(str, evaluations), *winner, "--output", str(folder), *more])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folds = [
        evaluation(tmp_path / "w", "window", ["face_001", "face_002"], correct=9),
        evaluation(tmp_path / "r0", "recording", ["face_001", "face_002"],
                   gcode_error_rate=0.4),
        evaluation(tmp_path / "r1", "recording", ["face_002", "face_003"], seed=1, correct=2,
                   primary={MODEL: 0.9, TREES: 0.7}),
        evaluation(tmp_path / "c", "chronological", ["face_003"]),
    ]  # fmt: skip
    excluded = ("--left-out", "session: no recording matches damage*")
    assert collect(tmp_path / "out", *folds, more=excluded) == 0
    return tmp_path / "out"


def test_each_protocol_has_a_row_the_leaky_one_last_and_marked(table: Path) -> None:
    text = (table / "protocols.md").read_text()
    _, _, *lines = (line for line in text.splitlines() if line.startswith("| "))
    assert [line.startswith("| **LEAKY, too optimistic** window: ") for line in lines] == [
        False, False, True,
    ]  # fmt: skip
    assert len({line.count("|") for line in lines}) == 1
    assert "Excluded: session: no recording matches damage*." in text
    rows = pd.read_csv(table / "protocols.csv")
    assert rows["protocol"].tolist() == ["recording", "chronological", "window"]
    assert rows["leaky"].tolist() == [False, False, True]
    assert rows["gcode_error_rate_windows_high"][0] == pytest.approx(0.8)
    assert rows["best_baseline"][0] == rows["baseline_windows"][0] == TREES
    assert rows["within_1s_best_baseline"][0] == pytest.approx(0.6)
    assert rows["kind_whole"].tolist()[0] == UNDECIDED
    assert rows["difference_windows"].tolist() == pytest.approx([0.1, np.nan, np.nan], nan_ok=True)


def test_block_accuracy_is_pooled_and_other_metrics_are_means_of_folds(table: Path) -> None:
    document = json.loads((table / "protocols.json").read_text())
    assert len(document["provenance"]["inputs"]) == 1 + 8
    assert document["left_out"] == ["session: no recording matches damage*"]
    assert document["winner"]["sweeps"] == ["abcd1234"]
    primary, single, _ = document["protocols"]
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


def test_what_could_not_be_measured_is_empty(tmp_path: Path) -> None:
    folds = [
        evaluation(
            tmp_path / str(n), "program", ["face_001"], seed=n, position_error_mm=None,
            primary={NEIGHBOUR: None, TREES: None},
        )
        for n in range(2)
    ]  # fmt: skip
    for evaluations in (folds, folds[:1]):
        assert collect(tmp_path, *evaluations) == 0
        head, _, cells = (tmp_path / "protocols.md").read_text().splitlines()[:3]
        row = dict(zip(head.split(" | "), cells.split(" | "), strict=True))
        assert row["best baseline"] == row["tool position error, mm: whole recordings"] == "-"
        assert pd.read_csv(tmp_path / "protocols.csv")["position_error_mm_whole"].isna().all()


# Verdicts


def test_five_folds_that_agree_beat_the_best_baseline(tmp_path: Path) -> None:
    shares = [0.6, 0.7, 0.65, 0.6, 0.7]
    folds = [
        evaluation(tmp_path / str(seed), "recording", ["face_001", "face_002"], seed,
                   {MODEL: share, NEIGHBOUR: 0.4, TREES: 0.5})
        for seed, share in enumerate(shares)
    ]  # fmt: skip
    assert collect(tmp_path, *folds) == 0
    (row,) = read_protocols(tmp_path / "protocols.json")["protocols"]
    result = row["verdicts"][MODEL]
    assert (result["kind"], result["baseline"]) == (BEATS, TREES)
    assert result["conclusion"].startswith(f"From windows gcodefp beats the best baseline, {TREES}")
    gains = [share - 0.5 for share in shares]
    assert [fold["difference"] for fold in result["folds"]] == pytest.approx(gains)
    width = half_width(gains, 2 / TRAIN_RECORDINGS)
    expected = {"value": 0.15, "low": 0.15 - width, "high": 0.15 + width}
    assert result["difference"] == pytest.approx(expected)
    for part in (f"+15.0 percentage points [{100 * (0.15 - width):+.1f}, ", "5 folds",
                 "gcodefp 65.0 %, baseline 50.0 %", "+10.0 (seed 0), +20.0 (seed 1)",
                 "hyperparameters were chosen once, on the val split"):  # fmt: skip
        assert part in result["evidence"]
    text = (tmp_path / "protocols.md").read_text()
    assert f"**{result['conclusion']}** {result['evidence']}" in text
    flat = pd.read_csv(tmp_path / "protocols.csv")
    assert (flat["kind_windows"][0], flat["kind_whole"][0]) == (BEATS, NOT_BETTER)
    assert flat["difference_windows_low"][0] == pytest.approx(0.15 - width)


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


def test_a_baseline_that_a_fold_lacks_is_not_the_best(tmp_path: Path) -> None:
    """Its mean over the other folds would be of other recordings."""
    folds = [
        evaluation(tmp_path / str(seed), "recording", ["face_001"], seed, {TREES: share})
        for seed, share in enumerate([0.9, 0.9, 0.9, 0.9, None])
    ]
    assert collect(tmp_path, *folds) == 0
    (row,) = read_protocols(tmp_path / "protocols.json")["protocols"]
    assert {row["baseline"], *(v["baseline"] for v in row["verdicts"].values())} == {NEIGHBOUR}


def test_a_fold_counts_once_and_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = [evaluation(tmp_path / name, "recording", ["face_001"]) for name in ("a", "b")]
    split = f"b/metrics.json: split: is that of {tmp_path}/a/metrics.json; name each fold once"
    missing = "none/metrics.json: no such file; it is made by"
    for evaluations, problem in ((folds, split), ([tmp_path / "none"], missing)):
        assert collect(tmp_path, *evaluations) == 1
        assert problem in capsys.readouterr().err
