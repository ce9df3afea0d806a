# Shared by all rules: the checked configuration, and constants and functions derived from it.
import json
import os
import shlex
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.rules import Rule

# code_digest is a param of each rule. Snakemake does not see the modules behind `python -m`; the digest
# changes with the meaning of a stage's code, and Snakemake runs the stage again when a param changes.
from gcodefp.code_digest import SourceCode, runs_digest
from gcodefp.config import check_config
from gcodefp.dataset.controls import CONTROLS
from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import sha256, write_text
from gcodefp.reporting.figures import FIGURES, figures_of
from gcodefp.cluster.slurm import watch_preempted_jobs
from gcodefp.sweeps.user_script.command import configured_script
from gcodefp.recordings.laboratory.lab_files import list_recordings, name_of, recordings_digest
from gcodefp.recordings.laboratory.layout import read_optional_layout

try:
    # Files of the command line come first in the list, and count more than the Snakefile's; of
    # either, later ones count more.
    command_line_files = workflow.config_settings.configfiles
    snakefile_files = workflow.configfiles[len(command_line_files) :]
    settings = check_config(
        config,
        [*reversed(command_line_files), *reversed(snakefile_files)],
        workflow.config_settings.config,
        home=HOME,
    )
    config.update(settings.model_dump())
    # What trains the runs; None for this project's trainer, a user script has user_script.smk.
    SCRIPT = configured_script(config["sweep"])
    LAYOUT = read_optional_layout(config["recordings"]["layout"])
except UserError as error:
    raise WorkflowError(str(error)) from None

code_digest = SourceCode().digest  # One reading of the sources for all rules.
BIN = Path(sys.executable).parent
if not shutil.which("python") or not BIN.samefile(Path(shutil.which("python")).parent):
    raise WorkflowError(
        f"the rules call python, and the first one on the PATH is {shutil.which('python')}, without "
        f'gcodefp; put the one that runs Snakemake first: export PATH="{BIN}:$PATH"'
    )

RESULTS = config["results"].rstrip("/")
IS_SIMULATED = config["recordings"]["folder"] is None
RECORDINGS = f"{RESULTS}/recordings" if IS_SIMULATED else config["recordings"]["folder"]
# The modification time of a folder does not change when a file in it is edited.
RECORDINGS_DIGEST = (
    None
    if IS_SIMULATED
    else recordings_digest(Path(RECORDINGS), config["recordings"]["exclude"], LAYOUT)
)
# Folders below {RESULTS}/sweep: the first sweep, later phases, repeats with other seeds.
PHASES = ["", *(f"phase_{n}/" for n in range(2, len(config["sweep"]["phases"]) + 2))]
REPEATS = ["repeats/"] if config["sweep"]["seeds_per_winner"] > 1 else []
AGENTS = range(1, config["agents"]["count"] + 1)
# GPUs of each training job, where they are counted: SLURM, or `--resources gpu=2`.
GPUS = 1 if config["agents"]["device"] in ("auto", "cuda") else 0
SHOWN = figures_of(
    has_script=SCRIPT is not None,
    has_pareto=bool(config["sweep"]["pareto"]),
    has_system=config["sweep"]["engine"] == "local",
)
PROTOCOLS = f"{RESULTS}/protocols/protocols.json"
HAS_DATASET = SCRIPT is None or config["sweep"]["uses_dataset"]
ENVIRONMENT = "../../envs/gcodefp.yaml"
MEMORY_MB = 4000  # Memory of a stage that loads the dataset or a network


wildcard_constraints:
    n=r"\d+",
    sweep=r"(phase_\d+/|repeats/)?",


def file_digest(path):
    """SHA-256 of an optional file, None without it; as a param it makes a rule run again."""
    return sha256(Path(path)) if Path(path).is_file() else None


def dataset_files(*splits):
    """Inputs of the stages of a sweep; none for a user script that uses no dataset."""
    files = {name: f"{RESULTS}/dataset/{name}.npz" for name in splits}
    return files | {"dataset": f"{RESULTS}/dataset/dataset.json"} if HAS_DATASET else {}


def dataset_flags(wildcards, input):
    """The flags of these inputs."""
    names = [name for name in ("train", "val", "dataset") if name in input.keys()]
    return shlex.join(part for name in names for part in (f"--{name}", input[name]))


def layout_flags(output):
    """Flags for the layout of the recordings; folds of protocols write no Parquet files."""
    pairs = {"--layout": config["recordings"]["layout"], "--canonical": output.get("canonical")}
    return shlex.join(part for pair in pairs.items() if pair[1] for part in pair)


def command_again(target):
    """The command for another target with the configuration of this one."""
    here = any(Path(path).is_file() for path in ("Snakefile", "workflow/Snakefile"))
    cwd = Path.cwd()  # Snakemake makes the files' paths absolute.
    files = [Path(os.path.normpath(path)) for path in command_line_files]
    if here:
        command = ".venv/bin/gcodefp" if Path(".venv/bin/gcodefp").is_file() else "gcodefp"
        program = [command, "run"]
        files = [os.path.relpath(f) if f.is_relative_to(cwd.parent) else f for f in files]
    else:  # Perhaps of --directory.
        program = ["gcodefp", "run", "--directory", str(cwd)]
    values = workflow.config_settings.config_args if workflow.config_settings.config else []
    flags = ["--configfile", *map(str, files)] if files else []
    flags += ["--config", *values] if values else []
    return shlex.join([*program, *flags, "--", target])


def script():
    """The user script, as an input: an edited one makes a new sweep."""
    return [SCRIPT.path] if SCRIPT and SCRIPT.path else []


