# gcodefp: from a machine's recordings to the best model of its G-code, and the evidence for it.
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/controls.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/protocols.smk"


# With --software-deployment-method conda apptainer: the operating system below envs/gcodefp.yaml.
container: "docker://condaforge/miniforge3:25.3.1-0"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        rules.select_best.output,
        rules.evaluate.output,
        rules.explain.output,
        rules.figures.output,
        rules.report_page.output,


localrules:
    all,


onstart:
    if not workflow.local_exec:
        follow_preempted(Path.cwd())


make_local(config["cluster"]["local_rules"])
