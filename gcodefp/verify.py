"""Verifies results: checks the hashes of all inputs, runs the stages again and compares all files.

First the SHA-256 of all recorded inputs are compared. Then select_best and each later stage run
again, from the files in the folder, into a temporary folder, and each file and key that differs is
printed. The folder is not changed, and may have been moved. With another device or library version
numbers may differ by a few thousandths, and files that depend on rounding are not compared. Of a
sweep of a user script, select_best, figures and report run again. The exit code is 0 only if all
checks pass.
"""

import argparse
import html
import importlib
import io
import json
import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from functools import partial
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

from gcodefp.command_line import RESULTS, add_device_flags, command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import DECODER_FILE
from gcodefp.files import sha256
from gcodefp.model.data import select_device
from gcodefp.model.trainer import describe_device
from gcodefp.provenance import results_roots
from gcodefp.reporting.differences import compare_files
from gcodefp.reporting.protocols_table import read_protocols
from gcodefp.reporting.results import read_result
from gcodefp.sweeps.sweep_file import read_best, read_sweep

SCORING = ("fit_decoder", "control", "evaluate", "explain")
STAGES = ("select_best", *SCORING, "fit_detector", "protocols", "figures", "report")
DOCUMENTS: tuple[str, ...] = ("dataset/dataset.json", "sweep/sweep.json", "best/run.json",
             "evaluation/metrics.json", "explanation/explanation.json")  # fmt: skip
"""Inputs of the report, besides protocols and detection if they exist."""
SCRIPT_DOCUMENTS: tuple[str, ...] = ("sweep/sweep.json", "best/run.json")
SCRIPT_STAGES = ("select_best", "figures", "report")
SCRIPT_EVALUATION = "evaluation/evaluation.json"
"""For a sweep of a user script, which has no dataset and no checkpoint."""
PROTOCOLS, DETECTION = "protocols/protocols.json", "detection/detection.json"
NUMERIC_PACKAGES = ("numpy", "scikit-learn", "torch")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("verify", __doc__)
    add = parser.add_argument
    add("results", type=Path, nargs="?", default=RESULTS,
        help="folder of the finished pipeline (default: %(default)s)")  # fmt: skip
    add("--quick", action="store_true", help=f"do not run {', '.join(SCORING)}, fit_detector again")
    add("--train", action="store_true", help="train the best run again too, on one CPU thread")
    add_device_flags(parser)
    return run_command(parser, _verify, argv)


def _verify(arguments: argparse.Namespace) -> None:
    path = arguments.results
    if not (path / "dataset").is_dir() and not (path / "best").is_dir():
        raise UserError(
            f"{path}: holds no results of the pipeline (no dataset, no best); name the folder that "
            "the key results of the configuration names"
        )
    folder = ResultsFolder(path)
    device = describe_device(select_device(arguments.device, arguments.threads))
    flags = ["--device", arguments.device, "--threads", str(arguments.threads)]
    checks: dict[str, Callable[[], Iterable[str]]] = {
        "recorded inputs": partial(changed_inputs, folder),
        "inputs of the runs": partial(changed_run_inputs, folder),
    }
    if not folder.has_script:
        checks["files of the dataset"] = partial(changed_splits, path)
    elif arguments.train:
        raise UserError("--train: a user script trains the runs of this sweep; leave it out")
    with tempfile.TemporaryDirectory() as temporary:
        for stage in (*folder.stages, "train") if arguments.train else folder.stages:
            output = Path(temporary) / stage
            checks[f"{stage}, rerun"] = partial(check_stage, folder, stage, output, flags, device)
        skipped = [f"{stage}, rerun" for stage in (*SCORING, "fit_detector") if arguments.quick]
        wrong = [name for name, check in checks.items() if not _is_ok(name, check, name in skipped)]
    if wrong:
        raise UserError(f"{path}: NOT ok: {'; '.join(wrong)}")
    print(f"{path}: every check is ok{', some were skipped' if skipped else ''}")


def _is_ok(name: str, check: Callable[[], Iterable[str]], is_skipped: bool) -> bool:
    """Prints the problems that a check finds; a missing or truncated file is one of them."""
    if is_skipped:
        print(f"skipped   {name}: --quick", flush=True)
        return True
    problems: list[str] = []
    try:
        problems.extend(check())
    except (UserError, OSError) as error:
        problems.append(str(error))
    except Exception as error:
        problems.append(f"cannot be checked ({type(error).__name__}: {error})")
    state = "NOT ok" if problems else "ok"
    print("\n          ".join([f"{state:<8}  {name}", *problems]), flush=True)
    return not problems


# Recorded inputs


