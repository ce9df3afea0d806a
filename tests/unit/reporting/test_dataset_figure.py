"""The figure of what the data are: what was left out, and how much each rule touched."""

from pathlib import Path

from matplotlib.text import Text
from result_files import results_of, true_blocks, write_results

from gcodefp.reporting.figures.dataset import draw_dataset, left_out_text


def test_recordings_that_were_left_out_are_told_with_their_reasons() -> None:
    entries = [{"recording": f"face_{i:03}", "reason": f"reason {i}"} for i in range(12)]

    def told(count: int) -> str:
        return left_out_text({"left_out": entries[:count]})

    assert told(0) == "no recording was left out"
    assert told(1) == "1 left out: face_000 (reason 0)"
    reasons = "face_000 (reason 0), face_001 (reason 1), face_002 (reason 2)"
    assert told(4) == f"4 left out: {reasons}; also face_003"
    names = ", ".join(f"face_{i:03}" for i in range(3, 9))
    assert told(12) == f"12 left out: {reasons}; also {names}, 3 more"


def test_rules_are_told_with_what_they_did_and_how_often(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    shown = [text.get_text().replace("\n", " ") for text in draw_dataset(results).findobj(Text)]
    assert "rows that repeat the one before: dropped" in shown
    assert "4 (5.3\N{NO-BREAK SPACE}%)" in shown  # Of 76 rows.
    assert shown.count("none") == 6
    assert any("1 left out: bad_001 (the clock runs <backwards>)" in text for text in shown)
