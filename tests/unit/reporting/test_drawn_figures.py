"""Every figure of small result files: usual, sparse and odd ones, and the numbers it draws."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from drawn_figures import drawn, one_recording, texts
from matplotlib.figure import Figure
from matplotlib.text import Text
from result_documents import LAG_SECONDS, RECORDINGS, dataset_document, window_lengths
from result_files import results_of, true_blocks, write_results
from sweep_results import MOMENTUM, OPTIMIZER, RATE, SEARCHED, decided_by_rate, swept

from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.evaluation.names import BASELINE, ELAPSED, FILTER, MAJORITY, MODEL, SENSORS, WHOLE
from gcodefp.evaluation.significance import MIN_RECORDINGS
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.channels import Panel, accuracy_drops, choose_panels
from gcodefp.reporting.figures.dataset import excluded_text, lags_of
from gcodefp.reporting.figures.epochs import brackets, metric_map, saved_share
from gcodefp.reporting.figures.errors import confusion
from gcodefp.reporting.figures.hyperparameters import GRID, smoothed
from gcodefp.reporting.figures.paper import MODEL_BLUE, draw_figure, paper_style, save, short_name
from gcodefp.reporting.results import Predictions, Results, StoredExplanation
from gcodefp.reporting.sweep_runs import describe_runs
from gcodefp.reporting.wording import MAIN_METRICS, PREDICTOR_KINDS, group_title, logged_metric

HYPERBAND = {"as_written": {"early_terminate": {"type": "hyperband", "min_iter": 1}}}
SWEEP = tuple(stem for stem, record in FIGURES.items() if record.category == "Sweep")
Edit = Callable[[Results], Results]


def cut_texts(figure: Figure) -> list[str]:
    """Texts that are not whole within the figure; ticks beyond an axis's ends are not drawn."""
    every = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        if axes.axison:
            children = [child for child in axes.get_children() if isinstance(child, Text)]
            every += [axes.xaxis.label, axes.yaxis.label, *children]
    bounds = figure.bbox.padded(1)
    boxes = {text.get_text(): text.get_window_extent() for text in every if text.get_visible()}
    return [
        text
        for text, box in boxes.items()
        if text and not (bounds.contains(box.x0, box.y0) and bounds.contains(box.x1, box.y1))
    ]


def evaluated(**values: object) -> Edit:
    return lambda results: replace(results, evaluation={**results.evaluation, **values})


def explained(**arrays: object) -> Edit:
    return lambda results: replace(results, explanation=replace(results.explanation, **arrays))


def document(results: Results, **values: object) -> Results:
    """Other values in explanation.json."""
    return explained(document={**results.explanation.document, **values})(results)


def with_lags(*lags: float | None) -> Edit:
    def edit(results: Results) -> Results:
        dataset: dict[str, Any] = dataset_document(False)
        for recording, lag in zip(dataset["recordings"].values(), lags, strict=True):
            recording["lag_seconds"] = lag
        return replace(results, dataset=dataset)

    return edit


def only_sensors(results: Results) -> Results:
    names = (MODEL, WHOLE)
    models = {name: results.evaluation["models"][name] for name in names}
    return evaluated(models=models)(results)


def of_two_sweeps(results: Results) -> Results:
    return replace(results, best_run={**results.best_run, "sweeps": ["abcd1234", "ef567890"]})


def without_curves(results: Results) -> Results:
    columns = ["val/gcode_acc", "val/loss"]
    return replace(results, curves=results.curves.drop(columns=columns))


def without_work(results: Results) -> Results:
    return replace(results, work=results.work.iloc[:0])


