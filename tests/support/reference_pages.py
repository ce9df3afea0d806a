"""The reference pages in docs/ as tables, to be held against what the stages write."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gcodefp.dataset.controls import CONTROLS
from gcodefp.evaluation.bootstrap import Estimate
from gcodefp.evaluation.controls import SENSOR_PREDICTORS
from gcodefp.evaluation.names import PREDICTORS
from gcodefp.model.hyperparameters import HYPERPARAMETERS, LOGGED_METRICS
from gcodefp.reporting.wording import METRIC_TITLES, RULES

DOCS = Path(__file__).parents[2] / "docs"
MAY_BE_MISSING = "Only "
NAMES: Mapping[str, tuple[str, ...]] = {
    "PREDICTOR": tuple(PREDICTORS),
    "CONTROL": tuple(CONTROLS),
    "COUNT": ("rows_in_file", *RULES),
    "ESTIMATE": Estimate._fields,
    "HYPERPARAMETER": tuple(HYPERPARAMETERS),
    "LOGGED_METRICS": LOGGED_METRICS,
    "METRIC": tuple(METRIC_TITLES),
    "PREFIX": tuple(kind.array for kind in PREDICTORS.values()),
    "NETWORK": SENSOR_PREDICTORS,
    "SPLIT": ("train", "val", "test"),
}
"""What a name in capitals stands for; one that is not here stands for anything."""

Row = dict[str, str]


def sections(page: str) -> dict[str, str]:
    """Heading -> the text below it, up to the next heading."""
    parts = re.split(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str, first: str) -> list[Row]:
    """The rows of all tables whose first column has this name."""
    listed: list[Row] = []
    for table in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        cells = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
        if cells[0][0] == first:
            listed += [dict(zip(cells[0], line, strict=True)) for line in cells[2:]]
    return listed


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def pattern(name: str, anything: str) -> re.Pattern[str]:
    """A name with words in capitals as a regular expression."""
    choices_of = {word: "|".join(map(re.escape, choices)) for word, choices in NAMES.items()}
    parts = re.split(r"([A-Z]+)", name)
    return re.compile(
        "".join(
            f"(?:{choices_of.get(part, anything)})" if part.isupper() else re.escape(part)
            for part in parts
        )
    )


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of a JSON document's values, those of a list's entries with `[]`."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
        for entry in value:
            yield from leaves(entry, f"{path}[]")
    else:
        yield path


def unnamed(paths: set[str], listed: list[Row], first: str) -> set[str]:
    """Those that no row names; what is null or empty is named by the keys that it could have."""
    tried = [way for row in listed for name in quoted(row[first]) for way in _ways(name)]
    return {path for path in paths if not any(way.fullmatch(path) for way in tried)}


def unused(paths: set[str], listed: list[Row], first: str) -> set[str]:
    """Names of rows that nothing has, but for those that may be missing."""
    return {
        name
        for row in listed
        if not row["content"].startswith(MAY_BE_MISSING)
        for name in quoted(row[first])
        if not any(way.fullmatch(path) for way in _ways(name) for path in paths)
    }


def _ways(name: str) -> list[re.Pattern[str]]:
    """A key's path, and the paths of what it lies in."""
    ends = [match.start() for match in re.finditer(r"\.|\[\]", name)]
    return [pattern(name[:end], ".+") for end in (*ends, len(name))]
