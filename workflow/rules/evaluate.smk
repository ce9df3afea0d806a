# Contract: best checkpoint, test split, controls
#               -> {RESULTS}/evaluation/{metrics.json,predictions.npz,gcode}
#           No rule but this one and the control's reads the test split; both need the best run.


rule evaluate:
    """Score the best checkpoint on the test split, baselines beside it."""
    input:
        checkpoint=f"{RESULTS}/best/checkpoint.pt",
        dataset=f"{RESULTS}/dataset/dataset.json",
        train=f"{RESULTS}/dataset/train.npz",
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
        mem_mb=4000,
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
            --test {input.test:q} \
            --controls {input.controls:q} \
            --device {params.device} \
            --threads {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """
