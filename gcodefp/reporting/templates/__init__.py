"""What the page is made of: a template for each section, one style, and three small scripts."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

FOLDER = Path(__file__).parent


def environment() -> Environment:
    """Templates in which every value is escaped, and JSON can end no script."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    made.globals |= {"as_it_is": _as_it_is, "plotly": lambda: Markup(get_plotlyjs())}
    return made


def _as_it_is(name: str) -> Markup:
    """A style or a script, whose braces mean nothing to the template."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
