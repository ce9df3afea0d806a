"""What the page is made of: a template for each section, one style, one script."""

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
    made.globals |= {"verbatim": _verbatim, "plotly": lambda: Markup(get_plotlyjs())}
    return made


def _verbatim(name: str) -> Markup:
    """A style or a script, without template syntax."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
