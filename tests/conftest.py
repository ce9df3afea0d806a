"""Long files come first, so that none is left alone at the end when files run side by side."""

import pytest

LONG_FIRST = ("test_slurm", "test_workflow", "test_engine_contract", "test_wandb_engine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.name.startswith(LONG_FIRST))
