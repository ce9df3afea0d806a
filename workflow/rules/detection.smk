# Contract: recordings, train, val and test split, best checkpoint
#               -> {RESULTS}/detection/{detector.npz,detection.json}
#           It reads the test split, and so waits for the best run; nothing is chosen by its result.


rule fit_detector:
    """Fit the detector of deviations to good recordings, and test it on altered test recordings."""
    input:
        recordings=RECORDINGS,
        dataset=f"{RESULTS}/dataset/dataset.json",
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        test=f"{RESULTS}/dataset/test.npz",
        checkpoint=f"{RESULTS}/best/checkpoint.pt",
        decoder=f"{RESULTS}/best/decoder.npz",
    output:
        detector=f"{RESULTS}/detection/detector.npz",
        document=f"{RESULTS}/detection/detection.json",
    log:
        f"{RESULTS}/logs/fit_detector.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_detector.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
    params:
        folder=lambda wildcards, output: Path(output.document).parent,
        recordings=RECORDINGS_DIGEST,
        code=code_digest("gcodefp.fit_detector"),
    shell:
        """
        python -m gcodefp.fit_detector \
            --recordings {input.recordings:q} \
            --dataset {input.dataset:q} \
            --train {input.train:q} \
            --val {input.val:q} \
            --test {input.test:q} \
            --checkpoint {input.checkpoint:q} \
            --output {params.folder:q} \
            --log {log:q}
        """
