# Contract: a sweep of a user script, in place of controls.smk, evaluate.smk and report.smk
#           best run, the user's own command -> {RESULTS}/evaluation/evaluation.json, if there is one
#           runs -> {RESULTS}/figures/*.{svg,png,pdf} of the sweep -> {RESULTS}/report.html

EVALUATION = [f"{RESULTS}/evaluation/evaluation.json"] if config["sweep"]["evaluate"] else []


rule evaluate_script:
    """Evaluate the best run with the command of the configuration, which prints JSON."""
    input:
        rules.select_best.output.run,
    output:
        f"{RESULTS}/evaluation/evaluation.json",
    log:
        f"{RESULTS}/logs/evaluate_script.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate_script.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
        gpu=GPUS,
    params:
        runs=f"{RESULTS}/runs",
        # A function, since ${best} is no wildcard.
        command=lambda wildcards: config["sweep"]["evaluate"],
        code=code_digest("gcodefp.evaluate_script"),
    shell:
        """
        python -m gcodefp.evaluate_script \
            --best {input:q} \
            --runs {params.runs:q} \
            --command {params.command:q} \
            --output {output:q} \
            --log {log:q}
        """


rule figures:
    """Draw the figures of the sweep."""
    input:
        sweep=f"{RESULTS}/sweep/sweep.json",
        best=rules.select_best.output,
    output:
        **{
            name: report(
                f"{RESULTS}/figures/{name}.svg",
                category=record.category,
                caption=caption_file(name),
                labels={"figure": record.title},
            )
            for name, record in SHOWN.items()
        },
        other=expand(f"{RESULTS}/figures/{{name}}.{{suffix}}", name=SHOWN, suffix=["png", "pdf"]),
    log:
        f"{RESULTS}/logs/figures.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures.tsv"
    conda:
        ENVIRONMENT
    params:
        best=lambda wildcards, input: Path(input.best[0]).parent,
        folder=lambda wildcards, output: Path(output.other[0]).parent,
        code=code_digest("gcodefp.figures", *(record.module for record in SHOWN.values())),
    shell:
        """
        python -m gcodefp.figures \
            --sweep {input.sweep:q} \
            --best {params.best:q} \
            --output {params.folder:q} \
            --log {log:q}
        """


rule report_page:
    """Write the self-contained report page: best run, sweep, figures, costs, provenance."""
    input:
        sweep=f"{RESULTS}/sweep/sweep.json",
        best=rules.select_best.output,
        evaluation=EVALUATION,
        figures=rules.figures.output,
    output:
        report(
            f"{RESULTS}/report.html",
            category="Report",
            caption="../report/report_page.rst",
            labels={"page": "Report page"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        ENVIRONMENT
    params:
        best=lambda wildcards, input: Path(input.best[0]).parent,
        figures=lambda wildcards, input: Path(input.figures[0]).parent,
        evaluation=shlex.join(
            part for path in EVALUATION for part in ("--program-evaluation", path)
        ),
        benchmarks=f"{RESULTS}/benchmarks",
        code=code_digest("gcodefp.report"),
    shell:
        """
        python -m gcodefp.report \
            --sweep {input.sweep:q} \
            --best {params.best:q} \
            --figures {params.figures:q} \
            {params.evaluation} \
            --benchmarks {params.benchmarks:q} \
            --output {output:q} \
            --log {log:q}
        """


rule protocols:
    """End with an error: protocols train and evaluate this project's own network."""
    params:
        reason=f"protocols: are for gcodefp's own trainer; the sweep trains {SCRIPT.name}",
    shell:
        "echo {params.reason:q} >&2; exit 1"


localrules:
    protocols,
