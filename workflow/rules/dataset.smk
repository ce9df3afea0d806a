# Contract: config -> {RESULTS}/recordings, if recordings.folder is null
#           recordings -> {RESULTS}/dataset/{train,val,test,programs}.npz and dataset.json
#               and, if a layout reads them, {RESULTS}/dataset/recordings/NAME.parquet


rule simulate:
    """Simulate recordings of a mill, with the columns of real ones."""
    output:
        directory(f"{RESULTS}/recordings"),
    log:
        f"{RESULTS}/logs/simulate.log",
    benchmark:
        f"{RESULTS}/benchmarks/simulate.tsv"
    conda:
        ENVIRONMENT
    params:
        programs=config["simulation"]["programs"],
        recordings_per_program=config["simulation"]["recordings_per_program"],
        seed=config["simulation"]["seed"],
        code=code_digest("gcodefp.simulate"),
    shell:
        """
        python -m gcodefp.simulate \
            --programs {params.programs:q} \
            --recordings-per-program {params.recordings_per_program} \
            --seed {params.seed} \
            --output {output:q} \
            --log {log:q}
        """


rule preprocess:
    """Clean the recordings, estimate their lags, split, scale and window them."""
    input:
        RECORDINGS,
    output:
        **({"canonical": directory(f"{RESULTS}/dataset/recordings")} if LAYOUT else {}),
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        test=f"{RESULTS}/dataset/test.npz",
        programs=f"{RESULTS}/dataset/programs.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
    log:
        f"{RESULTS}/logs/preprocess.log",
    benchmark:
        f"{RESULTS}/benchmarks/preprocess.tsv"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=MEMORY_MB,
    params:
        folder=lambda wildcards, output: Path(output.dataset).parent,
        recordings=RECORDINGS_DIGEST,
        layout=lambda wildcards, output: layout_flags(output),
        exclude=config["recordings"]["exclude"],
        groups=config["channels"]["groups"],
        min_coverage=config["channels"]["min_coverage"],
        center="--center" if config["channels"]["center"] else "",
        zscore="--zscore" if config["channels"]["zscore"] else "",
        max_lag_seconds=config["lags"]["max_seconds"],
        same_share=config["programs"]["same_share"],
        rows=config["window"]["rows"],
        stride_rows=config["window"]["stride_rows"],
        max_gap_seconds=config["window"]["max_gap_seconds"],
        by=config["split"]["by"],
        held_out=config["split"]["held_out"],
        val_held_out=config["split"]["val_held_out"],
        val_fraction=config["split"]["val_fraction"],
        test_fraction=config["split"]["test_fraction"],
        seed=config["split"]["seed"],
        code=code_digest("gcodefp.preprocess"),
    shell:
        """
        python -m gcodefp.preprocess \
            --recordings {input:q} \
            {params.layout} \
            --exclude {params.exclude:q} \
            --groups {params.groups:q} \
            --min-coverage {params.min_coverage} \
            {params.center} \
            {params.zscore} \
            --max-lag-seconds {params.max_lag_seconds} \
            --same-program-share {params.same_share} \
            --window {params.rows} \
            --stride {params.stride_rows} \
            --max-gap-seconds {params.max_gap_seconds} \
            --split {params.by:q} \
            --held-out {params.held_out:q} \
            --val-held-out {params.val_held_out:q} \
            --val-fraction {params.val_fraction} \
            --test-fraction {params.test_fraction} \
            --seed {params.seed} \
            --workers {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """
