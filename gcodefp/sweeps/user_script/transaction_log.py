"""Reads what a W&B run logs offline, from its transaction log, while the log grows.

After 7 bytes of header the file is a LevelDB log: blocks of 32 KiB, counted from the file's start,
of chunks (CRC-32, length, type) that make up records; each is a protobuf `Record` of the SDK.
"""

import json
import logging
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gcodefp.model.run_files import Row

logger = logging.getLogger(__name__)

HEADER = struct.Struct("<4sHB")
IDENTITY = (b":W&B", 0xBEE1, 0)
CHUNK = struct.Struct("<IHB")
BLOCK = 32768
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
STEP = "_step"
"""W&B's own column: the number of the row, or what the script says."""
HIDDEN = ("_runtime", "_timestamp", "_wandb")
"""What W&B adds to the rows and the summary besides."""


class TransactionLog:
    """The log of one offline run; each record is read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unread_bytes = 0
        """At the end of the file: a record that is not complete yet, or damage."""
        self._offset = 0

    def records(self) -> Iterator[Any]:
        """The records that are complete by now, and were not read before."""
        from wandb.proto import wandb_internal_pb2 as messages  # late: it takes a second

        for content in self._contents():
            record: Any = messages.Record()  # type: ignore[attr-defined]
            record.ParseFromString(content)
            yield record

    def _contents(self) -> Iterator[bytes]:
        with self.path.open("rb") as handle:
            handle.seek(self._offset)
            data = handle.read()
        start = at = self._offset
        if at == 0:
            if len(data) < HEADER.size or HEADER.unpack_from(data) != IDENTITY:
                self.unread_bytes = len(data)
                return
            at = self._offset = HEADER.size
        end, parts = start + len(data), list[bytes]()
        while at + CHUNK.size <= end:
            if (left := BLOCK - at % BLOCK) < CHUNK.size:
                at += left
                continue
            checksum, length, kind = CHUNK.unpack_from(data, at - start)
            begin = at - start + CHUNK.size
            body = data[begin : begin + length]
            if len(body) < length or zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
                break
            at += CHUNK.size + length
            parts = [body] if kind in (FULL, FIRST) else [*parts, body]
            if kind in (FULL, LAST):
                self._offset = at
                yield b"".join(parts)
        self.unread_bytes = end - self._offset


class OfflineRuns:
    """The offline runs of a W&B folder: rows of their histories, and their last summary.

    Those that are there at first are of earlier attempts, one each; all later ones are of this one.
    """

    def __init__(self, folder: Path) -> None:
        self.summary: Row = {}
        self._folder = folder
        self._earlier = self._paths()
        self._logs: dict[Path, TransactionLog] = {}

    def exist(self) -> bool:
        """Whether the script has called wandb.init in this attempt."""
        return len(self._paths()) > len(self._earlier)

    def new_rows(self) -> list[tuple[int, Row]]:
        """Attempts and rows that were logged since the last call; numbers alone, by name.

        Names of nested values are joined by points, as in W&B's tables.
        """
        rows = []
        for path in self._paths():
            is_earlier = path in self._earlier
            attempt = self._earlier.index(path) if is_earlier else len(self._earlier)
            for record in self._logs.setdefault(path, TransactionLog(path)).records():
                if record.HasField("history"):
                    rows.append((attempt, _numbers(record.history.item)))
                elif record.HasField("summary"):
                    self.summary |= _numbers(record.summary.update)
        return [(attempt, row) for attempt, row in rows if row.keys() - {STEP}]

    def warn_unread(self) -> None:
        """Logs what could not be read of a run that has ended."""
        for path, log in self._logs.items():
            if log.unread_bytes and path not in self._earlier:
                logger.warning("%s: the last %d bytes cannot be read", path, log.unread_bytes)

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("offline-run-*/run-*.wandb"))


def _numbers(items: Iterable[Any]) -> Row:
    values = {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
    row = numbers_of(values)
    return {name: value for name, value in row.items() if name.partition(".")[0] not in HIDDEN}


def numbers_of(values: dict[str, Any], group: str = "") -> Row:
    """The numbers among logged values, also those that JSON can only write as a string."""
    row: Row = {}
    for name, value in values.items():
        if isinstance(value, dict):
            row |= numbers_of(value, f"{group}{name}.")
        elif isinstance(value, int | float) or value in ("NaN", "Infinity", "-Infinity"):
            try:
                row[f"{group}{name}"] = float(value)
            except OverflowError:  # A whole number beyond all floats.
                continue
    return row
