"""What all command lines share: flags, help, log, exit code."""

import argparse
import logging
import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from gcodefp.errors import UserError, did_you_mean

T = TypeVar("T")
INTERRUPTED = 130
RESULTS = Path("results")
RUNS = RESULTS / "runs"
"""The folder that keeps the runs of all sweeps, in the shipped configuration."""
DATASET = RESULTS / "dataset"
FILES = {
    "checkpoint": "checkpoint.pt", "dataset": "dataset.json",
    "train": "train.npz", "val": "val.npz", "test": "test.npz",
}  # fmt: skip
"""Flag -> name of the file."""
DEVICES = ("auto", "cpu", "cuda", "mps")
COMMANDS = {"create_sweep": "sweep"}
"""Module -> its command, where that is not its name with - for _."""


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `gcodefp COMMAND` and `python -m gcodefp.NAME`, with the flags that all have."""
    parser = argparse.ArgumentParser(
        prog=f"gcodefp {COMMANDS.get(name, name.replace('_', '-'))}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(module=name)
    parser.add_argument("--log", type=Path, help="write the log to this file too")
    return parser


def add_files(parser: argparse.ArgumentParser, *names: str, folder: Path | None = None) -> None:
    """Adds flags of FILES; required, unless a folder has the files by default."""
    for name in names:
        text, path = FILES[name], folder and folder / FILES[name]
        text += "" if path is None else " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=Path, required=path is None, default=path, help=text)


def add_device_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --device and --threads."""
    parser.add_argument("--device", choices=DEVICES, default="auto")
    text = "CPU threads; bit-exact reruns need 1"
    parser.add_argument("--threads", type=positive, default=1, help=text)


def add_runs_flag(parser: argparse.ArgumentParser) -> None:
    """Adds --runs."""
    text = "folder that keeps the runs of all sweeps (default: %(default)s)"
    parser.add_argument("--runs", type=Path, default=RUNS, help=text)


