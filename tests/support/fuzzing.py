"""Seeded fuzzing of readers: valid files are mutated, then read or refused.

A reader may return or raise UserError, nothing else, within SECONDS and within BYTES of memory
above its start. The suite's part is short; `FUZZ_INPUTS=2000 pytest -k fuzz` runs the long one.
"""

import json
import os
import random
import re
import resource
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError

INPUTS = int(os.environ.get("FUZZ_INPUTS", "60"))
SECONDS = 20
"""Of processor time; of wall time, for a reader that waits, WAITS times that."""
WAITS = 6
BYTES = 1 << 30
READABLE_SHARE = 0.3
Input = TypeVar("Input")

ODD_TEXTS = [
    *("", " ", "~", "null", "true", "yes", "nan", "-inf", "0", "-0.0", "-1", "016", "0x10", "1e5"),
    *("1e-5", "1e308", "-1e308", "1e400", "99999999999999999999", "1_000", "12:34:56"),
    *("2026-13-45", "a$b$c", "../../x", "~/x", "é", "\u202e", "\ufeff", "{}", "[]", "[[["),
    *("&a [*a]", "*a", "!!python/x", "'", '"', "#", "%", ":", "- ", ",", ";", "\t", "x" * 5000),
]
ODD_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 1.5, -0.0, 1e308, -1e308, 10**20, 10**400, float("nan")),
    *(float("inf"), "", " ", "x", "16", "nan", "a$b$c", "../../x", "\x00", "x" * 5000, [], {}),
    *([[]], [None], {"a": 1}, [1, "x"], {"": None}),
]
NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


@dataclass
class FuzzCount:
    """What became of the mutated inputs."""

    readable: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    """Per fault, its input's number and the reason, with the traceback's end."""

    def check(self) -> None:
        """Raises AssertionError on any fault, or if too few inputs stayed readable."""
        count = self.readable + self.refused + len(self.faults)
        assert not self.faults, f"{len(self.faults)} of {count} inputs:\n" + "\n".join(
            self.faults[:5]
        )
        assert self.readable >= READABLE_SHARE * count, (
            f"only {self.readable} of {count} are readable"
        )


class _TooSlow(BaseException):
    """Raised by the alarm; no reader catches it."""


def _alarm(_number: int, _frame: object) -> None:
    raise _TooSlow(f"over {SECONDS} s")


def fuzz(
    read: Callable[[Input], object], mutated: Iterator[Input], count: int = INPUTS
) -> FuzzCount:
    """Reads `count` mutated inputs one after the other, in this process.

    Args:
        read: reads one input; may write it to a file first. Raises UserError to refuse it.
        mutated: an endless stream, such as `mutations` gives.
    """
    result = FuzzCount()
    before = {number: signal.signal(number, _alarm) for number in (signal.SIGALRM, signal.SIGPROF)}
    limit = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BYTES, limit[1]))
    try:
        for number in range(count):
            source = next(mutated)
            _set_timers(SECONDS)
            try:
                read(source)
            except UserError:
                result.refused += 1
            except (Exception, _TooSlow) as error:
                end = "".join(traceback.format_exception(error)[-3:])
                result.faults.append(f"input {number}: {error!r:.300}\n{end}\n{source!r:.2000}")
            else:
                result.readable += 1
            finally:
                _set_timers(0)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
        for number, handler in before.items():
            signal.signal(number, handler)
    return result


def _set_timers(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * WAITS)


def mutations(
    valid: Sequence[Input], mutate: Callable[[random.Random, Input], Input], seed: int = 0
) -> Iterator[Input]:
    """An endless stream of valid inputs with one, two or three mutations each."""
    rng = random.Random(seed)
    while True:
        changed = rng.choice(valid)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            changed = mutate(rng, changed)
        yield changed


def mutate_text(rng: random.Random, content: bytes) -> bytes:
    """One change of a text file: bytes, a number, a word, or a line."""
    return rng.choice((_change_bytes, _change_number, _change_number, _change_word, _change_lines))(
        rng, content
    )


