"""Figures and report on small files that are built here, as the steps before would write them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gcodefp import figures, report
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import LEAKY_NOTE, description_of
from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.errors import UserError
from gcodefp.evaluation.axis_errors import axis_errors
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.files import (
    BLOCKS,
    EVALUATION_FORMAT,
    MAJORITY,
    MODEL,
    NEIGHBOUR,
)
from gcodefp.files import write_json
from gcodefp.findings.moves import middle, toolpaths
from gcodefp.findings.results import CONTROLLER_NOTE, Results, read_results
from gcodefp.findings.verdict import BEATS, FAILS, UNDECIDED, verdict
from gcodefp.learning.scores import row_scores
from gcodefp.plots.confusion import confusions
from gcodefp.plots.style import SUFFIXES
from gcodefp.reporting.captions import CAPTIONS, TITLES
from gcodefp.sweep.best_file import BEST_FORMAT
from gcodefp.sweep.sweep_file import FORMAT as SWEEP_FORMAT

PROGRAM = ("G0 X0 Y0", "G1 X1", "Y1", "G2 X2 Y0 R1", "G1 X0", "G53 G0 Z0")
ROWS_PER_BLOCK = 3
RECORDINGS = ("face<b>_001", "face<b>_002", "pocket_001", "pocket_002")
PROVENANCE = {
    "utc": "2026-01-01T00:00:00+00:00",
    "argv": ["step.py", "--name", "a b"],
    "git": {"commit": "0123456789abcdef", "dirty": True},
    "python": "3.11.0",
    "packages": {"numpy": "2.0", "wandb": None},
    "host": "here",
    "machine": "x86_64",
    "inputs": {"data/<i>.csv": "ab" * 32},
}
Blocks = dict[str, np.ndarray]


def true_blocks() -> np.ndarray:
    """The program, ROWS_PER_BLOCK rows a block, once for each recording."""
    return np.tile(np.repeat(np.array(PROGRAM), ROWS_PER_BLOCK), len(RECORDINGS))


def spoilt(share: float, seed: int = 0) -> np.ndarray:
    """The true blocks with a share of rows that have another block of the program."""
    blocks = true_blocks()
    random = np.random.default_rng(seed)
    wrong = random.random(len(blocks)) < share
    blocks[wrong] = np.roll(blocks, ROWS_PER_BLOCK)[wrong]
    return blocks


def write_results(
    folder: Path, written: np.ndarray, neighbour: np.ndarray, leaky: bool = False
) -> list[str]:
    """Writes the files of a pipeline; returns the options that name them."""
    blocks = {MODEL: written, NEIGHBOUR: neighbour, MAJORITY: np.full(len(written), PROGRAM[0])}
    dataset = dataset_document(leaky)
    write_json(folder / "dataset.json", DATASET_FORMAT, dataset)
    write_json(folder / "sweep.json", SWEEP_FORMAT, sweep_document())
    write_best(folder / "best")
    write_evaluation(folder / "evaluation", dataset, blocks)
    options = ["--dataset", "dataset.json", "--sweep", "sweep.json", "--best", "best"]
    options += ["--evaluation", "evaluation"]
    return [word if word.startswith("--") else str(folder / word) for word in options]


def dataset_document(leaky: bool) -> dict[str, Any]:
    """dataset.json of four recordings."""
    vocabulary = build_vocabulary(PROGRAM, ["face<b>", "pocket"])
    rows = ROWS_PER_BLOCK * len(PROGRAM)
    return {
        "provenance": PROVENANCE,
        "leaky": leaky,
        "window": {"rows": 4, "train_stride_rows": 2, "max_gap_seconds": 5.0},
        "split": {"by": "window" if leaky else "recording", "held_out": [], "val_fraction": 0.2,
                  "test_fraction": 0.2, "seed": 0},
        "groups": ["imu"],
        "controller_is_input": leaky,
        "splits": {
            name: {"recordings": list(RECORDINGS), "rows": 72, "windows": 10, "sha256": "cd" * 32}
            for name in ("train", "val", "test")
        },
        "channels": [{"name": "a.Ax", "unit": "g", "mean": 0.0, "std": 1.0}],
        "centered": True,
        "vocabulary": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in vars(vocabulary).items()
        },
        "left_out": [{"recording": "bad_001", "reason": "the clock runs <backwards>"}],
        "recordings": {
            name: {"operation": name.split("_")[0], "rows": rows, "longest_gap_seconds": 0.5,
                   "rows_in_file": rows + 1, "duplicate_rows": 1}
            for name in RECORDINGS
        },
        "counts": {"rows_in_file": 76, "duplicate_rows": 4},
    }  # fmt: skip


def sweep_document() -> dict[str, Any]:
    """sweep.json of a search over three hyperparameters."""
    return {
        "provenance": PROVENANCE,
        "id": "abcd1234", "engine": "local", "method": "random", "metric": "val/gcode_acc",
        "goal": "maximize", "seed": 7, "runs": 4, "training_code": "c0de",
        "parameters": {
            "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
            "optimizer": {"distribution": "categorical", "values": ["adamw", "sgd"]},
            "max_epochs": {"distribution": "constant", "values": [3]},
        },
    }  # fmt: skip


def write_best(folder: Path) -> None:
    """Four runs: the winner, a finished, a stopped and a failed one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runs.csv").write_text(
        "run,state,failure,reason,best_value,best_epoch,epochs,seconds,parameters,device,host,"
        "learning_rate,max_epochs,optimizer\n"
        "0001,finished,,all epochs done,0.61,3,3,9.5,1000,cpu,here,0.002,3,adamw\n"
        "0000,finished,,all epochs done,0.40,2,3,9.0,1000,cpu,here,0.0005,3,sgd\n"
        "0002,stopped,,early termination,0.20,1,1,3.0,1000,cpu,here,0.005,3,adamw\n"
        "0003,failed,diverged,<script>loss is nan</script>,,,,,,,here,0.01,3,sgd\n"
    )
    lines = ["run,epoch,train/loss,val/loss,val/gcode_acc"]
    epochs = {"0000": 3, "0001": 3, "0002": 1}
    lines += [
        f"{run},{epoch},{4 / epoch},{5 / epoch},{0.2 * epoch + 0.01 * int(run)}"
        for run, count in epochs.items()
        for epoch in range(1, count + 1)
    ]
    (folder / "curves.csv").write_text("\n".join(lines) + "\n")
    content = {
        "provenance": PROVENANCE, "run": "0001", "state": "finished", "best_value": 0.61,
        "hyperparameters": {"learning_rate": 0.002, "optimizer": "adamw", "seed": 3},
        "best_epoch": 3, "epochs": 3, "seconds": 9.5, "parameters": 1000, "device": "cpu",
        "sweeps": ["abcd1234"], "seeds": [], "runs": 4, "scored_again": 0.61,
        "metric": "val/gcode_acc", "goal": "maximize",
    }  # fmt: skip
    write_json(folder / "run.json", BEST_FORMAT, content)


