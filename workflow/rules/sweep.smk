# Contract: sweep YAML, dataset -> {RESULTS}/sweep/sweep.json
#           sweep, train and val split -> {RESULTS}/runs/SWEEP/RUN, kept by every rerun, and one
#           marker per agent
#           runs -> {RESULTS}/best/{run.json,checkpoint.pt,runs.csv,curves.csv}


rule create_sweep:
    """Check the sweep and give it the id by which its runs are found again."""
    input:
        sweep=config["sweep"]["file"],
        dataset=f"{RESULTS}/dataset/dataset.json",
    output:
        f"{RESULTS}/sweep/sweep.json",
    log:
        f"{RESULTS}/logs/create_sweep.log",
    benchmark:
        f"{RESULTS}/benchmarks/create_sweep.tsv"
    conda:
        ENVIRONMENT
    params:
        seed=config["sweep"]["seed"],
        run_cap=(
            "" if config["sweep"]["run_cap"] is None else f"--run-cap {config['sweep']['run_cap']}"
        ),
        code=code_digest("gcodefp.create_sweep"),
        training_code=runs_digest(),
    shell:
        """
        python -m gcodefp.create_sweep \
            --sweep {input.sweep:q} \
            --dataset {input.dataset:q} \
            --seed {params.seed} \
            {params.run_cap} \
            --output {output:q} \
            --log {log:q}
        """


rule agent:
    """Train runs until none is left; as many agents as configured share the sweep."""
    input:
        sweep=f"{RESULTS}/sweep/sweep.json",
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
    output:
        f"{RESULTS}/sweep/agents/{{n}}.json",
    log:
        f"{RESULTS}/logs/agent_{{n}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/agent_{{n}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=4000,
    params:
        runs=f"{RESULTS}/runs",
        agents=config["agents"]["count"],
        device=config["agents"]["device"],
        wandb=(
            f"--wandb-project {config['wandb']['project']}" if config["wandb"]["enabled"] else ""
        ),
        code=code_digest("gcodefp.agent"),
    shell:
        """
        exec python -m gcodefp.agent \
            --sweep {input.sweep:q} \
            --train {input.train:q} \
            --val {input.val:q} \
            --dataset {input.dataset:q} \
            --runs {params.runs:q} \
            --agents {params.agents} \
            --device {params.device} \
            --threads {threads} \
            {params.wandb} \
            --output {output:q} \
            --log {log:q}
        """


rule select_best:
    """Pick the best run and copy what later steps need of it and of all runs."""
    input:
        agents=expand(f"{RESULTS}/sweep/agents/{{n}}.json", n=AGENTS),
        sweep=f"{RESULTS}/sweep/sweep.json",
        train=f"{RESULTS}/dataset/train.npz",
        val=f"{RESULTS}/dataset/val.npz",
        dataset=f"{RESULTS}/dataset/dataset.json",
    output:
        run=f"{RESULTS}/best/run.json",
        checkpoint=f"{RESULTS}/best/checkpoint.pt",
        runs=f"{RESULTS}/best/runs.csv",
        curves=f"{RESULTS}/best/curves.csv",
    log:
        f"{RESULTS}/logs/select_best.log",
    benchmark:
        f"{RESULTS}/benchmarks/select_best.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=4000,
    params:
        runs=f"{RESULTS}/runs",
        folder=lambda wildcards, output: Path(output.run).parent,
        device=config["agents"]["device"],
        code=code_digest("gcodefp.select_best"),
    shell:
        """
        python -m gcodefp.select_best \
            --sweep {input.sweep:q} \
            --runs {params.runs:q} \
            --train {input.train:q} \
            --val {input.val:q} \
            --dataset {input.dataset:q} \
            --device {params.device} \
            --threads {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """
