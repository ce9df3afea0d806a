# Contract: recordings -> {RESULTS}/protocols/PROTOCOL/FOLD/dataset, one split each
#           checkpoint that rule train makes from it, its test split
#               -> {RESULTS}/protocols/PROTOCOL/FOLD/evaluation
#           evaluations -> {RESULTS}/protocols/protocols.{md,csv,json}
#           These are targets of `snakemake protocols`, not of `all`.

FOLDS, SKIPPED = folds()
FOLD = f"{RESULTS}/protocols/{{protocol}}/{{fold}}"
FOLD_LOG = f"{RESULTS}/logs/protocols/{{protocol}}_{{fold}}"
FOLD_BENCHMARK = f"{RESULTS}/benchmarks/protocols/{{protocol}}_{{fold}}"


wildcard_constraints:
    protocol=r"[a-z]+",
    fold=r"\d+",


use rule preprocess as preprocess_fold with:
    """Make the dataset of one fold of a protocol, with the fold's own split."""
    output:
        train=f"{FOLD}/dataset/train.npz",
        val=f"{FOLD}/dataset/val.npz",
        test=f"{FOLD}/dataset/test.npz",
        programs=f"{FOLD}/dataset/programs.npz",
        dataset=f"{FOLD}/dataset/dataset.json",
    log:
        f"{FOLD_LOG}_preprocess.log",
    benchmark:
        f"{FOLD_BENCHMARK}_preprocess.tsv"
    params:
        by=lambda wildcards: wildcards.protocol,
        held_out=fold_setting("held_out", []),
        val_held_out=[],
        seed=fold_setting("seed", config["split"]["seed"]),


use rule evaluate as evaluate_fold with:
    """Evaluate a fold's own checkpoint on the fold's test split, without negative controls."""
    input:
        controls=[],
        checkpoint=f"{FOLD}/run/checkpoint.pt",
        decoder=f"{FOLD}/run/decoder.npz",
        dataset=f"{FOLD}/dataset/dataset.json",
        train=f"{FOLD}/dataset/train.npz",
        val=f"{FOLD}/dataset/val.npz",
        test=f"{FOLD}/dataset/test.npz",
    output:
        metrics=f"{FOLD}/evaluation/metrics.json",
        predictions=f"{FOLD}/evaluation/predictions.npz",
        gcode=directory(f"{FOLD}/evaluation/gcode"),
    log:
        f"{FOLD_LOG}_evaluate.log",
    benchmark:
        f"{FOLD_BENCHMARK}_evaluate.tsv"


rule protocols:
    """Collect the metrics of all folds into one table of protocols."""
    input:
        winner=f"{RESULTS}/best/run.json",
        metrics=[f"{RESULTS}/protocols/{p}/{f}/evaluation/metrics.json" for p, f in FOLDS],
        predictions=[f"{RESULTS}/protocols/{p}/{f}/evaluation/predictions.npz" for p, f in FOLDS],
    output:
        md=f"{RESULTS}/protocols/protocols.md",
        csv=report(
            f"{RESULTS}/protocols/protocols.csv",
            category="Protocols",
            caption="../report/protocols.rst",
            labels={"table": "Protocols side by side"},
        ),
        json=PROTOCOLS,
    log:
        f"{RESULTS}/logs/protocols.log",
    benchmark:
        f"{RESULTS}/benchmarks/protocols.tsv"
    conda:
        ENVIRONMENT
    params:
        evaluations=lambda wildcards, input: [Path(path).parent for path in input.metrics],
        left_out=SKIPPED,
        folder=lambda wildcards, output: Path(output.json).parent,
        code=code_digest("gcodefp.protocols"),
    shell:
        """
        python -m gcodefp.protocols \
            --evaluations {params.evaluations:q} \
            --winner {input.winner:q} \
            --left-out {params.left_out:q} \
            --output {params.folder:q} \
            --log {log:q}
        """