def add_sweep_flags(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds ID or --sweep, and --runs, by default those of the shipped configuration.

    Args:
        more: what --sweep includes besides sweep.json.
    """
    add_created_sweep(parser)
    text = f"sweep.json{more} (default: %(default)s)"
    parser.add_argument("--sweep", type=Path, default=RESULTS / "sweep/sweep.json", help=text)


def add_created_sweep(parser: argparse.ArgumentParser) -> None:
    """Adds ID, which `run_command` puts in the place of --sweep, and --runs."""
    text = "of a sweep that `gcodefp sweep` has created"
    parser.add_argument("id", nargs="?", metavar="ID", help=text)
    add_runs_flag(parser)


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --sweep, --runs, and --train, --val, --dataset of the shipped configuration."""
    add_sweep_flags(parser)
    add_files(parser, "train", "val", "dataset", folder=DATASET)


RESULTS_FLAGS = {
    "dataset": ("dataset/dataset.json", "dataset.json"),
    "sweep": ("sweep/sweep.json", "sweep.json"),
    "best": ("best", "folder of select_best"),
    "evaluation": ("evaluation", "folder of evaluate"),
    "explanation": ("explanation", "folder of explain"),
}
"""Flag of `figures` and `report` -> its path in the results folder, and what it is."""
DETECTION = Path("detection/detection.json")


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds RESULTS_FLAGS, --detection and --show-paths."""
    for name, (path, text) in RESULTS_FLAGS.items():
        text += " (default: %(default)s)"
        parser.add_argument(f"--{name}", type=Path, default=RESULTS / path, help=text)
    text = f"detection.json (default: {DETECTION} of the results folder of --dataset, if it exists)"
    parser.add_argument("--detection", type=Path, help=text)
    text = "show absolute paths, which name folders of this computer"
    parser.add_argument("--show-paths", action="store_true", help=text)


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            shown = text if len(text) <= 30 else f"{text[:30]}…"
            raise argparse.ArgumentTypeError(
                f"{shown} is not a whole number from {least} to {most}"
            )
        return number

    return parse


positive = _whole_number(1, 1_000_000)
not_negative = _whole_number(0, 2**32 - 1)
"""Such as a seed, which NumPy's generators take up to there."""


def not_negative_number(text: str) -> float:
    """A finite number, at least 0."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is negative or infinite")
    return number


def share(text: str) -> float:
    """A number between 0 and 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def run_command(
    parser: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Parses, runs, and turns errors into a message and an exit code."""
    arguments = parse(parser, argv)
    # With a log file, its name, such as agent_1.
    name = arguments.log.stem if arguments.log else arguments.module
    logger = logging.getLogger("gcodefp")
    handlers = log_handlers(name, arguments.log)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if arguments.log:  # A stage of the pipeline, which Snakemake does not name with --quiet rules.
        logger.info("starts")
    try:
        _fill_in(parser, arguments)
        body(arguments)
    except (UserError, OSError) as error:
        logger.error("error: %s", _with_configuration(str(error), arguments))
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted")
        return INTERRUPTED
    except Exception:
        logger.exception("this should not have happened; please report it with the lines below")
        return 1
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
    return 0


def _with_configuration(message: str, arguments: argparse.Namespace) -> str:
    """A message whose commands have the configuration that the user named."""
    file = getattr(arguments, "configfile", None)
    named = f"snakemake --configfile {shlex.quote(str(file))} --cores all"
    return message.replace("snakemake --cores all", named) if file else message


def for_each(
    items: Sequence[T], body: Callable[[T], None], name: Callable[[T], object], end: str
) -> None:
    """Calls the body with each; an error with one does not keep it from the others.

    Args:
        name: of an item, for the message.
        end: what is logged if it succeeded with any.

    Raises UserError: it names the items with an error; the errors themselves are logged.
    """
    failed = []
    for item in items:
        try:
            body(item)
        except (UserError, OSError) as error:
            logging.getLogger("gcodefp").error("%s", error)
            failed.append(str(name(item)))
    done = len(items) - len(failed)
    if done:
        logging.getLogger("gcodefp").info("%s", end)
    if failed:
        raise UserError(f"failed: {', '.join(failed)}; the reasons are above (done: {done})")


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; names of flags may have - or _. Ends the process at a wrong command line."""
    if any(_is_below_results(action.default) for action in parser._actions):
        where = parser.add_mutually_exclusive_group()
        where.add_argument(
            "--results", dest="results_folder", type=Path, metavar="FOLDER",
            help="in place of results/ in all default paths",
        )  # fmt: skip
        where.add_argument(
            "--configfile", type=Path, metavar="FILE", help="the configuration that names FOLDER"
        )
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)
    words = list(sys.argv[1:] if argv is None else argv)
    end = words.index("--") if "--" in words else len(words)
    flags = [flag for flag in parser._option_string_actions if flag.startswith("--")]
    for index, word in enumerate(words[:end]):
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and " " not in flag:
            written = (f for f in flags if f.replace("_", "-") == flag.replace("_", "-"))
            if (spelling := next(written, None)) is None:
                parser.error(f"{flag}: no such flag; {did_you_mean(flag, flags)}")
            words[index] = spelling + equals + value
    return parser.parse_args(words)


def _is_below_results(path: object) -> bool:
    return isinstance(path, Path) and path.parts[:1] == RESULTS.parts


def _fill_in(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Puts default paths into the user's results folder, and finds the sweep of an ID."""
    folder = getattr(arguments, "results_folder", None)
    if getattr(arguments, "configfile", None):
        folder = _results_of(arguments.configfile)
    arguments.results_folder = folder or RESULTS
    actions = {action.dest: action for action in parser._actions}
    is_default = {
        name: getattr(arguments, name, None) is action.default for name, action in actions.items()
    }
    for name, action in actions.items():
        if folder and is_default[name] and _is_below_results(action.default):
            setattr(arguments, name, folder / action.default.relative_to(RESULTS))
    if sweep_id := getattr(arguments, "id", None):
        if not is_default["sweep"]:
            raise UserError(f"{sweep_id} and --sweep: name one sweep")
        path = created_sweep(sweep_id, arguments.runs)
        arguments.sweep = [path] if actions["sweep"].nargs else path


def _results_of(configuration: Path) -> Path:
    """The results folder of a configuration, which need not have all keys."""
    from gcodefp.yaml_input import load_yaml, read_text  # late: most commands need none

    content = load_yaml(read_text(configuration), str(configuration)) or {}
    try:
        return Path(content.get("results", RESULTS)).expanduser()
    except (AttributeError, TypeError, RuntimeError) as error:
        raise UserError(f"{configuration}: is no configuration with results: {error}") from None


def created_sweep(sweep_id: str, runs: Path) -> Path:
    """sweep.json of a sweep that was created without a workflow; its project may precede the ID.

    Raises UserError: there is none.
    """
    path = runs / sweep_id.rpartition("/")[2] / "sweep.json"
    if not path.is_file():
        ids = sorted(other.parent.name for other in runs.glob("*/sweep.json"))
        there = f"there are {', '.join(ids)}" if ids else "there is none yet"
        raise UserError(
            f"{path}: no such sweep; {there}; create one with: gcodefp sweep FILE, or name the "
            "folder of the runs"
        )
    return path


def log_handlers(name: str, log_file: Path | None, mode: str = "w") -> list[logging.Handler]:
    """Handlers that write a command's log to the terminal, and to a file if there is one."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode=mode, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {name}: %(message)s", "%H:%M:%S"))
    return handlers
