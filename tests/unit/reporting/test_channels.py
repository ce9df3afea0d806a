"""The figure of sensor channels over time, above the lines of G-code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.text import Text
from result_documents import RECORDINGS
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.reporting.figures.channels import (
    Panel,
    chosen_panels,
    draw_channels,
    draw_strip,
    shown_rows,
)
from gcodefp.reporting.figures.style import new_figure


def channel(name: str, group: str, unit: str) -> dict[str, str]:
    return {"name": name, "group": group, "unit": unit}


IMU, MAG = ("a.Ax", "imu", "g"), ("a.Mx", "mag", "uT")
CHANNELS = [channel(*of) for of in (MAG, IMU, IMU, IMU, IMU, ("a.Gx", "imu", "deg/s"))]


def test_each_panel_has_the_channels_that_weigh_most() -> None:
    saliency = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.0])
    valid = np.ones((10, 6), bool)
    assert chosen_panels(CHANNELS, saliency, valid) == [
        Panel("imu", "deg/s", (5,)), Panel("imu", "g", (2, 3, 4)), Panel("mag", "uT", (0,)),
    ]  # fmt: skip
    valid[:6, 2] = valid[:6, 0] = False  # Most samples were taken out.
    assert chosen_panels(CHANNELS, saliency, valid) == [
        Panel("imu", "deg/s", (5,)), Panel("imu", "g", (3, 4, 1))
    ]  # fmt: skip
    assert chosen_panels(CHANNELS, saliency, np.zeros((10, 6), bool)) == []


def test_eight_channels_are_shared_out_among_the_panels() -> None:
    channels = [
        channel(f"{unit}{i}", "optical", unit) for unit in ("a", "b", "c", "d", "e") for i in (0, 1)
    ]
    saliency = np.linspace(1.0, 0.1, 10)
    panels = chosen_panels(channels, saliency, np.ones((4, 10), bool))
    # One each, then a second for those whose second weighs most.
    assert [of.channels for of in panels] == [(0, 1), (2, 3), (4, 5), (6,), (8,)]


def test_the_middle_of_a_long_excerpt_is_shown() -> None:
    assert shown_rows(300) == slice(90, 210)
    assert shown_rows(7) == slice(0, 7)


def test_only_wide_stretches_have_their_text() -> None:
    axes = new_figure(3, 1).subplots()
    blocks = np.array(["G0", "G1", "G1", "G2", "G2"])
    right = np.array([True, True, True, True, False])
    draw_strip(axes, blocks, right, "read", rows_per_text=2)
    assert [text.get_text() for text in axes.texts] == ["G1"]
    # G2 is half right: that are two stretches, of which the wrong one is hatched.
    assert [bool(of.get_hatch()) for of in axes.patches] == [False, False, False, True]
    assert [of.get_width() for of in axes.patches] == [1, 2, 1, 1]


def test_lines_and_samples_of_the_excerpt_are_drawn(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.5), true_blocks()))
    explanation = results.explanation
    right = (explanation.excerpt_block == explanation.excerpt_read).mean()
    figure = draw_channels(results)
    name = explanation.document["excerpt"]["recording"]
    assert name in RECORDINGS
    shown = [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]
    heading = f"Sensors and G-code of {name}: {100 * right:.0f}\N{NO-BREAK SPACE}% of these 18 rows"
    assert any(text.startswith(heading) for text in shown)
    (line,) = figure.axes[0].lines[:1]
    np.testing.assert_array_equal(line.get_ydata(), explanation.excerpt_samples[:, 0])
    assert "a.Ax" in shown


def test_dead_channels_are_said_to_be_dead(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, spoilt(0.5), true_blocks()))
    dead = np.zeros_like(results.explanation.excerpt_valid)
    results = replace(results, explanation=replace(results.explanation, excerpt_valid=dead))
    shown = [text.get_text() for text in draw_channels(results).findobj(Text)]
    assert any(text.startswith("No channel of") for text in shown)