def read_recorded(path: Path) -> dict[str, Any]:
    """A JSON document with recorded inputs. Raises UserError: it is missing or truncated."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        dict(document["provenance"]["inputs"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: records no inputs; it is truncated, or was edited ({error})"
        ) from None
    return document


def read_inputs(path: Path) -> dict[str, str]:
    """Recorded path -> SHA-256 of each file that a JSON document was made from."""
    return dict(read_recorded(path)["provenance"]["inputs"])


class ResultsFolder:
    """A results folder, and its paths when its files were written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_script = False
        with suppress(UserError):  # It is reported among the inputs.
            self.has_script = read_sweep(path / "sweep/sweep.json").script is not None
        self.stages = SCRIPT_STAGES if self.has_script else STAGES
        self.documents = SCRIPT_DOCUMENTS if self.has_script else DOCUMENTS
        more = (SCRIPT_EVALUATION,) if self.has_script else (PROTOCOLS, DETECTION)
        self.documents += tuple(name for name in more if (path / name).exists())
        self._roots: set[PurePath] = set()
        for name in self.documents:
            with suppress(UserError):
                self._roots |= results_roots(read_inputs(path / name))

    def located(self, recorded: str) -> Path:
        """Current path of a recorded input; the folder may have been moved."""
        for root in sorted(self._roots, key=lambda root: -len(root.parts)):
            if PurePath(recorded).is_relative_to(root):
                now = self.path / PurePath(recorded).relative_to(root)
                # Every relative path lies below a folder that was called `.`.
                if root.parts or now.exists():
                    return now
        return Path(recorded)

    def inputs(self, document: Path, name: str) -> list[Path]:
        """Current paths of the inputs of a document that have this file name."""
        paths = map(self.located, read_inputs(document))
        return [path for path in paths if path.name == name]

    def name(self, path: Path) -> str:
        """Path relative to the folder if it is below it, for messages."""
        return str(path.relative_to(self.path) if path.is_relative_to(self.path) else path)

    def changed(self, document: Path, skipped: Sequence[str] = ()) -> Iterator[str]:
        """Inputs of a document that are missing or have changed."""
        for recorded, digest in read_inputs(document).items():
            path = self.located(recorded)
            if path.name in skipped or (path.is_file() and sha256(path) == digest):
                continue
            state = "has changed" if path.is_file() else "is missing"
            yield f"{self.name(document)}: {self.name(path)} {state} (recorded {digest[:12]})"


def changed_inputs(folder: ResultsFolder) -> Iterator[str]:
    """Inputs of the folder's documents, and of those of this folder among these."""
    queue = [folder.path / name for name in folder.documents]
    for document in queue:
        try:
            yield from folder.changed(document)
        except UserError as error:
            yield str(error)
            continue
        for path in map(folder.located, read_inputs(document)):
            source = path.with_name("run.json") if path.suffix == ".pt" else path
            is_ours = source.is_relative_to(folder.path) and "runs" not in source.parts
            if is_ours and source.suffix == ".json" and source.is_file() and source not in queue:
                queue.append(source)


def changed_run_inputs(folder: ResultsFolder) -> Iterator[str]:
    """Inputs of the runs of the best run's sweeps.

    sweep.json and dataset.json are excluded: they are written again with the same meaning, for
    instance with a larger run_cap, and the runs are kept.
    """
    for sweep in read_best(folder.path / "best/run.json")["sweeps"]:
        for path in sorted((folder.path / "runs" / sweep).glob("*/run.json")):
            yield from folder.changed(path, skipped=("sweep.json", "dataset.json"))


def changed_splits(path: Path) -> Iterator[str]:
    """NPZ files that are not those that dataset.json describes."""
    document = read_result(path / "dataset/dataset.json")
    for name, entry in {**document["splits"], "programs": document["programs"]}.items():
        if sha256(path / f"dataset/{name}.npz") != entry["sha256"]:
            yield f"dataset/{name}.npz is not the file that dataset.json describes"


# Stages that run again


def check_stage(
    folder: ResultsFolder, stage: str, output: Path, flags: Sequence[str], device: str
) -> Iterator[str]:
    """Runs a stage again and compares its outputs with the files in the folder.

    Args:
        output: folder of its outputs, laid out as the results.
        flags: device and threads of the stages that compute; `device` describes the device.
    """
    for arguments in command_lines(folder, stage, output):
        _run(stage, [*map(str, arguments), *(flags if stage in ("select_best", *SCORING) else [])])
    pairs = {path: folder.path / path.relative_to(output) for path in sorted(output.rglob("*.*"))}
    if stage == "train":
        pairs = {output / "checkpoint.pt": folder.path / "best/checkpoint.pt"}
    name = "explanation/explanation.json" if stage == "explain" else "evaluation/metrics.json"
    origin = read_recorded(folder.path / ("best/run.json" if folder.has_script else name))
    if folder.has_script:  # Its own device is that of a user script.
        origin |= {"device": device}
    if "device" not in origin:
        yield f"{name}: has no device, as it was edited"
    is_same = origin.get("device") == device and not _other_versions(origin, *NUMERIC_PACKAGES)
    note = _other_versions(origin, "matplotlib") if stage == "figures" else ""
    for recomputed, path in pairs.items():
        for difference in compare_files(recomputed, path, is_same):
            yield f"{folder.name(path)}: {difference}{note}"
    if stage == "evaluate":
        for path in set((folder.path / "evaluation/gcode").glob("*.nc")) - set(pairs.values()):
            yield f"{folder.name(path)}: should not be there"


