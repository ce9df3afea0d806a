"""What the page is made of: a template for each section, one style, one script.

`*.min.*` are the published files of Tabulator 6.5.3 and Apache ECharts 6.1.0, without the lines
that name their source maps.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent


def jinja_environment() -> Environment:
    """Templates in which every value is escaped, and JSON can end no script."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    made.globals["verbatim"] = _verbatim
    return made


def _verbatim(name: str) -> Markup:
    """A style or a script, without template syntax."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
