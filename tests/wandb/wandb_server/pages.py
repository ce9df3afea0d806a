"""Pages of lists, times and numbers, in the forms of the service's graph."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from .execution import Node


def optional(node: Callable[..., Node], *arguments: Any) -> Node | None:
    """The node of an object, the last argument; None if there is no such object."""
    return None if arguments[-1] is None else node(*arguments)


def stamp(seconds: float) -> str:
    """A time as the service writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def connection(
    items: Sequence[Any],
    node: Callable[[Any], Node | None],
    after: str | None = None,
    first: int | None = None,
) -> Node:
    """A page of a list; a cursor is the number of items up to it."""
    start = int(after or 0)
    page = items[start : start + (len(items) if first is None else first)]
    end = start + len(page)
    edges = [
        Node("Edge", {"node": node(item), "cursor": str(cursor)})
        for cursor, item in enumerate(page, start + 1)
    ]
    info = Node("PageInfo", {"endCursor": str(end), "hasNextPage": end < len(items)})
    return Node("Connection", {"edges": edges, "pageInfo": info, "totalCount": len(items)})


def plain(value: Any) -> Any:
    """Numbers that JSON does not know as the texts that the service sends: "NaN", "Infinity"."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