def _other_versions(document: Mapping[str, Any], *packages: str) -> str:
    recorded, texts = document["provenance"].get("packages", {}), []
    for name in packages:
        if recorded.get(name) != (now := metadata.version(name)):
            texts.append(f" (made with {name} {recorded.get(name)}, this is {now})")
    return "".join(texts)


def command_lines(folder: ResultsFolder, stage: str, output: Path) -> Iterator[list[object]]:
    """Arguments of each command that makes a stage's files, with outputs below `output`."""
    path, metrics = folder.path, folder.path / "evaluation/metrics.json"
    best, table = path / "best/run.json", path / PROTOCOLS
    dataset: list[object] = ["--dataset", path / "dataset/dataset.json"]
    train, val, test = ([f"--{s}", path / f"dataset/{s}.npz"] for s in ("train", "val", "test"))
    network = ["--checkpoint", path / "best/checkpoint.pt"]
    tested = [*dataset, *test, *network]
    shown: list[object] = ["--sweep", path / "sweep/sweep.json", "--best", path / "best"]
    if not folder.has_script:
        shown += dataset
        for name in ("evaluation", "explanation"):
            shown += [f"--{name}", path / name]
        shown += ["--detection", path / DETECTION] if (path / DETECTION).exists() else []
    if stage == "select_best":
        sweeps = ["--sweep", *folder.inputs(best, "sweep.json"), "--runs", path / "runs"]
        data = [] if folder.has_script else [*dataset, *train, *val]
        yield [*sweeps, *data, "--offline", "--output", output / "best"]
    elif stage == "fit_decoder":
        yield [*network, *dataset, *train, *val, "--output", output / "best" / DECODER_FILE]
    elif stage == "control":
        for control in folder.inputs(metrics, "control.json"):
            (weights,) = folder.inputs(control, "checkpoint.pt")
            kind = ["--control", read_result(control)["control"], "--checkpoint", weights]
            yield [*kind, *dataset, *train, *test, "--output", output / folder.name(control)]
    elif stage == "evaluate":
        controls = ["--controls", *folder.inputs(metrics, "control.json")]
        yield [*tested, *train, *val, *controls, "--output", output / "evaluation"]
    elif stage == "explain":
        yield [*tested, "--output", output / "explanation"]
    elif stage == "fit_detector" and (path / DETECTION).exists():
        recording = next(iter(read_inputs(path / "dataset/dataset.json")))
        files = ["--recordings", folder.located(recording).parent, *dataset, *train, *val, *test]
        yield [*files, *network, "--output", output / "detection"]
    elif stage == "protocols" and table.exists():
        folds = [source.parent for source in folder.inputs(table, "metrics.json")]
        skipped = ["--left-out", *read_protocols(table)["left_out"]]
        yield ["--evaluations", *folds, "--winner", best, *skipped, "--output", output / stage]
    elif stage == "figures":
        yield [*shown, "--output", output / "figures"]
    elif stage == "report":
        yield [*shown, *_page_arguments(folder), "--output", output / "report.html"]
    elif stage == "train":
        cpu = ["--device", "cpu", "--threads", 1, "--hyperparameters", best]
        yield [*cpu, *dataset, *train, *val, "--output", output]


def _page_arguments(folder: ResultsFolder) -> Iterator[object]:
    path = folder.path
    yield from ("--figures", path / "figures", "--protocols", path / PROTOCOLS)
    yield from ("--benchmarks", path / "benchmarks")
    text = (path / "report.html").read_text(encoding="utf-8", errors="replace")
    if shown_command := re.search(r'id="protocols" data-command="(.*?)"', text):
        yield from ("--protocols-command", html.unescape(shown_command[1]))
    if folder.has_script and (path / SCRIPT_EVALUATION).exists():
        yield from ("--program-evaluation", path / SCRIPT_EVALUATION)


def _run(stage: str, arguments: Sequence[str]) -> None:
    """Runs a stage in this process and captures its log. Raises UserError: it fails."""
    logger = logging.getLogger("gcodefp")
    handlers, logger.handlers = logger.handlers, []
    try:
        with redirect_stderr(io.StringIO()) as log:
            code = importlib.import_module(f"gcodefp.{stage}").main(arguments)
    finally:
        logger.handlers = handlers
    if code != 0:
        last = log.getvalue().splitlines()[-1]
        raise UserError(f"python -m gcodefp.{stage} fails: {last.partition('error: ')[2] or last}")


if __name__ == "__main__":
    sys.exit(main())
