"""Training steps that benchmarks/gpu.py compares: one run in a CUDA graph, and many runs as one.

Both need shapes that do not depend on the data: where the trainer selects the words and rows that
are known, these losses give the others no weight. The numbers are the same.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from gcodefp.dataset.vocabulary import FIELDS, PAD, UNSEEN
from gcodefp.model.data import Tensors, augment, network_sizes
from gcodefp.model.epoch import (
    STATE_STD,
    TARGET_RADIUS,
    batch_metrics,
    make_optimizer,
    random_circular_windows,
    scheduled_learning_rate,
    total_loss,
)
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData

IGNORED = -100
BETAS, EPSILON = (0.9, 0.999), 1e-8
WARM_UP_STEPS = 3


class Batch(NamedTuple):
    """A batch of B windows; with a leading dimension K, that of K runs.

    Attributes:
        signals: (B, T, C), augmented.
        rows: (B, T) row numbers.
        chosen: (B, k) positions whose blocks are written; the others have M = B * k rows.
        tokens: (M, S, 4); operation: (B,); state: (M,); state_range: (M, 2); position: (M, 3).
    """

    signals: Tensor
    rows: Tensor
    chosen: Tensor
    tokens: Tensor
    operation: Tensor
    state: Tensor
    state_range: Tensor
    position: Tensor


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """What the forward pass runs in: `bfloat16` or `float32`."""
    able = precision == "bfloat16"
    # In a graph the casts of weights must not be kept from one step to the next.
    return torch.autocast(device.type, torch.bfloat16, enabled=able, cache_enabled=False)


def draw(data: Tensors, settings: Hyperparameters, windows: Tensor, nodes: int) -> Batch:
    """A batch for each row of `windows` (K, B), drawn and augmented as the trainer does.

    Args:
        nodes: how many sensor nodes there are: to ask the device would end a CUDA graph.
    """
    assert settings.augmentation_prob == 1, "nodes are hidden in all windows"
    device = windows.device
    cuda = device.type == "cuda"
    random = torch.cuda.default_generators[device.index or 0] if cuda else torch.default_generator
    rows = random_circular_windows(data, windows.flatten(), random)
    signals = augment(data.signals[rows], data.nodes, 1.0, settings.noise_std, 0.0, random)
    shown = torch.rand(len(rows), nodes, device=device) >= settings.node_dropout
    signals = signals * shown[:, data.nodes][:, None]
    count = min(settings.rows_per_window, data.window)
    chosen = torch.rand(rows.shape, device=device).topk(count).indices
    labelled = rows.gather(1, chosen).flatten()
    per_row = (
        getattr(data, name)[labelled] for name in ("tokens", "state", "state_range", "position")
    )
    tokens, state, state_range, position = per_row
    operation = data.operation[rows[:, 0]]
    flat = (signals, rows, chosen, tokens, operation, state, state_range, position)
    return Batch(*(field.unflatten(0, (len(windows), -1)) for field in flat))


def masked_loss(network: Network, settings: Hyperparameters, batch: Batch) -> Tensor:
    """The trainer's loss, `gcodefp.model.epoch.batch_metrics`, in shapes that never change."""
    encoded = network.encode(batch.signals)
    index = batch.chosen[..., None].expand(-1, -1, encoded.shape[-1])
    vectors = encoded.gather(1, index).flatten(0, 1)
    states = network._decode_steps(vectors, batch.tokens[:, :-1])
    is_word = batch.tokens[..., 0] != PAD
    losses = {}
    for number, field in enumerate(FIELDS):
        logits = network._head(field, states, batch.tokens[..., 2])
        target = batch.tokens[..., number]
        losses[field] = _cross_entropy(logits, target, is_word & (target != UNSEEN), settings)
    logits, target = network.operation_logits(encoded), batch.operation
    losses["operation"] = _cross_entropy(logits, target, target != UNSEEN, settings)
    losses["place"] = _state_loss(network.state_head(vectors).float(), batch)
    reported = batch.position.isfinite()
    true = batch.position.where(reported, 0.0)
    off = functional.huber_loss(network.position_head(vectors).float(), true, reduction="none")
    losses["position"] = (off * reported).sum() / reported.sum().clamp(min=1)
    return total_loss(losses, settings)


