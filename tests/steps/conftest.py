"""A small dataset whose blocks follow from its signals, and the checkpoint of a run over it."""

from pathlib import Path

import pytest
from evaluation_commands import learn
from learning_data import write_dataset


@pytest.fixture(scope="session")
def learnable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("learnable"))


@pytest.fixture(scope="session")
def checkpoint(learnable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(learnable, tmp_path_factory.mktemp("learnt"))
