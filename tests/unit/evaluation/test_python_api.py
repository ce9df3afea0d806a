"""The Python API: gcodefp.load, its predictions, and the dataset as a torch Dataset."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from learning_data import OPERATIONS, SENSORS, WINDOW, tiny_split
from new_recordings import learnt, new_recording
from recording_files import write_recording
from torch.utils.data import DataLoader

import gcodefp
from gcodefp import Predictor, UserError
from gcodefp.recordings.laboratory.layout import describe_layout, read_layout

NOTEBOOK = Path(__file__).parents[3] / "docs/predict.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("learnt")).parents[1]


@pytest.fixture(scope="module")
def model(folder: Path) -> Predictor:
    return gcodefp.load(folder / "run/checkpoint.pt", device="cpu", threads=1)


def test_file_table_and_array_have_the_same_prediction(model: Predictor, tmp_path: Path) -> None:
    assert (model.channels, model.programs) == (tuple(SENSORS), OPERATIONS)
    assert (model.rate_hz, model.window_rows) == (4.0, WINDOW)
    table = new_recording("pocket_008")
    path = write_recording(tmp_path / "job.csv", table)
    expected = model.predict(path)
    assert (expected.name, expected.program.name) == ("job", "pocket")
    shuffled = table[list(reversed(table.columns))].set_index("gcode_line")
    seconds = table.assign(t_console=np.arange(len(table)) / 4)
    dates = table.assign(t_console=pd.to_datetime(seconds.t_console, unit="s", utc=True))
    array = table[list(model.channels)].to_numpy()
    for recording in (str(path), table, shuffled, seconds, dates, array, array.tolist()):
        prediction = model.predict(recording)
        np.testing.assert_array_equal(prediction.confidence, expected.confidence)
        assert (prediction.programs, prediction.warnings) == (expected.programs, [])


def test_array_that_fits_no_program_is_asked_for_the_order_of_its_columns(
    model: Predictor,
) -> None:
    table = new_recording("pocket_008")[list(model.channels)]
    doubtful = model.predict(table.to_numpy()[::-1, ::-1])
    assert "order of `channels`" in doubtful.warnings[0], doubtful
    named = model.predict(table.iloc[::-1, ::-1].set_axis(list(model.channels), axis=1))
    assert named.warnings == doubtful.warnings[1:]
    text = repr(doubtful)
    assert text.startswith(f"RecordingPrediction({doubtful.name!r}: CAVEAT, program ")
    assert len(text) < 150


def test_table_for_a_checkpoint_with_a_layout_is_asked_for_its_path(model: Predictor) -> None:
    description = model.description
    content = describe_layout(read_layout("klipper"))
    laid_out = replace(description, document={**description.document, "layout": content})
    inner = model.decoder.checkpoint._replace(description=laid_out)
    checkpoint = replace(model, decoder=model.decoder._replace(checkpoint=inner))
    with pytest.raises(UserError, match=r"the layout of the train split computes .* pass its path"):
        checkpoint.predict(pd.DataFrame({"accel_x": np.zeros(99)}))
    table = new_recording("pocket_008")
    assert checkpoint.predict(table).program == model.predict(table).program


def test_masked_samples_are_missing(model: Predictor) -> None:
    samples = new_recording("pocket_008")[list(model.channels)].to_numpy()
    is_masked = np.arange(len(model.channels)) == 1
    masked = np.ma.masked_array(np.where(is_masked, 1e3 * samples, samples))
    masked[:, is_masked] = np.ma.masked
    expected = model.predict(np.where(is_masked, np.nan, samples), allow_missing=True)
    np.testing.assert_array_equal(
        model.predict(masked, allow_missing=True).confidence, expected.confidence
    )


def test_clock_of_a_file_may_be_in_seconds_and_one_that_is_no_time_is_doubted(
    model: Predictor, tmp_path: Path
) -> None:
    fast = new_recording("pocket_008").loc[lambda table: table.index.repeat(4)]
    fast["n0.Ax"] += np.arange(len(fast)) * 1e-9  # No row repeats another.
    path = write_recording(tmp_path / "fast.csv", fast.assign(t_console=np.arange(len(fast)) / 16))
    texts = fast.assign(t_console=[f"{row / 16}" for row in range(len(fast))])
    for recording in (path, texts):
        assert "resampled to means of 4.0 rows" in model.predict(recording).warnings[0]
    junk = model.predict(fast.assign(t_console="noon"))
    assert "no row's clock is a time, such as 'noon'" in junk.warnings[0]


def test_device_and_threads_are_checked(folder: Path) -> None:
    for wrong in ({"device": "gpu"}, {"threads": 0}):
        with pytest.raises(UserError, match="has to be"):
            gcodefp.load(folder / "run/checkpoint.pt", **wrong)


WRONG: dict[str, tuple[Callable[[pd.DataFrame], object], str]] = {
    "no file": (lambda table: "no/such.csv", "no/such.csv: no such recording"),
    "a text": (
        lambda table: table.astype({"n0.Ax": object}).replace({"n0.Ax": {table["n0.Ax"][3]: "?"}}),
        "table: column 'n0.Ax', row 3: '\\?' is not a number",
    ),
    "a unit": (
        lambda table: table.rename(columns={"n0.Ax": "n0.Ax [mm]"}),
        "table: column 'n0.Ax' is in mm, it has to be in",
    ),
    "two of one name": (
        lambda table: pd.concat([table, table[["n0.Ax"]]], axis=1),
        "table: two columns are 'n0.Ax'",
    ),
    "few channels": (lambda table: table[SENSORS[:2]], "5 of the 7 channels of the checkpoint"),
    "few rows": (lambda table: table[: WINDOW - 1], "table: 7 rows, one window .* needs 8"),
    "few columns": (lambda table: np.zeros((99, 2)), "shape \\(99, 2\\), .* needs \\(rows, 7\\)"),
    "texts": (lambda table: [["x"] * 7] * 99, "column 'n0.Ax', row 0: 'x' is not a number"),
    "ragged": (lambda table: [[1.0] * 7, [1.0]], "no array of numbers"),
    "complex numbers": (lambda table: np.ones((99, 7)) * 1j, "'n0.Ax' is complex128"),
    "complex objects": (lambda table: np.full((99, 7), 1j, object), "'n0.Ax' is object, not real"),
    "complex column": (lambda table: table.assign(**{"n0.Ax": 1j}), "'n0.Ax' is complex128"),
    "dates": (lambda table: np.full((99, 7), np.datetime64("2024-01-01")), "is datetime64"),
    "levels": (lambda table: pd.concat({"a": table}, axis=1), "its columns have 2 levels"),
    "long name": (lambda table: "x" * 5000, "cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_recording_is_refused(model: Predictor, case: str) -> None:
    make, message = WRONG[case]
    with pytest.raises(UserError, match=message):
        model.predict(make(new_recording("pocket_008")))


def test_network_is_a_torch_module_that_can_be_exported(model: Predictor, folder: Path) -> None:
    dataset = gcodefp.open_dataset(folder / "dataset", "val")
    signals = next(iter(DataLoader(dataset, batch_size=4)))["signals"]
    batch = {0: torch.export.Dim.AUTO}
    exported = torch.export.export(model.network, (signals,), dynamic_shapes=(batch,)).module()
    for windows in (signals, signals[:3]):
        outputs, expected = exported(windows), model.network(windows)
        assert outputs.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(outputs[name], tensor)


def test_dataset_has_the_windows_of_its_split(folder: Path) -> None:
    dataset, split = gcodefp.open_dataset(folder / "dataset"), tiny_split(["face_001"])
    first = dataset[0]
    assert len(dataset) == len(dataset.recordings) * len(split.window_start)
    assert [dataset.recordings[int(item["recording"])] for item in (first, dataset[-1])] == [
        dataset.recordings[0],
        dataset.recordings[-1],
    ]
    np.testing.assert_array_equal(first["signals"], split.signals[:WINDOW])
    blocks = [dataset.blocks[block] for block in first["block"]]
    assert blocks == split.blocks[split.block[:WINDOW]].tolist()
    masks = torch.stack([dataset[index]["row_mask"] for index in range(len(dataset))])
    assert int(masks.sum()) == len(dataset.recordings) * len(split.row)
    with pytest.raises(UserError, match=r"'tset' is no split; did you mean 'test'\?"):
        gcodefp.open_dataset(folder / "dataset", "tset")
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_package_imports_nothing_before_it_is_used() -> None:
    code = """
import sys, gcodefp
assert gcodefp.__version__ and "load" in dir(gcodefp)
assert not {"torch", "numpy", "pandas"} & set(sys.modules)
for name in gcodefp.__all__:
    getattr(gcodefp, name)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lead'"):
        gcodefp.lead  # noqa: B018


def test_notebook_runs_without_a_warning(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    assert "assert prediction.program.name ==" in code
    (tmp_path / "notebook.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(tmp_path / "notebook.py")]
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(NOTEBOOK.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
