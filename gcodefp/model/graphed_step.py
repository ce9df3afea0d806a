"""The training step on a CUDA GPU as a CUDA graph: one launch instead of hundreds.

The networks here are small: the host takes ten times as long to launch the kernels of a step as the
GPU to run them. A graph repeats recorded launches, on the same memory and in the same shapes, so
losses have fixed shapes and each size of a batch has its graph. See
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs.
"""

import gc
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gcodefp.model.data import Tensors
from gcodefp.model.epoch import compute_gradients
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network

logger = logging.getLogger("gcodefp.train")

WARM_UP_STEPS = 3
TOLERANCE = 0.05
"""Largest difference from a step without a graph, relative to the norm of its gradients."""


class _Graph(NamedTuple):
    """A recorded step: what it reads, and what each replay overwrites."""

    graph: torch.cuda.CUDAGraph
    windows: Tensor  # (B,) numbers of the batch's windows
    metrics: dict[str, Tensor]
    gradients: list[Tensor]  # one for each parameter


class GraphedStep:
    """`compute_gradients` of one run; a batch whose graph fails is computed without one.

    All random numbers are of torch's generator of the GPU, which a graph continues, not repeats.
    """

    def __init__(self, network: Network, hyperparameters: Hyperparameters, data: Tensors) -> None:
        device = data.signals.device
        self.generator = torch.cuda.default_generators[device.index]
        self._network = network
        node_count = int(data.nodes.max()) + 1
        self._compute: Callable[[Tensor], dict[str, Tensor]] = partial(
            compute_gradients, network, hyperparameters, data, self.generator, node_count
        )
        self._graphs: dict[int, _Graph | None] = {}
        self.failures: list[str] = []
        """Why batches of some size have no graph."""

    def __call__(self, windows: Tensor) -> dict[str, Tensor]:
        """Metrics of the windows (B,), valid until the next call; leaves gradients."""
        count = len(windows)
        if count not in self._graphs:
            self._graphs[count] = self._record(windows)
        graph = self._graphs[count]
        return self._compute(windows) if graph is None else _replay(graph, windows, self._network)

    def _record(self, windows: Tensor) -> _Graph | None:
        """Records a step; None if that fails. The weights and random numbers stay as they are."""
        gc.collect()  # The graph of the last run, and its memory.
        state, stream = self.generator.get_state(), torch.cuda.current_stream()
        buffers = [(buffer, buffer.clone()) for buffer in self._network.buffers()]
        pool = next((graph.graph.pool() for graph in self._graphs.values() if graph), None)
        try:
            graph = record(self._compute, windows.clone(), self._network, pool)
            self._check(graph, windows.roll(1), state)
        except RuntimeError as error:
            # A capture that fails ends with a second error, which hides the first.
            self.failures.append(str(error.__context__ or error).partition("\n")[0])
        else:
            return graph
        finally:
            torch.cuda.set_stream(stream)
            self.generator.set_state(state)
            for buffer, value in buffers:
                buffer.copy_(value)
        torch.cuda.empty_cache()
        text = "the training step is not a CUDA graph, and several times slower: %s"
        logger.warning(text, self.failures[-1])
        return None

    def _check(self, graph: _Graph, windows: Tensor, state: Tensor) -> None:
        """Raises RuntimeError unless a second replay has the gradients of the step without it."""
        self.generator.set_state(state)
        self._compute(windows)
        expected = _gradients(self._network)
        _replay(graph, windows, self._network)
        self.generator.set_state(state)
        _replay(graph, windows, self._network)
        pairs = zip(graph.gradients, expected, strict=True)
        gap = nn.utils.get_total_norm([ours - theirs for ours, theirs in pairs])
        limit = TOLERANCE * nn.utils.get_total_norm(expected)
        if not gap <= limit:
            raise RuntimeError(f"its gradients differ by {gap:.3g}, and may by {limit:.3g}")


def record(
    compute: Callable[[Tensor], dict[str, Tensor]],
    windows: Tensor,
    network: nn.Module,
    pool: Any,
) -> _Graph:
    """Records a step that reads `windows`, after some on the same stream, as torch asks for.

    Args:
        pool: memory of another graph of the run; never both are replayed at a time.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP_STEPS):
            compute(windows)
    torch.cuda.current_stream().wait_stream(stream)
    network.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    # A stream of its own: graphs of one stream share cuBLAS's memory, which the end of one frees.
    # Other threads, such as that of the lease, may use CUDA meanwhile.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        metrics = compute(windows)
    return _Graph(graph, windows, metrics, _gradients(network))


def _gradients(network: nn.Module) -> list[Tensor]:
    return [weight.grad for weight in network.parameters() if weight.grad is not None]


def _replay(graph: _Graph, windows: Tensor, network: nn.Module) -> dict[str, Tensor]:
    graph.windows.copy_(windows)
    graph.graph.replay()
    for parameter, gradient in zip(network.parameters(), graph.gradients, strict=True):
        parameter.grad = gradient
    return graph.metrics
