"""Damaged result files: whatever is wrong, figures and page draw it or refuse it in one message."""

import io
import json
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from fuzzing import fuzz, mutate_arrays, mutate_document, mutate_text, mutations
from protocol_files import repeated, write_protocols
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.errors import UserError
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
             "explanation/explanation.json", "protocols.json")  # fmt: skip
TABLES = ("best/runs.csv", "best/curves.csv", "best/work.csv", "best/system.csv")
ARRAYS = ("evaluation/predictions.npz", "explanation/explanation.npz")


class Damaged(NamedTuple):
    """One file of a finished pipeline, and what stands in it."""

    name: str
    content: bytes


class Pipeline:
    """A finished pipeline in which one file at a time is replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = write_results(folder, spoilt(0.3), true_blocks())
        best_run = json.loads((folder / "best/run.json").read_text())
        write_protocols(folder / "protocols.json", best_run)
        (folder / "figures").mkdir()
        for stem in FIGURES:
            (folder / f"figures/{stem}.svg").write_text("<svg/>")
        names = (*DOCUMENTS, *TABLES, *ARRAYS)
        self.valid = [Damaged(name, (folder / name).read_bytes()) for name in names]
        self._turn = count()

    def show(self, damaged: Damaged) -> None:
        """Page, table of protocols and some of the figures, with one file replaced."""
        path = self.folder / damaged.name
        before = path.read_bytes()
        path.write_bytes(damaged.content)
        try:
            results = results_of(self.options)
            turn = next(self._turn)
            with paper_style():
                for offset in range(2):
                    figure = draw_figure(list(FIGURES)[(turn + offset) % len(FIGURES)], results)
                if turn % 4 == 0:
                    figure.draw_without_rendering()
            render(results, self.folder / "figures", self.folder / "protocols.json")
            rows = protocol_rows(repeated(read_fold(self.folder / "evaluation")))
            markdown(rows, [])
            table_csv(rows)
        finally:
            path.write_bytes(before)


def mutate(rng: random.Random, damaged: Damaged) -> Damaged:
    """One change of the file's bytes, or of its keys, values and arrays."""
    content = damaged.content
    if damaged.name in TABLES or rng.random() < 0.1:
        return damaged._replace(content=mutate_text(rng, content))
    if damaged.name in DOCUMENTS:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            return damaged
        change = mutate_number if rng.random() < 0.4 else mutate_document
        return damaged._replace(content=json.dumps(change(rng, document)).encode())
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = mutate_arrays(rng, dict(stored))
    except Exception:
        return damaged
    text = io.BytesIO()
    np.savez(text, **arrays)
    return damaged._replace(content=text.getvalue())


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


