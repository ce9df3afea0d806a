"""All that is wrong with a sweep, where reading it tells only the first.

Each part is read by its own reader in a sweep in which all else is right.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gcodefp.errors import UserError
from gcodefp.learning.objective import HEADLINE
from gcodefp.search.specification import METHODS, read_specification
from gcodefp.search.trainable import untrainable

Document = dict[str, Any]
GOOD: Document = {
    "method": "random",
    "metric": {"name": HEADLINE.metric, "goal": HEADLINE.goal},
    "parameters": {"seed": {"value": 0}},
}


def problems(document: Any, where: str) -> list[str]:
    """Every message that reading the sweep and the trainer have for it; none if it runs here."""
    if not isinstance(document, Mapping):
        return _messages(document, where)
    found: list[str] = []
    good = dict(GOOD)
    for key, part in _parts(document):
        messages = _messages(part, where)
        found += messages
        if not messages and key in document:
            good[key] = document[key]
    readable: Document = {}
    for entry in _entries(document.get("parameters")):
        messages = _messages(good | {"parameters": entry}, where)
        found += messages
        if not messages:
            _merge(readable, entry)
    specification = read_specification(good | ({"parameters": readable} if readable else {}), where)
    found += map(str, untrainable(specification, where))
    # What is wrong with no part alone, if there is such a thing.
    return list(dict.fromkeys(found)) or _messages(document, where)


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """Each key with a good sweep that has it as it stands here, or misses it as it is here."""
    method = document.get("method")
    for key in {"method": 0, "metric": 0, **document}:
        if key == "metric" and document.get("metric") is None:
            # Only Bayesian search and early termination need one.
            rest = {k: v for k, v in GOOD.items() if k != "metric"}
            rule = {"early_terminate": {"type": "hyperband", "min_iter": 1}}
            needs = rule if "early_terminate" in document else {}
            yield key, rest | needs | ({"method": method} if method in METHODS else {})
        elif key != "parameters":
            yield key, GOOD | {key: document.get(key)}


def _entries(block: Any) -> Iterator[Any]:
    """Mappings with a single parameter each, nested as it is; what is no mapping, as it is."""
    if not isinstance(block, Mapping) or not block:
        yield block
        return
    for name, entry in block.items():
        if isinstance(entry, Mapping) and set(entry) == {"parameters"}:
            for inner in _entries(entry["parameters"]):
                yield {name: {"parameters": inner}}
        else:
            yield {name: entry}


def _merge(into: Document, entry: Mapping[str, Any]) -> None:
    for name, value in entry.items():
        if name in into:
            _merge(into[name]["parameters"], value["parameters"])
        else:
            into[name] = (
                {"parameters": dict(value["parameters"])} if "parameters" in value else value
            )


def _messages(document: Any, where: str) -> list[str]:
    try:
        read_specification(document, where)
    except UserError as error:
        return [str(error)]
    return []
