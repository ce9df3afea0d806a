# Contract: best checkpoint, train, val and test split, controls
#               -> {RESULTS}/evaluation/{metrics.json,predictions.npz,gcode}
#           best checkpoint, test split -> {RESULTS}/explanation/explanation.{json,npz}
#           Only these two rules, `control`, fit_detector and evaluate_fold read a test split, all of them after
#           the best run is chosen; none of their results selects or trains a model. Of the commands
#           that users start, `verify` and `compare --split test` read it, after the best run is chosen.


rule evaluate:
    """Evaluate the best run's checkpoint and the baselines on the test split, beside the controls."""
    input:
        checkpoint=f"{RESULTS}/best/checkpoint.pt",
        decoder=f"{RESULTS}/best/decoder.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        test=f"{RESULTS}/dataset/test.npz",
        controls=[f"{RESULTS}/controls/{name}/control.json" for name in config["controls"]],
    output:
        metrics=f"{RESULTS}/evaluation/metrics.json",
        predictions=f"{RESULTS}/evaluation/predictions.npz",
        gcode=directory(f"{RESULTS}/evaluation/gcode"),
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
    params:
        folder=lambda wildcards, output: Path(output.metrics).parent,
        device=config["agents"]["device"],
        code=code_digest("gcodefp.evaluate"),
    shell:
        """
        python -m gcodefp.evaluate \
            --checkpoint {input.checkpoint:q} \
            --dataset {input.dataset:q} \
            --train {input.train:q} \
            --val {input.val:q} \
            --test {input.test:q} \
            --controls {input.controls:q} \
            --device {params.device} \
            --threads {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """


rule explain:
    """Measure what the predictions of the best checkpoint on the test split depend on."""
    input:
        checkpoint=f"{RESULTS}/best/checkpoint.pt",
        decoder=f"{RESULTS}/best/decoder.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
        test=f"{RESULTS}/dataset/test.npz",
    output:
        document=f"{RESULTS}/explanation/explanation.json",
        arrays=f"{RESULTS}/explanation/explanation.npz",
    log:
        f"{RESULTS}/logs/explain.log",
    benchmark:
        f"{RESULTS}/benchmarks/explain.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
    params:
        folder=lambda wildcards, output: Path(output.document).parent,
        device=config["agents"]["device"],
        code=code_digest("gcodefp.explain"),
    shell:
        """
        python -m gcodefp.explain \
            --checkpoint {input.checkpoint:q} \
            --dataset {input.dataset:q} \
            --test {input.test:q} \
            --device {params.device} \
            --threads {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """


EVALUATION = [rules.evaluate.output, rules.explain.output]
