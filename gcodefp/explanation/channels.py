"""The channels of a dataset, and what belongs together among them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gcodefp.explanation.files import ALL, GROUP, NODE
from gcodefp.recordings.columns import channel_group


class Part(NamedTuple):
    """Some of the channels.

    Attributes:
        kind: ALL, GROUP or NODE.
        name: of the group or node; empty for all.
        channels: their indices.
    """

    kind: str
    name: str
    channels: tuple[int, ...]


def node_of(channel: str) -> str | None:
    """The sensor node that a channel belongs to; motor currents belong to none."""
    return channel.rpartition(".")[0] or None


def parts_of(channels: Sequence[str]) -> list[Part]:
    """All channels, then those of each group and of each node, where there are several."""
    parts = [Part(ALL, "", tuple(range(len(channels))))]
    for kind, name_of in ((GROUP, channel_group), (NODE, node_of)):
        names = [name_of(channel) for channel in channels]
        known = _in_order(name for name in names if name is not None)
        if len(known) > 1:
            parts += [Part(kind, of, tuple(_where(names, of))) for of in known]
    return parts


def describe_channels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The channels of dataset.json with the group and the node that each belongs to."""
    return [
        {**channel, "group": channel_group(channel["name"]), "node": node_of(channel["name"])}
        for channel in document["channels"]
    ]


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _where(names: Sequence[str | None], wanted: str) -> Iterable[int]:
    return (index for index, name in enumerate(names) if name == wanted)
