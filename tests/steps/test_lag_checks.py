"""Lags are checked by groups of sensors, from preprocess to metrics.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluation_commands import evaluate, learn, results
from learning_data import RECORDINGS, ROWS, write_dataset
from recording_files import preprocess

from gcodefp import simulate
from gcodefp.evaluation.names import MODEL
from gcodefp.files import write_json

SHIFT_ROWS = 20
GROUPS = ["mag", "mic"]
"""Those that find the lag in these recordings."""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings; magnetometers of face40_002 lag behind all other sensors."""
    folder = tmp_path_factory.mktemp("recordings")
    flags = ["--programs", "face40", "--recordings-per-program", "12", "--seed", "0"]
    assert simulate.main([*flags, "--output", str(folder)]) == 0
    (path,) = folder.glob("face40_002*")
    table = pd.read_csv(path, dtype=str)
    magnetic = [name for name in table if name.endswith((".Mx", ".My", ".Mz"))]
    assert magnetic
    table[magnetic] = np.roll(table[magnetic].to_numpy(), SHIFT_ROWS, axis=0)
    table.to_csv(path, index=False)
    return folder


def described(recordings: Path, output: Path, **changes: Any) -> dict[str, Any]:
    assert preprocess(recordings, output, window=64, max_gap_seconds=5.0, **changes) == 0
    document: dict[str, Any] = json.loads((output / "dataset.json").read_text())
    return document


def test_group_that_disagrees_makes_a_lag_doubtful(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = described(recordings, tmp_path / "dataset")
    assert document["simulated"]
    assert document["lags"]["groups"] == GROUPS
    assert document["lags"]["max_seconds"] == 14
    warnings = [line for line in capsys.readouterr().err.splitlines() if "doubtful" in line]
    assert len(warnings) == 1
    assert "face40_002: its lag is doubtful" in warnings[0]
    assert " s by mag" in warnings[0]
    for name, entry in document["recordings"].items():
        deviation = entry["lag_by_group_seconds"]["mag"] - entry["lag_by_group_seconds"]["mic"]
        expected = SHIFT_ROWS * 0.257 if name == "face40_002" else 0.0
        assert deviation == pytest.approx(expected, abs=0.6), name
        assert (entry["lag_uncertainty_seconds"] > 1) == (name == "face40_002")


def test_synchronised_clocks_have_no_lag(recordings: Path, tmp_path: Path) -> None:
    document = described(recordings, tmp_path / "dataset", max_lag_seconds=0)
    assert document["lags"] == {"max_seconds": 0, "groups": []}
    for entry in document["recordings"].values():
        assert (entry["lag_seconds"], entry["lag_uncertainty_seconds"]) == (0, None)


def test_doubtful_recordings_are_listed_and_left_out_of_the_second_share(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    checkpoint = learn(dataset, tmp_path / "run", max_epochs=2)
    content = json.loads((dataset / "dataset.json").read_text())
    doubtful = RECORDINGS["test"][0]
    for name in (doubtful, RECORDINGS["train"][0]):
        content["recordings"].setdefault(name, {"operation": "face"})
        content["recordings"][name]["lag_uncertainty_seconds"] = 1.5
    write_json(dataset / "dataset.json", content.pop("format"), content)
    assert evaluate(checkpoint, dataset, tmp_path / "evaluation") == 0
    document, _ = results(tmp_path / "evaluation")
    assert document["doubtful_lags"] == [doubtful], "those of the train split are not counted"
    whole = document["ladder"][-1]["models"][MODEL]
    assert whole["within_1s"]["n"] == ROWS * len(RECORDINGS["test"])
    assert whole["within_1s_certain"]["n"] == ROWS * (len(RECORDINGS["test"]) - 1)