def _cross_entropy(
    logits: Tensor, target: Tensor, reported: Tensor, settings: Hyperparameters
) -> Tensor:
    summed = functional.cross_entropy(
        logits.flatten(0, -2),
        target.where(reported, IGNORED).flatten(),
        ignore_index=IGNORED,
        label_smoothing=settings.label_smoothing,
        reduction="sum",
    )
    return summed / reported.sum().clamp(min=1)


def _state_loss(logits: Tensor, batch: Batch) -> Tensor:
    reported = batch.state.isfinite()
    state = batch.state.where(reported, 0.0)
    low, high = batch.state_range.clamp(min=0).unbind(-1)
    around = torch.arange(-TARGET_RADIUS, TARGET_RADIUS + 1, device=state.device)
    near = state.round().long()[:, None] + around
    weights = torch.exp(-0.5 * ((near - state[:, None]) / STATE_STD) ** 2)
    weights = reported[:, None] * weights / weights.sum(-1, keepdim=True)
    near = torch.minimum(torch.maximum(near, low[:, None]), high[:, None])
    return -(weights * logits.log_softmax(-1).gather(1, near)).sum() / reported.sum().clamp(min=1)


class _Loss(nn.Module):
    """A network that returns its loss: what functional_call can call."""

    def __init__(self, network: Network, settings: Hyperparameters) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, batch: Batch) -> Tensor:
        return masked_loss(self.network, self.settings, batch)


class ProductStem(nn.Conv1d):
    """The stem as one matrix product: many convolutions at once would be one in groups."""

    def forward(self, signals: Tensor) -> Tensor:
        reach = self.kernel_size[0] // 2
        windows = functional.pad(signals, (reach, reach)).unfold(2, self.kernel_size[0], 1)
        rows = windows.transpose(1, 2).flatten(2)
        return functional.linear(rows, self.weight.flatten(1), self.bias).transpose(1, 2)


def seeded_network(
    data: TrainingData, settings: Hyperparameters, device: torch.device, product: bool = False
) -> Network:
    """The network that a run of the trainer starts with."""
    torch.manual_seed(settings.seed)
    network = Network(network_sizes(data.description), settings).to(device)
    if product:
        network.stem.__class__ = ProductStem
    return network


