# gcodefp: G-code fingerprinting, from recordings of a machine to the best model and its evaluation.
import atexit
import time
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")


STARTED = time.time()
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True))


# The shipped configuration; that of another folder need only have what it changes.
configfile: str(HOME / "config.yaml")


if Path("config.yaml").is_file() and not HOME.samefile("."):

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/sweep.smk"


if SCRIPT:

    include: "workflow/rules/user_script.smk"

else:

    include: "workflow/rules/controls.smk"
    include: "workflow/rules/evaluate.smk"
    include: "workflow/rules/detection.smk"
    include: "workflow/rules/report.smk"
    include: "workflow/rules/protocols.smk"


# Base image of envs/gcodefp.yaml with --software-deployment-method conda apptainer.
container: "docker://condaforge/miniforge3:25.3.1-0"


report: "workflow/report/workflow.rst"


rule all:
    """Run the whole pipeline; protocols are a target of their own."""
    default_target: True
    input:
        rules.select_best.output,
        EVALUATION,
        rules.figures.output,
        rules.report_page.output,


localrules:
    all,


onstart:
    if not workflow.local_exec:
        watch_preempted_jobs(Path.cwd())


onsuccess:
    # What was searched, how good it is, what is next, where the report is: after all that Snakemake writes.
    # Jobs of a cluster have not written it here.
    summary = Path(RESULTS, "logs/report.log")
    if summary.is_file() and summary.stat().st_mtime > STARTED:
        lines = summary.read_text().splitlines()[-1 if workflow.local_exec else 0 :]
        atexit.register(print, *lines, sep="\n", file=sys.stderr)


onerror:
    # Also after SIGTERM and Ctrl-C.
    text = "not finished, what is done is kept: the same command continues, once errors above are fixed"
    atexit.register(print, text, file=sys.stderr)


make_local(config["cluster"]["local_rules"])
