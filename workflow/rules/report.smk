# Contract: result files -> {RESULTS}/figures/*.{svg,png,pdf} -> {RESULTS}/report.html


rule figures:
    """Draw all figures from the result files."""
    input:
        dataset=f"{RESULTS}/dataset/dataset.json",
        sweep=f"{RESULTS}/sweep/sweep.json",
        best=rules.select_best.output,
        evaluation=rules.evaluate.output,
        explanation=rules.explain.output,
        detection=rules.fit_detector.output.document,
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
        evaluation=lambda wildcards, input: Path(input.evaluation[0]).parent,
        explanation=lambda wildcards, input: Path(input.explanation[0]).parent,
        folder=lambda wildcards, output: Path(output.toolpath).parent,
        code=code_digest("gcodefp.figures", *(record.module for record in SHOWN.values())),
    shell:
        """
        python -m gcodefp.figures \
            --dataset {input.dataset:q} \
            --sweep {input.sweep:q} \
            --best {params.best:q} \
            --evaluation {params.evaluation:q} \
            --explanation {params.explanation:q} \
            --detection {input.detection:q} \
            --output {params.folder:q} \
            --log {log:q}
        """


# The page includes the table of protocols if it exists; it does not start their trainings.
rule report_page:
    """Write the self-contained report page: summary, metrics, figures, sweep, costs, provenance."""
    input:
        dataset=f"{RESULTS}/dataset/dataset.json",
        sweep=f"{RESULTS}/sweep/sweep.json",
        best=rules.select_best.output,
        evaluation=rules.evaluate.output,
        explanation=rules.explain.output,
        detection=rules.fit_detector.output.document,
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
        evaluation=lambda wildcards, input: Path(input.evaluation[0]).parent,
        explanation=lambda wildcards, input: Path(input.explanation[0]).parent,
        figures=lambda wildcards, input: Path(input.figures[0]).parent,
        protocols=PROTOCOLS,
        protocols_command=command_again("protocols"),
        benchmarks=f"{RESULTS}/benchmarks",
        protocols_digest=file_digest(PROTOCOLS),
        code=code_digest("gcodefp.report"),
    shell:
        """
        python -m gcodefp.report \
            --dataset {input.dataset:q} \
            --sweep {input.sweep:q} \
            --best {params.best:q} \
            --evaluation {params.evaluation:q} \
            --explanation {params.explanation:q} \
            --detection {input.detection:q} \
            --figures {params.figures:q} \
            --protocols {params.protocols:q} \
            --protocols-command {params.protocols_command:q} \
            --benchmarks {params.benchmarks:q} \
            --output {output:q} \
            --log {log:q}
        """
