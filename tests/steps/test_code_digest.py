import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gcodefp import code_digest as module
from gcodefp.code_digest import SourceCode, runs_digest

TRAINER = "gcodefp.model.trainer"
AGENT = "gcodefp.agent"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, to be edited."""
    copy = tmp_path / "gcodefp"
    shutil.copytree(module.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "ROOT", copy)
    return copy


def code_digest(*modules: str) -> str:
    """Of the files at this moment."""
    return SourceCode().digest(*modules)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text)


def test_it_is_that_of_the_files_wherever_they_lie(package: Path) -> None:
    copied = code_digest(TRAINER)
    assert copied == code_digest(TRAINER)
    assert len(copied) == 12
    assert int(copied, 16)


UNCHANGING: dict[str, Callable[[Path], None]] = {
    "comment": lambda root: append(root / "model/trainer.py", "\n# A comment.\n"),
    "docstring of a module": lambda root: replace(
        root / "model/trainer.py", '"""The training loop:', '"""A training loop:'
    ),
    "docstring of a function": lambda root: replace(
        root / "model/trainer.py", '"""Trains until', '"""Goes on until'
    ),
    "docstring of an attribute": lambda root: replace(
        root / "model/hyperparameters.py", '"""The columns of', '"""All columns of'
    ),
    "formatting": lambda root: replace(
        root / "model/trainer.py",
        "torch.manual_seed(hyperparameters.seed)",
        "torch.manual_seed(\n        (hyperparameters.seed)\n    )",
    ),
    "a plot": lambda root: append(root / "reporting/figures/epochs.py", "\nX = 1\n"),
    "the sweep engine": lambda root: append(root / "sweeps/local_engine.py", "\nX = 1\n"),
    "a template": lambda root: append(root / "reporting/templates/report.html", "<p>"),
    "a new module": lambda root: append(root / "model/unused.py", "X = 1\n"),
    "an import for types only": lambda root: append(
        root / "files.py", "\nif TYPE_CHECKING:\n    import gcodefp.report\n"
    ),
    "the tests": lambda root: append(root.parent / "test_x.py", "X = 1\n"),
}

CHANGING: dict[str, Callable[[Path], None]] = {
    "its code": lambda root: append(root / "model/trainer.py", "\nX = 1\n"),
    "a constant": lambda root: replace(
        root / "model/epoch.py", "WARMUP_SHARE = 0.1", "WARMUP_SHARE = 0.2"
    ),
    "a module it imports": lambda root: append(root / "model/network.py", "\nX = 1\n"),
    "one that an import imports": lambda root: append(root / "dataset/vocabulary.py", "\nX = 1\n"),
    "a package above it": lambda root: append(root / "model/__init__.py", "\nX = 1\n"),
    "the package": lambda root: append(root / "__init__.py", "\nX = 1\n"),
    "a new import": lambda root: append(
        root / "files.py", "\ndef late():\n    import gcodefp.report\n"
    ),
}


@pytest.mark.parametrize("change", UNCHANGING)
def test_what_leaves_training_as_it_was(package: Path, change: str) -> None:
    before = code_digest(TRAINER)
    UNCHANGING[change](package)
    assert code_digest(TRAINER) == before


@pytest.mark.parametrize("change", CHANGING)
def test_what_trains_otherwise(package: Path, change: str) -> None:
    before = code_digest(TRAINER)
    CHANGING[change](package)
    assert code_digest(TRAINER) != before


def test_late_imports_count(package: Path) -> None:
    """Sampling imports Bayesian search in a function only."""
    before = code_digest(AGENT)
    append(package / "sweeps/bayes.py", "\nX = 1\n")
    assert code_digest(AGENT) != before


def test_bayesian_search_decides_no_other_runs(package: Path) -> None:
    before = {method: runs_digest(method) for method in ("bayes", "random")}
    append(package / "sweeps/bayes.py", "\nX = 1\n")
    after = {method: runs_digest(method) for method in ("bayes", "random")}
    assert before["bayes"] != after["bayes"]
    assert before["random"] == after["random"]


@pytest.mark.parametrize(
    "file",
    ["reporting/report.html", "reporting/figures/paper.mplstyle", "reporting/figures/figures.yaml"],
)
def test_templates_and_styles_beside_a_module_count(package: Path, file: str) -> None:
    modules = "gcodefp.report", "gcodefp.figures"
    before = code_digest(*modules)
    append(package / file, "\n# changed")
    assert code_digest(*modules) != before


def test_kept_digest_counts_for_the_same_content_only(package: Path) -> None:
    digest = code_digest(TRAINER)
    (kept,) = package.glob("__pycache__/*.json")
    replace(kept, digest, "0" * 12)
    assert code_digest(TRAINER) == "0" * 12, "it is read"
    append(package / "report.py", "\n# A comment, in a module that the trainer does not import.\n")
    assert code_digest(TRAINER) == digest


@pytest.mark.parametrize("damaged", ["", "[1, 2]", "{}", "\0" * 80])
def test_damaged_file_of_kept_digests_is_made_again(package: Path, damaged: str) -> None:
    digest = code_digest(TRAINER)
    (kept,) = package.glob("__pycache__/*.json")
    kept.write_text(damaged, encoding="utf-8")
    assert code_digest(TRAINER) == digest
    assert digest in kept.read_text(encoding="utf-8")


def test_digests_need_no_folder_to_write_to(package: Path) -> None:
    (package / "__pycache__").write_text("no folder", encoding="utf-8")
    assert code_digest(TRAINER) == code_digest(TRAINER)


def test_several_modules_in_any_order() -> None:
    assert code_digest(TRAINER, AGENT) == code_digest(AGENT, TRAINER) != code_digest(TRAINER)


def test_sweeps_of_version_0_1_go_on() -> None:
    """Remove this test, and the entries of SAME_RUNS, when what a run computes changes."""
    assert runs_digest("bayes") == "f5ce9e9915fe"
    assert runs_digest("random") == "146ab7d81a9f"
