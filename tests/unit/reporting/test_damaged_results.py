"""Damaged result files: whatever is wrong, figures and page draw it or refuse it in one message."""

import io
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fuzzing import fuzz, mutate_arrays, mutate_document, mutate_text, mutations
from protocol_files import repeated, write_protocols
from result_files import PROVENANCE, results_of, spoilt, true_blocks, write_results

from gcodefp.detection.verdict import DETECTION_FORMAT
from gcodefp.errors import UserError
from gcodefp.files import write_json
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.paper import draw_figure, paper_style
from gcodefp.reporting.page import render
from gcodefp.reporting.protocols_table import (
    markdown,
    protocol_rows,
    read_fold,
    read_protocols,
    table_csv,
)

DOCUMENTS = ("dataset.json", "sweep.json", "best/run.json", "evaluation/metrics.json",
             "explanation/explanation.json", "protocols.json", "detection.json")  # fmt: skip
TABLES = ("best/runs.csv", "best/curves.csv", "best/work.csv", "best/system.csv")
ARRAYS = ("evaluation/predictions.npz", "explanation/explanation.npz")


SHARE = {"value": 0.5, "low": 0.25, "high": 1.0}
KIND = {"copies": 4, "detected_at_0.01": SHARE, "detected_at_0.05": SHARE, "verdicts": {}}
CUT = {"auroc": {"detector": SHARE, "row count": SHARE}, "location_error_seconds": SHARE,
       "live_detected": SHARE, "live_delay_seconds": {"median": 1.5, "p95": None}}  # fmt: skip
DETECTION = {
    "provenance": PROVENANCE,
    "leaky": False,
    "good_recordings": 4,
    "calibration": {"recordings": 9, "least_rate": 0.1, "pooled": True, "pooled_p": None},
    "live": {"limits": {}, "false_alarms_per_hour": 2.0},
    "kinds": {"good": KIND, "cut 5 s": KIND | CUT},
}


class Damaged(NamedTuple):
    """One file of a finished pipeline, and what stands in it."""

    name: str
    content: bytes


class Pipeline:
    """A finished pipeline in which one file at a time is replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = write_results(folder, spoilt(0.3), true_blocks())
        write_json(folder / "detection.json", DETECTION_FORMAT, DETECTION)
        self.options += ["--detection", str(folder / "detection.json")]
        best_run = json.loads((folder / "best/run.json").read_text())
        write_protocols(folder / "protocols.json", best_run)
        (folder / "figures").mkdir()
        for stem in FIGURES:
            (folder / f"figures/{stem}.svg").write_text("<svg/>")
        names = (*DOCUMENTS, *TABLES, *ARRAYS)
        self.valid = {name: (folder / name).read_bytes() for name in names}
        self._turn = count()

    @contextmanager
    def damaged(self, name: str, content: bytes) -> Iterator[Path]:
        """The path of a file with another content, for a while."""
        path = self.folder / name
        path.write_bytes(content)
        try:
            yield path
        finally:
            path.write_bytes(self.valid[name])

    def page(self) -> str:
        return render(
            results_of(self.options), self.folder / "figures", self.folder / "protocols.json"
        )

    def show(self, damaged: Damaged) -> None:
        """Page, table of protocols and some of the figures, with one file replaced."""
        with self.damaged(*damaged), paper_style():
            results, turn = results_of(self.options), next(self._turn)
            for offset in range(2):
                figure = draw_figure(list(FIGURES)[(turn + offset) % len(FIGURES)], results)
            if turn % 4 == 0:
                figure.draw_without_rendering()
            self.page()
            rows = protocol_rows(repeated(read_fold(self.folder / "evaluation")))
            markdown(rows, [])
            table_csv(rows)


def changed(content: bytes, change: Callable[[Any], Any]) -> bytes:
    """Another JSON document or NPZ file; `change` is of its keys or arrays."""
    if content.startswith(b"{"):
        return json.dumps(change(json.loads(content))).encode()
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = change(dict(stored))
    text = io.BytesIO()
    np.savez(text, **arrays)
    return text.getvalue()


def edited(content: bytes, edit: Callable[[Any], object]) -> bytes:
    """The same; `edit` changes what it gets."""

    def change(part: Any) -> Any:
        edit(part)
        return part

    return changed(content, change)


def mutate(rng: random.Random, damaged: Damaged) -> Damaged:
    """One change of the file's bytes, or of its keys, values and arrays."""
    name, content = damaged
    if name in TABLES or rng.random() < 0.1:
        return Damaged(name, mutate_text(rng, content))
    change = mutate_number if rng.random() < 0.4 else mutate_document
    change = change if name in DOCUMENTS else mutate_arrays
    try:
        return Damaged(name, changed(content, partial(change, rng)))
    except Exception:  # Of an earlier mutation.
        return damaged


