"""What all tests share, and in which order their files come."""

from pathlib import Path

import pytest
from tiny_sweep import tiny_dataset

LONG_FIRST = ("workflow", "faults", "wandb", "steps")
"""Folders that come first, so that no long file is left alone at the end of a parallel run."""
LONGEST = (
    *("test_slurm", "test_workflow", "test_kills"),  # Of many tests: xdist gives out a next file
    *("test_workflow_phases", "test_benchmarks"),  # when two tests of one are left.
    *("test_verify", "test_agent_signals", "test_agent"),
)
"""Files that come before all others."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few recordings, preprocessed."""
    return tiny_dataset(tmp_path_factory.mktemp("data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; the order within a file stays."""

    def rank(item: pytest.Item) -> tuple[int, int]:
        folder, file = item.path.parent.name, item.path.stem
        return (
            LONGEST.index(file) if file in LONGEST else len(LONGEST),
            LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST),
        )

    items.sort(key=rank)
