"""The breakdown of the metrics, on predictions whose errors are known."""

from pathlib import Path
from typing import Any

import numpy as np
from explanation_files import small_programs
from result_documents import dataset_document
from result_files import predictions_of, true_blocks, write_results
from result_files import scored_split as results_split

from gcodefp.dataset.store import parse_description
from gcodefp.evaluation.breakdown import break_down
from gcodefp.evaluation.metrics import LabelledPredictions
from gcodefp.evaluation.names import EVALUATION_FORMAT, MODEL, NEIGHBOUR
from gcodefp.files import read_json

ROWS = 18
"""Of each of the four recordings, the first two of face<b>, the others of pocket."""


def evaluation(folder: Path, blocks: np.ndarray) -> dict[str, Any]:
    write_results(folder, blocks, true_blocks())
    return read_json(folder / "evaluation/metrics.json", EVALUATION_FORMAT, "")


def test_operations_and_their_recordings_are_counted(tmp_path: Path) -> None:
    blocks = true_blocks()
    for recording, wrong in enumerate((0, 9, 12, 18)):
        blocks[recording * ROWS : recording * ROWS + wrong] = "M3"
    document = evaluation(tmp_path, blocks)
    face, pocket, total = document["by_operation"][MODEL]
    assert [entry["operation"] for entry in (face, pocket, total)] == ["face<b>", "pocket", None]
    assert [entry["rows"] for entry in (face, pocket, total)] == [36, 36, 72]
    assert (face["gcode"]["value"], face["gcode"]["shares"]) == (27 / 36, [1.0, 0.5])
    # Of two recordings, a quarter of the resamples are one of them alone.
    assert (face["gcode"]["low"], face["gcode"]["high"]) == (0.5, 1.0)
    assert (pocket["gcode"]["value"], pocket["gcode"]["shares"]) == (6 / 36, [6 / 18, 0.0])
    for metric in ("gcode", "token"):
        shares = total[metric].pop("shares")
        assert total[metric] == document["models"][MODEL][metric]
        assert len(shares) == 4
    neighbour = document["by_operation"][NEIGHBOUR]
    assert [entry["gcode"]["value"] for entry in neighbour] == [1.0] * 3


def test_one_recording_has_no_interval_and_operations_may_be_new() -> None:
    test, rows = results_split(True), np.arange(2 * ROWS)
    document = dataset_document(False)
    programs = small_programs(document)
    predictions = predictions_of(MODEL, true_blocks(), test, programs, True).take(rows)
    del document["recordings"][str(test.recordings[1])]
    test.operation[test.recording == 1] = -1
    description = parse_description(document, programs)
    scored = LabelledPredictions(predictions, test, rows, description.vocabulary, programs)
    result = break_down({MODEL: scored}, description)
    trained, new, _ = result["by_operation"][MODEL]
    assert (trained["operation"], new["operation"]) == ("face<b>", "not in train")
    assert (trained["gcode"]["value"], trained["gcode"]["low"]) == (1.0, None)
    assert result["confusion"]["operation"]["true"][-1] == "not in train"
    assert result["differences"] == {MODEL: {}}


def test_confusion_matrices_count_word_by_word(tmp_path: Path) -> None:
    blocks = true_blocks()
    rows = np.flatnonzero(blocks == "Y1")
    blocks[rows[0]] = "X1"  # Another parameter.
    blocks[rows[1]] = "G1 X1"  # Another kind, and no end where the end should be.
    blocks[np.flatnonzero(blocks == "G53 G0 Z0")[0]] = "G1"
    document = evaluation(tmp_path, blocks)
    confusion = document["confusion"]
    types = confusion["token_type"]
    assert types["true"] == ["command", "parameter", "end"]
    assert types["predicted"] == [*types["true"], "nothing"]
    # Where three words became one, they are an end and nothing, and their end is nothing.
    assert types["counts"] == [[71, 0, 1, 0], [1, 106, 0, 1], [0, 1, 70, 1]]
    letters = confusion["parameter_type"]
    y_row = letters["counts"][letters["true"].index("Y")]
    expected = {"R": 0, "X": 1, "Y": 34, "Z": 0, "other kind": 1}
    assert dict(zip(letters["predicted"], y_row, strict=True)) == expected
    for head in ("operation", "program"):
        assert confusion[head]["counts"] == [[36, 0], [0, 36]]
    assert confusion["program"]["true"] == ["face", "pocket"]
    words = {entry["word"]: entry for entry in document["words"]}
    assert (words["Y1"]["rows"], words["Y1"]["correct"]) == (12, 10)
    # Most errors first; at another position a word is wrong.
    assert document["words"][0]["word"] == "Y1"
    assert words["G0"]["correct"] == words["G0"]["rows"] - 1
