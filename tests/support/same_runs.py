"""Whether two runs are bit-identical, but for when and where they were trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gcodefp.sweeps.run_folder import RunFolder

NOT_COMPARED = ("provenance", "seconds", "host")


def metrics_without_seconds(folder: Path) -> list[str]:
    """The lines of metrics.csv without their last column."""
    lines = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith(",seconds")
    return [line.rpartition(",")[0] for line in lines]


def outcome(run: RunFolder) -> dict[str, Any]:
    content = run.read_outcome() or {}
    return {name: value for name, value in content.items() if name not in NOT_COMPARED}


def check_same_folder(first: Path, second: Path) -> None:
    """The same epochs and the same checkpoint."""
    assert metrics_without_seconds(first) == metrics_without_seconds(second)
    one, other = (
        torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (first, second)
    )
    for part in ("weights", "programs"):
        arrays, other_arrays = one.pop(part), other.pop(part)
        assert arrays.keys() == other_arrays.keys()
        for name, value in arrays.items():
            # Texts are lists; numbers are tensors, in which an unknown position is NaN.
            np.testing.assert_array_equal(value, other_arrays[name], err_msg=name)
    assert one == other


def check_same_run(first: RunFolder, second: RunFolder) -> None:
    """The same assignment, epochs, outcome and checkpoint."""
    assert first.assigned() == second.assigned()
    assert outcome(first) == outcome(second)
    assert first.history("epoch") == list(range(1, outcome(first)["epochs"] + 1))
    check_same_folder(first.path, second.path)
