"""The file decoder.npz: read as it was written, and refused if damaged, with one message."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from fitted_decoder import Fitted
from fuzzing import fuzz, mutate_arrays, mutations
from learning_data import CPU, tiny_split
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import (
    ARRAYS,
    DECODER_FILE,
    REBUILD,
    Decoder,
    read_decoder,
    write_decoder,
)
from gcodefp.files import read_arrays, write_arrays


def test_the_file_brings_back_the_same_decoder(fitted: Fitted, tmp_path: Path) -> None:
    read, decoder = fitted.read(), fitted.decoder
    assert read.network_weight == decoder.network_weight
    assert read.template_weight == decoder.template_weight
    assert read.templates is not None
    assert decoder.templates is not None
    assert all(map(torch.equal, read.templates[:3], decoder.templates[:3]))
    assert read.templates.offsets == decoder.templates.offsets
    np.testing.assert_array_equal(read.tried, decoder.tried)
    assert read.paths(fitted.checkpoint) == [fitted.checkpoint, fitted.file]
    write_decoder(tmp_path / "again.npz", read, fitted.checkpoint)
    assert (tmp_path / "again.npz").read_bytes() == fitted.file.read_bytes()
    path = Path(shutil.copy(fitted.checkpoint, tmp_path))
    write_decoder(path.with_name(DECODER_FILE), read._replace(temperature=1.75), path)
    assert read_decoder(read.checkpoint, path, CPU).temperature == 1.75


def test_without_the_file_the_network_decodes_alone(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(fitted.checkpoint.read_bytes())
    decoder = read_decoder(fitted.decoder.checkpoint, path, CPU)
    assert decoder.summary == "network alone"
    assert decoder.templates is None
    assert decoder.paths(path) == [path]
    signals = tiny_split(["face_005"]).signals
    alone = fitted.decoder._replace(network_weight=0.3, template_weight=0.0)
    for rows in (None, 16):
        states, own = (each.decode_centres(signals, rows) for each in (decoder, alone))
        assert states.tolist() == own.tolist()


class Damaged(NamedTuple):
    """Reads damaged arrays in place of those of decoder.npz."""

    fitted: Fitted
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def read(self, content: Any) -> Decoder:
        """Reads it, and decodes with it."""
        self.checkpoint.write_bytes(self.fitted.checkpoint.read_bytes())
        path = self.folder / DECODER_FILE
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_arrays(path, content)
        decoder = read_decoder(self.fitted.decoder.checkpoint, self.checkpoint, CPU)
        signals = tiny_split(["face_005"]).signals
        for rows in (None, 16):
            states = decoder.decode_centres(signals, rows)
            assert np.isin(states, range(len(decoder.programs))).all()
        emissions = decoder.recording_emissions(torch.as_tensor(signals)).chunk(0, len(signals))
        assert emissions.dtype == torch.float32
        assert emissions.isfinite().all()
        return decoder


@pytest.fixture
def damaged(fitted: Fitted, tmp_path: Path) -> Damaged:
    return Damaged(fitted, tmp_path)


def arrays_of(fitted: Fitted) -> dict[str, NDArray[Any]]:
    """Of a decoder with both emission models."""
    arrays = read_arrays(fitted.file, list(ARRAYS), REBUILD)
    return {**arrays, "weights": np.array([0.1, 0.2])}


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another checkpoint": (
        lambda a: a.update(checkpoint=np.array("0" * 64)),
        "was fitted for another checkpoint than",
    ),
    "missing": (lambda a: a.pop("mean"), "cannot be read"),
    "channels": (lambda a: a.update(projection=a["projection"][:-1]), "projection has shape"),
    "states": (lambda a: a.update(mean=a["mean"][1:]), "mean has shape"),
    "discriminants": (lambda a: a.update(weight=a["weight"][1:]), "weight has shape"),
    "one weight": (lambda a: a.update(weights=a["weights"][:1]), "weights has shape"),
    "no weight": (lambda a: a.update(weights=np.zeros(2)), "weights are both 0"),
    "negative": (lambda a: a.update(weights=np.array([0.1, -0.1])), "weights has -0.1 at [1]"),
    "NaN": (lambda a: a["projection"].__setitem__((3, 1), np.nan), "projection has nan at [3, 1]"),
    "integers": (lambda a: a.update(mean=a["mean"].astype(int)), "mean has dtype int64"),
    "columns": (lambda a: a.update(tried=np.zeros((15, 5))), "tried has shape"),
    "temperature": (
        lambda a: a.update(temperature=np.array(0.0)),
        "temperature has 0.0 at []",
    ),
    "huge": (
        lambda a: a["mean"].__setitem__((0, 0), 1e30),
        "mean has 1.0000000150474662e+30 at [0, 0]",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_decoder_is_named_with_its_array_and_the_way_out(
    fitted: Fitted, damaged: Damaged, case: str
) -> None:
    change, part = DAMAGES[case]
    arrays = arrays_of(fitted)
    change(arrays)
    with pytest.raises(UserError) as caught:
        damaged.read(arrays)
    for text in (f"{damaged.folder / DECODER_FILE}: ", part, REBUILD):
        assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def mutate(rng: random.Random, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """One wrong array, or one of other numbers, which no reader can tell from right ones."""
    if rng.random() < 0.4:
        return mutate_arrays(rng, arrays)
    name = rng.choice(sorted(set(arrays) - {"checkpoint"}))
    if name not in arrays or arrays[name].dtype.kind != "f":
        return arrays
    scale = rng.choice((0, 0.5, 1.001, 2, -1, 1e4, 1e20))
    dtype = rng.choice((np.float16, np.float32, np.float64))
    return {**arrays, name: (scale * arrays[name]).astype(dtype)}


def damages(fitted: Fitted) -> Iterator[Any]:
    return mutations([arrays_of(fitted)], mutate)


@pytest.mark.filterwarnings("ignore")
def test_fuzz_decoders(fitted: Fitted, damaged: Damaged) -> None:
    fuzz(damaged.read, damages(fitted)).check()
