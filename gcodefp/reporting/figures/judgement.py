"""A judged recording: expected and observed signals, the alignment, and the match over time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.detection.detector import Detector, Judgement
from gcodefp.detection.deviations import MISSING
from gcodefp.detection.profile import RecordingSignals
from gcodefp.reporting.figures import paper
from gcodefp.terminal import plural

SHOWN_CHANNELS = 3
"""Those whose means differ most between the states, of different sensors."""


def draw_judgement(
    detector: Detector, judgement: Judgement, recording: RecordingSignals, channels: Sequence[str]
) -> Figure:
    """Signals over the expected ones, the row's state in the program, and how well rows match."""
    profile, alignment = detector.profile(judgement.program), judgement.alignment
    observed = profile.smooth(recording.standardised)
    seconds = np.arange(len(observed)) * alignment.step_seconds
    contrast = profile.background / profile.variance.mean(0) * recording.valid.any(0)
    chosen: list[int] = []
    for channel in np.argsort(-contrast).tolist():
        sensors = {int(profile.sensors[other]) for other in chosen}
        if len(chosen) < SHOWN_CHANNELS and int(profile.sensors[channel]) not in sensors:
            chosen.append(channel)
    fig = paper.new_figure(paper.PAGE_INCHES, 1.0 * len(chosen) + 2.4)
    axes = fig.subplots(len(chosen) + 2, 1, sharex=True)
    inside = slice(alignment.first, alignment.end)
    for panel, channel in zip(axes, chosen, strict=False):
        expected = np.full(len(seconds), np.nan)
        expected[inside] = profile.mean[alignment.state[inside], channel]
        spread = np.sqrt(profile.variance[alignment.state, channel])
        panel.fill_between(seconds, expected - 2 * spread, expected + 2 * spread,
                           color=paper.EXECUTED, linewidth=0, label="expected")  # fmt: skip
        panel.plot(seconds, observed[:, channel], color=paper.MODEL_BLUE, linewidth=0.7,
                   label="observed")  # fmt: skip
        panel.set_title(channels[channel])
    paper.legend_above(axes[0], 2)
    path, match = axes[-2], axes[-1]
    path.plot(seconds[inside], alignment.state[inside] * alignment.step_seconds, color=paper.INK,
              linewidth=0.9)  # fmt: skip
    path.set_ylabel("program (s)")
    path.set_title("alignment")
    expected = profile.expected[alignment.state[inside]]
    match.plot(seconds[inside], expected, color=paper.FAINT, linewidth=0.7, label="good recordings")
    match.plot(seconds, alignment.match, color=paper.MODEL_BLUE, linewidth=0.7, label="this one")
    match.axhline(0, color=paper.FAINT, linewidth=0.5)
    match.set_title("match of each row (0: no better than with no state of the program)")
    match.set_xlabel("seconds of the recording")
    paper.legend_above(match, 2)
    for panel in axes:
        _mark(panel, judgement)
    test = judgement.test
    subtitle = (
        f"program {detector.names[judgement.program]}: p = {test.p_value:.3f}, false alarms in "
        f"{paper.percent(test.rate)} of good recordings; "
        f"{plural(len(judgement.deviations), 'deviation')} (red)"
    )
    paper.add_title_block(fig, f"{recording.name}: {judgement.verdict}", subtitle, [])
    return fig


def _mark(panel: Axes, judgement: Judgement) -> None:
    step = judgement.alignment.step_seconds
    for deviation in judgement.deviations:
        if deviation.kind == MISSING and deviation.first == deviation.end:
            panel.axvline(deviation.first * step, color=paper.WRONG, linewidth=1.0)
        else:
            panel.axvspan(deviation.first * step, deviation.end * step, color=paper.WRONG,
                          alpha=0.15, linewidth=0)  # fmt: skip
