"""The results of a small pipeline, which every test of this folder reads."""

import pytest
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.reporting.results import Results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four recordings, a third of their rows wrong; four runs, one killed and taken over."""
    return results_of(write_results(tmp_path_factory.mktemp("made"), spoilt(0.3), true_blocks()))
