"""requirements.lock: everything by hash, torch by version, nothing that names a registry."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
ENTRY = re.compile(
    r"(?P<name>[a-z0-9.-]+)==(?P<version>\S+)( ; [^\\]+?)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
)


def test_all_but_torch_is_locked_by_hash() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    versions: dict[str, list[str]] = {}
    for block in re.split(r"\n(?! )", text.strip()):
        entry = ENTRY.fullmatch(block)
        assert entry is not None, block
        versions.setdefault(entry["name"], []).append(entry["version"])
    (torch,) = (ROOT / "requirements-torch.lock").read_text().split()
    assert "torch" not in versions
    versions["torch"] = [torch.removeprefix("torch==")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for line in [*required, *project["project"]["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert versions[name], line
        assert all(requirement.specifier.contains(version) for version in versions[name]), line
    (build,) = project["build-system"]["requires"]
    assert build == f"setuptools=={versions['setuptools'][0]}"
    cuda = {name for name in versions if name.startswith(("nvidia", "cuda", "triton"))}
    assert cuda == {"nvidia-ml-py"}, "it reads the driver's numbers, whatever CUDA there is"
