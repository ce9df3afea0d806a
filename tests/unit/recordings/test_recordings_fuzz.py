"""Mutated recordings are read or refused, with labels and without, and lead to a finite dataset."""

import gzip
import random
from pathlib import Path

import numpy as np
import pytest
from fuzzing import fuzz, mutate_text, mutations
from recording_files import recording_table

from gcodefp.dataset.channels import fit_scaler
from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.programs.table import fit_programs, lag_corrected_labels
from gcodefp.recordings import samples
from gcodefp.recordings.laboratory.lab_files import list_recordings
from gcodefp.recordings.loading import load_recordings, read_unlabelled

GROUPS = ("imu", "mag", "mic", "motor", "environment", "controller")
TABLE = recording_table()
CHANNELS = [name for name in TABLE if "." in name or name == "spindle"]
SHORT = recording_table(rows=12)
VALID = [
    TABLE.to_csv(index=False).encode(),
    SHORT.to_csv(index=False, sep=";", decimal=",").encode(),
    SHORT.assign(unit="G20", t_console=[f"1:59:{n + 40} PM" for n in range(12)])
    .to_csv(index=False, quoting=1, lineterminator="\r\n")
    .encode(),
    SHORT.assign(t_console=[f"2024-03-05T23:59:{n + 48}.5Z" for n in range(12)])
    .rename(columns={"spindle2.Ax": "SPINDLE2.Ax [g]"})
    .to_csv(index=False)
    .encode(),
]


CELLS = ("", "nan", "0", "-0.0", "016", "1.5", "1e5", "1e308", "-1e308", "inf", "X1 Y2", "M30",
         "20")  # fmt: skip


def mutate_csv(rng: random.Random, content: bytes) -> bytes:
    """Changes a cell, a column, bytes, numbers, words or lines; some files are encoded anew."""
    kind = rng.random()
    if kind < 0.04:
        packed = gzip.compress(content)
        return packed[: rng.randrange(1, len(packed))] if rng.random() < 0.5 else packed
    if kind < 0.08:
        return content.decode(errors="replace").encode("utf-16")
    if kind < 0.4:
        return mutate_text(rng, content)
    separator = b";" if content.count(b";") > content.count(b",") else b","
    rows = [row.split(separator) for row in content.split(b"\n")]
    column, new = rng.randrange(len(rows[0])), rng.choice(CELLS).encode()
    first = rng.randrange(len(rows))
    for row in rows[first : rng.choice((first + 1, first + 1, len(rows)))]:
        if column < len(row) and len(row) > 1:
            row[column] = new
    return b"\n".join(separator.join(row) for row in rows)


class Reader:
    """Reads a file's content as `preprocess` and as `predict` do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder / "pocket_001.csv"

    def labelled(self, content: bytes) -> None:
        self.path.write_bytes(content)
        recordings, _ = load_recordings(list_recordings(self.path.parent), GROUPS, 4)
        recording = recordings["pocket_001"]
        vocabulary = build_vocabulary(recording.blocks.tolist(), ["pocket"])
        assert vocabulary.decode(vocabulary.encode(recording.blocks.tolist())) == (
            recording.blocks.tolist()
        )
        scaler = fit_scaler([recording], 0.5, True)
        signals = scaler.apply(recording)
        programs = fit_programs([recording], {"pocket_001": signals})
        alignment = lag_corrected_labels(recording, signals, programs, {})
        for array in (signals, alignment.state, recording.mm_per_unit, recording.seconds):
            assert np.isfinite(array).all()
        assert not np.isinf(recording.position_mm).any()
        assert (np.diff(recording.seconds) >= 0).all()

    def unlabelled(self, content: bytes) -> None:
        self.path.write_bytes(content)
        recording = read_unlabelled(self.path, CHANNELS, 4, 0.25, allow_missing=True).recording
        assert not np.isinf(recording.signals.to_numpy()).any()


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "recordings")


@pytest.mark.parametrize("kind", ["labelled", "unlabelled"])
def test_fuzzed_recordings_are_read_or_refused(read: Reader, kind: str) -> None:
    fuzz(getattr(read, kind), mutations(VALID, mutate_csv)).check()


@pytest.mark.parametrize("kind", ["labelled", "unlabelled"])
def test_a_planted_fault_is_found(read: Reader, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(samples, "MAX_SAMPLE", np.inf)
    stream = mutations(VALID, mutate_csv)
    assert any(fuzz(getattr(read, kind), stream, 50).faults for _ in range(10))