def caption_file(stem):
    """The caption of a figure as the file that Snakemake's own report reads."""
    path = Path(".snakemake/captions").resolve() / f"{stem}.rst"
    if not path.is_file() or path.read_text() != FIGURES[stem].caption:
        write_text(path, FIGURES[stem].caption)
    return str(path)


def engine_flags(first):
    """Flags of create_sweep for the engine; only the first sweep can be an existing one."""
    if config["sweep"]["engine"] == "local":
        return ""
    pairs = {"--engine": "wandb", "--runs": f"{RESULTS}/runs"}
    pairs |= {"--project": config["wandb"]["project"], "--entity": config["wandb"]["entity"]}
    pairs["--existing"] = config["sweep"]["existing"] if first else None
    return shlex.join(part for pair in pairs.items() if pair[1] for part in pair)


def wandb_flags():
    """Flags of the agents for W&B's offline log of each run."""
    settings = config["wandb"]
    if not settings["enabled"]:
        return ""
    checkpoints = "" if settings["checkpoints"] else " --no-wandb-checkpoints"
    return f"--wandb-project {settings['project']}{checkpoints}"


class RuleInNoGroup(Rule):
    """Snakemake reads a profile's groups after the Snakefile, and they overwrite a rule's own."""

    group = None


def make_local(names):
    """Run these rules on the host of Snakemake, whatever group a profile assigns to them."""
    rules_by_name = {rule.name: rule for rule in workflow.rules}
    for name in names:
        if name not in rules_by_name:
            hint = did_you_mean(name, rules_by_name)
            raise WorkflowError(f"cluster.local_rules: no rule {name!r}; {hint}")
        rules_by_name[name].__class__ = RuleInNoGroup
    workflow.localrules(*names)


def search_options(first):
    """Flags for what config.yaml adds to the YAML of the first sweep, or of a later one."""
    settings = config["sweep"]
    pairs = [("--constraint", text) for text in settings["constraints"]]
    pairs += [("--condition", f"{name}: {text}") for name, text in settings["conditions"].items()]
    pairs += [("--combined", f"{name}: {text}") for name, text in settings["combined"].items()]
    if first:
        pairs += [("--first", json.dumps(point)) for point in settings["first"]]
        pairs += [("--pareto", *settings["pareto"])] if settings["pareto"] else []
        pairs += [("--run-cap", str(settings["run_cap"]))] if settings["run_cap"] else []
    pairs += [("--width", str(settings["width"]))] if settings["width"] else []
    return shlex.join(part for pair in pairs for part in pair)


def sweeps_before(phase):
    """sweep.json of each phase before this one."""
    return [f"{RESULTS}/sweep/{before}sweep.json" for before in PHASES[: PHASES.index(phase)]]


def phase_file(wildcards):
    """YAML of a later phase: sweep.yaml if the user has written one, else narrowed.yaml."""
    folder = Path(f"{RESULTS}/sweep/phase_{wildcards.n}")
    own = folder / "sweep.yaml"
    return str(own if own.exists() else folder / "narrowed.yaml")


def markers(phase):
    """Marker files of a phase: each agent writes one when it is done."""
    return [f"{RESULTS}/sweep/{phase}agents/{n}.json" for n in AGENTS]


def recording_names():
    """Name -> session, empty without one, of all recordings that preprocess reads."""
    if IS_SIMULATED:
        numbers = range(1, config["simulation"]["recordings_per_program"] + 1)
        return {f"{p}_{n:03d}": "" for p in config["simulation"]["programs"] for n in numbers}
    recordings = list_recordings(Path(RECORDINGS), config["recordings"]["exclude"], LAYOUT)
    return {name_of(recording): getattr(recording, "session", "") for recording in recordings}


def matching(patterns, names):
    """The recordings whose name or session matches one of some patterns."""
    return [n for n, s in names.items() if any(fnmatchcase(t, p) for p in patterns for t in (n, s))]


def folds():
    """(protocol, fold) -> settings of its split; and the reason for each skipped protocol."""
    settings, names = config["protocols"], recording_names()
    splits = {("window", str(seed)): {"seed": seed} for seed in settings["seeds"][:1]}
    splits |= {("recording", str(seed)): {"seed": seed} for seed in settings["seeds"]}
    splits["chronological", "0"] = {}
    # All session patterns together are one fold; each program pattern is a fold of its own.
    held_out = {
        "session": [settings["sessions"]] if settings["sessions"] else [],
        "program": [[pattern] for pattern in settings["programs"]],
    }
    skipped = []
    for protocol, groups in held_out.items():
        for number, patterns in enumerate(groups):
            used = [pattern for pattern in patterns if matching([pattern], names)]
            matched = len(matching(used, names))
            if 0 < matched < len(names):
                splits[protocol, str(number)] = {"held_out": used}
            else:
                how_many = "every" if matched else "no"
                skipped.append(f"{protocol}: {how_many} recording matches {' '.join(patterns)}")
    return splits, skipped


def fold_setting(key, default):
    """Input function of a param: a setting of the fold's split."""
    return lambda wildcards: FOLDS[wildcards.protocol, wildcards.fold].get(key, default)


def dataset_folder(training):
    """Folder of the dataset of a checkpoint: the best one, a control's, or a protocol fold's."""
    is_fold = training.startswith("protocols/")
    folder = f"{RESULTS}/{Path(training).parent}" if is_fold else RESULTS
    return f"{folder}/dataset"


def control_flag(training):
    """The flag that names the control of a training; empty for all others."""
    return f"--control {Path(training).name}" if training.startswith("controls/") else ""


def control_model(control):
    """Folder of the checkpoint that a control decodes with: its own, or the best run's."""
    needs_training = CONTROLS[control].needs_training
    return f"{RESULTS}/controls/{control}" if needs_training else f"{RESULTS}/best"
