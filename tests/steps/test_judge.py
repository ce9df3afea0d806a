"""fit_detector and judge as a user starts them, on simulated recordings and a growing file."""

import gzip
import json
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from recording_files import preprocess

from gcodefp import fit_detector, judge, simulate
from gcodefp.reporting.figures.scores import draw_detection
from gcodefp.reporting.templates import jinja_environment
from gcodefp.reporting.wording import DETECTOR_TITLES

PROGRAMS = ("face40", "pocket25")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    flags = ["--programs", *PROGRAMS, "--recordings-per-program", "9", "--output"]
    assert simulate.main([*flags, str(folder / "recordings")]) == 0
    dataset = folder / "dataset"
    assert preprocess(folder / "recordings", dataset, val_fraction=0.2, test_fraction=0.2) == 0
    splits = [part for n in ("train", "val", "test") for part in (f"--{n}", f"{dataset}/{n}.npz")]
    files = ["--dataset", f"{dataset}/dataset.json", *splits]
    where = ["--recordings", str(folder / "recordings"), "--output", str(folder / "detection")]
    assert fit_detector.main([*where, *files]) == 0
    for alteration in ("truncated", "pause"):
        few = ["--programs", "face40", "--recordings-per-program", "1", "--seed", "5"]
        output = ["--output", str(folder / alteration), "--attack", alteration]
        assert simulate.main([*few, *output]) == 0
    return folder


def judge_flags(project: Path) -> list[str]:
    common = ["--dataset", f"{project}/dataset/dataset.json", "--output", f"{project}/out"]
    return [*common, "--detector", f"{project}/detection/detector.npz", "--program", "face40"]


def judged(project: Path, recording: Path, *flags: str, code: int = 0) -> dict:
    assert judge.main([str(recording), *judge_flags(project), *flags]) == code
    name = recording.name.removesuffix(".csv.gz").removesuffix(".csv")
    path = project / "out" / f"{name}.json"
    return json.loads(path.read_text()) if code == 0 else {}


def test_the_detector_is_tested_on_altered_copies(project: Path) -> None:
    document = json.loads((project / "detection/detection.json").read_text())
    assert document["calibration"]["recordings"] == 14
    detected = {kind: e["detected_at_0.05"]["value"] for kind, e in document["kinds"].items()}
    for kind in ("truncated by 10 s", "cut 30 s", "pause 10 s", "another program"):
        assert detected[kind] == 1.0
    # One in 15 good recordings is the lowest rate that there is.
    assert detected["last quarter missing"] >= 0.75
    assert document["kinds"]["good"]["copies"] == 4


def test_figure_and_section_show_every_kind(project: Path) -> None:
    document = json.loads((project / "detection/detection.json").read_text())
    section = jinja_environment().get_template("detection.html")
    page = section.render(detection=document, detector_titles=DETECTOR_TITLES)
    assert "AUROC, duration" in page
    assert all(f"<td>{kind}</td>" in page for kind in document["kinds"])
    assert "three good recordings" in section.render(detection={**document, "kinds": {}})
    results = SimpleNamespace(detection=document, warnings=())
    figure, _, _ = draw_detection(results)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == list(document["kinds"])


