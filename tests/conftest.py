"""What all tests share, and in which order their files come."""

from pathlib import Path

import pytest
from tiny_sweep import tiny_dataset

LONG_FIRST = ("workflow", "wandb", "faults", "steps")
"""Folders that come first: none of their files is left alone at the end of a parallel run."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few recordings, preprocessed."""
    return tiny_dataset(tmp_path_factory.mktemp("data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {folder: rank for rank, folder in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: order.get(item.path.parent.name, len(order)))
