"""The table of protocols, made from evaluations that are written by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from result_documents import write_best

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
from gcodefp.reporting.protocols_table import (
    PROTOCOLS_FORMAT,
    protocol_lines,
    read_fold,
    read_protocols,
)

ROWS = 10
RIGHT = {MODEL: 6, WHOLE: 7, NEIGHBOUR: 3, TREES: 4, ELAPSED: 8, UPPER_BOUND: 9}
"""Of the rows of each recording, how many each has right."""
METRICS = {"token": 0.5, "gcode_error_rate": 0.8, "position_error_mm": 12.0}


def evaluation(
    folder: Path, by: str, recordings: list[str], leaky: bool = False, **changed: float
) -> Path:
    """The files of an evaluation; `changed` are metrics of MODEL, or `right`, its exact lines."""
    right = {**RIGHT, MODEL: int(changed.get("right", RIGHT[MODEL]))}
    measured = {
        name: {"value": value, "low": value / 2, "high": value * 2, "n": 10, "recordings": 2}
        for name, value in {**METRICS, **changed}.items()
    }
    content = {
        "leaky": leaky,
        "controller_is_input": False,
        "split": {"by": by},
        "models": dict.fromkeys(RIGHT, measured),
    }
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    count = ROWS * len(recordings)
    row = np.tile(np.arange(ROWS), len(recordings))
    arrays = {
        f"{PREDICTORS[name].array}_block": np.where(row < of, "G1", "G0")
        for name, of in right.items()
    }
    nothing = {
        name: np.zeros(count)
        for name in ("seconds", "position_mm", "mm_per_unit", "true_operation", "true_program")
    }
    np.savez(
        folder / "predictions.npz",
        recordings=np.array(recordings),
        recording=np.repeat(np.arange(len(recordings), dtype=np.int16), ROWS),
        lag_seconds=np.zeros(len(recordings)),
        operations=np.array(["face"]),
        programs=np.array(["face"]),
        true_block=np.full(count, "G1"),
        **nothing,
        **arrays,
    )
    return folder


def collect(folder: Path, *evaluations: Path, left_out: str = "") -> int:
    more = ["--left-out", left_out] if left_out else []
    write_best(folder / "best")
    more += ["--winner", str(folder / "best" / "run.json")]
    return main(["--evaluations", *map(str, evaluations), "--output", str(folder), *more])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    folds = [
        evaluation(tmp_path / "w", "window", ["face_001", "face_002"], leaky=True, right=9),
        evaluation(tmp_path / "r0", "recording", ["face_001", "face_002"], token=0.4),
        evaluation(tmp_path / "r1", "recording", ["face_002", "face_003"], token=0.8, right=2),
        evaluation(tmp_path / "c", "chronological", ["face_003"]),
    ]
    assert collect(tmp_path / "out", *folds, left_out="session: no recording matches damage*") == 0
    return tmp_path / "out"


def test_the_table_has_a_line_for_each_protocol_the_leaky_one_last_and_marked(table: Path) -> None:
    text = (table / "protocols.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [line.split("|")[1].split(":")[0].split("** ")[-1].strip() for line in lines] == [
        "recording",
        "chronological",
        "window",
    ]
    assert ["LEAKY, an upper bound" in line for line in lines] == [False, False, True]
    assert len({line.count("|") for line in lines}) == 1
    assert "Left out: session: no recording matches damage*." in text
    with (table / "protocols.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["protocol"], row["leaky"]) for row in rows] == [
        ("recording", "False"),
        ("chronological", "False"),
        ("window", "True"),
    ]


def test_exact_lines_are_pooled_and_a_recording_is_drawn_once(table: Path) -> None:
    document = json.loads((table / "protocols.json").read_text())
    assert document["format"] == PROTOCOLS_FORMAT
    assert len(document["provenance"]["inputs"]) == 1 + 8
    headline = document["protocols"][0]
    assert (headline["folds"], headline["rows"]) == (2, 40)
    assert headline["recordings"] == ["face_001", "face_002", "face_003"]
    exact = headline["exact"][MODEL]
    # face_001 has 6 of 10 right, face_002 6 and 2 in two folds, face_003 2.
    assert (exact["value"], exact["low"], exact["high"]) == pytest.approx((0.4, 0.2, 0.6))
    assert headline["exact"][WHOLE]["value"] == pytest.approx(0.7)
    assert headline["baseline"] == TREES
    assert set(headline["exact"]) == set(RIGHT)


def test_other_metrics_are_means_with_the_lowest_and_highest_fold(table: Path) -> None:
    headline, single, _ = json.loads((table / "protocols.json").read_text())["protocols"]
    token = {"value": 0.6, "low": 0.4, "high": 0.8}
    assert headline["measured"]["token"][MODEL] == pytest.approx(token)
    # Of one fold it is the interval of its own evaluation.
    alone = {"value": 12.0, "low": 6.0, "high": 24.0}
    assert single["measured"]["position_error_mm"][WHOLE] == alone
    with (table / "protocols.csv").open() as handle:
        row = next(csv.DictReader(handle))
    assert float(row["token_windows_high"]) == pytest.approx(0.8)
    assert row["best_baseline"] == TREES
    assert float(row["gcode_best_baseline"]) == pytest.approx(0.4)


def test_what_was_written_is_read_again(table: Path, tmp_path: Path) -> None:
    found = read_protocols(table / "protocols.json")
    folds = [read_fold(tmp_path / name) for name in ("w", "r0", "r1", "c")]
    assert found.lines == protocol_lines(folds)
    assert found.left_out == ["session: no recording matches damage*"]
    assert found.hyperparameters == {"learning_rate": 0.002, "optimizer": "adamw", "seed": 3}


def test_what_could_not_be_measured_is_left_empty(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "e", "program", ["face_001"])
    document = json.loads((folder / "metrics.json").read_text())
    nothing = {"value": None, "low": None, "high": None, "n": 0, "recordings": 0}
    for of in document["models"].values():
        of["position_error_mm"] = nothing
    (folder / "metrics.json").write_text(json.dumps(document))
    assert collect(tmp_path, folder) == 0
    line = (tmp_path / "protocols.md").read_text().splitlines()[2]
    assert line.endswith("| - | - |")
    with (tmp_path / "protocols.csv").open() as handle:
        assert next(csv.DictReader(handle))["position_error_mm_whole"] == ""


def test_a_missing_evaluation_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(tmp_path, tmp_path / "none") == 1
    assert "none/metrics.json: no such file; it is made by" in capsys.readouterr().err
