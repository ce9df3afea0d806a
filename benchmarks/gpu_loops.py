"""Many runs as one, by vmap: what benchmarks/gpu.py compares the trainer with."""

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

from gcodefp.model.data import Tensors, augment, mixed_precision, network_sizes
from gcodefp.model.epoch import (
    batch_metrics,
    make_optimizer,
    random_circular_windows,
    scheduled_learning_rate,
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
        selected: (B, k) positions whose blocks are predicted.
    """

    signals: Tensor
    rows: Tensor
    selected: Tensor


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
    amounts = (1.0, settings.noise_std, settings.node_dropout)
    signals = augment(data.signals[rows], data.nodes, *amounts, random, nodes)
    count = min(settings.rows_per_window, data.window)
    selected = torch.rand(rows.shape, device=device).topk(count).indices
    return Batch(*(part.unflatten(0, (len(windows), -1)) for part in (signals, rows, selected)))


class _Loss(nn.Module):
    """A network that returns its loss: what functional_call can call."""

    def __init__(self, network: Network, settings: Hyperparameters, data: Tensors) -> None:
        super().__init__()
        self.network, self.settings, self.data = network, settings, data

    def forward(self, batch: Batch) -> Tensor:
        """The trainer's loss, in shapes that do not depend on the data."""
        encoded, split = self.network.encode(batch.signals), (self.settings, self.data)
        selection = (batch.rows, batch.selected)
        return batch_metrics(self.network, *split, encoded, *selection, True)["loss"]


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
        stacked, self.buffers = stack_module_state(
            [_Loss(n, members[0], data.train) for n in networks]
        )
        self.base = copy.deepcopy(_Loss(networks[0], members[0], data.train)).to("meta")
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
        with mixed_precision(self.device, self.precision, keep_casts=False), self.attention():
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
    measured = batch_metrics(network, settings, data.train, encoded, batch.rows, batch.selected)
    optimizer.zero_grad(set_to_none=True)
    measured["loss"].backward()
    nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
    optimizer.step()
    return float(measured["loss"].detach())