def _change_bytes(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content) + 1)
    kind = rng.randrange(4)
    if kind == 0:  # Torn
        return content[:at]
    if kind == 1:
        return content[:at] + rng.randbytes(rng.randint(1, 4)) + content[at:]
    if kind == 2:
        return content[:at] + content[at + rng.randint(1, 20) :]
    return content[:at] + rng.choice(ODD_TEXTS).encode() + content[at:]


def _change_number(rng: random.Random, content: bytes) -> bytes:
    numbers = list(NUMBER.finditer(content))
    if not numbers:
        return content
    chosen = rng.choice(numbers)
    return content[: chosen.start()] + rng.choice(ODD_TEXTS).encode() + content[chosen.end() :]


def _change_word(rng: random.Random, content: bytes) -> bytes:
    words = list(re.finditer(rb"[A-Za-z_][\w/.]*", content))
    if not words:
        return content
    chosen, other = rng.choice(words), rng.choice(words)
    new = rng.choice((other.group(), chosen.group().upper(), chosen.group()[:-1], b"", b"x"))
    return content[: chosen.start()] + new + content[chosen.end() :]


def _change_lines(rng: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) < 2:
        return content
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        del lines[first]
    elif kind == 1:
        lines.insert(second, lines[first])
    elif kind == 2:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first] = b" " + lines[first]
    return b"".join(lines)


def mutate_document(rng: random.Random, document: Any) -> Any:
    """A copy of a JSON-like document with one value replaced, removed, doubled or renamed."""
    changed = json.loads(json.dumps(document))
    nodes = [node for node in _containers(changed) if node]
    if not nodes:
        return rng.choice(ODD_VALUES)
    node = rng.choice(nodes)
    key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
    kind = rng.randrange(4)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)
    elif kind == 1:
        node.append(node[key])
    else:
        node[key] = rng.choice(ODD_VALUES)
    return changed


def _containers(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        yield node
        for child in list(node.values() if isinstance(node, dict) else node):
            yield from _containers(child)


Arrays = dict[str, NDArray[Any]]


def mutate_arrays(rng: random.Random, arrays: Arrays) -> Arrays:
    """A copy of named arrays, one of them removed, renamed, cut, reshaped, retyped or filled."""
    changed = {name: array.copy() for name, array in arrays.items()}
    if not changed:
        return changed
    name = rng.choice(sorted(changed))
    array = changed.pop(name)
    kind = rng.randrange(7)
    if kind == 1:
        changed[f"{name}x"] = array
    elif kind == 2:
        changed[name] = array[: len(array) // 2] if array.ndim else np.array([array])
    elif kind == 3:
        changed[name] = array[..., np.newaxis] if rng.random() < 0.5 else array.reshape(-1)
    elif kind == 4:
        changed[name] = _with_other_type(rng, array)
    elif kind == 5:
        changed[name] = _with_odd_number(rng, array)
    elif kind == 6:
        changed[name] = np.zeros((0, *array.shape[1:]), array.dtype)
    return changed


def _with_other_type(rng: random.Random, array: NDArray[Any]) -> NDArray[Any]:
    kind = rng.choice((np.float32, np.int64, np.bool_, np.str_))
    if kind is np.str_ or array.dtype.kind not in "fiub":
        return (
            array.astype(np.str_)
            if array.dtype.kind in "fiub"
            else np.arange(len(array) if array.ndim else 1)
        )
    with np.errstate(invalid="ignore"):
        return array.astype(kind)


def _with_odd_number(rng: random.Random, array: NDArray[Any]) -> NDArray[Any]:
    if not array.size or array.dtype.kind not in "fiu":
        return array
    filled = array.copy()
    index = tuple(rng.randrange(length) for length in array.shape)
    if array.dtype.kind == "f":
        filled[index] = rng.choice((np.nan, np.inf, -np.inf, 1e30, -1.0))
    else:
        filled[index] = rng.choice((np.iinfo(array.dtype).max, np.iinfo(array.dtype).min, 7))
    return filled
