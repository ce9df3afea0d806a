"""A transformer over sensor windows that predicts state, tool position, operation and G-code block.

The encoder maps a window of standardised signals to a vector for each row. From that vector a small
causal transformer decodes the row's block word by word: for each word position heads predict the
type of the token (command, parameter or end), the command, the parameter's letter and, given the
letter, its value. Two more heads predict the row's state and tool position from its vector, and one
the operation from the mean over the window. Each word is conditioned on the previous words, so that
X, Y and Z of a block are consistent.

Shapes: B windows of a batch, T rows, C channels, D width, M rows whose block is decoded, S
word positions of a block, P states.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PAD, PARAMETER, TOKEN_TYPES, UNSEEN
from gcodefp.model.hyperparameters import Hyperparameters

STEM_ROWS = 5
AXES = 3
IGNORED = -100
"""The class that torch's cross-entropy does not count."""
SMOOTHING_ROWS = (9, 25)
"""Sensors are noisy: their moving averages over these numbers of rows are inputs too."""
EMBEDDINGS = ("commands", "parameter_types", "parameter_values", "steps")
OLD_WEIGHT_NAMES = {
    "place_head": "state_head",
    "place_prior_logs": "log_state_prior",
    "writer": "decoder",
}
"""Names of weights in checkpoints of earlier versions -> in this one."""


class NetworkSizes(NamedTuple):
    """The sizes of the network that follow from the dataset."""

    channels: int
    commands: int
    parameter_types: int
    parameter_values: int
    operations: int
    steps: int
    states: int


class Network(nn.Module):
    """The encoder, the block decoder, and their heads."""

    def __init__(self, sizes: NetworkSizes, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        width, dropout = hyperparameters.d_model, hyperparameters.dropout
        self.sizes = sizes
        inputs = sizes.channels * (1 + len(SMOOTHING_ROWS))
        self.scale = nn.BatchNorm1d(inputs, affine=False)
        self.stem = nn.Conv1d(inputs, width, STEM_ROWS, padding=STEM_ROWS // 2)
        self.encoder = _layers(hyperparameters, hyperparameters.num_layers)
        self.decoder = _layers(hyperparameters, 1)  # of blocks; the HMM decodes states
        self.dropout = nn.Dropout(dropout)
        # Class 0 of each embedding: the previous word has no such field.
        self.commands = nn.Embedding(sizes.commands + 1, width)
        self.parameter_types = nn.Embedding(sizes.parameter_types + 1, width)
        self.parameter_values = nn.Embedding(sizes.parameter_values + 1, width)
        self.steps = nn.Embedding(sizes.steps, width)
        self.token_type_head = nn.Linear(width, len(TOKEN_TYPES))
        # A head needs at least one class; `_token_type` masks heads without any.
        self.command_head = nn.Linear(width, max(1, sizes.commands))
        self.parameter_type_head = nn.Linear(width, max(1, sizes.parameter_types))
        self.parameter_value_head = nn.Linear(width, max(1, sizes.parameter_values))
        self.operation_head = nn.Linear(width, sizes.operations)
        self.state_head = nn.Linear(width, sizes.states)
        # Measured on the train split by measure_state_prior; uniform until then.
        self.log_state_prior: Tensor
        self.register_buffer("log_state_prior", torch.zeros(sizes.states))
        self.position_head = nn.Linear(width, AXES)
        for name in EMBEDDINGS:
            nn.init.normal_(getattr(self, name).weight, std=1 / math.sqrt(width))
        self.register_load_state_dict_pre_hook(_rename_old_weights)

    def forward(self, signals: Tensor) -> dict[str, Tensor]:
        """What the heads say of signals (B, T, C), without decoding; for torch's own tools.

        Returns:
            operation_logits (B, operations); emission_log_likelihood (B, T, P), as of
            `emission_log_likelihood`; position (B, T, 3) of the tool, in standard deviations of
            the train split.
        """
        rows = self.encode(signals)
        return {
            "operation_logits": self.operation_logits(rows),
            "emission_log_likelihood": self.emission_log_likelihood(rows),
            "position": self.position_head(rows),
        }

    def encode(self, signals: Tensor) -> Tensor:
        """Signals (B, T, C) to a vector for each row (B, T, D)."""
        channels = signals.transpose(1, 2)
        smooth = [
            functional.avg_pool1d(channels, rows, 1, rows // 2, count_include_pad=False)
            for rows in SMOOTHING_ROWS
        ]
        scaled = self.scale(torch.cat([channels, *smooth], dim=1))
        rows = self.stem(scaled).transpose(1, 2)
        return self.encoder(self.dropout(rows + _positional_encoding(rows)))

    def operation_logits(self, rows: Tensor) -> Tensor:
        """Row vectors (B, T, D) to operation logits (B, operations)."""
        return self.operation_head(rows.mean(dim=1))

    def emission_log_likelihood(self, rows: Tensor) -> Tensor:
        """Row vectors (..., D) to log p(state | row) - log p(state), (..., P).

        Up to a constant per row this is the log-likelihood of the row given the state, the
        emission of a hybrid hidden Markov model (Bourlard and Morgan 1994, Connectionist Speech
        Recognition). Without the prior, of two programs with the same start the one with the lower
        prior would never be decoded.
        """
        emissions: Tensor = self.state_head(rows).log_softmax(-1) - self.log_state_prior
        return emissions

    def block_logits(
        self, rows: Tensor, tokens: Tensor, fixed_shapes: bool = False
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Logits and true classes of every step at which a field applies, under teacher forcing.

        Row vectors (M, D) and true classes (M, S, 4), in the order of vocabulary.FIELDS, to
        field -> logits (K, classes) and classes (K,), K differing from field to field. Steps whose
        class is UNSEEN are excluded; with fixed shapes K is M * S, and their class IGNORED.
        """
        hidden, letters = self._decode_steps(rows, tokens[:, :-1]), tokens[..., 2]
        predictions = {}
        for index, field in enumerate(FIELDS):
            target = tokens[..., index]
            has_field = (target != UNSEEN) & (tokens[..., 0] != PAD)
            if fixed_shapes:
                logits = self._head(field, hidden, letters).flatten(0, 1)
                predictions[field] = logits, target.where(has_field, IGNORED).flatten()
            else:
                # Select before the head: few steps have a value, with thousands of classes.
                logits = self._head(field, hidden[has_field], letters[has_field])
                predictions[field] = logits, target[has_field]
        return predictions

    @torch.no_grad()
    def decode(self, rows: Tensor) -> Tensor:
        """Greedy decoding of blocks: each step is conditioned on the words decoded so far.

        Row vectors (M, D) to classes (M, S, 4); PAD and UNSEEN after the end.
        """
        shape = (len(rows), self.sizes.steps, len(FIELDS))
        tokens = torch.full(shape, UNSEEN, device=rows.device)
        tokens[..., 0] = PAD
        unfinished = torch.arange(len(rows), device=rows.device)
        for step in range(self.sizes.steps):
            if not len(unfinished):
                break
            hidden = self._decode_steps(rows[unfinished], tokens[unfinished, :step])[:, -1]
            token_type = self._token_type(hidden, step)
            tokens[unfinished, step, 0] = token_type
            is_command, is_parameter = token_type == COMMAND, token_type == PARAMETER
            command = self.command_head(hidden[is_command]).argmax(-1)
            tokens[unfinished[is_command], step, 1] = command
            hidden = hidden[is_parameter]
            letter = self.parameter_type_head(hidden).argmax(-1)
            tokens[unfinished[is_parameter], step, 2] = letter
            value = self._head("parameter_value", hidden, letter).argmax(-1)
            tokens[unfinished[is_parameter], step, 3] = value
            unfinished = unfinished[token_type != END]
        return tokens

    def _token_type(self, hidden: Tensor, step: int) -> Tensor:
        """The most probable type that is valid at this step."""
        logits = self.token_type_head(hidden)
        logits[:, PAD] = -torch.inf
        if not self.sizes.commands:
            logits[:, COMMAND] = -torch.inf
        if not self.sizes.parameter_types:
            logits[:, PARAMETER] = -torch.inf
        if step == 0:
            logits[:, END] = -torch.inf
        return logits.argmax(-1)

    def _decode_steps(self, rows: Tensor, previous: Tensor) -> Tensor:
        """Hidden vectors (M, s + 1, D) of steps 0..s, given the s `previous` words (M, s, 4)."""
        embedded = (
            self.commands(previous[..., 1] + 1)
            + self.parameter_types(previous[..., 2] + 1)
            + self.parameter_values(previous[..., 3] + 1)
        )
        steps = functional.pad(embedded, (0, 0, 1, 0)) + self.steps.weight[: previous.shape[1] + 1]
        steps = steps + rows[:, None]
        mask = nn.Transformer.generate_square_subsequent_mask(steps.shape[1], device=rows.device)
        return self.decoder(steps, mask=mask, is_causal=True)

    def _head(self, field: str, hidden: Tensor, letters: Tensor) -> Tensor:
        """Logits (K, classes) of hidden (K, D); those of values depend on their letters (K,)."""
        if field == "parameter_value":
            hidden = hidden + self.parameter_types(letters + 1)
        head: nn.Linear = getattr(self, f"{field}_head")
        return head(hidden)


def _rename_old_weights(module: nn.Module, weights: dict[str, Any], *_: Any) -> None:
    for name in list(weights):
        prefix, dot, suffix = name.partition(".")
        if prefix in OLD_WEIGHT_NAMES:
            weights[OLD_WEIGHT_NAMES[prefix] + dot + suffix] = weights.pop(name)


def _layers(hyperparameters: Hyperparameters, count: int) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(
        hyperparameters.d_model,
        hyperparameters.nhead,
        dim_feedforward=2 * hyperparameters.d_model,
        dropout=hyperparameters.dropout,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    # Dropout on attention weights disables the fast path on a CPU.
    layer.self_attn.dropout = 0.0
    norm = nn.LayerNorm(hyperparameters.d_model)
    return nn.TransformerEncoder(layer, count, norm=norm, enable_nested_tensor=False)


def _positional_encoding(rows: Tensor) -> Tensor:
    """Sinusoidal positions (T, D) (Vaswani et al. 2017, section 3.5)."""
    length, width = rows.shape[1:]
    # Always float32, as in evaluation: bfloat16 would round positions.
    position = torch.arange(length, device=rows.device, dtype=torch.float32)[:, None]
    even = torch.arange(0, width, 2, device=rows.device, dtype=torch.float32)
    rate = torch.exp(even * (-math.log(1e4) / width))
    return torch.stack([torch.sin(position * rate), torch.cos(position * rate)], dim=-1).flatten(1)
