"""What the tests of the model share."""

import pytest
from learning_data import tiny_data

from gcodefp.model.trainer import TrainingData


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Train and val split of the small dataset; not to be changed."""
    return tiny_data(tmp_path_factory.mktemp("dataset"))
