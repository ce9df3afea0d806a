"""Predicts the G-code of a new recording from its signals, and formats the prediction's files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.windows import row_to_window_mask, window_starts
from gcodefp.evaluation.decoder import DecodedRecording, Decoder
from gcodefp.evaluation.decoder_fitting import Rejection, rejection
from gcodefp.evaluation.speed import at_speed, without_rest
from gcodefp.evaluation.toolpaths import SAFETY_WARNING, comment, endpoints_mm
from gcodefp.model.window_decoding import encode_windows
from gcodefp.programs.table import Programs
from gcodefp.recordings.cleaning import Recording

PREDICTION_FORMAT = "gcodefp-prediction-1"
TABLE_COLUMNS = (
    *("first_row", "last_row", "line", "block", "confidence", "confidence_clock_known"),
    *("x_mm", "y_mm", "z_mm"),
)
AGREEMENT_SECONDS = 2.0
MIN_AGREEMENT = 0.5
"""Without a decoder.npz. A program that is not in the train split is decoded as the most similar
one, perhaps with a high confidence; a low agreement is a sign of it. Three networks were trained on
the real recordings without those of one program. The 35 recordings of the first two programs had
agreements of 0.18 to 0.48, from which this threshold comes; of the third, 15 of 16 were below it
and one at 0.51. Some recordings of trained programs are below it too.
"""
SPEEDS = (0.5, 0.63, 0.8, 1.25, 1.6, 2.0)
"""Factors of the train recordings' speed (feed overrides) at which a recording that matches no
program is tried. Without that, simulated programs are decoded up to a fifth faster or slower."""
MAX_ROWS_SHARE = 2.0
"""A recording with more rows than this times those of its program contains several programs."""
PACKETS_NOTE = "the order of its packets of rows is not known: each is decoded by itself"
PACKETS_IN_ORDER_NOTE = (
    "its packets of rows are taken to be in the order of time, as they were in the train recordings"
)
EVEN_SPACING_NOTE = "rows of the recording are taken as evenly spaced in time"
CONFIDENCE_NOTES = (
    "confidence: probability that the controller reports this block, its lag unknown",
    "with median lag: the same, if the sensors lag by the median of the training recordings",
    "agreement: share of rows whose most probable state by themselves is within "
    f"{AGREEMENT_SECONDS:g} s of the decoded one",
)


class Candidate(NamedTuple):
    """A program or an operation, and its probability."""

    name: str
    probability: float


@dataclass(frozen=True)
class RecordingPrediction:
    """The prediction for the N rows of a recording that are decoded.

    Rows that repeat the one before are not decoded, and faster ones are averaged to the rate of the
    train split: N may be less than the rows of the file or table, and `row` says which they are.

    Attributes:
        row: (N,) data row of the input, from 0.
        line: (N,) line number that the controller would report.
        block: (N,) canonical text of the block at that line.
        position_mm: (N, 3) tool position in mm; NaN where unknown.
        confidence: (N,) probability of the block, 0 to 1, the lag unknown.
        median_lag_confidence: (N,) the same, if the lag were the program's median.
        agreement: share of rows whose own most probable state, by emission alone, is within
            AGREEMENT_SECONDS of the decoded one.
        rejection: whether the recording, at `speed`, matches none of the programs; None without a
            decoder.npz, where a low agreement is the caveat.
        speed: of the program, in that of the train recordings; 1 unless it matches at another of
            SPEEDS only.
        program_rows: rows of the program.
        greedy_block: (N,) text of greedy decoding, without programs.
        programs, operations: all of the train split, most probable first.
        notes: on the recording.
    """

    name: str
    row: NDArray[np.int32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    median_lag_confidence: NDArray[np.float64]
    agreement: float
    rejection: Rejection | None
    speed: float
    program_rows: int
    greedy_block: NDArray[np.str_]
    programs: tuple[Candidate, ...]
    operations: tuple[Candidate, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        name, probability = self.program
        mark = f"{self.mark}, " if self.mark else ""
        return (
            f"RecordingPrediction({self.name!r}: {mark}program {name!r} ({probability:.2f}), "
            f"{len(self.row)} rows, warnings: {len(self.warnings)})"
        )

    @property
    def program(self) -> Candidate:
        return self.programs[0]

    @property
    def operation(self) -> Candidate:
        return self.operations[0]

    @property
    def mean_confidence(self) -> float:
        """Expected block accuracy: the share of rows whose block is correct."""
        return float(self.confidence.mean())

    @property
    def mean_median_lag_confidence(self) -> float:
        return float(self.median_lag_confidence.mean())

    @property
    def refusal(self) -> Rejection | None:
        """The former name of `rejection`."""
        return self.rejection

    @property
    def mark(self) -> str:
        """REJECTED if one of the warnings begins with it, else CAVEAT; empty: none does."""
        marks = {text.partition(":")[0] for text in self.warnings}
        return next((mark for mark in ("REJECTED", "CAVEAT") if mark in marks), "")

    @property
    def warnings(self) -> list[str]:
        """That it is rejected, and the caveats of the prediction as a whole."""
        warnings = list(self.notes)
        if self.rejection is not None and self.rejection.is_rejected:
            warnings.append(
                "REJECTED: it matches none of the programs as well as their own recordings do "
                f"(p = {self.rejection.p_value:.3f}; false rejections: "
                f"{self.rejection.false_alarm_rate:.1%} of recordings)"
            )
        elif self.rejection is None and self.agreement < MIN_AGREEMENT:
            warnings.append(
                "CAVEAT: few rows agree on the program; it may not be in the train split "
                "(see --greedy)"
            )
        if self.speed != 1:
            warnings.append(
                f"CAVEAT: it matches a program at about {self.speed:g} times the speed of the "
                "train recordings, as which it is decoded, and none at theirs; if the machine ran "
                "at their speed, it ran none of the programs"
            )
        if len(self.row) * self.speed > MAX_ROWS_SHARE * self.program_rows:
            warnings.append(
                f"CAVEAT: {len(self.row)} rows, the program has {self.program_rows}; does the "
                "file hold several logs?"
            )
        return warnings

    @property
    def blocks(self) -> pd.DataFrame:
        """A row for each group of neighbouring rows of one line: the columns of NAME.csv."""
        starts = _group_starts(self.line, self.block)
        ends = np.append(starts[1:], len(self.row))
        position_mm = self.position_mm[ends - 1]
        means = (
            np.array([values[a:b].mean() for a, b in zip(starts, ends, strict=True)])
            for values in (self.confidence, self.median_lag_confidence)
        )
        firsts = self.row[starts], self.row[ends - 1], self.line[starts], self.block[starts]
        columns = (*firsts, *means, *position_mm.T)
        return pd.DataFrame(dict(zip(TABLE_COLUMNS, columns, strict=True)))


def _group_starts(*columns: NDArray[Any]) -> NDArray[np.intp]:
    """First row of each group of neighbouring rows that are equal in all columns (N,)."""
    is_new = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return np.append(0, np.flatnonzero(is_new) + 1)


def predict_recording(
    decoder: Decoder, recording: Recording, device: torch.device
) -> RecordingPrediction:
    """Decodes a recording of at least one window as a whole, from its signals alone.

    Packets of rows are decoded one by one, and not compared with whole programs, unless those of
    the train recordings were in order.
    """
    description, programs = decoder.description, decoder.programs
    measured = description.scaler.apply(recording)
    notes, row_range = list(recording.notes), recording.row_range
    if row_range is not None:
        entries = description.document["recordings"].values()
        if not any(entry.get("reordered_rows") for entry in entries):
            row_range = None
        notes.append(PACKETS_IN_ORDER_NOTE if row_range is None else PACKETS_NOTE)
    if row_range is None:
        signals = torch.as_tensor(measured, device=device)
        rejected, speed = _choose_speed(decoder, signals)
        decoded = decoder.decode_recording(at_speed(signals, speed)).at_rows(len(measured))
        greedy_block, operations = _decode_greedily(decoder, signals)
    else:
        rejected, speed = None, 1.0
        parts = np.split(measured, np.flatnonzero(np.diff(row_range)) + 1)
        decoded, greedy_block, operations = _decode_parts(decoder, parts, device)
    state = decoded.state
    return RecordingPrediction(
        name=recording.name,
        row=recording.row,
        line=programs.line[state],
        block=programs.block[state],
        position_mm=_positions_mm(programs, state),
        confidence=decoded.confidence,
        median_lag_confidence=decoded.median_lag_confidence,
        agreement=agreement(programs, decoded.emission_state, decoded.state),
        rejection=rejected,
        speed=speed,
        program_rows=int(np.diff(programs.first)[decoded.program]),
        greedy_block=greedy_block,
        programs=_rank_candidates(programs.names.tolist(), decoded.program_probability),
        operations=_rank_candidates(description.vocabulary.operations, operations),
        notes=tuple(notes),
    )


def _decode_parts(
    decoder: Decoder, parts: Sequence[NDArray[np.float32]], device: torch.device
) -> tuple[DecodedRecording, NDArray[np.str_], NDArray[np.float64]]:
    """Each part (M, C) by itself, one after the other; a short one lasts a window."""
    window, rows = decoder.description.window, [len(part) for part in parts]
    padded = [
        torch.as_tensor(np.pad(part, ((0, max(0, window - n)), (0, 0)), mode="edge"), device=device)
        for part, n in zip(parts, rows, strict=True)
    ]
    greedy = [_decode_greedily(decoder, signals) for signals in padded]
    blocks = [text[:n] for (text, _), n in zip(greedy, rows, strict=True)]
    operations = np.average([o for _, o in greedy], axis=0, weights=rows)
    return decoder.decode_parts(padded, rows), np.concatenate(blocks), operations


def _choose_speed(decoder: Decoder, signals: Tensor) -> tuple[Rejection | None, float]:
    """Whether a recording (N, C) is rejected, and its speed: 1, or that of the best match.

    Rest before and after the program was cut off train recordings, and does not count; except at
    another speed, where cutting rows would let more of unknown programs pass.
    """
    moving = signals
    if decoder.templates is not None:
        moving = without_rest(decoder.templates, decoder.chain(signals.device), signals)
    usual = rejection(decoder, moving)
    if usual is None or not usual.is_rejected:
        return usual, 1.0
    tried = [
        (tested, speed)
        for speed in SPEEDS
        if len(signals) * speed >= decoder.description.window
        and (tested := rejection(decoder, at_speed(signals, speed)))
    ]
    best, speed = max(tried, key=lambda pair: pair[0].fit, default=(usual, 1.0))
    return (usual, 1.0) if best.is_rejected else (best, speed)


@torch.no_grad()
def _decode_greedily(
    decoder: Decoder, signals: Tensor
) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Each row's block by greedy decoding, (N,), and the mean probability of each operation."""
    network, window, count = decoder.network, decoder.description.window, len(signals)
    recording, seconds = np.zeros(count, np.int64), np.zeros(count)
    starts = window_starts(recording, seconds, window, max(1, window // 2), np.inf)
    first = torch.as_tensor(starts, device=signals.device)
    row_mask = torch.as_tensor(row_to_window_mask(starts, window), device=signals.device)
    blocks, operations = np.full(count, "", object), []
    for rows, mask, encoded in encode_windows(network, signals, first, row_mask):
        operations.append(network.operation_logits(encoded).softmax(-1).cpu().numpy())
        tokens = network.decode(encoded[mask]).cpu().numpy()
        blocks[rows[mask].cpu().numpy()] = decoder.description.vocabulary.decode(tokens)
    return blocks.astype(np.str_), np.concatenate(operations).mean(axis=0)


def agreement(
    programs: Programs, row_states: NDArray[np.int64], states: NDArray[np.int64]
) -> float:
    """Share of rows whose own most probable state (N,) is near the decoded one, in its program."""
    is_near = np.abs(row_states - states) * float(programs.step_seconds) <= AGREEMENT_SECONDS
    program = programs.program_of_state()
    return float((is_near & (program[row_states] == program[states])).mean())


def _positions_mm(programs: Programs, states: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tool positions (N, 3); where no train recording has any, the end points of the blocks."""
    if np.isfinite(programs.position_mm).any():
        return programs.position_mm[states].astype(np.float64)
    return endpoints_mm(programs.block[states], programs.mm_per_unit[states])


def _rank_candidates(
    names: Iterable[str], probabilities: NDArray[np.floating]
) -> tuple[Candidate, ...]:
    """Most probable first, of equal ones the first."""
    pairs = zip(names, probabilities.tolist(), strict=True)
    ranked = sorted(pairs, key=lambda pair: -pair[1])
    return tuple(Candidate(name, min(1.0, probability)) for name, probability in ranked)


def gcode_text(
    prediction: RecordingPrediction,
    checkpoint: str,
    notes: Sequence[str],
    clock: NDArray[np.str_] | None = None,
) -> str:
    """A program in RS-274 with a comment for each block, and notes at its head.

    Args:
        checkpoint: its SHA-256.
        clock: (N,) the recording's clock at each row, for the comments.
    """
    lines = _head(prediction, checkpoint, (*CONFIDENCE_NOTES, EVEN_SPACING_NOTE, *notes))
    table = prediction.blocks
    starts = _group_starts(prediction.line, prediction.block).tolist()
    for first, block in zip(starts, table.itertuples(), strict=True):
        annotation = (
            f"confidence {block.confidence:.2f}, rows {block.first_row}-{block.last_row}, "
            f"line {block.line}, with median lag {block.confidence_clock_known:.2f}"
        )
        if clock is not None and clock[first]:
            annotation += f", at {clock[first]}"
        lines.append(f"{block.block} {comment(annotation)}")
    return "\n".join(lines) + "\n"


def greedy_text(prediction: RecordingPrediction, checkpoint: str, notes: Sequence[str]) -> str:
    """The same for the blocks of greedy decoding, without programs."""
    greedy = "blocks are decoded row by row from all words of the training recordings"
    lines = _head(prediction, checkpoint, (greedy, EVEN_SPACING_NOTE, *notes))
    starts = _group_starts(prediction.greedy_block)
    ends = np.append(starts[1:], len(prediction.row))
    for first, end in zip(starts, ends, strict=True):
        rows = comment(f"rows {prediction.row[first]}-{prediction.row[end - 1]}")
        lines.append(f"{prediction.greedy_block[first]} {rows}".lstrip())
    return "\n".join(lines) + "\n"


def _head(prediction: RecordingPrediction, checkpoint: str, notes: Sequence[str]) -> list[str]:
    program, operation = prediction.program, prediction.operation
    texts = (
        SAFETY_WARNING,
        f"recording {prediction.name}, {len(prediction.row)} rows",
        f"program {program.name} {program.probability:.2f}, "
        f"operation {operation.name} {operation.probability:.2f}",
        f"mean confidence {prediction.mean_confidence:.2f}, with median lag "
        f"{prediction.mean_median_lag_confidence:.2f}, agreement {prediction.agreement:.2f}",
        f"checkpoint sha256 {checkpoint}",
        *notes,
    )
    return [comment(text) for text in texts]


def table_text(prediction: RecordingPrediction) -> str:
    """CSV with one line per block; an unknown position is empty."""
    table = prediction.blocks
    for name in TABLE_COLUMNS[4:]:
        form = "{:.3f}" if name.endswith("_mm") else "{:.4f}"
        table[name] = table[name].map(form.format, na_action="ignore")
    return str(table.to_csv(index=False, lineterminator="\n"))


def document(prediction: RecordingPrediction) -> dict[str, Any]:
    """The content of the JSON file on the whole recording."""
    return {
        "recording": prediction.name,
        "rows": len(prediction.row),
        "blocks": len(_group_starts(prediction.line, prediction.block)),
        "program": prediction.program._asdict(),
        "operation": prediction.operation._asdict(),
        "programs": [candidate._asdict() for candidate in prediction.programs],
        "operations": [candidate._asdict() for candidate in prediction.operations],
        "confidence": prediction.mean_confidence,
        "confidence_clock_known": prediction.mean_median_lag_confidence,
        "agreement": prediction.agreement,
        "refusal": prediction.rejection and prediction.rejection._asdict(),
        "speed": prediction.speed,
        "doubts": prediction.warnings,
        "doubtful_below": MIN_AGREEMENT if prediction.rejection is None else None,
        "rows_evenly_spaced": True,
    }