class Together:
    """K runs of one shape as one: stacked weights, vmap, an own learning rate and order each."""

    def __init__(
        self,
        members: Sequence[Hyperparameters],
        data: TrainingData,
        precision: str = "float32",
        product: bool = True,
        compiled: bool = False,
        fused_attention: bool = True,
    ) -> None:
        self.members, self.data, self.precision = members, data, precision
        self.device = data.train.signals.device
        # For the CPU's fused attention vmap has no rule.
        fused = fused_attention and self.device.type == "cuda"
        self.attention = nullcontext if fused else partial(sdpa_kernel, SDPBackend.MATH)
        self.nodes = int(data.train.nodes.max()) + 1
        networks = [seeded_network(data, s, self.device, product) for s in members]
        stacked, self.buffers = stack_module_state([_Loss(n, members[0]) for n in networks])
        self.base = copy.deepcopy(_Loss(networks[0], members[0])).to("meta")
        self.shapes = {name: weights.shape for name, weights in stacked.items()}
        count = len(members)
        # One matrix (K, P): the optimizer's step is then a few kernels for all weights.
        flat = torch.cat([weights.detach().reshape(count, -1) for weights in stacked.values()], 1)
        self.flat = flat.requires_grad_()
        self.decay = self._decays(networks[0])
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.done = torch.zeros((), device=self.device)
        self.peak = torch.tensor([[s.learning_rate] for s in members], device=self.device)
        self.rate = torch.zeros_like(self.peak)
        size = (count, members[0].batch_size)
        self.windows = torch.zeros(size, dtype=torch.long, device=self.device)
        self.loss = torch.zeros(count, device=self.device)
        self.losses = torch.compile(self._losses) if compiled else self._losses
        self.graph: torch.cuda.CUDAGraph | None = None

    def _decays(self, network: Network) -> Tensor:
        """Weight decay of each weight (1, P), as make_optimizer groups them."""
        groups = make_optimizer(network, self.members[0]).param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        parts = [torch.full((1, w.numel()), decay[id(w)]) for w in network.parameters()]
        return torch.cat(parts, 1).to(self.device)

    def weights(self, flat: Tensor) -> dict[str, Tensor]:
        """Name -> (K, ...) of the stacked weights; backward joins their gradients in one copy."""
        sizes = [shape[1:].numel() for shape in self.shapes.values()]
        parts = flat.split(sizes, dim=1)
        pairs = zip(self.shapes.items(), parts, strict=True)
        return {name: part.unflatten(1, shape[1:]) for (name, shape), part in pairs}

    def _losses(self, flat: Tensor, batch: Batch) -> Tensor:
        def one(weights: dict[str, Tensor], buffers: dict[str, Tensor], batch: Batch) -> Tensor:
            return functional_call(self.base, (weights, buffers), (batch,))

        return vmap(one, randomness="different")(self.weights(flat), self.buffers, batch)

    def step_on(self, batch: Batch) -> None:
        """Forward, loss, backward, clipping and AdamW of all runs."""
        with autocast(self.device, self.precision), self.attention():
            losses = self.losses(self.flat, batch)
        (gradient,) = torch.autograd.grad(losses.sum(), self.flat)
        self.loss.copy_(losses.detach())
        self._adamw(gradient)

    @torch.no_grad()
    def _adamw(self, gradient: Tensor) -> None:
        limit, (first, second) = self.members[0].grad_clip, BETAS
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient.mul_((limit / (norm + 1e-6)).clamp(max=1))
        self.done.add_(1)
        self.flat.mul_(1 - self.rate * self.decay)
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        below = self.square.sqrt().div_((1 - second**self.done).sqrt()).add_(EPSILON)
        self.flat.sub_(self.mean / below * (self.rate / (1 - first**self.done)))

    def step(self) -> None:
        """One step on the windows that `self.windows` (K, B) names."""
        self.step_on(draw(self.data.train, self.members[0], self.windows, self.nodes))

    def set_rate(self, epochs: float) -> None:
        """The schedule's learning rates after so many epochs."""
        share = scheduled_learning_rate(replace(self.members[0], learning_rate=1.0), epochs)
        torch.mul(self.peak, share, out=self.rate)

    def capture(self) -> None:
        """Records a step as a CUDA graph; the weights stay as they are."""
        self.rate.zero_()
        self.graph = captured(self.step)
        self.forget()

    def forget(self) -> None:
        """The optimizer begins anew."""
        for state in (self.mean, self.square, self.done):
            state.zero_()

    def epoch(self, epoch: int) -> int:
        """Trains an epoch (from 1), its last batch filled up; returns how many steps."""
        count, size = self.windows.shape
        total = len(self.data.train.starts)
        order = torch.rand(count, total, device=self.device).argsort(1)
        batches = torch.cat([order, order[:, : -total % size]], 1).split(size, dim=1)
        for index, windows in enumerate(batches):
            self.set_rate(epoch - 1 + index / len(batches))
            self.windows.copy_(windows)
            if self.graph:
                self.graph.replay()
            else:
                self.step()
        return len(batches)

    def network(self, member: int) -> Network:
        """A copy of one run's network, for validation."""
        made = seeded_network(self.data, self.members[member], self.device)
        state = {n: w[member] for n, w in (self.weights(self.flat.detach()) | self.buffers).items()}
        made.load_state_dict({n.removeprefix("network."): w.clone() for n, w in state.items()})
        return made


class OneGraph:
    """One run, its step a CUDA graph, with torch's own AdamW."""

    def __init__(
        self, settings: Hyperparameters, data: TrainingData, precision: str = "bfloat16"
    ) -> None:
        self.settings, self.data, self.precision = settings, data, precision
        self.device = data.train.signals.device
        self.nodes = int(data.train.nodes.max()) + 1
        self.network = seeded_network(data, settings, self.device)
        self.optimizer = make_optimizer(self.network, settings)
        for group in self.optimizer.param_groups:
            group["capturable"] = True
            group["lr"] = torch.tensor(settings.learning_rate * 0.01, device=self.device)
        self.windows = torch.zeros(1, settings.batch_size, dtype=torch.long, device=self.device)
        self.loss = torch.zeros((), device=self.device)
        self.network.train()
        self.graph = captured(self.step)

    def step(self) -> None:
        """Forward, loss, backward, clipping and optimizer."""
        batches = draw(self.data.train, self.settings, self.windows, self.nodes)
        batch = Batch(*(fields[0] for fields in batches))
        with autocast(self.device, self.precision):
            loss = masked_loss(self.network, self.settings, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.grad_clip)
        self.optimizer.step()
        self.loss.copy_(loss.detach())

    def epoch(self, epoch: int) -> int:
        """Trains an epoch (from 1); returns how many steps."""
        total, size = len(self.data.train.starts), self.settings.batch_size
        order = torch.randperm(total, device=self.device)
        batches = torch.cat([order, order[: -total % size]]).split(size)
        for index, windows in enumerate(batches):
            rate = scheduled_learning_rate(self.settings, epoch - 1 + index / len(batches))
            for group in self.optimizer.param_groups:
                group["lr"].fill_(rate)
            self.windows[0].copy_(windows)
            self.graph.replay()
        return len(batches)


def captured(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """A step as a CUDA graph, after some that are run on another stream to warm up."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph


def agreement(
    data: TrainingData, settings: Hyperparameters, members: int, steps: int
) -> dict[str, float]:
    """How far K runs trained together are from the same ones trained one by one, without dropout.

    One by one they have the trainer's own loss, clipping and optimizer. All in the default dtype:
    in float64 nothing but a mistake makes a difference that can be seen.
    """
    signals = data.train.signals.to(torch.get_default_dtype())
    data = replace(data, train=replace(data.train, signals=signals))
    rates = [settings.learning_rate * 0.5**k for k in range(members)]
    runs = [
        replace(settings, dropout=0.0, learning_rate=rate, seed=k) for k, rate in enumerate(rates)
    ]
    together = Together(runs, data, fused_attention=False)
    device, train = together.device, data.train
    alone = [seeded_network(data, run, device).train() for run in runs]
    optimizers = [make_optimizer(n, run) for n, run in zip(alone, runs, strict=True)]
    loss_off = 0.0
    for step in range(steps):
        size = (members, settings.batch_size)
        together.windows = torch.randint(len(train.starts), size, device=device)
        batches = draw(train, runs[0], together.windows, together.nodes)
        together.set_rate(settings.max_epochs / 10 + step / steps)
        together.step_on(batches)
        for k, (network, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = together.rate[k, 0]
            loss = _plain_step(
                network, optimizer, runs[k], data, Batch(*(fields[k] for fields in batches))
            )
            loss_off = max(loss_off, abs(loss - float(together.loss[k])))
    joint = [together.network(k).state_dict() for k in range(members)]
    weights_off = max(
        float((network.state_dict()[name] - weights[name]).abs().max())
        for network, weights in zip(alone, joint, strict=True)
        for name in weights
    )
    return {"members": members, "steps": steps, "loss": loss_off, "weights": weights_off}


def _plain_step(
    network: Network,
    optimizer: torch.optim.Optimizer,
    settings: Hyperparameters,
    data: TrainingData,
    batch: Batch,
) -> float:
    """A step as train_epoch has it; returns the loss."""
    encoded = network.encode(batch.signals)
    measured = batch_metrics(network, settings, data.train, encoded, batch.rows, batch.chosen)
    optimizer.zero_grad(set_to_none=True)
    measured["loss"].backward()
    nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
    optimizer.step()
    return float(measured["loss"].detach())
