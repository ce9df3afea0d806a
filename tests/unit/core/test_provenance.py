"""Which paths a document records, and which of them a published page shows."""

from pathlib import Path, PurePath

import pytest

from gcodefp.provenance import provenance, results_roots, without_private_folders


def test_inputs_below_the_working_directory_are_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside = tmp_path / "here/dataset/dataset.json", tmp_path / "there/a.csv"
    for path in (inside, outside):
        path.parent.mkdir(parents=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sys.argv", ["/usr/lib/step.py", "--x", str(inside), "-m", "../there"])
    recorded = provenance([inside, outside])
    assert list(recorded["inputs"]) == ["dataset/dataset.json", str(outside)]
    assert recorded["argv"] == ["step.py", "--x", "dataset/dataset.json", "-m", "../there"]


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/home/z x/run/best/checkpoint.pt", "RESULTS/best/checkpoint.pt"),
        ("/home/z x/run2/best/checkpoint.pt", "…/checkpoint.pt"),
        ("no file /home/z x/run/a.csv: empty", "no file RESULTS/a.csv: empty"),
        ("no file /home/z/data/a.csv (empty)", "no file …/a.csv (empty)"),
        (r"C:\Users\z\a.csv", "…/a.csv"),
        ("~/data/a.csv is truncated", "…/a.csv is truncated"),
        ("'--x=/home/z/a'", "'--x=…/a'"),
        ("../data/a.csv, 9 mm/min, G1 X1/Y2", "../data/a.csv, 9 mm/min, G1 X1/Y2"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("results/best/run.json", "results/best/run.json"),
    ],
)
def test_published_texts_have_no_private_folder(text: str, published: str) -> None:
    roots = results_roots(["/home/z x/run/dataset/dataset.json", "a/sweep/sweep.json", "/b/x.csv"])
    assert roots == {PurePath("/home/z x/run"), PurePath("a")}
    assert without_private_folders({text: [text, 1]}, roots) == {published: [published, 1]}
