"""The channels of a dataset, and what belongs together among them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines import RowPredictions
from gcodefp.evaluation.bootstrap import Statistic, paired_difference, with_interval
from gcodefp.evaluation.decode import decode_windows
from gcodefp.evaluation.metrics import measure_rows
from gcodefp.evaluation.names import ALL, GROUP, JUDGED, NODE
from gcodefp.model.checkpoint import Checkpoint
from gcodefp.model.data import Tensors, to_tensors
from gcodefp.model.hmm import viterbi_paths
from gcodefp.model.network import Network
from gcodefp.recordings.columns import channel_group


class Part(NamedTuple):
    """Some of the channels.

    Attributes:
        kind: ALL, GROUP or NODE.
        name: of the group or node; empty for all.
        channels: their indices.
    """

    kind: str
    name: str
    channels: tuple[int, ...]


def node_of(channel: str) -> str | None:
    """The sensor node that a channel belongs to; motor currents belong to none."""
    return channel.rpartition(".")[0] or None


def parts_of(channels: Sequence[str]) -> list[Part]:
    """All channels, then those of each group and of each node, where there are several."""
    parts = [Part(ALL, "", tuple(range(len(channels))))]
    for kind, name_of in ((GROUP, channel_group), (NODE, node_of)):
        names = [name_of(channel) for channel in channels]
        known = _in_order(name for name in names if name is not None)
        if len(known) > 1:
            parts += [Part(kind, of, tuple(_where(names, of))) for of in known]
    return parts


def describe_channels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The channels of dataset.json with the group and the node that each belongs to."""
    return [
        {**channel, "group": channel_group(channel["name"]), "node": node_of(channel["name"])}
        for channel in document["channels"]
    ]


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _where(names: Sequence[str | None], wanted: str) -> Iterable[int]:
    return (index for index, name in enumerate(names) if name == wanted)


# What is lost when sensors are missing: the test split, read again without some of them.
#
# The channels of one part are hidden in every test recording as those of a sensor that was never
# there (the network has seen such in training: node_dropout), and all is read and scored as
# before. The network is not trained again. What it loses is what its answers rest on, not what
# another network could do without these sensors: of two sensors that tell the same it may need
# neither, or both (leave-one-group-out; compare the occlusion of Zeiler and Fergus 2014).

Measured = Mapping[str, Statistic]


class SensorScores(NamedTuple):
    """The metrics of JUDGED, of the answer that is read in windows.

    Attributes:
        complete: with all sensors.
        without: each part of them, and the metrics without it.
    """

    complete: Measured
    without: Sequence[tuple[Part, Measured]]


def score_without_sensors(
    checkpoint: Checkpoint, test: Split, device: torch.device
) -> SensorScores:
    """Reads the split with all sensors, and without each part of them."""
    parts = parts_of(checkpoint.description.scaler.channels)
    return SensorScores(
        _measure(checkpoint, test, device),
        [(of, _measure(checkpoint, without(test, of.channels), device)) for of in parts],
    )


def without(split: Split, channels: Sequence[int]) -> Split:
    """The split as it would be, had its recordings never had these channels."""
    signals, valid = split.signals.copy(), split.valid.copy()
    signals[:, list(channels)] = 0.0
    valid[:, list(channels)] = False
    return replace(split, signals=signals, valid=valid)


def describe_sensor_scores(scores: SensorScores, channels: Sequence[str]) -> dict[str, Any]:
    """As it stands in explanation.json.

    `differences` are those of the metric without the part and the metric with all sensors, on the
    same resamples of recordings: below 0 where something is lost.
    """
    return {
        "trained_again": False,
        "complete": _described(scores.complete),
        "without": [
            {
                "kind": part.kind,
                "name": part.name,
                "channels": [channels[index] for index in part.channels],
                "scores": _described(measured),
                "differences": {
                    name: paired_difference(of, scores.complete[name])._asdict()
                    for name, of in measured.items()
                },
            }
            for part, measured in scores.without
        ],
    }


def _described(measured: Measured) -> dict[str, Any]:
    return {name: with_interval(of)._asdict() for name, of in measured.items()}


def _measure(checkpoint: Checkpoint, test: Split, device: torch.device) -> Measured:
    description = checkpoint.description
    read = decode_windows(checkpoint, to_tensors(test, description, device))
    rows = np.flatnonzero(read.covered)
    answers = RowPredictions(read.blocks[rows], read.operation[rows])
    measured = measure_rows(answers, test, rows, description.vocabulary)
    return {name: measured[name] for name in JUDGED}


# Which samples the network's choice of a place rests on: gradient times input.
#
# The gradient of the log probability of the place that each row is read at (place head, aligned
# within its window), summed over all rows, is taken with respect to every sample (Simonyan et al.
# 2014) and multiplied with the sample (Shrikumar et al. 2017). Samples are scaled so that 0 is the
# mean of training, which is also what stands where a sensor is missing: to first order the product
# is what the sum would lose, or gain, if the sample were missing. Its absolute value is kept.

WINDOWS_AT_A_TIME = 16


def saliency_of(network: Network, data: Tensors) -> NDArray[np.float32]:
    """|gradient x input| of every sample, (N, C), in nats; 0 where no valid sample is."""
    signals = data.signals.detach().clone().requires_grad_()
    total = torch.zeros_like(data.signals)
    for batch in torch.arange(len(data.starts), device=data.starts.device).split(WINDOWS_AT_A_TIME):
        evidence = network.emission_log_likelihood(network.encode(signals[data.rows_of(batch)]))
        path = viterbi_paths(evidence.detach(), data.first_state)
        chosen = evidence.gather(-1, path[..., None])[..., 0]
        # Windows overlap; each row counts once, in the window that speaks for it.
        told = chosen[data.row_mask[batch]].sum()
        total += torch.autograd.grad(told, signals)[0]
    result: NDArray[np.float32] = (total * data.signals).abs().cpu().numpy()
    return result


def describe_saliency(
    per_channel: NDArray[np.floating], channels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """As it stands in explanation.json: shares of the whole, of each channel, group and node.

    Args:
        per_channel: (C,) mean over the rows.
        channels: what explanation.json says of them.
    """
    share = per_channel.astype(np.float64) / (float(per_channel.sum()) or 1.0)
    described: dict[str, Any] = {
        "of": "log probability of the place that each row is read at",
        "channels": {of["name"]: s for of, s in zip(channels, share.tolist(), strict=True)},
    }
    for kind in ("group", "node"):
        shares: dict[str, float] = {}
        for of, s in zip(channels, share.tolist(), strict=True):
            if of[kind] is not None:
                shares[of[kind]] = shares.get(of[kind], 0.0) + s
        described[f"{kind}s"] = shares
    return described
