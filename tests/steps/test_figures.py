"""The stage that draws all figures of small files, as the stages before would write them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from result_files import spoilt, write_results

from gcodefp import figures
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.paper import SUFFIXES

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


def test_named_figures_are_drawn_also_with_other_titles(
    pipeline: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*pipeline, "--output", str(tmp_path)]
    own = [*flags, "--only", "accuracy", "ladder", "--title", "accuracy", "Ours & theirs"]
    assert figures.main(own) == 0
    assert {path.stem for path in tmp_path.iterdir()} == {"accuracy", "ladder"}
    shown = {name: (tmp_path / f"{name}.svg").read_text() for name in ("accuracy", "ladder")}
    assert ["Ours &amp; theirs" in svg for svg in shown.values()] == [True, False]
    assert "Within 1 s: gcodefp" not in shown["accuracy"]
    assert figures.main([*own, "--no-titles"]) == 0
    assert "**Ours & theirs.** " in (tmp_path / "captions.md").read_text()
    for wrong in (["--title", "lader", "Ours"], ["--only", "lader"]):
        assert figures.main([*flags, *wrong]) == 1
        assert f"{wrong[0]}: no figure 'lader'; did you mean 'ladder'?" in capsys.readouterr().err


def test_a_results_folder_has_all_inputs_also_the_optional_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path, spoilt(0.3), spoilt(0.7, seed=1))
    for name in ("dataset", "sweep", "detection"):
        (tmp_path / name).mkdir()
    for name in ("dataset", "sweep"):
        (tmp_path / f"{name}.json").rename(tmp_path / name / f"{name}.json")
    detection = tmp_path / "detection/detection.json"
    detection.write_text('{"format": "gcodefp-detection-1"}')
    command = ["--results", str(tmp_path), "--only", "dataset", "--output", str(tmp_path)]
    assert figures.main(command) == 1
    assert f"{detection}: provenance: is missing" in capsys.readouterr().err
    detection.unlink()
    assert figures.main(command) == 0


def test_the_register_needs_no_matplotlib() -> None:
    """The Snakefile reads it at every start."""
    code = (
        "import sys; from gcodefp.reporting.figures import FIGURES; "
        "sys.exit(bool({'matplotlib', 'numpy', 'torch'} & set(sys.modules)) or len(FIGURES) != 18)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert all(record.caption.endswith(".") for record in FIGURES.values())
