"""The table of protocols, made from small evaluations that are written here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from result_documents import PROVENANCE, write_best

from gcodefp.evaluation.metrics import METRICS as REGISTRY
from gcodefp.evaluation.names import (
    ELAPSED,
    EVALUATION_FORMAT,
    MODEL,
    NEIGHBOUR,
    PREDICTORS,
    TREES,
    UPPER_BOUND,
    WHOLE,
)
from gcodefp.files import write_json
from gcodefp.protocols import main

ROWS = 10
CORRECT = {MODEL: 6, WHOLE: 7, NEIGHBOUR: 3, TREES: 4, ELAPSED: 8, UPPER_BOUND: 9}
"""Rows of each recording that a predictor has right."""
METRICS = {"token": 0.5, "gcode_error_rate": 0.8, "position_error_mm": 12.0}


def evaluation(folder: Path, by: str, recordings: list[str], **changed: float | None) -> Path:
    """The files of an evaluation; `changed` are metrics, or `correct`, the rows of MODEL."""
    correct = {**CORRECT, MODEL: changed.pop("correct", CORRECT[MODEL])}
    count, counted = ROWS * len(recordings), {"n": 0, "recordings": 0}
    share = {"value": 0.5, "low": 0.5, "high": 0.5, **counted}
    measured = dict.fromkeys(REGISTRY, share) | {
        name: {"value": value, "low": value and value / 2, "high": value and value * 2, **counted}
        for name, value in {**METRICS, **changed}.items()
    }
    matrix = {"true": ["a"], "predicted": ["a"], "counts": [[count]]}
    content = {
        "provenance": PROVENANCE, "device": "cpu", "external": None, "excluded": [],
        "leaky": by == "window", "controller_is_input": False, "split": {"by": by},
        "recordings": len(recordings), "rows": count, "segments": 1, "controls": [],
        "models": dict.fromkeys(CORRECT, measured),
        "confusion": {"operation": matrix, "command": matrix},
        "differences": {NEIGHBOUR: share, TREES: share},
        "ladder": [], "baselines": {},
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    row, index = np.tile(np.arange(ROWS), len(recordings)), np.zeros(count, np.int16)
    arrays: dict[str, Any] = dict.fromkeys(("true_operation", "true_program"), index)
    for name, rows in correct.items():
        prefix = PREDICTORS[name].array
        arrays |= {
            f"{prefix}_block": np.where(row < rows, "G1", "G0"),
            f"{prefix}_operation": index,
        }
    for kind in ("executed", "reconstructed"):
        arrays |= {f"{kind}_recording": index, f"{kind}_block": np.full(count, "G1")}
    np.savez(
        folder / "predictions.npz",
        recordings=np.array(recordings),
        recording=np.repeat(np.arange(len(recordings), dtype=np.int16), ROWS),
        seconds=np.zeros(count), executed_seconds=np.zeros(count), mm_per_unit=np.ones(count),
        position_mm=np.zeros((count, 3)), lag_seconds=np.zeros(len(recordings)),
        operations=np.array(["face"]), programs=np.array(["face"]),
        true_block=np.full(count, "G1"), **arrays,
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
        evaluation(tmp_path / "r0", "recording", ["face_001", "face_002"], token=0.4),
        evaluation(tmp_path / "r1", "recording", ["face_002", "face_003"], token=0.8, correct=2),
        evaluation(tmp_path / "c", "chronological", ["face_003"]),
    ]
    excluded = ("--left-out", "session: no recording matches damage*")
    assert collect(tmp_path / "out", *folds, more=excluded) == 0
    return tmp_path / "out"


def test_each_protocol_has_a_row_the_leaky_one_last_and_marked(table: Path) -> None:
    text = (table / "protocols.md").read_text()
    _, _, *lines = (line for line in text.splitlines() if line.startswith("| "))
    assert [line.startswith("| **LEAKY, an upper bound** window: ") for line in lines] == [
        False, False, True,
    ]  # fmt: skip
    assert len({line.count("|") for line in lines}) == 1
    assert "Excluded: session: no recording matches damage*." in text
    rows = pd.read_csv(table / "protocols.csv")
    assert rows["protocol"].tolist() == ["recording", "chronological", "window"]
    assert rows["leaky"].tolist() == [False, False, True]
    assert rows["token_windows_high"][0] == pytest.approx(0.8)
    assert rows["best_baseline"][0] == TREES
    assert rows["gcode_best_baseline"][0] == pytest.approx(0.4)


def test_exact_lines_are_pooled_and_other_metrics_are_means_of_folds(table: Path) -> None:
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
    token = {"value": 0.6, "low": 0.4, "high": 0.8}
    assert primary["measured"]["token"][MODEL] == pytest.approx(token)
    # Of one fold it is the interval of its own evaluation.
    interval = {"value": 12.0, "low": 6.0, "high": 24.0}
    assert single["measured"]["position_error_mm"][WHOLE] == interval


def test_what_could_not_be_measured_is_empty(tmp_path: Path) -> None:
    folds = [
        evaluation(tmp_path / str(n), "program", ["face_001"], position_error_mm=None)
        for n in range(2)
    ]
    for evaluations in (folds, folds[:1]):
        assert collect(tmp_path, *evaluations) == 0
        assert (tmp_path / "protocols.md").read_text().splitlines()[2].endswith("| - | - |")
        assert pd.read_csv(tmp_path / "protocols.csv")["position_error_mm_whole"].isna().all()


def test_missing_evaluation_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(tmp_path, tmp_path / "none") == 1
    assert "none/metrics.json: no such file; it is made by" in capsys.readouterr().err