def _changed_array(name: str, change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        with np.load(io.BytesIO(content)) as stored:
            arrays = {**stored, name: change(stored[name])}
        text = io.BytesIO()
        np.savez(text, **arrays)
        return text.getvalue()

    return damage


def _changed_key(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return damage


def _with_nan(array: Any) -> Any:
    return np.where(np.arange(len(array)) == 71, np.nan, array.T).T


def _swap(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old.encode(), new.encode(), 1)


EVALUATE, EXPLAIN, SELECT = (f"--forcerun {s}" for s in ("evaluate", "explain", "select_best"))
CASES: list[tuple[str, Callable[[bytes], bytes], str, str]] = [
    ("evaluation/predictions.npz", lambda content: content[:-500], "cannot be read", EVALUATE),
    ("evaluation/predictions.npz", _changed_array("model_block", lambda a: a[:-1]),
     "model_block has shape (71,)", EVALUATE),
    ("evaluation/predictions.npz", _changed_array("seconds", _with_nan), "seconds has nan at [71]",
     EVALUATE),
    ("evaluation/predictions.npz", _changed_array("whole_position_mm", _with_nan),
     "whole_position_mm has positions in", EVALUATE),
    ("evaluation/predictions.npz", _changed_array("recording", lambda a: a + 1),
     "recording has 4 at [54]", EVALUATE),
    ("evaluation/metrics.json", _changed_key(lambda d: d["models"]["gcodefp"].pop("token")),
     "models.gcodefp: {", EVALUATE),
    ("evaluation/metrics.json", _changed_key(lambda d: d.update(rows=-1)), "rows: -1", EVALUATE),
    ("evaluation/metrics.json", _changed_key(lambda d: d.pop("ladder")), "ladder: is missing",
     EVALUATE),
    ("evaluation/metrics.json", _changed_key(lambda d: d["ladder"][0].update(rows=None)),
     "rows and seconds are null in its last entry, and in no other", EVALUATE),
    ("evaluation/metrics.json",
     _changed_key(lambda d: d["ladder"][1]["models"].pop("matched filter")),
     "its entries have different models", EVALUATE),
    ("evaluation/metrics.json",
     _changed_key(lambda d: d["ladder"][0]["models"]["gcodefp"]["within_1s"].update(value=1.5)),
     "ladder.0.models.gcodefp.within_1s.value: 1.5", EVALUATE),
    ("evaluation/metrics.json",
     _changed_key(lambda d: d["baselines"]["matched filter"].update(clip=[1])),
     "baselines.matched filter.clip", EVALUATE),
    ("explanation/explanation.npz", _changed_array("model_confidence", _with_nan),
     "model_confidence has nan at [71]", EXPLAIN),
    ("explanation/explanation.npz", _changed_array("excerpt_samples", lambda a: a[:, 1:]),
     "excerpt_samples has shape (18, 3)", EXPLAIN),
    ("explanation/explanation.json", _changed_key(lambda d: d["sensors"]["without"].clear()),
     "sensors.without: []", EXPLAIN),
    ("best/run.json", _changed_key(lambda d: d.update(best_value="0.6")), "best_value: '0.6'",
     SELECT),
    ("best/runs.csv", _swap("9.5", "long"), "line 2: seconds is 'long'", SELECT),
    ("best/runs.csv", _swap("0001,", "0000,"), "run: lacks the best run 0001", SELECT),
    ("best/curves.csv", _swap("0001,3", "0001,2"), "line 7: epoch is 2", SELECT),
    ("best/work.csv", _swap("run,utc_seconds", "run,seconds"), "no column utc_seconds", SELECT),
    ("dataset.json", _changed_key(lambda d: d["programs"].update(step_seconds=0)),
     "programs.step_seconds: 0", "--forcerun preprocess"),
    ("sweep.json", _changed_key(lambda d: d.pop("seed")), "seed: is missing", "create_sweep"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "problem", "rebuild"), CASES)
def test_a_damaged_file_is_named_with_its_key_and_what_rebuilds_it(
    pipeline: Pipeline, name: str, damage: Callable[[bytes], bytes], problem: str, rebuild: str
) -> None:
    content = next(valid.content for valid in pipeline.valid if valid.name == name)
    with pytest.raises(UserError) as refused:
        pipeline.show(Damaged(name, damage(content)))
    message = str(refused.value)
    assert message.startswith(f"{pipeline.folder / name}: ")
    assert problem in message
    assert rebuild in message


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_changed_key(lambda d: d["protocols"][0]["verdicts"]["gcodefp"]["folds"][2].update(
            train_recordings=0)), "train_recordings: 0"),
        (_changed_key(lambda d: d["protocols"][0].update(baseline="luck")), "has no key 'luck'"),
        (_swap("protocols-3", "protocols-2"), "format"),
    ],
)  # fmt: skip
def test_the_page_does_without_a_damaged_table_of_protocols(
    pipeline: Pipeline, damage: Callable[[bytes], bytes], problem: str
) -> None:
    path = pipeline.folder / "protocols.json"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    try:
        with pytest.raises(UserError) as refused:
            read_protocols(path)
        page = render(results_of(pipeline.options), pipeline.folder / "figures", path)
    finally:
        path.write_bytes(content)
    assert str(refused.value).startswith(f"{path}: ")
    assert problem in str(refused.value)
    assert "snakemake --cores all protocols" in str(refused.value)
    assert "cannot read protocols.json" in page
    assert "One fold (" in page


def test_a_conclusion_is_that_of_its_folds_whatever_is_written(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    document = json.loads((pipeline.folder / "protocols.json").read_text())
    entry = document["protocols"][0]["verdicts"]["gcodefp"]
    expected = dict(entry)
    entry.update(kind="beats", conclusion="It wins.")
    assert entry["kind"] != expected["kind"]
    entry["difference"]["low"] = 0.1
    (tmp_path / "protocols.json").write_text(json.dumps(document))
    row, _ = read_protocols(tmp_path / "protocols.json")["protocols"]
    assert row["verdicts"]["gcodefp"]["conclusion"] == expected["conclusion"]
    assert row["verdicts"]["gcodefp"]["kind"] == expected["kind"]
    assert row["verdicts"]["gcodefp"]["difference"]["low"] != 0.1


@pytest.mark.filterwarnings("ignore")
def test_fuzz_result_files(pipeline: Pipeline) -> None:
    fuzz(pipeline.show, mutations(pipeline.valid, mutate)).check()
