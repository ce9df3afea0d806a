"""Writes the report: one HTML file with all figures and numbers, which needs no network.

The output is byte-identical for the same files.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gcodefp.command_line import RESULTS, add_results_flags, command_parser, run_command
from gcodefp.evaluation.metrics import METRICS
from gcodefp.evaluation.names import PRIMARY
from gcodefp.files import write_text
from gcodefp.reporting.conclusions import GCODEFP_TITLES, best_baseline, one_fold
from gcodefp.reporting.page import render
from gcodefp.reporting.page_tables import protocol_section
from gcodefp.reporting.results import PROTOCOLS_REBUILD, Results, results_from_flags
from gcodefp.reporting.sweep_results import SweepResults, read_script_evaluation
from gcodefp.reporting.wording import interval
from gcodefp.terminal import plural

logger = logging.getLogger("gcodefp.report")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("report", __doc__)
    add_results_flags(parser)
    add = parser.add_argument
    beside = "(default: that beside the figures), shown if it exists"
    text = "folder of figures (default: %(default)s)"
    add("--figures", type=Path, default=RESULTS / "figures", help=text)
    add("--protocols", type=Path, help=f"protocols/protocols.json {beside}")
    text = "how the protocols are made with this configuration (default: %(default)s)"
    add("--protocols-command", default=PROTOCOLS_REBUILD, metavar="TEXT", help=text)
    add("--program-evaluation", type=Path, help="JSON of evaluate_script, if there is one")
    add("--benchmarks", type=Path, help=f"folder of Snakemake's benchmark files {beside}")
    add("--output", type=Path, required=True, help="the HTML file")
    return run_command(parser, _report, argv)


def _report(arguments: argparse.Namespace) -> None:
    results = results_from_flags(arguments)
    if isinstance(results, Results):
        results = replace(results, protocols_command=arguments.protocols_command)
    path, evaluation = arguments.program_evaluation, None
    if path is not None:
        evaluation = results.redact_paths(read_script_evaluation(path))
    figures = arguments.figures
    protocols = arguments.protocols or figures.parent / "protocols/protocols.json"
    benchmarks = arguments.benchmarks or figures.parent / "benchmarks"
    write_text(arguments.output, render(results, figures, protocols, benchmarks, evaluation))
    for warning in results.warnings:
        logger.warning(warning)
    logger.info("searched: %s", _searched(results))
    if isinstance(results, Results):
        logger.info("how good: %s", _how_good(results))
        conclusions = protocol_section(results, protocols)["conclusions"]
        for text in [c["conclusion"] for c in conclusions] or [one_fold(results).conclusion]:
            logger.info("conclusion: %s", text)
        own = "recordings of your own, docs/tutorial.md"
        more = own if results.is_simulated else "verdicts on new recordings, docs/verdict.md"
        logger.info("next: %s; a prediction, docs/python.md", more)
    # Elsewhere the pipeline may have been started from another folder, with --directory.
    is_clone = Path("Snakefile").is_file()
    logger.info("report: %s", arguments.output if is_clone else arguments.output.absolute())


def _searched(results: SweepResults) -> str:
    """How much was searched and tested."""
    stopped = int((results.runs["state"] == "stopped").sum())
    pruned = f", {stopped} of them pruned or stopped" if stopped else ""
    text = f"{len(results.runs)} runs{pruned}"
    if isinstance(results, Results):
        tested = results.evaluation
        noun = "simulated recording" if results.is_simulated else "recording"
        recordings = plural(tested["recordings"], noun)
        text += f"; the best one tested on {tested['rows']:,} rows of {recordings}"
    return text


def _how_good(results: Results) -> str:
    """The primary metric of gcodefp and of the best baseline, on the test split."""
    scores = results.evaluation["models"]
    texts = []
    for name, title in GCODEFP_TITLES.items():
        baseline = best_baseline(scores, name)
        beside = f" ({baseline} {interval(scores[baseline][PRIMARY])})" if baseline else ""
        texts.append(f"{interval(scores[name][PRIMARY])} from {title}{beside}")
    return f"correct program, and time in it {METRICS[PRIMARY].title}: {'; '.join(texts)}"


if __name__ == "__main__":
    sys.exit(main())
