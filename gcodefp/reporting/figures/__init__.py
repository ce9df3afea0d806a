"""The register of figures: a figure is one function that is marked with `@figure`.

Title, category and caption stand beside the function that draws. They are read from the source of
this folder, because the Snakefile needs them at every start and must not wait for matplotlib.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

CATEGORIES = ("Test", "Sweep", "Data")
"""In the order in which the report shows them."""

Draw = TypeVar("Draw", bound=Callable[..., object])


class RegisteredFigure(NamedTuple):
    """A registered figure.

    Attributes:
        category: one of CATEGORIES.
        caption: one paragraph of reStructuredText without markup.
        module, function: what draws it: from `Results` to `paper.Drawn`.
    """

    title: str
    category: str
    caption: str
    module: str
    function: str


def figure(stem: str, *, title: str, category: str, caption: str) -> Callable[[Draw], Draw]:
    """Registers the decorated function; all arguments are literals.

    Args:
        stem: name of the files, without suffix.
        title, category, caption: as in `RegisteredFigure`.
    """
    return lambda draw: draw


def _records() -> dict[str, RegisteredFigure]:
    records: dict[str, RegisteredFigure] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        for node in (node for node in body if isinstance(node, ast.FunctionDef)):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and getattr(call.func, "id", None) == figure.__name__:
                    stem = ast.literal_eval(call.args[0])
                    texts = {str(key.arg): ast.literal_eval(key.value) for key in call.keywords}
                    module = f"{__name__}.{path.stem}"
                    records[stem] = RegisteredFigure(**texts, module=module, function=node.name)
    return dict(sorted(records.items(), key=lambda item: CATEGORIES.index(item[1].category)))


FIGURES = _records()
"""File stem -> its record, by category and then by file."""


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
