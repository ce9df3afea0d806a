"""The register of figures: figures.yaml has title, caption and function of each.

The Snakefile needs it at every start and must not wait for matplotlib.
"""

from pathlib import Path
from typing import NamedTuple

import yaml


class RegisteredFigure(NamedTuple):
    """A registered figure.

    Attributes:
        category: Test, Sweep or Data.
        caption: one paragraph of reStructuredText without markup.
        module, function: what draws it: from `Results` to `paper.Drawn`.
    """

    title: str
    category: str
    caption: str
    module: str
    function: str


def _records() -> dict[str, RegisteredFigure]:
    text = Path(__file__).with_name("figures.yaml").read_text(encoding="utf-8")
    records = {}
    for category, figures in yaml.safe_load(text).items():
        for stem, entry in figures.items():
            module, function = f"{__name__}.{entry.pop('draws')}".rsplit(".", 1)
            records[stem] = RegisteredFigure(
                **entry, category=category, module=module, function=function
            )
    return records


FIGURES = _records()
"""File stem -> its record, in the order in which the report shows them."""


def figures_of(
    *, has_script: bool, has_pareto: bool, has_system: bool
) -> dict[str, RegisteredFigure]:
    """The figures that have something to show, as FIGURES has them.

    Args:
        has_script: whether a user script trained the runs: only the sweep has figures then.
        has_pareto: whether the configuration names two quantities.
        has_system: whether runs were sampled, which those of the W&B service are not.
    """
    without = {"pareto": not has_pareto, "system": not has_system}
    return {
        stem: record
        for stem, record in FIGURES.items()
        if (record.category == "Sweep" or not has_script) and not without.get(stem)
    }
