"""A finished results folder, made by the stages themselves from small recordings."""

from pathlib import Path
from typing import Any

from recording_files import preprocess, write_recordings
from tiny_sweep import TinySweep

from gcodefp import (
    agent,
    control,
    evaluate,
    explain,
    figures,
    fit_decoder,
    fit_detector,
    report,
    select_best,
)
from gcodefp.dataset.controls import SENSORS_PERMUTED

RATES = {"learning_rate": {"values": [0.001, 0.02]}}


def finish(folder: Path) -> Path:
    """Runs all steps; `folder/results` is what they fill, the recordings lie outside of it."""
    results = folder / "results"
    recordings = write_recordings(folder / "recordings", {"face": 6, "pocket": 6})
    assert preprocess(recordings, results / "dataset", val_fraction=0.3, test_fraction=0.3) == 0
    search(results)
    publish(results)
    return results


def search(results: Path, **changes: Any) -> None:
    """The sweep, all of its runs, and the best of them."""
    sweep = TinySweep(results / "dataset", results / "sweep")
    assert sweep.create(**{"parameters": RATES, **changes}) == 0
    where = ["--sweep", results / "sweep/sweep.json", "--runs", results / "runs"]
    common = [*map(str, where), *_dataset(results, "train", "val")]
    assert agent.main(common) == 0
    assert select_best.main([*common, "--output", str(results / "best")]) == 0


def publish(results: Path) -> None:
    """The decoder, a control, the evaluation, its explanation, figures and report."""
    checkpoint = ["--checkpoint", str(results / "best/checkpoint.pt")]
    fitted = [*_dataset(results, "train", "val"), *checkpoint]
    assert fit_decoder.main([*fitted, "--output", str(results / "best/decoder.npz")]) == 0
    data = [*_dataset(results, "train", "test"), *checkpoint]
    document = str(results / "controls" / SENSORS_PERMUTED / "control.json")
    assert control.main(["--control", SENSORS_PERMUTED, *data, "--output", document]) == 0
    evaluation = str(results / "evaluation")
    data = [*_dataset(results, "train", "val", "test"), *checkpoint]
    assert evaluate.main([*data, "--controls", document, "--output", evaluation]) == 0
    explanation = str(results / "explanation")
    arguments = [*_dataset(results, "test"), *checkpoint, "--output", explanation]
    assert explain.main(arguments) == 0
    splits = [part for part in _dataset(results, "train", "val", "test") if part != "cpu"]
    splits.remove("--device")
    where = [*checkpoint, "--recordings", str(results.parent / "recordings")]
    assert fit_detector.main([*splits, *where, "--output", str(results / "detection")]) == 0
    files = ["--dataset", results / "dataset/dataset.json", "--best", results / "best"]
    files += ["--detection", results / "detection/detection.json"]
    files += ["--sweep", results / "sweep/sweep.json", "--evaluation", evaluation]
    files += ["--explanation", explanation]
    shown = [*map(str, files), "--output"]
    assert figures.main([*shown, str(results / "figures")]) == 0
    page = [str(results / "report.html"), "--figures", str(results / "figures")]
    # The page says it, and `verify` makes the page again.
    page += ["--protocols-command", "snakemake --configfile 'my own.yaml' -- protocols"]
    assert report.main([*shown, *page]) == 0


def _dataset(results: Path, *splits: str) -> list[str]:
    flags = ["--dataset", str(results / "dataset/dataset.json"), "--device", "cpu"]
    for name in splits:
        flags += [f"--{name}", str(results / f"dataset/{name}.npz")]
    return flags
