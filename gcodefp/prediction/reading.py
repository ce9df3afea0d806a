"""Reads an unlabelled recording with a checkpoint: the likeliest way through the programs."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.windows import speaking_rows, window_starts
from gcodefp.evaluation.reconstruct import endpoints_mm
from gcodefp.learning.alignment import read_stretches
from gcodefp.learning.checkpoint import Checkpoint
from gcodefp.learning.predict import WINDOWS_PER_BATCH, whole_place_evidence
from gcodefp.prediction.predicted import NEAR_SECONDS, Candidate, Predicted
from gcodefp.programs.reported import block_confidence, reported_places
from gcodefp.programs.table import Programs
from gcodefp.recordings.clean import Recording


def read_recording(checkpoint: Checkpoint, recording: Recording, device: torch.device) -> Predicted:
    """Reads all rows of a recording of at least one window, from its signals alone."""
    description, programs = checkpoint.description, checkpoint.description.programs
    signals = torch.as_tensor(description.scaler.apply(recording), device=device)
    evidence = whole_place_evidence(checkpoint.network, signals, description.window)
    first = torch.as_tensor(programs.first.astype(np.int64), device=device)
    read = read_stretches(evidence[None], first)
    path, posterior = read.path[0].cpu().numpy(), read.posterior[0].cpu().numpy()
    free_block, operations = _read_windows(checkpoint, signals)
    # No way leads from one program into another: a program is as probable at one row as at all.
    of_programs = np.add.reduceat(posterior, programs.first[:-1], axis=1).mean(axis=0)
    of_path = int(programs.of_place()[path[0]])
    return Predicted(
        name=recording.name,
        row=recording.row,
        line=programs.line[path],
        block=programs.block[path],
        position_mm=_positions_mm(programs, path),
        confidence=block_confidence(reported_places(posterior, programs), path, programs),
        confidence_clock_known=block_confidence(posterior, path, programs),
        agreement=_agreement(programs, evidence.argmax(-1).cpu().numpy(), path),
        program_rows=int(np.diff(programs.first)[of_path]),
        free_block=free_block,
        programs=_ranked(programs.names.tolist(), of_programs, first=of_path),
        operations=_ranked(description.vocabulary.operations, operations),
    )


@torch.no_grad()
def _read_windows(
    checkpoint: Checkpoint, signals: Tensor
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """The freely written block of each row, (N,), and the mean probability of each operation."""
    network, window, count = checkpoint.network, checkpoint.description.window, len(signals)
    whole, seconds = np.zeros(count, np.int64), np.zeros(count)
    starts = window_starts(whole, seconds, window, max(1, window // 2), np.inf)
    speaks = torch.as_tensor(speaking_rows(starts, window), device=signals.device)
    index = torch.as_tensor(starts[:, None] + np.arange(window), device=signals.device)
    blocks = np.full(count, "", object)
    operations = []
    for rows_of, speaks_of in zip(
        index.split(WINDOWS_PER_BATCH), speaks.split(WINDOWS_PER_BATCH), strict=True
    ):
        encoded = network.encode(signals[rows_of])
        operations.append(network.operation_logits(encoded).softmax(-1).cpu().numpy())
        codes = network.decode(encoded[speaks_of]).cpu().numpy()
        written = checkpoint.description.vocabulary.decode(codes)
        blocks[rows_of[speaks_of].cpu().numpy()] = written
    return blocks.astype(np.str_), np.concatenate(operations).mean(axis=0)


def _agreement(programs: Programs, alone: NDArray[np.int64], path: NDArray[np.int64]) -> float:
    """Share of rows whose place, read alone (N,), is in the path's program and near it in time."""
    near = np.abs(alone - path) * float(programs.step_seconds) <= NEAR_SECONDS
    of_place = programs.of_place()
    return float((near & (of_place[alone] == of_place[path])).mean())


def _positions_mm(programs: Programs, path: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tool positions (N, 3); where no train recording has any, those that the blocks name."""
    if np.isfinite(programs.position_mm).any():
        return programs.position_mm[path].astype(np.float64)
    return endpoints_mm(programs.block[path], programs.mm_per_unit[path])


def _ranked(
    names: Iterable[str], probabilities: NDArray[np.floating], first: int | None = None
) -> tuple[Candidate, ...]:
    """Likeliest first; `first` is put before all others if it is given."""
    found = [
        (index != first, -float(p), Candidate(name, min(1.0, float(p))))
        for index, (name, p) in enumerate(zip(names, probabilities, strict=True))
    ]
    return tuple(candidate for *_, candidate in sorted(found))
