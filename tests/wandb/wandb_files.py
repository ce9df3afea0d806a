"""Reads W&B's offline files, which are logs in LevelDB's format, with its own protocol classes."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

FILE_HEADER = 7
BLOCK = 32768
CHUNK = struct.Struct("<IHB")
WHOLE, LAST = 1, 4


def wandb_records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: run, history and so on."""
    content, at, waiting = path.read_bytes(), FILE_HEADER, b""
    while at + CHUNK.size <= len(content):
        if BLOCK - at % BLOCK < CHUNK.size:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = CHUNK.unpack_from(content, at)
        at += CHUNK.size
        waiting += content[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(waiting)
            yield record
            waiting = b""


def wandb_history(path: Path) -> list[dict[str, Any]]:
    """What was logged at each step."""
    return [
        {item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in wandb_records(path)
        if record.WhichOneof("record_type") == "history"
    ]
