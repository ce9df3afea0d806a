"""The decoder: a network's and the templates' emissions, weighted, in the hidden Markov model.

The decoder is the network alone, the templates alone, or both. It is a file, `decoder.npz`, beside
the checkpoint, which `fit_decoder` makes.

Shapes: N rows, C channels, B windows of T rows, P states, K programs, W tried pairs of weights.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.store import DatasetDescription
from gcodefp.documents import ArraySpec, check_arrays
from gcodefp.errors import UserError
from gcodefp.evaluation.names import NETWORK_ALONE, NETWORK_AND_TEMPLATES, TEMPLATES_ALONE
from gcodefp.evaluation.speed import at_speed, best_template_match
from gcodefp.files import read_arrays, sha256, write_arrays
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.hmm import (
    Emissions,
    MarkovChain,
    centre_posterior,
    posterior_chunks,
    rows_at_once,
    waiting_chain,
)
from gcodefp.model.network import Network
from gcodefp.model.templates import OFFSET_SECONDS, THRESHOLDS, Templates, feature_offsets
from gcodefp.model.window_decoding import encode_recording, encode_windows
from gcodefp.programs.lag_marginal import (
    MostProbableBlocks,
    StateTexts,
    block_confidence,
    marginalise_lag,
    state_texts,
    text_probabilities,
)
from gcodefp.programs.table import Programs

DECODER_FILE = "decoder.npz"
NETWORK_ALONE_NOTE = (
    f"no {DECODER_FILE} is beside the checkpoint: its network alone decodes, without templates"
)
REBUILD = "snakemake --cores all --forcerun fit_decoder"
UNTUNED_NETWORK_WEIGHT = 0.3
"""Of a checkpoint without a decoder.npz, which has no templates."""
WINDOWS_PER_CHUNK = 128
"""At most, of one computation; fewer if there are many states."""
TEMPLATE_ARRAYS = ("projection", "mean", "weight")
ARRAYS = {
    "checkpoint": ArraySpec("U", ()),
    "weights": ArraySpec("f", (2,), 0, 1e6),
    # Bounds keep log-likelihoods finite.
    "projection": ArraySpec("f", ("F", "D"), -1e6, 1e6),
    "mean": ArraySpec("f", ("P", "D"), -1e9, 1e9),
    "weight": ArraySpec("f", ("D",), -1, 1),
    "tried": ArraySpec("f", ("W", 4)),
    "fits": ArraySpec("f", ("R",)),
    "temperature": ArraySpec("f", (), 0.1, 10),
}
"""Arrays of decoder.npz."""
SPEEDS_ARRAY = {"speeds": ArraySpec("f", ("S",), 1e-3, 1e3)}
"""Another one, which is there where train recordings ran at different speeds."""


class DecodedRecording(NamedTuple):
    """The decoding of a recording of N rows as a whole."""

    program: int  # the most probable one
    program_probability: NDArray[np.floating]  # (K,) of each program; no transition leaves one
    state: NDArray[np.int64]  # (N,) the most probable one of each row in the most probable program
    confidence: NDArray[np.float64]  # (N,) probability of the block at this state, the lag unknown
    # (N,) the same, if the lag were the program's median
    median_lag_confidence: NDArray[np.float64]
    # the most probable block of each row, in any program, the lag unknown
    blocks: MostProbableBlocks
    # (N,) the state with the highest emission at each row by itself
    emission_state: NDArray[np.int64]

    def at_rows(self, count: int) -> "DecodedRecording":
        """The same of `count` evenly spaced rows, each as the nearest of N."""
        if count == len(self.state):
            return self
        row = np.rint(np.linspace(0, len(self.state) - 1, count)).astype(int)
        return self._replace(
            state=self.state[row],
            confidence=self.confidence[row],
            median_lag_confidence=self.median_lag_confidence[row],
            blocks=MostProbableBlocks(*(values[row] for values in self.blocks)),
            emission_state=self.emission_state[row],
        )


class Decoder(NamedTuple):
    """A checkpoint with its emission models."""

    checkpoint: Checkpoint
    # weights of the emission log-likelihoods; 0 where one is not used
    network_weight: float = UNTUNED_NETWORK_WEIGHT
    template_weight: float = 0.0
    templates: Templates | None = None  # None without a decoder.npz
    # (W, 4) on the val split: both weights, mean log score, share of rows within 1 s
    tried: NDArray[np.float32] = np.zeros((0, 4), np.float32)
    # (R,) `speed.template_match` of each train or val recording, to templates fitted without it
    template_matches: NDArray[np.float32] = np.zeros(0, np.float32)
    temperature: float = 1.0  # of the probabilities of blocks; above 1 they are less certain
    # (S,) at which whole recordings are tried besides 1: those of train and val recordings
    speeds: tuple[float, ...] = ()

    @property
    def description(self) -> DatasetDescription:
        return self.checkpoint.description

    @property
    def network(self) -> Network:
        return self.checkpoint.network

    @property
    def programs(self) -> Programs:
        return self.checkpoint.description.programs

    def describe(self) -> dict[str, str | float | None]:
        """The key `decoder` of metrics.json; `val_…` are None where nothing was tried."""
        weights = np.array([self.network_weight, self.template_weight], np.float32)
        chosen = self.tried[(self.tried[:, :2] == weights).all(1), 2:].round(4)
        score, within = chosen[0].tolist() if len(chosen) else (None, None)
        return {
            "emissions": self.summary,
            "network_weight": self.network_weight,
            "template_weight": self.template_weight,
            "val_log_score": score,
            "val_within_1s": within,
            "temperature": self.temperature,
        }

    @property
    def summary(self) -> str:
        """Which emissions it uses, in words."""
        if not self.template_weight:
            return NETWORK_ALONE
        return NETWORK_AND_TEMPLATES if self.network_weight else TEMPLATES_ALONE

    def paths(self, checkpoint: Path) -> list[Path]:
        """The files that it was read from."""
        return [checkpoint] + [checkpoint.with_name(DECODER_FILE)] * (self.templates is not None)

    def chain(self, device: torch.device) -> MarkovChain:
        """The transitions between the programs' states."""
        return waiting_chain(torch.as_tensor(self.programs.first.astype(np.int64), device=device))

    def window_emissions(self, encoded: Tensor, signals: Tensor) -> Tensor:
        """Weighted emission log-likelihoods (B, T, P) of windows (B, T, C), encoded (B, T, D)."""
        emissions = self.network_weight * self.network.emission_log_likelihood(encoded)
        if self.templates is not None:
            emissions += self.template_weight * self.templates.log_likelihood(signals)
        return emissions

    @torch.no_grad()
    def recording_emissions(self, signals: Tensor) -> Emissions:
        """Weighted emission log-likelihoods of a recording (N, C) of at least a window."""
        encoded = encode_recording(self.network, signals, self.description.window)
        projected = None if self.templates is None else self.templates.project(signals[None])

        def block(first: int, end: int) -> Tensor:
            rows = encoded[None, first:end]
            emissions = self.network_weight * self.network.emission_log_likelihood(rows)
            if self.templates is not None and projected is not None:
                emissions += self.template_weight * self.templates.log_prob(projected[:, first:end])
            return emissions

        return Emissions(len(signals), block)

    def decode_recording(self, signals: Tensor) -> DecodedRecording:
        """Decodes a recording (N, C) of at least a window.

        Posterior decoding (Rabiner 1989, section III.B) has more correct blocks than the Viterbi
        path, where the whole recording leaves little doubt; in windows it has fewer.
        """
        speed = (
            self.best_match(self.templates, signals)[1] if self.templates and self.speeds else 1.0
        )
        signals, count = at_speed(signals, speed), len(signals)
        return self.decode_parts([signals], [len(signals)]).at_rows(count)

    def best_match(self, templates: Templates, signals: Tensor) -> tuple[float, float]:
        """The best `template_match` of a recording (N, C), and the speed that has it."""
        speeds, chain = (1.0, *self.speeds), self.chain(signals.device)
        return best_template_match(templates, chain, signals, speeds, self.description.window)

    @torch.no_grad()
    def decode_parts(self, parts: Sequence[Tensor], rows: Sequence[int]) -> DecodedRecording:
        """Decodes each part of a recording by itself, in the program of the whole recording.

        Args:
            parts: signals (M, C) of at least a window each.
            rows: of each part that are the recording's; it is padded behind them. N in all.
        """
        texts = state_texts(self.programs)
        decoded = [self._decode_rows(signals, texts) for signals in parts]
        mass, states, confidence, median_lag, blocks, block_probability, emission_state = (
            np.concatenate([array[:count] for array, count in zip(arrays, rows, strict=True)])
            for arrays in zip(*decoded, strict=True)
        )
        probability = mass.mean(0)
        program = int(probability.argmax())
        return DecodedRecording(
            program,
            probability,
            states[:, program],
            confidence[:, program],
            median_lag[:, program],
            MostProbableBlocks(blocks, block_probability),
            emission_state,
        )

    def _decode_rows(self, signals: Tensor, texts: StateTexts) -> tuple[NDArray[Any], ...]:
        """Of each row of (M, C): what DecodedRecording has, for each program where it matters."""
        programs = self.programs
        slices = [programs.state_slice(program) for program in range(len(programs.names))]
        blocks = []
        for rows in posterior_chunks(self.recording_emissions(signals), self.chain(signals.device)):
            posterior = rows.posterior[0].cpu().numpy()
            # Which program is the most probable one is known after all rows.
            states = np.stack([s.start + posterior[:, s].argmax(1) for s in slices], axis=1)
            probability = text_probabilities(
                marginalise_lag(posterior, programs), texts, self.temperature
            )
            blocks.append(
                (
                    np.add.reduceat(posterior, programs.first[:-1], axis=1),
                    states,
                    np.take_along_axis(probability, texts.text[states], axis=1).clip(0.0, 1.0),
                    block_confidence(posterior, states, texts, self.temperature),
                    texts.texts[probability.argmax(1)],
                    probability.max(1).clip(0.0, 1.0),
                    rows.emission_state[0].cpu().numpy(),
                )
            )
        return tuple(np.concatenate(arrays) for arrays in zip(*reversed(blocks), strict=True))

    @torch.no_grad()
    def decode_centres(self, signals: NDArray[np.float32], rows: int | None) -> NDArray[np.int64]:
        """A `CentreDecoder`: states of the centre rows of all windows of T rows, (N - T + 1,).

        None: of all rows of the recording (N, C), (N,).
        """
        tensor = torch.as_tensor(signals, device=self.network.log_state_prior.device)
        if rows is None:
            return self.decode_recording(tensor).state
        posteriors = self.centre_posteriors(tensor, rows)
        return torch.cat([posterior.argmax(-1) for posterior in posteriors]).cpu().numpy()

    @torch.no_grad()
    def centre_posteriors(self, signals: Tensor, rows: int) -> Iterator[Tensor]:
        """Posteriors (B, P) of the states at the centre rows of windows, a few windows at a time.

        Args:
            signals: (N, C) of one recording; a window begins at each row.
            rows: T, of each window, at most N; any length.
        """
        starts = torch.arange(len(signals) - rows + 1, device=signals.device)
        chain, windows = self.chain(signals.device), WindowEmissions(self, signals, rows)
        for chunk in starts.split(rows_at_once(len(self.programs), WINDOWS_PER_CHUNK)):
            yield centre_posterior(windows.weighted(chunk), rows, chain)


