"""What of a line is read right: its kinds of words, their letters, their numbers, and the rest."""

from matplotlib.figure import Figure

from gcodefp.evaluation.files import MODEL
from gcodefp.findings.results import Results
from gcodefp.findings.words import METRICS
from gcodefp.plots.accuracy import tested_on
from gcodefp.plots.forest import Panel, Scores, draw_forest, forest_inches
from gcodefp.plots.style import PAGE_INCHES, add_head, new_figure, percent

OF_WORDS = ("token_type", "command", "parameter_type", "parameter_value")
"""The parts of a word, each with a head of its own."""
DECKS = (
    {
        "token_type": "token type",
        "command": "command",
        "parameter_type": "parameter type",
        "parameter_value": "parameter value",
    },
    {
        "command_balanced": "command, balanced",
        "token": "token",
        "operation": "operation",
        "program": "program",
    },
)
"""Metric -> title of its panel; more panels beside each other have no room for their numbers."""


def draw_heads(results: Results) -> Figure:
    """A panel for each head, the answers and their baselines under each other in all of them."""
    scores = results.evaluation["models"]
    figure = new_figure(PAGE_INCHES, len(DECKS) * forest_inches(scores))
    for deck, titles in zip(
        figure.subfigures(len(DECKS), 1, squeeze=False)[:, 0], DECKS, strict=True
    ):
        panels = [Panel(of, title, "more", "{:.2f}", 1.0) for of, title in titles.items()]
        draw_forest(deck, scores, panels)
    add_head(
        figure,
        heads_title(scores),
        f"{tested_on(results)}; shares, with 95 % intervals; dashed: gcodefp",
        results.marks,
    )
    return figure


def heads_title(scores: Scores) -> str:
    """Names the parts of words that the network reads best and worst; the first of equals."""
    values = {metric: scores[MODEL][metric]["value"] for metric in OF_WORDS}
    known = {metric: value for metric, value in values.items() if value is not None}
    if not known or min(known.values()) == max(known.values()):
        return "What is read right, head by head"
    best, worst = (pick(known, key=lambda metric: known[metric]) for pick in (max, min))
    return (
        f"Of the words, the {METRICS[best]} is read best ({percent(known[best])}), the "
        f"{METRICS[worst]} worst ({percent(known[worst])})"
    )
