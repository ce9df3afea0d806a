# Contract: sweep YAML, dataset -> {RESULTS}/sweep/sweep.json
#           sweep, train and val split -> {RESULTS}/runs/SWEEP/RUN, no output of a rule, so that reruns
#           keep it; and one marker per agent, its output
#           runs of one phase -> YAML of the next one, {RESULTS}/sweep/phase_N/narrowed.yaml
#           best configurations -> {RESULTS}/sweep/repeats/sweep.json, with other seeds
#           runs -> {RESULTS}/best/{run.json,checkpoint.pt,{runs,curves,work,system}.csv}
#           A sweep of a user script has its script in place of the dataset, and no checkpoint.


rule create_sweep:
    """Check the sweep YAML and write sweep.json with the id that names the folder of its runs."""
    input:
        **dataset_files(),
        sweep=config["sweep"]["file"],
        phases=config["sweep"]["phases"],
        script=script(),
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
        dataset=dataset_flags,
        rules=search_options(first=True),
        engine=engine_flags(first=True),
        code=code_digest("gcodefp.create_sweep"),
        training_code=runs_digest(),
    shell:
        """
        python -m gcodefp.create_sweep \
            --sweep {input.sweep:q} \
            --phases {input.phases:q} \
            {params.dataset} \
            --seed {params.seed} \
            {params.rules} \
            {params.engine} \
            --output {output:q} \
            --log {log:q}
        """


rule narrow:
    """Write the sweep YAML of the next phase, its ranges narrowed around the best runs so far."""
    input:
        sweeps=lambda wildcards: sweeps_before(f"phase_{wildcards.n}/"),
        agents=lambda wildcards: markers(PHASES[int(wildcards.n) - 2]),
        following=lambda wildcards: config["sweep"]["phases"][int(wildcards.n) - 2],
    output:
        f"{RESULTS}/sweep/phase_{{n}}/narrowed.yaml",
    log:
        f"{RESULTS}/logs/phase_{{n}}/narrow.log",
    benchmark:
        f"{RESULTS}/benchmarks/phase_{{n}}/narrow.tsv"
    conda:
        ENVIRONMENT
    params:
        runs=f"{RESULTS}/runs",
        code=code_digest("gcodefp.narrow"),
    shell:
        """
        python -m gcodefp.narrow \
            --sweep {input.sweeps:q} \
            --runs {params.runs:q} \
            --next {input.following:q} \
            --output {output:q} \
            --log {log:q}
        """


use rule create_sweep as create_next_sweep with:
    """Create the sweep of a later phase, from narrowed.yaml or from the user's own sweep.yaml."""
    input:
        **dataset_files(),
        sweep=phase_file,
        phases=[],
        script=script(),
    output:
        f"{RESULTS}/sweep/phase_{{n}}/sweep.json",
    log:
        f"{RESULTS}/logs/phase_{{n}}/create_sweep.log",
    benchmark:
        f"{RESULTS}/benchmarks/phase_{{n}}/create_sweep.tsv"
    params:
        rules=search_options(first=False),
        engine=engine_flags(first=False),


rule repeat_best:
    """Create the sweep that repeats the best configurations with other seeds."""
    input:
        sweeps=[f"{RESULTS}/sweep/{phase}sweep.json" for phase in PHASES],
        agents=markers(PHASES[-1]),
    output:
        f"{RESULTS}/sweep/repeats/sweep.json",
    log:
        f"{RESULTS}/logs/repeats/repeat_best.log",
    benchmark:
        f"{RESULTS}/benchmarks/repeats/repeat_best.tsv"
    conda:
        ENVIRONMENT
    params:
        runs=f"{RESULTS}/runs",
        finalists=config["sweep"]["finalists"],
        seeds=config["sweep"]["seeds_per_winner"],
        code=code_digest("gcodefp.repeat_best"),
    shell:
        """
        python -m gcodefp.repeat_best \
            --sweep {input.sweeps:q} \
            --runs {params.runs:q} \
            --finalists {params.finalists} \
            --seeds {params.seeds} \
            --output {output:q} \
            --log {log:q}
        """


# The first agent waits for all runs. It resumes runs that other agents leave, also those
# of agents started outside the workflow.
rule agent:
    """Train runs of the sweep until none is left; agents.count agents share it."""
    input:
        **dataset_files("train", "val"),
        sweep=f"{RESULTS}/sweep/{{sweep}}sweep.json",
        script=script(),
    output:
        f"{RESULTS}/sweep/{{sweep}}agents/{{n}}.json",
    log:
        f"{RESULTS}/logs/{{sweep}}agent_{{n}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{sweep}}agent_{{n}}.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"] * config["agents"]["per_gpu"]
    resources:
        mem_mb=MEMORY_MB * config["agents"]["per_gpu"],
        gpu=GPUS,
        runtime=0,
    params:
        dataset=dataset_flags,
        runs=f"{RESULTS}/runs",
        agents=config["agents"]["count"] * config["agents"]["per_gpu"],
        device=config["agents"]["device"],
        wandb=wandb_flags(),
        threads=config["agents"]["threads"],
        workers=config["agents"]["per_gpu"],
        margin_seconds=config["agents"]["margin_seconds"],
        wait=lambda wildcards: "--wait-for-all-runs" if wildcards.n == "1" else "",
        code=code_digest("gcodefp.agent"),
    shell:
        """
        exec python -m gcodefp.agent \
            --sweep {input.sweep:q} \
            {params.dataset} \
            --runs {params.runs:q} \
            --agents {params.agents} \
            --device {params.device} \
            --threads {params.threads} \
            --workers {params.workers} \
            --job-minutes {resources.runtime} \
            --margin-seconds {params.margin_seconds} \
            --end-at-epoch \
            {params.wait} \
            {params.wandb} \
            --output {output:q} \
            --log {log:q}
        """


rule select_best:
    """Choose the best run and copy its checkpoint, and the tables of all runs, for later stages."""
    input:
        **dataset_files("train", "val"),
        agents=[marker for phase in PHASES + REPEATS for marker in markers(phase)],
        sweeps=[f"{RESULTS}/sweep/{phase}sweep.json" for phase in PHASES + REPEATS],
    output:
        run=f"{RESULTS}/best/run.json",
        checkpoint=[] if SCRIPT else f"{RESULTS}/best/checkpoint.pt",
        runs=f"{RESULTS}/best/runs.csv",
        curves=f"{RESULTS}/best/curves.csv",
        work=f"{RESULTS}/best/work.csv",
        system=f"{RESULTS}/best/system.csv",
    log:
        f"{RESULTS}/logs/select_best.log",
    benchmark:
        f"{RESULTS}/benchmarks/select_best.tsv"
    conda:
        ENVIRONMENT
    threads: config["agents"]["threads"]
    resources:
        mem_mb=MEMORY_MB,
    params:
        dataset=dataset_flags,
        runs=f"{RESULTS}/runs",
        folder=lambda wildcards, output: Path(output.run).parent,
        device=config["agents"]["device"],
        code=code_digest("gcodefp.select_best"),
    shell:
        """
        python -m gcodefp.select_best \
            --sweep {input.sweeps:q} \
            --runs {params.runs:q} \
            {params.dataset} \
            --device {params.device} \
            --threads {threads} \
            --output {params.folder:q} \
            --log {log:q}
        """
