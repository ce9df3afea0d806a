"""The stage that draws all figures of small files, as the stages before would write them."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from result_files import spoilt, write_results

from gcodefp import figures
from gcodefp.command_line import add_results_flags, command_parser, run_command
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.reporting.figures import CATEGORIES, FIGURES
from gcodefp.reporting.figures.paper import SUFFIXES
from gcodefp.reporting.results import results_from_flags

SHOWN = [stem for stem in FIGURES if stem != "pareto"]
"""Without two quantities."""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags that name a leaky pipeline's files."""
    folder = tmp_path_factory.mktemp("leaky")
    return write_results(folder, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)


def test_every_figure_is_drawn_and_marked_and_repeats_bit_by_bit(
    pipeline: list[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        assert figures.main([*pipeline, "--output", str(folder)]) == 0
    names = {path.name for path in first.iterdir()}
    assert names == {f"{stem}.{suffix}" for stem in SHOWN for suffix in SUFFIXES}
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    for stem in SHOWN:
        assert (first / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert (first / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
        svg = (first / f"{stem}.svg").read_text()
        shown = " ".join(re.findall(r">([^<>]+)</(?:text|tspan)>", svg))
        assert LEAKY_NOTE in shown
        assert CONTROLLER_NOTE in shown


def test_titles_are_left_out_and_warnings_are_not(tmp_path: Path) -> None:
    pipeline = write_results(tmp_path, spoilt(0.3), spoilt(0.7, seed=1), leaky=True)
    dataset, shown = tmp_path / "dataset.json", []
    one = ["--only", "accuracy"]
    for flags, is_simulated in ((one, False), (one, True), (["--no-titles"], True)):
        content = json.loads(dataset.read_text()) | {"simulated": is_simulated}
        dataset.write_text(json.dumps(content))
        assert figures.main([*pipeline, *flags, "--output", str(tmp_path)]) == 0
        svg = (tmp_path / "accuracy.svg").read_text()
        words = ("Within 1 s: gcodefp", "test split: ", LEAKY_NOTE, "simulated recordings; ")
        shown.append([text in svg for text in words])
    assert shown == [[True, True, True, False], [True] * 4, [False, False, True, False]]
    captions = (tmp_path / "captions.md").read_text()
    assert "**Within 1 s: gcodefp" in captions
    assert "Drawn by `gcodefp.reporting.figures.scores.draw_window_lengths`." in captions


def test_only_the_named_figures_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*write_results(tmp_path, spoilt(0.3), spoilt(0.7, seed=1)), "--output"]
    assert figures.main([*flags, str(tmp_path / "one"), "--only", "ladder"]) == 0
    assert {path.stem for path in (tmp_path / "one").iterdir()} == {"ladder"}
    assert figures.main([*flags, str(tmp_path / "no"), "--only", "lader"]) == 1
    assert "no figure 'lader'; did you mean 'ladder'?" in capsys.readouterr().err


def test_a_figure_may_have_another_title(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*write_results(tmp_path, spoilt(0.3), spoilt(0.7, seed=1)), "--output", str(tmp_path)]
    own = [*flags, "--only", "accuracy", "ladder", "--title", "accuracy", "Ours & theirs"]
    assert figures.main(own) == 0
    shown = {name: (tmp_path / f"{name}.svg").read_text() for name in ("accuracy", "ladder")}
    assert ["Ours &amp; theirs" in svg for svg in shown.values()] == [True, False]
    assert "Within 1 s: gcodefp" not in shown["accuracy"]
    assert figures.main([*own, "--no-titles"]) == 0
    assert "**Ours & theirs.** " in (tmp_path / "captions.md").read_text()
    assert figures.main([*flags, "--title", "acuracy", "Ours"]) == 1
    assert "--title: no figure 'acuracy'; did you mean 'accuracy'?" in capsys.readouterr().err


def test_a_results_folder_has_all_inputs_also_the_optional_ones(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_results(folder, spoilt(0.3), spoilt(0.7, seed=1))
    for name in ("dataset", "sweep", "detection"):
        (folder / name).mkdir(exist_ok=True)
    for name in ("dataset", "sweep"):
        (folder / f"{name}.json").rename(folder / name / f"{name}.json")
    (folder / "detection/detection.json").write_text("{}")
    parser = command_parser("figures", None)
    add_results_flags(parser)
    shown = []

    def read(arguments: argparse.Namespace) -> None:
        shown.append(results_from_flags(arguments))

    assert run_command(parser, read, ["--results", str(folder)]) == 1  # It is read.
    (folder / "detection/detection.json").unlink()
    parser = command_parser("figures", None)
    add_results_flags(parser)
    assert run_command(parser, read, ["--results", str(folder)]) == 0
    assert len(shown) == 1


def test_the_register_needs_no_matplotlib() -> None:
    """The Snakefile reads it at every start."""
    code = (
        "import sys; from gcodefp.reporting.figures import FIGURES; "
        "sys.exit(bool({'matplotlib', 'numpy', 'torch'} & set(sys.modules)) or len(FIGURES) != 18)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for record in FIGURES.values():
        assert record.category in CATEGORIES
        assert record.caption.endswith(".")