class WindowEmissions:
    """All windows of one length of one recording, which share most of their computation."""

    def __init__(self, decoder: Decoder, signals: Tensor, rows: int) -> None:
        self._decoder, self._rows, self._signals = decoder, rows, signals
        # A longer window is encoded in parts as long as those of the training.
        self._length = length = min(rows, decoder.description.window)
        self._part_starts = [*range(0, rows - length, max(1, length // 4)), rows - length]
        templates = decoder.templates
        self._projected = templates.project_windows(signals, rows) if templates else {}

    def weighted(self, starts: Tensor) -> Callable[[int], Tensor]:
        """The decoder's emissions of windows (B,), which ascend: row -> (B, P)."""
        decoder = self._decoder
        templates = self.templates(starts) if decoder.template_weight else None

        def emission_at(row: int) -> Tensor:
            emissions = torch.zeros((), device=starts.device)
            if decoder.network_weight:
                emissions = emissions + decoder.network_weight * self.network(starts, row)
            if templates is not None:
                emissions = emissions + decoder.template_weight * templates(row)
            return emissions

        return emission_at

    @cached_property
    def _encoded(self) -> Tensor:
        """Row vectors of all parts, (parts, rows, D); templates alone never need them."""
        starts = torch.arange(len(self._signals) - self._length + 1, device=self._signals.device)
        every_row = torch.ones(len(starts), self._length, dtype=torch.bool, device=starts.device)
        parts = encode_windows(self._decoder.network, self._signals, starts, every_row)
        return torch.cat([part.encoded for part in parts])

    def network(self, starts: Tensor, row: int) -> Tensor:
        """The network's emission log-likelihoods of one row of windows (B,), (B, P).

        Of the mean of row vectors that `encode_recording` takes.
        """
        length, total, weights = self._length, torch.zeros(()), 0
        for start in self._part_starts:
            if 0 <= (part_row := row - start) < length:
                weight = min(part_row, length - 1 - part_row) + 1
                total = total + weight * self._encoded[starts + start, part_row]
                weights += weight
        return self._decoder.network.emission_log_likelihood(total / weights)

    def templates(self, starts: Tensor) -> Callable[[int], Tensor]:
        """The templates' log-likelihoods of windows (B,), which ascend: row -> (B, P)."""
        fitted, projected = self._decoder.templates, self._projected
        assert fitted is not None, "their weight is not 0"
        log_prob, window_cut, inner = fitted.log_prob, fitted.window_cut, (fitted.reach,) * 2
        first, end = int(starts[0]), int(starts[-1]) + self._rows
        # Most rows of a window are in many others, with the same features.
        shared = log_prob(projected[inner][first:end]) if inner in projected else None

        def log_likelihood(row: int) -> Tensor:
            cut = window_cut(row, self._rows)
            if cut == inner and shared is not None:
                return shared[starts - first + row]
            return log_prob(projected[cut][starts + row])

        return log_likelihood


def write_decoder(path: Path, decoder: Decoder, checkpoint: Path) -> None:
    """Writes the decoder.npz of a checkpoint; the same decoder gives the same bytes."""
    assert decoder.templates is not None, "a fitted decoder has templates"
    arrays = {
        "checkpoint": np.array(sha256(checkpoint)),
        "weights": np.array([decoder.network_weight, decoder.template_weight]),
        "tried": decoder.tried,
        "fits": decoder.template_matches,
        "temperature": np.array(decoder.temperature),
    }
    for name in TEMPLATE_ARRAYS:
        arrays[name] = getattr(decoder.templates, name).cpu().numpy()
    if decoder.speeds:
        arrays["speeds"] = np.array(decoder.speeds)
    write_arrays(path, arrays)


def read_decoder(checkpoint: Checkpoint, path: Path, device: torch.device) -> Decoder:
    """Reads the decoder.npz beside the checkpoint at `path`; without one, the network alone.

    Raises UserError: decoder.npz is truncated or damaged, or was fitted for another checkpoint.
    """
    decoder_path = path.with_name(DECODER_FILE)
    # A folder or a broken link of this name is an error below.
    if not os.path.lexists(decoder_path):
        return Decoder(checkpoint)
    arrays: dict[str, NDArray[Any]] = {"speeds": np.zeros(0)}
    arrays |= read_arrays(decoder_path, [*ARRAYS, *SPEEDS_ARRAY], REBUILD, SPEEDS_ARRAY)
    description = checkpoint.description
    features = len(OFFSET_SECONDS) * len(THRESHOLDS) * len(description.scaler.channels)
    lengths = {"P": len(description.programs), "F": features}
    check_arrays(arrays, ARRAYS | SPEEDS_ARRAY, decoder_path, REBUILD, lengths)
    if arrays["checkpoint"] != sha256(path):
        raise UserError(
            f"{decoder_path}: was fitted for another checkpoint than {path}; fit it again with: "
            f"{REBUILD}"
        )
    network_weight, template_weight = arrays["weights"].tolist()
    if not network_weight and not template_weight:
        raise UserError(f"{decoder_path}: weights are both 0; rebuild it with: {REBUILD}")
    projection, mean, weight = (
        torch.as_tensor(arrays[name], dtype=torch.float32, device=device)
        for name in TEMPLATE_ARRAYS
    )
    offsets = feature_offsets(float(description.programs.step_seconds))
    templates = Templates(projection, mean, weight, offsets)
    calibration = arrays["tried"], arrays["fits"], float(arrays["temperature"])
    speeds = tuple(arrays["speeds"].tolist())
    return Decoder(checkpoint, network_weight, template_weight, templates, *calibration, speeds)
