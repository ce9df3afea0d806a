"""What the tests of decoders share."""

import pytest
from fitted_decoder import Fitted, fit_in


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fit_in(tmp_path_factory.mktemp("fitted"))
