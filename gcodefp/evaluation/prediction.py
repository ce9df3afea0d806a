"""A prediction as plain arrays: what the files and the picture are made of."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.windows import row_to_window_mask, window_starts
from gcodefp.evaluation.toolpaths import DANGER, comment, endpoints_mm
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.hmm import decode_segments
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH, whole_emission_log_likelihood
from gcodefp.programs.lag_marginal import block_confidence, marginalise_lag
from gcodefp.programs.table import Programs
from gcodefp.recordings.cleaning import Recording

NEAR_SECONDS = 2.0
DOUBTFUL_BELOW = 0.5
"""A program that was never learnt is read as the most alike of those that were, perhaps as sure as
they are; the agreement tells. Three networks were trained on the real recordings but for those of
one program. The 35 of the first two had agreements of 0.18 to 0.48, from which this threshold is;
of the third, 15 of 16 were below it and one at 0.51. Of the programs that were learnt, every
recording above it was read as its program; below are also right ones, of what was learnt badly.
"""
MAX_ROWS_SHARE = 2.0
"""A recording with more rows than this times its program's holds more than the one program."""


class Candidate(NamedTuple):
    """A program or an operation, and how probable it is."""

    name: str
    probability: float


@dataclass(frozen=True)
class Predicted:
    """What is read from a recording of N rows.

    Attributes:
        row: (N,) data row in the file, from 0.
        line: (N,) line number that the controller would report.
        block: (N,) canonical text of the block at that line.
        position_mm: (N, 3) tool position; NaN where unknown.
        confidence: (N,) probability of the block, the controller's clock unknown.
        confidence_clock_known: (N,) the same, if the lag is known to be the program's median.
        agreement: share of rows that would be read at the same place, within NEAR_SECONDS, from
            the rows around them alone; low if the recording fits none of the programs.
        program_rows: how many rows the program takes.
        free_block: (N,) text that the network writes without knowing any program.
        programs, operations: all that the train split has, likeliest first.
    """

    name: str
    row: NDArray[np.int32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    confidence_clock_known: NDArray[np.float64]
    agreement: float
    program_rows: int
    free_block: NDArray[np.str_]
    programs: tuple[Candidate, ...]
    operations: tuple[Candidate, ...]

    @property
    def program(self) -> Candidate:
        return self.programs[0]

    @property
    def operation(self) -> Candidate:
        return self.operations[0]

    @property
    def mean_confidence(self) -> float:
        """Expected share of rows whose exact block is right."""
        return float(self.confidence.mean())

    @property
    def mean_clock_known(self) -> float:
        return float(self.confidence_clock_known.mean())

    @property
    def doubts(self) -> list[str]:
        """Why the prediction as a whole should not be trusted."""
        found = []
        if self.agreement < DOUBTFUL_BELOW:
            found.append(
                "DOUBTFUL: few rows agree on the program; it may be one never learnt (see --free)"
            )
        if len(self.row) > MAX_ROWS_SHARE * self.program_rows:
            found.append(
                f"DOUBTFUL: {len(self.row)} rows, the program has {self.program_rows}; does the "
                "file hold several logs?"
            )
        return found


class Stretch(NamedTuple):
    """Rows that execute one block; first and last are data rows in the file.

    Attributes:
        at: its first row among the N rows.
        position_mm: (3,) of the tool in the last row.
    """

    at: int
    first_row: int
    last_row: int
    line: int
    block: str
    confidence: float
    confidence_clock_known: float
    position_mm: NDArray[np.float64]


def segments(predicted: Predicted) -> list[Stretch]:
    """The blocks in order, one for all neighbouring rows of the same line."""
    same = (np.diff(predicted.line) == 0) & (predicted.block[1:] == predicted.block[:-1])
    return [
        Stretch(
            first,
            int(predicted.row[first]),
            int(predicted.row[end - 1]),
            int(predicted.line[first]),
            str(predicted.block[first]),
            float(predicted.confidence[first:end].mean()),
            float(predicted.confidence_clock_known[first:end].mean()),
            predicted.position_mm[end - 1],
        )
        for first, end in bounds(same)
    ]


def bounds(same: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First row and end of each stretch; (N - 1,) whether a row belongs to the one before."""
    return list(pairwise([0, *(np.flatnonzero(~same) + 1).tolist(), len(same) + 1]))


def read_recording(checkpoint: Checkpoint, recording: Recording, device: torch.device) -> Predicted:
    """Reads all rows of a recording of at least one window, from its signals alone."""
    description, programs = checkpoint.description, checkpoint.description.programs
    signals = torch.as_tensor(description.scaler.apply(recording), device=device)
    evidence = whole_emission_log_likelihood(checkpoint.network, signals, description.window)
    first = torch.as_tensor(programs.first.astype(np.int64), device=device)
    read = decode_segments(evidence[None], first)
    path, posterior = read.path[0].cpu().numpy(), read.posterior[0].cpu().numpy()
    free_block, operations = _read_windows(checkpoint, signals)
    # No way leads from one program into another: a program is as probable at one row as at all.
    of_programs = np.add.reduceat(posterior, programs.first[:-1], axis=1).mean(axis=0)
    of_path = int(programs.program_of_state()[path[0]])
    return Predicted(
        name=recording.name,
        row=recording.row,
        line=programs.line[path],
        block=programs.block[path],
        position_mm=_positions_mm(programs, path),
        confidence=block_confidence(marginalise_lag(posterior, programs), path, programs),
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
    row_mask = torch.as_tensor(row_to_window_mask(starts, window), device=signals.device)
    index = torch.as_tensor(starts[:, None] + np.arange(window), device=signals.device)
    blocks = np.full(count, "", object)
    operations = []
    for rows_of, row_mask_of in zip(
        index.split(WINDOWS_PER_BATCH), row_mask.split(WINDOWS_PER_BATCH), strict=True
    ):
        encoded = network.encode(signals[rows_of])
        operations.append(network.operation_logits(encoded).softmax(-1).cpu().numpy())
        codes = network.decode(encoded[row_mask_of]).cpu().numpy()
        written = checkpoint.description.vocabulary.decode(codes)
        blocks[rows_of[row_mask_of].cpu().numpy()] = written
    return blocks.astype(np.str_), np.concatenate(operations).mean(axis=0)


def _agreement(programs: Programs, alone: NDArray[np.int64], path: NDArray[np.int64]) -> float:
    """Share of rows whose place, read alone (N,), is in the path's program and near it in time."""
    near = np.abs(alone - path) * float(programs.step_seconds) <= NEAR_SECONDS
    program_of_state = programs.program_of_state()
    return float((near & (program_of_state[alone] == program_of_state[path])).mean())


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


PREDICTION_FORMAT = "gcodefp-prediction-1"
TABLE_COLUMNS = (
    "first_row",
    "last_row",
    "line",
    "block",
    "confidence",
    "confidence_clock_known",
    "x_mm",
    "y_mm",
    "z_mm",
)
EVENLY = "rows of the recording are taken as evenly spaced in time"
MEANING = (
    "confidence: probability that the controller reports this block, its clock unknown",
    "clock known: the same, if the sensors lag by the median of the training recordings",
    f"agreement: share of rows read at the same place within {NEAR_SECONDS:g} s from the rows "
    "around them alone",
)


def gcode_text(
    predicted: Predicted,
    checkpoint: str,
    notes: Sequence[str],
    clock: NDArray[np.str_] | None = None,
) -> str:
    """A program in RS-274 with a comment for each block, and what to know at its head.

    Args:
        checkpoint: its SHA-256.
        notes: warnings.
        clock: (N,) what the controller's clock showed at each row, for the comments.
    """
    lines = [comment(of) for of in (*_head(predicted, checkpoint), *MEANING, EVENLY, *notes)]
    for segment in segments(predicted):
        about = [
            f"confidence {segment.confidence:.2f}",
            f"rows {segment.first_row}-{segment.last_row}",
            f"line {segment.line}",
            f"clock known {segment.confidence_clock_known:.2f}",
        ]
        if clock is not None and clock[segment.at]:
            about.append(f"at {clock[segment.at]}")
        lines.append(f"{segment.block} {comment(', '.join(about))}")
    return "\n".join(lines) + "\n"


def free_text(predicted: Predicted, checkpoint: str, notes: Sequence[str]) -> str:
    """The same of the blocks that the network writes row by row, without knowing any program."""
    freely = "blocks are written freely, row by row, from all words of the training recordings"
    lines = [comment(of) for of in (*_head(predicted, checkpoint), freely, EVENLY, *notes)]
    blocks = predicted.free_block
    for first, end in bounds(blocks[1:] == blocks[:-1]):
        rows = comment(f"rows {predicted.row[first]}-{predicted.row[end - 1]}")
        lines.append(f"{blocks[first]} {rows}".lstrip())
    return "\n".join(lines) + "\n"


def table_text(predicted: Predicted) -> str:
    """CSV with one line per block; a position that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    for s in segments(predicted):
        position = ["" if np.isnan(mm) else f"{mm:.3f}" for mm in s.position_mm]
        sure = [f"{s.confidence:.4f}", f"{s.confidence_clock_known:.4f}"]
        writer.writerow([s.first_row, s.last_row, s.line, s.block, *sure, *position])
    return text.getvalue()


def document(predicted: Predicted) -> dict[str, Any]:
    """What is known of the whole recording, for the JSON file."""
    return {
        "recording": predicted.name,
        "rows": len(predicted.row),
        "blocks": len(segments(predicted)),
        "program": predicted.program._asdict(),
        "operation": predicted.operation._asdict(),
        "programs": [candidate._asdict() for candidate in predicted.programs],
        "operations": [candidate._asdict() for candidate in predicted.operations],
        "confidence": predicted.mean_confidence,
        "confidence_clock_known": predicted.mean_clock_known,
        "agreement": predicted.agreement,
        "doubts": predicted.doubts,
        "rows_evenly_spaced": True,
    }


def _head(predicted: Predicted, checkpoint: str) -> list[str]:
    return [
        DANGER,
        f"recording {predicted.name}, {len(predicted.row)} rows",
        f"program {_told(predicted.program)}, operation {_told(predicted.operation)}",
        f"mean confidence {predicted.mean_confidence:.2f}, "
        f"clock known {predicted.mean_clock_known:.2f}, agreement {predicted.agreement:.2f}",
        f"checkpoint sha256 {checkpoint}",
    ]


def _told(candidate: Candidate) -> str:
    return f"{candidate.name} {candidate.probability:.2f}"
