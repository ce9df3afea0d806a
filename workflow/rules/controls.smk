# Contract: the best run's hyperparameters, train and val split
#               -> {RESULTS}/controls/NAME/{run.json,checkpoint.pt}: the control changes the splits
#               -> {RESULTS}/protocols/PROTOCOL/FOLD/run/{run.json,checkpoint.pt}: splits of the fold
#           any checkpoint.pt, its train and val split -> decoder.npz beside it
#           checkpoint of a control, or the best run's; test split -> {RESULTS}/controls/NAME/control.json
#           A killed training resumes: last.pt is not an output, so Snakemake does not delete it.


wildcard_constraints:
    control="|".join(CONTROLS),
    training=rf"controls/({'|'.join(CONTROLS)})|protocols/[a-z]+/\d+/run",
    model=rf"best|controls/({'|'.join(CONTROLS)})|protocols/[a-z]+/\d+/run",


rule train:
    """Train again with the best run's hyperparameters: for a negative control or for a fold of a protocol."""
    input:
        hyperparameters=f"{RESULTS}/best/run.json",
        train=lambda wildcards: f"{dataset_folder(wildcards.training)}/train.npz",
        val=lambda wildcards: f"{dataset_folder(wildcards.training)}/val.npz",
        dataset=lambda wildcards: f"{dataset_folder(wildcards.training)}/dataset.json",
    output:
        run=f"{RESULTS}/{{training}}/run.json",
        checkpoint=f"{RESULTS}/{{training}}/checkpoint.pt",
    log:
        f"{RESULTS}/logs/{{training}}/train.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{training}}/train.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
        gpu=GPUS,
    params:
        folder=lambda wildcards, output: Path(output.run).parent,
        control=lambda wildcards: control_flag(wildcards.training),
        device=config["agents"]["device"],
        code=code_digest("gcodefp.train"),
    shell:
        """
        exec python -m gcodefp.train \
            --hyperparameters {input.hyperparameters:q} \
            {params.control} \
            --train {input.train:q} \
            --val {input.val:q} \
            --dataset {input.dataset:q} \
            --device {params.device} \
            --threads {threads} \
            --replace \
            --output {params.folder:q} \
            --log {log:q}
        """


rule fit_decoder:
    """Fit the decoder of a checkpoint: templates of the programs, and weights chosen on val."""
    input:
        checkpoint=f"{RESULTS}/{{model}}/checkpoint.pt",
        train=lambda wildcards: f"{dataset_folder(wildcards.model)}/train.npz",
        val=lambda wildcards: f"{dataset_folder(wildcards.model)}/val.npz",
        dataset=lambda wildcards: f"{dataset_folder(wildcards.model)}/dataset.json",
    output:
        f"{RESULTS}/{{model}}/decoder.npz",
    log:
        f"{RESULTS}/logs/{{model}}/fit_decoder.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/fit_decoder.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
    params:
        control=lambda wildcards: control_flag(wildcards.model),
        device=config["agents"]["device"],
        code=code_digest("gcodefp.fit_decoder"),
    shell:
        """
        python -m gcodefp.fit_decoder \
            --checkpoint {input.checkpoint:q} \
            {params.control} \
            --train {input.train:q} \
            --val {input.val:q} \
            --dataset {input.dataset:q} \
            --device {params.device} \
            --threads {threads} \
            --output {output:q} \
            --log {log:q}
        """


rule control:
    """Score a negative control on the test split and compare it with its reference baseline."""
    input:
        checkpoint=lambda wildcards: f"{control_model(wildcards.control)}/checkpoint.pt",
        decoder=lambda wildcards: f"{control_model(wildcards.control)}/decoder.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
        train=f"{RESULTS}/dataset/train.npz",
        test=f"{RESULTS}/dataset/test.npz",
    output:
        f"{RESULTS}/controls/{{control}}/control.json",
    log:
        f"{RESULTS}/logs/controls/{{control}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/controls/{{control}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
    params:
        device=config["agents"]["device"],
        code=code_digest("gcodefp.control"),
    shell:
        """
        python -m gcodefp.control \
            --control {wildcards.control} \
            --checkpoint {input.checkpoint:q} \
            --dataset {input.dataset:q} \
            --train {input.train:q} \
            --test {input.test:q} \
            --device {params.device} \
            --threads {threads} \
            --output {output:q} \
            --log {log:q}
        """
