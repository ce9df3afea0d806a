"""Says whether a report still tells the truth: whether its files are what they were made from.

Hashes of all recorded inputs are compared, the winner is chosen once more from the run folders, its
checkpoint is scored once more on the test split, the table of protocols is put together once more
from the evaluations of its folds, which are not scored again, and figures and report are made once
more. Nothing in the folder is changed, and where it lies now does not matter. The exit code is 0
only if all is ok; a file that is missing is not.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.model.data import DEVICES, open_device
from gcodefp.reporting.verification import Check, ResultsFolder, check_inputs
from gcodefp.reporting.verification_again import EXPLANATION_NAMES as ASKED_AGAIN
from gcodefp.reporting.verification_again import (
    NAMES,
    check_drawings,
    check_explanation,
    check_protocols,
    check_scores,
    check_sweeps,
    check_winner,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("verify", __doc__)
    add = parser.add_argument
    add(
        "results",
        type=Path,
        nargs="?",
        default=Path("results"),
        help="folder of the finished pipeline (default: %(default)s)",
    )
    add("--quick", action="store_true", help="do not score the winner again")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    return run_step(parser, _verify, argv)


def _verify(arguments: argparse.Namespace) -> None:
    results = ResultsFolder(arguments.results)
    if not results.dataset.parent.is_dir() and not results.best.is_dir():
        raise UserError(
            f"{results.path}: holds no results of the pipeline (no dataset, no best); name the "
            "folder that the key results of the configuration names"
        )
    checks = []
    for check in _checks(results, arguments):
        print(check.line(), flush=True)
        checks.append(check)
    wrong = [check.name for check in checks if check.holds is False]
    if wrong:
        raise UserError(
            f"{results.path}: {len(wrong)} of {len(checks)} checks are NOT ok: {', '.join(wrong)}"
        )
    left_out = sum(check.holds is None for check in checks)
    told = f", {left_out} were left out" if left_out else ""
    print(f"{results.path}: {len(checks) - left_out} checks are ok{told}")


def _checks(results: ResultsFolder, arguments: argparse.Namespace) -> Iterator[Check]:
    """The cheap ones first."""
    known, sweeps = check_sweeps(results)
    yield known
    yield from check_inputs(results, sweeps)
    if known.holds:
        yield from check_winner(results, sweeps)
    if arguments.quick:
        yield from (Check(name, None, "--quick") for name in (*NAMES, *ASKED_AGAIN))
    else:
        device = open_device(arguments.device, arguments.threads)
        yield from check_scores(results, device, arguments.threads)
        yield from check_explanation(results, device)
    yield from check_protocols(results)
    yield from check_drawings(results)


if __name__ == "__main__":
    sys.exit(main())
