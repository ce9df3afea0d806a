"""The fuzzer itself: it finds planted faults of each kind, and counts what is readable."""

import json
import time

import fuzzing
import numpy as np
import pytest
from fuzzing import fuzz, mutate_text, mutations

from gcodefp.errors import UserError

VALID = json.dumps({"rate_hz": 4.0, "names": ["a", "b"]}).encode()


def checked(content: bytes) -> dict[str, object]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(str(error)) from error
    if not isinstance(document, dict):
        raise UserError("no mapping")
    return document


def test_a_reader_that_checks_has_no_faults() -> None:
    count = fuzz(checked, mutations([VALID], mutate_text), 300)
    count.check()
    assert count.refused > 30


def test_a_planted_fault_is_reported() -> None:
    count = fuzz(lambda content: checked(content)["rate_hz"], mutations([VALID], mutate_text), 300)
    assert count.faults
    with pytest.raises(AssertionError, match="KeyError"):
        count.check()


def test_slow_and_large_readers_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzzing, "SECONDS", 1)
    monkeypatch.setattr(fuzzing, "WAITS", 1)
    assert "over 1 s" in fuzz(lambda _: time.sleep(30), mutations([b"x"], mutate_text), 1).faults[0]
    large = fuzz(lambda _: np.ones(fuzzing.BYTES // 4), mutations([b"x"], mutate_text), 1)
    assert "MemoryError" in large.faults[0]
