# Contract: winner's hyperparameters, changed train and val split
#               -> {RESULTS}/controls/NAME/{run.json,checkpoint.pt}
#           that checkpoint or the winner's, test split -> {RESULTS}/controls/NAME/control.json
#           A killed training goes on: what it goes on from is no output, so no rerun removes it.


wildcard_constraints:
    control="|".join(CONTROLS),


rule train_control:
    """Train the winner's configuration on splits from which no motion can be learnt."""
    input:
        hyperparameters=f"{RESULTS}/best/run.json",
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
    output:
        run=f"{RESULTS}/controls/{{control}}/run.json",
        checkpoint=f"{RESULTS}/controls/{{control}}/checkpoint.pt",
    log:
        f"{RESULTS}/logs/controls/train_{{control}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/controls/train_{{control}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=4000,
        gpu=GPUS,
    params:
        folder=lambda wildcards, output: Path(output.run).parent,
        control=lambda wildcards: f"--control {wildcards.control}",
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


rule control:
    """Score one control on the test split, beside what it may not beat."""
    input:
        checkpoint=lambda wildcards: (
            f"{RESULTS}/controls/{wildcards.control}/checkpoint.pt"
            if CONTROLS[wildcards.control].trains
            else f"{RESULTS}/best/checkpoint.pt"
        ),
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
        mem_mb=4000,
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
