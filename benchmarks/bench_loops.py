"""The loops that bench_training.py compares: the trainer's, without graph, and a DataLoader's."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gcodefp.model import epoch as learning
from gcodefp.model.data import Tensors, augment, mixed_precision, network_sizes
from gcodefp.model.epoch import make_optimizer, scheduled_learning_rate
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData

PER_ROW = ("signals", "tokens", "operation", "state", "state_range", "position")
"""What the loss reads of each row of a window."""


@dataclass(frozen=True)
class Loop:
    """One way to train.

    Attributes:
        workers: of the DataLoader; None for the trainer's own loop.
        bfloat16: mixed precision, on a GPU.
        fused: the optimizer's step is one kernel.
        compiled: the encoder runs as torch.compile makes it.
    """

    workers: int | None = None
    bfloat16: bool = True
    fused: bool = True
    compiled: bool = False

    def name(self, device: torch.device) -> str:
        """As the table names it."""
        words = ["gcodefp" if self.workers is None else f"DataLoader, {self.workers} workers"]
        if device.type == "cuda":
            words += ["bfloat16" if self.bfloat16 else "float32", *["fused"] * self.fused]
        return ", ".join(words + ["compiled"] * self.compiled)


class Windows(Dataset[dict[str, Tensor]]):
    """The train windows one by one, cut from arrays and augmented when they are asked for."""

    def __init__(self, data: Tensors, hyperparameters: Hyperparameters) -> None:
        self.arrays = {name: getattr(data, name).cpu().numpy() for name in PER_ROW}
        self.row_ranges = data.row_ranges.cpu().numpy()
        self.length = data.window
        self.nodes = data.nodes.cpu()
        self.settings = hyperparameters

    def __len__(self) -> int:
        return len(self.row_ranges)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        first, length = self.row_ranges[index]
        begin = int(torch.rand(()) * int(length))
        rows = first + (begin + np.arange(self.length)) % length
        item = {name: torch.tensor(array[rows]) for name, array in self.arrays.items()}
        item["signals"] = augment(
            item["signals"][None],
            self.nodes,
            self.settings.augmentation_prob,
            self.settings.noise_std,
            self.settings.node_dropout,
            torch.default_generator,
        )[0]
        return item


class Training:
    """A network with its optimizer, trained in one of the ways."""

    def __init__(self, loop: Loop, hyperparameters: Hyperparameters, data: TrainingData) -> None:
        precision = "auto" if loop.bfloat16 else "float32"
        hyperparameters = replace(hyperparameters, precision=precision)
        self.loop, self.hyperparameters, self.data = loop, hyperparameters, data
        self.device = data.train.signals.device
        torch.manual_seed(hyperparameters.seed)
        self.network = Network(network_sizes(data.description), hyperparameters).to(self.device)
        if loop.compiled:
            self.network.encode = torch.compile(self.network.encode)  # type: ignore[method-assign]
        self.optimizer = make_optimizer(self.network, hyperparameters)
        if not loop.fused:
            for group in self.optimizer.param_groups:
                group["fused"] = None
        self.loader = DataLoader(
            Windows(data.train, hyperparameters),
            hyperparameters.batch_size,
            shuffle=True,
            num_workers=loop.workers or 0,
            persistent_workers=bool(loop.workers),
            pin_memory=self.device.type == "cuda",
        )

    def seconds(self, epoch: int) -> tuple[float, float]:
        """Of an epoch's steps, and of its validation, which is the same for all loops."""
        begin = time.perf_counter()
        if self.loop.workers is None:
            arguments = (self.hyperparameters, self.data.train, epoch)
            learning.train_epoch(self.network, self.optimizer, *arguments)
        else:
            self._plain_steps(epoch)
        between = time.perf_counter()
        learning.validate(self.network, self.hyperparameters, self.data.val)
        return between - begin, time.perf_counter() - between

    def _plain_steps(self, epoch: int) -> float:
        self.network.train()
        total = 0.0
        for index, items in enumerate(self.loader):
            done = epoch - 1 + index / len(self.loader)
            for group in self.optimizer.param_groups:
                group["lr"] = scheduled_learning_rate(self.hyperparameters, done)
            batch = {n: v.to(self.device, non_blocking=True) for n, v in items.items()}
            self.optimizer.zero_grad()
            with mixed_precision(self.device, self.hyperparameters.precision):
                loss = self._loss(batch)
            loss.backward()
            limit = self.hyperparameters.grad_clip
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        """The trainer's: it reads rows of a split, and the batch is all of this one."""
        shape = batch["operation"].shape
        rows = torch.arange(shape.numel(), device=self.device).view(shape)
        flat: dict[str, Any] = {name: value.flatten(0, 1) for name, value in batch.items()}
        split = replace(self.data.train, **flat)
        count = min(self.hyperparameters.rows_per_window, split.window)
        chosen = torch.rand(shape, device=self.device).topk(count).indices
        encoded = self.network.encode(batch["signals"])
        settings = self.hyperparameters
        return learning.batch_metrics(self.network, settings, split, encoded, rows, chosen)["loss"]
