"""What all tests share, and in which order their files come."""

from pathlib import Path

import pytest
from tiny_sweep import tiny_dataset

LONG_FIRST = ("test_slurm", "test_workflow", "test_engine_contract", "test_wandb_engine")
"""So that none of them is left alone at the end when files run side by side."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few recordings, preprocessed."""
    return tiny_dataset(tmp_path_factory.mktemp("data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.name.startswith(LONG_FIRST))
