"""docs/files.md and docs/metrics.md name all that real files hold, and nothing that they do not."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from finished_results import finish
from learning_data import dataset_flags, tiny_flags
from reference_pages import DOCS, NAMES, leaves, pattern, quoted, rows, sections, unnamed, unused

from gcodefp import agent, compare, predict, protocols, train
from gcodefp.recordings.columns import BLOCK, CLOCK, LINE, MACHINE_COLUMNS, NODE_QUANTITIES, UNIT

FILES = sections("files.md")
SPECIFIC = {name: heading for heading in FILES for name in quoted(heading)}
"""Path of a file -> the heading of its section."""
ALSO = {
    "best/run.json": "runs/SWEEP/RUN/run.json",
    "controls/CONTROL/run.json": "runs/SWEEP/RUN/run.json",
}
"""Sections that tell only what is more than in another one."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the pipeline and the commands beside it write, made by them."""
    folder = tmp_path_factory.mktemp("reference")
    made = finish(folder)
    (made / "sweep/sweep.yaml").unlink()  # The sweep that the test wrote.
    data = dataset_flags(made / "dataset", "train", "val")
    where = ["--sweep", str(made / "sweep/sweep.json"), "--runs", str(made / "runs")]
    assert agent.main([*where, *data, "--output", str(made / "sweep/agents/1.json")]) == 0
    control = ["--control", "labels_shuffled", "--output", str(made / "controls/labels_shuffled")]
    assert train.main([*data, *control, *tiny_flags()]) == 0
    recording = sorted((folder / "recordings").iterdir())[0]
    checkpoint = ["--checkpoint", str(made / "best/checkpoint.pt"), "--device", "cpu"]
    output = ["--output", str(made / "predictions")]
    assert predict.main([str(recording), "--free", *checkpoint, *output]) == 0
    (sweep,) = (made / "runs").iterdir()
    compared = [str(sweep / "0000"), str(sweep / "0001"), "--runs", str(made / "runs")]
    assert compare.main([*compared, "--device", "cpu", "--output", str(folder / "compared")]) == 0
    flags = ["--evaluations", str(made / "evaluation"), "--winner", str(made / "best/run.json")]
    assert protocols.main([*flags, "--output", str(made / "protocols")]) == 0
    return made


def section(path: str) -> str | None:
    """The section that describes a file; None if it has none of its own."""
    for name, heading in SPECIFIC.items():
        if pattern(name, "[^/]+").fullmatch(path):
            return heading
    return None


def described(results: Path, suffix: str) -> dict[str, list[Path]]:
    """Heading -> files of this kind that its section is about."""
    by_heading: dict[str, list[Path]] = {}
    every = [(path.relative_to(results).as_posix(), path) for path in results.rglob(f"*{suffix}")]
    every += [(path.name, path) for path in (results.parent / "compared").glob(f"*{suffix}")]
    for name, path in every:
        heading = section(name)
        if heading or suffix != ".csv":
            assert heading, f"docs/files.md has no section on {name}"
            by_heading.setdefault(heading, []).append(path)
    return by_heading


def test_every_file_is_in_the_table_of_files(results: Path) -> None:
    named = [name for row in rows(FILES["All files"], "path") for name in quoted(row["path"])]
    patterns = [pattern(name, ".+" if name.endswith("FILE") else "[^/]+") for name in named]
    for path in results.rglob("*"):
        name = path.relative_to(results).as_posix()
        if path.is_file():
            assert any(p.fullmatch(name) for p in patterns), f"docs/files.md does not name {name}"


def test_keys_of_json_files_are_those_of_the_page(results: Path) -> None:
    common = rows(FILES["Every JSON document"], "key")
    seen = described(results, ".json")
    assert len(seen) == 14
    for heading, paths in seen.items():
        own = rows(FILES[heading], "key")
        (name, *_) = quoted(heading)
        more = rows(FILES[SPECIFIC[ALSO[name]]], "key") if name in ALSO else []
        documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        for document in documents:
            assert f"Format `{document['format']}`" in FILES[heading]
        keys = {key for document in documents for key in leaves(document)}
        assert unnamed(keys, [*own, *more, *common], "key") == set(), heading
        assert unused(keys, own, "key") == set(), heading