def mutate_number(rng: random.Random, document: Any) -> Any:
    """One number becomes another of its sign, up to a million times as large or small."""
    numbers: list[tuple[Any, Any]] = []

    def collect(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if isinstance(value, dict | list):
                collect(value)
            elif isinstance(value, int | float) and abs(value) < 1e18 and value is not True:
                numbers.append((node, key))

    if isinstance(document, dict | list):
        collect(document)
    if numbers:
        node, key = rng.choice(numbers)
        scaled = node[key] * 10 ** rng.uniform(-6, 6)
        node[key] = int(min(scaled, 1e18)) if isinstance(node[key], int) else scaled
    return document


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("pipeline"))


def with_nan(array: Any) -> Any:
    return np.where(np.arange(len(array)) == 71, np.nan, array.T).T


REBUILDS = {
    "evaluation": "--forcerun evaluate",
    "explanation": "--forcerun explain",
    "best": "--forcerun select_best",
    "dataset.json": "--forcerun preprocess",
    "sweep.json": "create_sweep",
    "detection.json": "--forcerun fit_detector",
}
PREDICTIONS, METRICS = "evaluation/predictions.npz", "evaluation/metrics.json"
CHANGES: list[tuple[str, Callable[[Any], object], str]] = [
    (PREDICTIONS, lambda d: d.update(model_block=d["model_block"][:-1]),
     "model_block has shape (71,)"),
    (PREDICTIONS, lambda d: d.update(seconds=with_nan(d["seconds"])), "seconds has nan at [71]"),
    (PREDICTIONS, lambda d: d.update(whole_position_mm=with_nan(d["whole_position_mm"])),
     "whole_position_mm has positions in"),
    (PREDICTIONS, lambda d: d.update(recording=d["recording"] + 1), "recording has 4 at [54]"),
    (METRICS, lambda d: d["models"]["gcodefp"].pop("token"), "models.gcodefp: {"),
    (METRICS, lambda d: d.update(rows=-1), "rows: -1"),
    (METRICS, lambda d: d.pop("ladder"), "ladder: is missing"),
    (METRICS, lambda d: d["ladder"][0].update(rows=None),
     "rows and seconds are null in its last entry, and in no other"),
    (METRICS, lambda d: d["ladder"][1]["models"].pop("matched filter"),
     "its entries have different models"),
    (METRICS, lambda d: d["ladder"][0]["models"]["gcodefp"]["within_1s"].update(value=1.5),
     "ladder.0.models.gcodefp.within_1s.value: 1.5"),
    (METRICS, lambda d: d["baselines"]["matched filter"].update(clip=[1]),
     "baselines.matched filter.clip"),
    ("explanation/explanation.npz",
     lambda d: d.update(model_confidence=with_nan(d["model_confidence"])),
     "model_confidence has nan at [71]"),
    ("explanation/explanation.npz", lambda d: d.update(excerpt_samples=d["excerpt_samples"][:, 1:]),
     "excerpt_samples has shape (18, 3)"),
    ("explanation/explanation.json", lambda d: d["sensors"]["without"].clear(),
     "sensors.without: []"),
    ("best/run.json", lambda d: d.update(best_value="0.6"), "best_value: '0.6'"),
    ("dataset.json", lambda d: d["programs"].update(step_seconds=0), "programs.step_seconds: 0"),
    ("sweep.json", lambda d: d.update(seed=None), "seed: None"),
    ("detection.json", lambda d: d["kinds"]["good"].pop("detected_at_0.05"),
     "kinds.good.detected_at_0.05: is missing"),
]  # fmt: skip
REPLACED = [
    ("best/runs.csv", b"9.5", b"long", "line 2: seconds is 'long'"),
    ("best/runs.csv", b"0001,", b"0000,", "run: lacks the best run 0001"),
    ("best/curves.csv", b"0001,3", b"0001,2", "line 7: epoch is 2"),
    ("best/work.csv", b"run,utc_seconds", b"run,seconds", "no column utc_seconds"),
    ("best/work.csv", b",host", b",hosts", "no column host"),
]


