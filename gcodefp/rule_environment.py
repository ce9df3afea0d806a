"""Makes `python -m gcodefp.STEP` in a rule mean this Python and this package."""

import os
import sys
from pathlib import Path


def prepare_rule_environment(package_parent: Path) -> None:
    """Puts this Python first on the PATH of jobs, and the package on their import path.

    A conda environment that a rule activates comes before it, since it is activated in the job.
    """
    _prepend("PATH", str(Path(sys.executable).parent))
    _prepend("PYTHONPATH", str(package_parent))


def _prepend(variable: str, entry: str) -> None:
    entries = [e for e in os.environ.get(variable, "").split(os.pathsep) if e and e != entry]
    os.environ[variable] = os.pathsep.join([entry, *entries])