def test_arrays_of_npz_files_are_those_of_the_page(results: Path) -> None:
    seen = described(results, ".npz")
    assert sum(map(len, seen.values())) == 8
    for heading, paths in seen.items():
        documented = {quoted(row["array"])[0]: row for row in rows(FILES[heading], "array")}
        for who in rows(FILES[heading], "PREFIX"):
            (prefix,) = quoted(who["PREFIX"])
            answers = [what for what, yes in who.items() if yes == "yes"]
            documented |= {f"{prefix}_{what}": documented[f"PREFIX_{what}"] for what in answers}
        documented = {
            name: row for name, row in documented.items() if not name.startswith("PREFIX")
        }
        for path in paths:
            with np.load(path, allow_pickle=False) as arrays:
                assert set(arrays) == set(documented), path.name
                check_shapes({name: arrays[name] for name in arrays}, documented)


def check_shapes(arrays: dict[str, np.ndarray], documented: dict[str, dict[str, str]]) -> None:
    """Types, and shapes in which a letter means the same number throughout the file."""
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        kind = "text" if array.dtype.kind == "U" else str(array.dtype)
        assert kind == documented[name]["dtype"], name
        shape = [part.strip() for part in documented[name]["shape"].strip("()").split(",")]
        shape = [part for part in shape if part]
        assert len(shape) == array.ndim, name
        for letter, size in zip(shape, array.shape, strict=True):
            plus = int(letter.partition("+")[2] or 0)
            number = letter.partition("+")[0].strip()
            expected = int(number) if number.isdigit() else sizes.setdefault(number, size - plus)
            assert expected + plus == size, name


def test_columns_of_csv_files_are_those_of_the_page(results: Path) -> None:
    seen = described(results, ".csv")
    assert len(seen) == 9
    for heading, paths in seen.items():
        listed = rows(FILES[heading], "column")
        for path in paths:
            with path.open(encoding="utf-8") as lines:
                columns = set(next(csv.reader(lines)))
            assert unnamed(columns, listed, "column") == set(), path.name
            assert unused(columns, listed, "column") == set(), path.name


def test_a_checkpoint_has_the_keys_of_the_page(results: Path) -> None:
    (heading,) = (heading for heading in FILES if "checkpoint.pt" in heading)
    content = torch.load(results / "best/checkpoint.pt", weights_only=True)
    assert f"format `{content.pop('format')}`".lower() in FILES[heading].lower()
    assert {key for row in rows(FILES[heading], "key") for key in quoted(row["key"])} == set(
        content
    )


def test_every_column_of_a_recording_is_documented_with_its_group_and_unit() -> None:
    table = rows(FILES["Recordings"], "column")
    documented = {name: row for row in table for name in quoted(row["column"])}
    channels = {
        **{f"NODE.{q}": (g, u) for g, units in NODE_QUANTITIES.items() for q, u in units.items()},
        **{column: (g, u) for g, units in MACHINE_COLUMNS.items() for column, u in units.items()},
    }
    assert set(documented) == {CLOCK, LINE, BLOCK, UNIT, *channels}
    for column, (group, unit) in channels.items():
        assert quoted(documented[column]["group"]) == [group]
        assert documented[column]["unit"] == ("as `unit`" if unit == "program units" else unit)
    counted = [name for row in rows(FILES["Recordings"], "count") for name in quoted(row["count"])]
    assert counted == list(NAMES["COUNT"])


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("metric", "METRIC"),
        ("predictor", "PREDICTOR"),
        ("logged", "LOGGED_METRICS"),
        ("control", "CONTROL"),
    ],
)
def test_metrics_are_those_of_the_page(first: str, names: str) -> None:
    table = [row for text in sections("metrics.md").values() for row in rows(text, first)]
    assert sorted(name for row in table for name in quoted(row[first])) == sorted(NAMES[names])


def test_metrics_of_a_real_evaluation_have_these_names(results: Path) -> None:
    models = json.loads((results / "evaluation/metrics.json").read_text(encoding="utf-8"))["models"]
    assert set(models) == set(NAMES["PREDICTOR"])
    assert all(set(scores) == set(NAMES["METRIC"]) for scores in models.values())


def test_the_readme_leads_to_every_page() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(docs/(\w+\.md)", readme))
    assert linked == {page.name for page in DOCS.glob("*.md")}


@pytest.mark.parametrize(
    "page",
    ["commands.md", "comparison.md", "configuration.md", "files.md", "metrics.md", "pipeline.md",
     "predict.md", "protocols.md", "python.md", "sweeps.md", "tutorial.md"],
)  # fmt: skip
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        assert (DOCS / (target or page)).is_file(), target
        if anchor:
            headings = [heading.lower().replace(" ", "-") for heading in sections(target or page)]
            assert anchor in headings, f"{target}#{anchor}"