def write_evaluation(folder: Path, dataset: dict[str, Any], blocks: Blocks) -> None:
    """metrics.json as the evaluation would score these blocks, and predictions.npz."""
    true = true_blocks()
    recording = np.repeat(np.arange(len(RECORDINGS)), len(true) // len(RECORDINGS))
    operation = recording // 2
    vocabulary = description_of(dataset).vocabulary

    def codes(texts: np.ndarray) -> np.ndarray:
        return vocabulary.encode(texts.tolist(), vocabulary.steps + 1)

    models: dict[str, Any] = {}
    for name, written in blocks.items():
        scores = row_scores(codes(written), codes(true), operation, operation)
        of = {k: estimate(s.hits, s.chances, recording)._asdict() for k, s in scores.items()}
        for axis, e in axis_errors(written, true, np.full(len(true), 25.4)).items():
            of[f"{axis.lower()}_error_mm"] = estimate(e.error_mm, e.counted, recording)._asdict()
        models[name] = of
    content = {
        "provenance": PROVENANCE, "leaky": dataset["leaky"], "split": dataset["split"],
        "controller_is_input": dataset["controller_is_input"], "recordings": len(RECORDINGS),
        "rows": len(true), "confidence": 0.95, "resamples": 2000, "models": models,
    }  # fmt: skip
    write_json(folder / "metrics.json", EVALUATION_FORMAT, content)
    np.savez(
        folder / "predictions.npz",
        recordings=np.array(RECORDINGS), recording=recording, row=np.arange(len(true)),
        seconds=np.tile(np.arange(len(true) // len(RECORDINGS)) * 0.25, len(RECORDINGS)),
        mm_per_unit=np.full(len(true), 25.4, np.float32),
        operations=np.array(vocabulary.operations), true_operation=operation,
        written_operation=operation, true_block=true,
        **{BLOCKS[name]: texts for name, texts in blocks.items()},
    )  # fmt: skip


def results_of(options: list[str]) -> Results:
    return read_results(*(Path(path) for path in options[1::2]))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A leaky pipeline's files with its figures, which show everything that a figure can."""
    folder = tmp_path_factory.mktemp("leaky")
    options = write_results(folder, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)
    assert figures.main([*options, "--output", str(folder / "figures")]) == 0
    return folder, options


def test_every_figure_is_drawn_and_marked(drawn: tuple[Path, list[str]]) -> None:
    folder = drawn[0] / "figures"
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(f"{stem}.{suffix}" for stem in TITLES for suffix in SUFFIXES)
    for stem in TITLES:
        image = (folder / f"{stem}.png").read_bytes()
        assert image.startswith(b"\x89PNG")
        assert len(image) > 10_000
        text = (folder / f"{stem}.svg").read_text()
        shown = " ".join(re.findall(r">([^<>]+)</(?:text|tspan)>", text))
        for note in (LEAKY_NOTE, CONTROLLER_NOTE):
            assert note in shown


def test_the_same_files_give_the_same_bytes(
    drawn: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {stem: figures.FIGURES[stem] for stem in ("toolpath", "accuracy")}
    monkeypatch.setattr(figures, "FIGURES", few)
    assert figures.main([*drawn[1], "--output", str(tmp_path)]) == 0
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (drawn[0] / "figures" / path.name).read_bytes(), path.name


def test_a_perfect_reconstruction_has_no_wrong_move(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    for path in toolpaths(results_of(options).predictions):
        assert path.accuracy == 1.0
        assert len(path.written) == len(path.true) == 5
        assert all(move.on_path and move.right for move in path.written)


def test_a_wrong_block_leads_astray_and_so_does_the_way_back(tmp_path: Path) -> None:
    blocks = true_blocks()
    blocks[2 * ROWS_PER_BLOCK : 3 * ROWS_PER_BLOCK] = "Y0"
    options = write_results(tmp_path, blocks, true_blocks())
    path = toolpaths(results_of(options).predictions)[-1]
    assert [move.right for move in path.written] == [True, False, True, True, True]
    assert [move.on_path for move in path.written] == [True, False, False, True, True]


def test_an_arc_keeps_its_radius(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    arc = middle(toolpaths(results_of(options).predictions)).true[2].points_mm
    # G2 from (1, 1) to (2, 0) inch with a radius of 1 inch: a clockwise quarter about (1, 0).
    np.testing.assert_allclose(np.hypot(*(arc - [25.4, 0.0]).T), 25.4)
    np.testing.assert_allclose(arc[[0, -1]], [[25.4, 25.4], [50.8, 0.0]])


def test_confusions_count_word_by_word(tmp_path: Path) -> None:
    written = true_blocks()
    rows = np.flatnonzero(written == "Y1")
    written[rows[0]] = "X1"  # Another parameter.
    written[rows[1]] = "G1 X1"  # Another kind, and no end where the end should be.
    written[np.flatnonzero(written == "G53 G0 Z0")[0]] = "G1"
    found = confusions(results_of(write_results(tmp_path, written, true_blocks())))
    types = found["token type"]
    assert types.true == ["command", "parameter", "end"]
    assert types.written == [*types.true, "nothing"]
    # The block of three words that became one: its words are an end and nothing, nothing its end.
    assert types.counts.tolist() == [[71, 0, 1, 0], [1, 106, 0, 1], [0, 1, 70, 1]]
    parameters = found["parameter type"]
    y_row = parameters.counts[parameters.true.index("Y")]
    assert dict(zip(parameters.written, y_row.tolist(), strict=True)) == {
        "R": 0, "X": 1, "Y": 34, "Z": 0, "other\nkind": 1,
    }  # fmt: skip
    assert found["operation"].counts.tolist() == [[36, 0], [0, 36]]


def test_confusions_agree_with_the_scores(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.4), true_blocks()))
    scores = results.evaluation["models"][MODEL]
    for name, metric in (("token type", "token_type"), ("command", "command")):
        counts = confusions(results)[name].counts
        assert np.trace(counts) / counts.sum() == pytest.approx(scores[metric]["value"])


@pytest.mark.parametrize(
    ("written", "neighbour", "kind", "words"),
    [(0.0, 0.5, BEATS, "beats"), (0.5, 0.0, FAILS, "does not beat"),
     (0.5, 0.52, UNDECIDED, "does not beat")],
)  # fmt: skip
def test_the_verdict_says_what_the_numbers_say(
    tmp_path: Path, written: float, neighbour: float, kind: str, words: str
) -> None:
    options = write_results(tmp_path, spoilt(written), spoilt(neighbour, seed=2))
    found = verdict(results_of(options))
    assert found.kind == kind
    assert words in found.headline
    assert "never seen in training" in found.sentence


def test_a_leaky_verdict_does_not_say_never_seen(drawn: tuple[Path, list[str]]) -> None:
    found = verdict(results_of(drawn[1]))
    assert "never seen" not in found.sentence
    assert found.headline.startswith("No evidence of sensing")


def test_the_report_stands_alone(drawn: tuple[Path, list[str]]) -> None:
    folder, options = drawn
    output = folder / "report.html"
    command = [*options, "--figures", str(folder / "figures"), "--output", str(output)]
    assert report.main(command) == 0
    page = output.read_text()
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert not re.search(r"url\(|@import|<script|<link", page)
    assert page.count("data:image/svg+xml;base64,") == len(TITLES)
    model = results_of(options).evaluation["models"][MODEL]
    for metric in ("gcode", "token", "operation"):
        assert f"{100 * model[metric]['value']:.1f} %" in page
    for escaped in ("face&lt;b&gt;_001", "&lt;script&gt;loss is nan", "runs &lt;backwards&gt;"):
        assert escaped in page
    for text in (LEAKY_NOTE, CONTROLLER_NOTE, "with uncommitted changes", "0123456789ab", "bad_001",
                 "python -m gcodefp.step --name &#39;a b&#39;"):  # fmt: skip
        assert text in page
    first = output.read_bytes()
    assert report.main(command) == 0
    assert output.read_bytes() == first


def test_missing_files_are_named_with_their_remedy(
    drawn: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*drawn[1], "--figures", str(tmp_path), "--output", str(tmp_path / "r.html")]
    assert report.main(command) == 1
    assert "--forcerun figures" in capsys.readouterr().err
    options = write_results(tmp_path, true_blocks(), true_blocks())
    (tmp_path / "evaluation" / "predictions.npz").unlink()
    with pytest.raises(UserError, match="--forcerun evaluate"):
        results_of(options)
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    (tmp_path / "sweep.json").write_text(json.dumps(sweep | {"id": "another"}))
    options = write_results(tmp_path / "other", true_blocks(), true_blocks())
    with pytest.raises(UserError, match="is of sweep abcd1234"):
        results_of([*options[:3], str(tmp_path / "sweep.json"), *options[4:]])


def test_snakemake_captions_say_the_same() -> None:
    folder = Path(__file__).parent.parent / "workflow" / "report"
    assert {path.stem for path in folder.glob("*.rst")} == {*CAPTIONS, "workflow"}
    for stem, caption in CAPTIONS.items():
        assert " ".join((folder / f"{stem}.rst").read_text().split()) == caption
    assert set(figures.FIGURES) == set(CAPTIONS) == set(TITLES)
