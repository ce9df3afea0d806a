"""A digest of the code that a stage runs, for reruns when its behaviour changes.

Snakemake sees neither the modules behind `python -m` nor what in them matters. The digest covers a
module and all modules of this package that it imports, as syntax trees without docstrings, and the
templates and styles beside them: a changed comment, docstring or layout of code leaves it as it is.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from gcodefp.files import write_text

PACKAGE = "gcodefp"
ROOT = Path(__file__).parent
DATA_SUFFIXES = (".html", ".css", ".js", ".mplstyle", ".rst")

DECIDES_RUNS = ("gcodefp.model.trainer", "gcodefp.sweeps.scheduler")
"""How a sweep's runs are trained, what they get and when they are stopped."""
COVERED_BY_DATA = ("gcodefp.recordings", "gcodefp.errors", "gcodefp.files")
"""Excluded from a sweep's identity: a run sees of them only the data, which has its own hash."""
DECIDES_BAYES = "gcodefp.sweeps.bayes"
SAME_RUNS: Mapping[str, str] = {
    "1631ec47f67e": "f5ce9e9915fe",
    "6ac08891d0dd": "146ab7d81a9f",
}
"""Digest of code -> digest of an earlier version whose runs are bit-identical on a CPU.

Code that was only moved or renamed continues the sweeps of that version. Whoever changes what a
run computes leaves this as it is: the new digest is in no entry, and starts a new sweep.
"""


def runs_digest(method: str = "bayes") -> str:
    """The digest of the code that decides the runs of a sweep with this method."""
    others = () if method == "bayes" else (DECIDES_BAYES,)
    digest = SourceCode().digest(*DECIDES_RUNS, without=(*COVERED_BY_DATA, *others))
    return SAME_RUNS.get(digest, digest)


class SourceCode:
    """The package's files at this moment, for several digests.

    Parsing takes most of a second: digests are kept in Python's own cache, for this content alone.
    """

    def __init__(self) -> None:
        paths = sorted(path for path in ROOT.rglob("*") if path.suffix in (".py", *DATA_SUFFIXES))
        self._texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}
        content = hashlib.sha256(json.dumps([sys.version, self._texts]).encode()).hexdigest()
        self._file = Path(cache_from_source(str(ROOT / "code_digest.py"))).with_suffix(".json")
        self._kept = {"content": content}
        with suppress(OSError, ValueError, TypeError):
            kept = dict(json.loads(self._file.read_text("utf-8")))
            self._kept = kept if kept.get("content") == content else self._kept

    def digest(self, *modules: str, without: Sequence[str] = ()) -> str:
        """Twelve hexadecimal digits for modules and all they import, but those `without`."""
        question = json.dumps([sorted(modules), sorted(without)])
        if question not in self._kept:
            self._kept[question] = self._digest(modules, tuple(without))
            with suppress(OSError):  # Not every user may write there.
                write_text(self._file, json.dumps(self._kept))
        return self._kept[question]

    def _digest(self, modules: Sequence[str], without: tuple[str, ...]) -> str:
        sources: dict[str, str] = {}
        waiting = list(modules)
        while waiting:
            module = waiting.pop()
            if module in sources or module.startswith(without):
                continue
            path = self._path(module)
            imported, sources[module] = _parsed(path, self._texts[path])
            # Importing a.b.c runs the __init__ of a and a.b too.
            imported = {*imported, module.rpartition(".")[0] or module}
            waiting += [name for name in imported if self._path(name) in self._texts]
            beside = (n for n in self._texts if Path(n).parent == Path(path).parent)
            sources |= {n: self._texts[n] for n in beside if n.endswith(DATA_SUFFIXES)}
        text = "\n".join(f"{name}\n{sources[name]}" for name in sorted(sources))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _path(self, module: str) -> str:
        base = module.removeprefix(PACKAGE).strip(".").replace(".", "/")
        package = f"{base}/__init__.py".removeprefix("/")
        return package if package in self._texts else f"{base}.py"


@cache
def _parsed(path: str, text: str) -> tuple[set[str], str]:
    """What a module imports, and its code; every rule's digest covers much the same modules."""
    tree = ast.parse(text, path)
    tree.body = [node for node in tree.body if not _is_for_types(node)]
    imported = _imported(tree)
    _strip_docstrings(tree)
    return imported, ast.unparse(tree)


def _imported(tree: ast.AST) -> set[str]:
    """What of this package is imported anywhere in the tree, late imports too."""
    names: set[str] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below this one, a fifth of the nodes that ast.walk yields."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        for child in getattr(node, field, ()):
            yield child
            yield from _statements(child)


def _is_for_types(node: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:`, whose imports never run."""
    return isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING"


def _strip_docstrings(tree: ast.Module) -> None:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in (tree, *_statements(tree)):
        if not isinstance(node, owners):
            continue
        node.body = [
            statement
            for statement in node.body
            if not (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            )
        ] or [ast.Pass()]