def test_a_damaged_file_is_named_with_its_key_and_what_rebuilds_it(pipeline: Pipeline) -> None:
    cases = [(name, edited(pipeline.valid[name], edit), end) for name, edit, end in CHANGES]
    for name, old, new, problem in REPLACED:
        cases.append((name, pipeline.valid[name].replace(old, new, 1), problem))
    cases.append((PREDICTIONS, pipeline.valid[PREDICTIONS][:-500], "cannot be read"))
    for name, content, problem in cases:
        with pytest.raises(UserError) as refused:
            pipeline.show(Damaged(name, content))
        message = str(refused.value)
        assert message.startswith(f"{pipeline.folder / name}: ")
        assert problem in message
        assert REBUILDS[name.split("/")[0]] in message, (name, problem)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (lambda d: d["protocols"][0]["verdicts"]["gcodefp"]["folds"][2].update(train_recordings=0),
         "train_recordings: 0"),
        (lambda d: d["protocols"][0].update(baseline="luck"), "has no key 'luck'"),
        (lambda d: d.update(format="gcodefp-protocols-2"), "format"),
    ],
)  # fmt: skip
def test_the_page_does_without_a_damaged_table_of_protocols(
    pipeline: Pipeline, edit: Callable[[Any], object], problem: str
) -> None:
    name = "protocols.json"
    wrong = f"{problem}.*snakemake --cores all protocols"
    with pipeline.damaged(name, edited(pipeline.valid[name], edit)) as path:
        with pytest.raises(UserError, match=wrong) as refused:
            read_protocols(path)
        page = pipeline.page()
    assert str(refused.value).startswith(f"{path}: ")
    assert "cannot read protocols.json" in page
    assert "One fold (" in page


def test_a_conclusion_is_that_of_its_folds_whatever_is_written(pipeline: Pipeline) -> None:
    def edit(document: Any) -> None:
        entry = document["protocols"][0]["verdicts"]["gcodefp"]
        entry.update(kind="beats", conclusion="It wins.", difference={"low": 0.1})

    rows = []
    for change in (lambda document: None, edit):
        content = edited(pipeline.valid["protocols.json"], change)
        with pipeline.damaged("protocols.json", content) as path:
            rows.append(read_protocols(path)["protocols"][0]["verdicts"]["gcodefp"])
    assert rows[0] == rows[1]
    assert rows[0]["kind"] != "beats"


@pytest.mark.filterwarnings("ignore")
def test_fuzz_result_files(pipeline: Pipeline) -> None:
    valid = [Damaged(name, content) for name, content in pipeline.valid.items()]
    for each in valid:  # Imports what figures need before the memory is limited.
        pipeline.show(each)
    fuzz(pipeline.show, mutations(valid, mutate)).check()