CASES: dict[str, tuple[Edit, dict[str, str]]] = {
    "usual": (
        lambda r: r,
        {**dict.fromkeys(FIGURES, ""),
         "timeline": "1 interruption, 0 epochs trained twice",
         "importance": "Only 3 runs have a value", "contours": "Only 3 runs have a value",
         "dataset": "1 excluded: bad_001 (the clock runs <backwards>)",
         "learning_curves": "all 4 runs of sweep abcd1234, random search: 2 finished, 1 pruned"},
    ),
    "leaky": (evaluated(leaky=True), dict.fromkeys(FIGURES, LEAKY_NOTE)),
    "one recording": (
        lambda r: one_recording(r, 1),
        {"toolpath": "all 1 recording", "confusion": "operation", "gcode_diff": "face<b>_002",
         "accuracy": "test split: 1 recording, 18 rows"},
    ),
    "no baselines": (only_sensors, {"accuracy": "Within 1 s: gcodefp"}),
    "no window lengths": (evaluated(ladder=[]), {"ladder": "no window was decoded"}),
    "whole recordings only": (
        evaluated(ladder=window_lengths()[-1:]), {"ladder": "95.0 % of whole recordings"},
    ),
    "one window": (
        evaluated(ladder=window_lengths()[1:4:2]),
        {"ladder": "70.0 % of windows of 8 s (gcodefp), 95.0"},
    ),
    "no lag": (with_lags(None, None, None, None), {"clocks": "No recording has a lag"}),
    "one row of lag": (with_lags(0.0, 0.25, -0.1, 0.0), {"clocks": "to within one row"}),
    "large lag": (with_lags(0.0, 1000.0, -0.75, None), {"clocks": "one by 4000.0"}),
    "dead channels": (
        lambda r: explained(excerpt_valid=np.zeros_like(r.explanation.excerpt_valid))(r),
        {"channels": "No channel of"},
    ),
    "equal confidence": (
        lambda r: explained(confidence=dict.fromkeys((MODEL, WHOLE), np.full(72, 0.5)))(r),
        {"calibration": "significant"},
    ),
    "six recordings": (evaluated(recordings=6), {"sensor_groups": "filled and bold: without 0"}),
    "many runs": (
        lambda r: swept(r, 45, SEARCHED, **HYPERBAND),
        {"early_stopping": "rank of the run"},
    ),
    "no curves": (
        without_curves, {"learning_curves": "neither", "early_stopping": "has no val/gcode_acc"},
    ),
    "one run": (
        lambda r: swept(r, 1, SEARCHED),
        {**dict.fromkeys(SWEEP, ""), "early_stopping": "No run was pruned or stopped",
         "importance": "Only one run has a value", "learning_curves": "the only run of sweep"},
    ),
    "all failed but one": (
        lambda r: swept(r, 6, SEARCHED, dict.fromkeys(range(1, 6), "failed")),
        {**dict.fromkeys(SWEEP, ""), "learning_curves": "1 finished, 5 failed"},
    ),
    "nothing varied": (
        lambda r: swept(r, 12, {"d_model": {"value": 8}}), {"importance": "in no searched"},
    ),
    "all values equal": (
        lambda r: swept(r, 12, SEARCHED, value=lambda assigned: 0.0),
        {**dict.fromkeys(SWEEP, ""), "importance": "in no searched"},
    ),
    "no number": (
        lambda r: swept(r, 12, {"optimizer": OPTIMIZER, "loss": {"values": ["a" * 20, "b" * 20]}}),
        {"contours": "No hyperparameter", "importance": "most important"},
    ),
    "one number": (
        lambda r: swept(r, 12, {"learning_rate": RATE}),
        {"contours": "Only one hyperparameter", "importance": "learning_rate is the only"},
    ),
    "trained elsewhere": (
        lambda r: without_work(swept(r, 12, SEARCHED, {3: "stopped"}, **HYPERBAND)),
        {**dict.fromkeys(SWEEP, ""), "timeline": "trained elsewhere",
         "early_stopping": "1 of 12 runs was pruned or stopped"},
    ),
    "conditional": (
        lambda r: swept(r, 20, SEARCHED, {3: "stopped", 4: "failed"}, decided_by_rate,
                        rules={"conditions": {"momentum": "optimizer == 'sgd'"}}, **HYPERBAND),
        {**dict.fromkeys(SWEEP, ""), "importance": "learning_rate is most important",
         "contours": "is best at learning_rate", "timeline": "2 processes trained for"},
    ),
    "two sweeps": (
        lambda r: of_two_sweeps(swept(r, 6, SEARCHED, **HYPERBAND)),
        {"early_stopping": "No run was pruned or stopped",
         "learning_curves": "all 6 runs of 2 sweeps"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_figures_state_their_case_within_the_paper(results: Results, case: str) -> None:
    edit, expected = CASES[case]
    edited = edit(results)
    for stem, text in expected.items():
        figure = drawn(stem, edited)
        assert cut_texts(figure) == [], stem
        assert text in " ".join(texts(figure)), (stem, texts(figure))


NAMING = ("confusion", "toolpath", "gcode_diff", "importance", "contours", "timeline", "channels",
          "sensor_groups", "dataset", "clocks")  # fmt: skip
"""Figures with names of recordings, operations, programs, channels or hyperparameters."""
ODD_NAMES = {
    "mathematics": ("a$b$c", "x_1^2$"),
    "unbalanced": ("$\\frac{", "{_}$$"),
    "unicode": ("Gehäuse-Fräsen µ²", "\u202efräs\x07\u4e00\U0001f600"),
    "long": ("o" * 60, "an_operation_with_a_name_of_sixty_letters_that_goes_on_and_on"),
    "underscore": ("_x", "__init__"),
}


def renamed(part: Any, names: dict[str, str]) -> Any:
    """A copy in which texts, keys and columns have other names."""
    if isinstance(part, str):
        for old, new in names.items():
            part = part.replace(old, new)
        return part
    if isinstance(part, Mapping):
        return {renamed(key, names): renamed(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [renamed(item, names) for item in part]
    if isinstance(part, np.ndarray):
        return np.array(renamed(part.tolist(), names)) if part.dtype.kind == "U" else part
    if isinstance(part, pd.DataFrame):
        return part.map(lambda cell: renamed(cell, names)).rename(
            columns=lambda c: renamed(c, names)
        )
    if isinstance(part, Predictions | StoredExplanation | Results):
        return replace(part, **{name: renamed(value, names) for name, value in vars(part).items()})
    return part


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_odd_names_are_drawn_as_they_are(results: Results, kind: str, tmp_path: Path) -> None:
    """In an SVG that is XML, with the text that it had."""
    first, second = ODD_NAMES[kind]
    made = swept(results, 12, {"learning_rate": RATE, "momentum": MOMENTUM}, value=decided_by_rate)
    names = {"face<b>": first, "pocket": second, "learning_rate": first, "momentum": second,
             "a.Ax": first, "a.Mx": second, "x86": first}  # fmt: skip
    renamed_results = renamed(made, names)
    problems = []
    for stem in NAMING:
        original, figure = drawn(stem, made), drawn(stem, renamed_results)
        problems += [(stem, text) for text in cut_texts(figure)]
        widths = [[axes.get_position().width for axes in each.axes] for each in (original, figure)]
        problems += [(stem, new_width, width) for new_width, width in zip(*widths, strict=True)
                     if width < 0.45 * new_width]  # fmt: skip
    assert not problems
    with paper_style():
        save(draw_figure("dataset", renamed_results), tmp_path, "dataset", ())
    nodes = ElementTree.parse(tmp_path / "dataset.svg").iter()
    assert short_name(re.sub(r"[\x07]", "\ufffd", first)) in ["".join(n.itertext()) for n in nodes]


def test_results_without_moves_and_positions_are_drawn(tmp_path: Path) -> None:
    """No predicted block has X or Y, and the controller reports no position."""
    written = np.full(len(true_blocks()), "M3")
    unread = results_of(write_results(tmp_path, written, true_blocks(), reported=False))
    for stem in ("accuracy", "toolpath", "gcode_diff", "confusion"):
        assert cut_texts(drawn(stem, unread)) == [], stem
    assert any("never predicted" in text for text in texts(drawn("toolpath", unread)))
    # A metric that was never measured has no panel.
    assert "position error (mm)" not in texts(drawn("accuracy", unread))


# The numbers that are drawn


def test_accuracy_has_every_predictor_with_its_numbers(results: Results) -> None:
    models = results.evaluation["models"]
    shown = texts(drawn("accuracy", results))
    for name, metrics in models.items():
        assert name in shown
        assert f"{metrics['gcode']['value']:.2f}" in shown
        for metric in ("within_1s", "program_time_error_s", "position_error_mm"):
            if (value := metrics[metric]["value"]) is not None:
                assert (f"{value:.2f}" if value < 9.995 else f"{value:.1f}") in shown
    assert {PREDICTOR_KINDS[SENSORS].title, PREDICTOR_KINDS[BASELINE].title} <= set(shown)
    # Some predict neither program nor position.
    silent = {name for name, metrics in models.items() if metrics["program"]["value"] is None}
    assert silent == {MAJORITY, ELAPSED}
    missing = [models[name][metric]["value"] is None for name in models for metric in MAIN_METRICS]
    assert shown.count("-") == sum(missing) == 7 * len(silent)


def test_window_lengths_have_a_line_for_each_predictor_and_a_column_of_whole_recordings(
    results: Results,
) -> None:
    windows, whole = drawn("ladder", results).axes
    entries = results.evaluation["ladder"]
    lines = [list(line.get_ydata()) for line in windows.lines]
    bars = [
        [tuple(y for _, y in part) for part in each.get_segments()] for each in windows.collections
    ]
    for name in (MODEL, FILTER):
        near, program = (
            [entry["models"][name][metric] for entry in entries]
            for metric in ("within_1s", "program")
        )
        for scores in (near, program):
            assert [score["value"] for score in scores[:-1]] in lines
        assert [(score["low"], score["high"]) for score in near[:-1]] in bars
        assert [near[-1]["value"]] in [list(line.get_ydata()) for line in whole.lines]
    assert windows.get_xscale() == "log"
    assert windows.get_xticks().tolist() == [entry["seconds"] for entry in entries[:-1]]
    labels = [label.get_text() for label in windows.get_xticklabels()]
    assert labels == ["4\n16", "8\n32", "16\n64"]


def test_confusion_shows_the_classes_that_occur(results: Results) -> None:
    assert confusion(results, "operation").to_numpy().tolist() == [[36, 0], [0, 36]]
    stored = {
        "true": ["G0", "G1", "G2", "G3"], "predicted": ["G0", "G1", "G2", "G3", "other kind"],
        "counts": [[23, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 3, 9, 0, 0], [0, 0, 0, 0, 0]],
    }  # fmt: skip
    matrices = {**results.evaluation["confusion"], "command": stored}
    edited = evaluated(confusion=matrices)(results)
    command = confusion(edited, "command")
    assert [*command.index] == ["G0", "G1", "G2"]
    assert [*command.columns] == ["G0", "G1", "G2", "other kind"]
    assert command.to_numpy().tolist() == [[23, 0, 0, 1], [0, 0, 0, 0], [0, 3, 9, 0]]
    shown = texts(drawn("confusion", edited))
    assert {"G2 (12)", "23", "9"} <= set(shown)
    assert any("G2 predicted as G1, 25 % of its words" in text for text in shown)
    matrices = {**matrices, "command": {**stored, "counts": np.eye(4, 5, dtype=int).tolist()}}
    shown = texts(drawn("confusion", evaluated(confusion=matrices)(results)))
    assert "No command word is confused with another" in shown


def test_clocks_are_those_of_the_recordings_whose_program_is_known() -> None:
    dataset = dataset_document(False)
    dataset["splits"]["test"]["recordings"] = [RECORDINGS[1], RECORDINGS[3]]
    lags = lags_of(dataset)
    assert lags["seconds"].tolist() == list(LAG_SECONDS[:3])
    assert lags["operation"].tolist() == ["face<b>", "face<b>", "pocket"]
    assert lags["is_test"].tolist() == [False, True, False]
    assert not lags_of(dataset_document(True))["is_test"].any()


def test_dataset_names_excluded_recordings_and_counts_of_rules(results: Results) -> None:
    entries = [{"recording": f"face_{i:03}", "reason": f"reason {i}"} for i in range(12)]
    reasons = "face_000 (reason 0), face_001 (reason 1), face_002 (reason 2)"
    for count, text in ((0, "no recording was excluded"), (1, "1 excluded: face_000 (reason 0)"),
                        (12, f"12 excluded: {reasons}; 9 more are in dataset.json")):  # fmt: skip
        assert excluded_text({"left_out": entries[:count]}) == text
    shown = texts(drawn("dataset", results))
    assert "4 (5.3 %)" in shown  # Of 76 rows.
    assert shown.count("none") == 9


def test_channels_are_those_of_each_panel_with_the_largest_loss(results: Results) -> None:
    kinds = [("mag", "uT"), *[("imu", "g")] * 4, ("imu", "deg/s")]
    channels = [{"group": group, "unit": unit} for group, unit in kinds]
    losses = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.0])
    valid = np.ones((10, 6), bool)
    gyroscope, magnetometer = Panel("imu", "deg/s", (5,)), Panel("mag", "uT", (0,))
    assert choose_panels(channels, losses, valid) == [
        gyroscope, Panel("imu", "g", (2, 3, 4)), magnetometer,
    ]  # fmt: skip
    valid[:6, [0, 2]] = False
    assert choose_panels(channels, losses, valid) == [gyroscope, Panel("imu", "g", (3, 4, 1))]
    many = [{"group": "optical", "unit": unit} for unit in "abcde" for _ in range(2)]
    panels = choose_panels(many, np.linspace(1.0, 0.1, 10), np.ones((4, 10), bool))
    assert [panel.channels for panel in panels] == [(0, 1), (2, 3), (4, 5), (6,), (8,)]
    sensors = {"without": [
        {"kind": kind, "name": name, "differences": {"gcode": {"value": value}}}
        for kind, name, value in (("all", "", -0.9), ("group", "imu", -0.5), ("node", "a", 0.25))
    ]}  # fmt: skip
    parts = [{"group": "imu", "node": "a"}, {"group": "mag", "node": "b"}]
    assert accuracy_drops({"sensors": sensors, "channels": parts}).tolist() == [0.25, 0]
    (line,) = drawn("channels", results).axes[0].lines[:1]
    np.testing.assert_array_equal(line.get_ydata(), results.explanation.excerpt_samples[:, 0])
    zscored = {**results.explanation.document, "zscored": True}
    explanation = replace(results.explanation, document=zscored)
    for shown, is_std in ((results, False), (replace(results, explanation=explanation), True)):
        labels = [axes.get_ylabel() for axes in drawn("channels", shown).axes if axes.lines]
        assert (labels[0] == "std") == is_std


@pytest.mark.parametrize(
    ("low", "high", "recordings", "title"),
    [(0.1, 0.2, MIN_RECORDINGS, "is overconfident"),
     (-0.2, -0.1, MIN_RECORDINGS, "is underconfident"),
     (-0.1, 0.1, MIN_RECORDINGS, "No significant miscalibration"),
     (0.1, 0.2, MIN_RECORDINGS - 1, "No significant miscalibration")],
)  # fmt: skip
def test_miscalibration_needs_an_interval_without_0(
    results: Results, low: float, high: float, recordings: int, title: str
) -> None:
    calibration = results.explanation.document["calibration"]
    over = {"value": (low + high) / 2, "low": low, "high": high, "recordings": recordings}
    edited = {**calibration, MODEL: {**calibration[MODEL], "overconfidence": over}}
    shown = " ".join(texts(drawn("calibration", document(results, calibration=edited))))
    assert title in shown
    assert f"{100 * calibration[MODEL]['right']['value']:.0f} % correct" in shown
    assert f"ECE {calibration[MODEL]['expected_calibration_error']['value']:.3f}" in shown


CHANCE, LOSS, GAIN = (-0.5, -1.0, 0.1), (-0.3, -0.4, -0.2), (0.02, 0.01, 0.03)


@pytest.mark.parametrize(
    ("first", "second", "recordings", "title"),
    [(CHANCE, LOSS, MIN_RECORDINGS, "Without {1} gcodefp loses 30 of its"),
     (CHANCE, CHANCE, MIN_RECORDINGS, "No kind of sensor is missed significantly; most: {0}"),
     (LOSS, LOSS, MIN_RECORDINGS - 1, "No kind of sensor is missed significantly; most: {0}")],
)  # fmt: skip
def test_a_missed_sensor_needs_a_loss_beyond_chance(
    results: Results, first: tuple[float, ...], second: tuple[float, ...], recordings: int,
    title: str,
) -> None:  # fmt: skip
    """A greater loss that may be chance, or a gain, does not hide it; the title names its group."""
    sensors = results.explanation.document["sensors"]
    ordered = sorted(
        sensors["without"], key=lambda entry: (entry["kind"] != "group", entry["name"])
    )
    differences, without = iter([first, second, *[GAIN] * len(ordered)]), []
    for entry in ordered:
        estimate = dict(zip(("value", "low", "high"), next(differences), strict=True))
        estimate["recordings"] = recordings
        without.append({**entry, "differences": dict.fromkeys(entry["differences"], estimate)})
    shown = texts(
        drawn("sensor_groups", document(results, sensors={**sensors, "without": without}))
    )
    names = [group_title(entry["name"]) for entry in ordered[:2]]
    assert any(text.startswith(title.format(*names)) for text in shown), shown
    assert "+2.0" in shown


def test_early_stopping_shows_every_epoch(results: Results) -> None:
    assert metric_map(results)[:3] == pytest.approx(
        np.array([[0.21, 0.41, 0.61], [0.2, 0.4, 0.6], [0.22, np.nan, np.nan]]), nan_ok=True
    )
    # Of runs that did not fail, 7 of 9 epochs were trained.
    assert saved_share(results) == pytest.approx(2 / 9)
    assert brackets(results) == ()
    one = replace(results, sweep={**results.sweep, **HYPERBAND})
    assert (brackets(one)[:3], brackets(of_two_sweeps(one))) == ((1, 3, 9), ())
    legends = ["runs compared" in texts(drawn("early_stopping", r)) for r in (one, results)]
    assert legends == [True, False]


def test_learning_curves_are_of_the_columns_in_the_table(results: Results) -> None:
    """The loss of the train split is named where it is drawn; no panel is empty."""
    metric, loss = (logged_metric(name) for name in ("val/gcode_acc", "val/loss"))
    both = "loss: val split, and the best run's train split"
    for missing, titles in (("", [metric, both]), ("val/loss", [metric]),
                            ("train/loss", [metric, loss])):  # fmt: skip
        edited = replace(results, curves=results.curves.assign(**{missing or "x": np.nan}))
        figure = drawn("learning_curves", edited)
        drawn_titles = [axes.get_title("left").replace("\n", " ") for axes in figure.axes]
        assert drawn_titles == titles
        assert ("best run, train split" in texts(figure)) == (both in titles)
    assert describe_runs(results) in " ".join(texts(figure))


def test_the_surface_of_contours_is_a_mean_of_the_runs_nearby() -> None:
    x, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0, 1.0])
    surface = smoothed(x, y, np.array([0.0, 0.0, 1.0, 1.0]))
    assert (surface[0, 0], surface[0, -1]) == (pytest.approx(0, abs=0.01),
                                               pytest.approx(1, abs=0.01))  # fmt: skip
    assert np.isnan(surface[GRID // 2, GRID // 2])


def test_system_has_a_line_for_each_run_and_a_panel_for_each_quantity(results: Results) -> None:
    cpu, memory = drawn("system", results).axes  # The runs have used no GPU.
    lines = {line.get_color(): line for line in memory.lines}
    assert len(lines) == len(memory.lines) == len(cpu.lines) == 2
    # Seconds at work, not since the run began; 100 + 7 MB for each second of the clock.
    x, y = lines[MODEL_BLUE].get_data()
    assert (list(x), list(y)) == ([0.5, 8.5], pytest.approx([0.107, 0.163]))
    assert memory.get_xlabel() == "seconds at work on the run"
    lacking = results.system["cpu_share"].mask(results.system["run"] == results.best_run["run"])
    legend = drawn("system", replace(results, system=results.system.assign(cpu_share=lacking)))
    assert {t.get_text() for t in legend.legends[0].get_texts()} == {"best run", "other runs"}
    samples = results.system.assign(gpu_memory_allocated_mb=50.0)
    assert len(drawn("system", replace(results, system=samples)).axes) == 3
    empty = drawn("system", replace(results, system=results.system.iloc[:0]))
    assert "system.csv has no sample of these runs" in " ".join(texts(empty))