def test_verdicts_of_files(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = judged(project, project / "recordings/face40_001.csv.gz")
    assert good["verdict"] == "as expected"
    assert good["false_alarm_rate"] == pytest.approx(1 / 15)
    assert f"NAME.json and NAME.png in {project / 'out'}" in capsys.readouterr().err
    short = judged(project, project / "truncated/face40_001.csv.gz")
    assert short["verdict"] == "stopped early"
    (missing,) = [s for s in short["segments"] if s["kind"] == "missing"]
    assert missing["lines"][-1]["block"] == "G53 G0 Z0"
    paused = judged(project, project / "pause/face40_001.csv.gz")
    assert paused["verdict"] == "paused"
    logged = re.findall(r" s; (lines?) (.*)", capsys.readouterr().err)
    assert {word for word, _ in logged} == {"line", "lines"}
    assert all((word == "lines") == ("; " in blocks) for word, blocks in logged)
    other = judged(project, project / "recordings/pocket25_001.csv.gz")
    assert other["verdict"] in ("another program", "none of the programs")
    few = "CAVEAT: compared with 14 good recordings alone, one in 15"
    assert any(note.startswith(few) for note in other["notes"])
    assert " 0.0 s to     0.0 s" not in capsys.readouterr().err
    assert {path.suffix for path in (project / "out").glob("face40_001.*")} == {
        ".json", ".png", ".svg",
    }  # fmt: skip


def test_what_cannot_be_judged_is_one_message(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = project / "recordings/face40_001.csv.gz"
    judged(project, recording, "--program", "face4", code=1)
    assert "no program 'face4'; did you mean 'face40'?" in capsys.readouterr().err
    judged(project, tmp_path / "none.csv", code=1)
    assert "none.csv: no such" in capsys.readouterr().err
    judged(project, recording, "--detector", str(tmp_path / "none.npz"), code=1)
    assert "it is made by: snakemake" in capsys.readouterr().err
    assert judge.main([str(recording)] * 2 + judge_flags(project)) == 1
    assert "two recordings are called 'face40_001'" in capsys.readouterr().err
    (tmp_path / "file").touch()
    judged(project, recording, "--output", str(tmp_path / "file"), code=1)
    assert "face40_001 cannot be written" in capsys.readouterr().err
    with np.load(project / "detection/detector.npz") as arrays:
        np.savez(tmp_path / "few.npz", **{**arrays, "mean": arrays["mean"][:, :9]})
    judged(project, recording, "--detector", str(tmp_path / "few.npz"), code=1)
    assert "few.npz: mean has shape" in capsys.readouterr().err
    with np.load(project / "detection/detector.npz") as arrays:
        np.savez(tmp_path / "old.npz", **{**arrays, "learning_digest": "0"})
    judged(project, recording, "--detector", str(tmp_path / "old.npz"), code=1)
    assert "old.npz: was fitted to another dataset" in capsys.readouterr().err


def test_a_recording_of_the_train_split_is_known_by_its_samples(
    project: Path, tmp_path: Path
) -> None:
    splits = json.loads((project / "dataset/dataset.json").read_text())["splits"]
    for split, is_known in (("train", True), ("test", False)):
        name = next(n for n in splits[split]["recordings"] if n.startswith("face40"))
        copy = tmp_path / f"{split}.csv.gz"
        copy.write_bytes((project / f"recordings/{name}.csv.gz").read_bytes())
        notes = judged(project, copy)["notes"]
        assert any(f"it is {name} of the train or val split" in note for note in notes) == is_known


def test_a_file_without_clock_is_doubted(project: Path, tmp_path: Path) -> None:
    table = pd.read_csv(project / "recordings/face40_001.csv.gz").drop(columns="t_console")
    table.to_csv(tmp_path / "timeless.csv", index=False)
    assert "no clock (t_console)" in judged(project, tmp_path / "timeless.csv")["notes"][0]


def test_altered_recordings_do_not_replace_good_ones(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--programs", "face40", "--recordings-per-program", "1", "--output"]
    assert simulate.main([*flags, str(project / "recordings"), "--attack", "pause"]) == 1
    assert "recordings: has other recordings" in capsys.readouterr().err
    assert simulate.main([*flags, str(project / "pause")]) == 1


def test_a_growing_file_is_followed(
    project: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judge, "POLL_SECONDS", 0.02)
    lines = gzip.decompress((project / "pause/face40_001.csv.gz").read_bytes()).splitlines(True)
    growing = tmp_path / "growing.csv"
    growing.write_bytes(b"".join(lines[:20]))

    def write() -> None:
        for first in range(20, len(lines), 40):
            with growing.open("ab") as handle:
                handle.write(b"".join(lines[first : first + 40]))
            time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    verdict = judged(project, growing, "--follow", "--idle-seconds", "3")["verdict"]
    writer.join()
    assert verdict == "paused"
    log = capsys.readouterr().err
    assert "false warnings per hour" in log
    assert "WARNING at" in log
