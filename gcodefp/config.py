"""The configuration: every key of config.yaml with its type, its limits and what it means.

The models are the one source: they check what Snakemake has merged, and `make docs` writes
docs/configuration.md and the JSON Schema for editors from them.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gcodefp.errors import UserError, did_you_mean, shown
from gcodefp.recordings.laboratory.lab_files import list_recordings
from gcodefp.recordings.laboratory.layout import read_optional_layout
from gcodefp.schema import Documented, from_texts, validated
from gcodefp.simulation.programs import PROGRAMS
from gcodefp.sweeps.parameters import flatten, hyperparameter_value
from gcodefp.sweeps.specification import MAX_RUNS
from gcodefp.yaml_input import load_yaml, read_text


def _unique(items: list[Any]) -> list[Any]:
    if repeated := [item for item, count in Counter(items).items() if count > 1]:
        raise ValueError(f"{shown(items)}: {shown(repeated[0])} appears twice")
    return items


def _point(values: dict[str, Any]) -> dict[str, Any]:
    for value in flatten(values).values():
        hyperparameter_value(value)
    return values


UNIQUE = (AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True}))
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[Text, AfterValidator(os.path.expanduser)]
Names = Annotated[list[str], *UNIQUE]
Patterns = Annotated[list[Text], *UNIQUE]
PositiveInt = Annotated[int, Field(ge=1, le=1_000_000)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
WandbName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
WandbAddress = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]
Sensor = Literal["imu", "mag", "mic", "environment", "optical", "electrical", "force", "raw"]
ChannelGroup = Literal[Sensor, "motor", "controller"]
ControlName = Literal["labels_shuffled", "sensors_permuted", "presence_only"]


class RecordingsConfig(Documented):
    """Where the recordings are; docs/files.md describes their format."""

    folder: FilePath | None
    """Folder with .csv or .csv.gz files, or with those of the layout; null for simulated
    recordings."""
    layout: FilePath | None
    """How the files of another laboratory are read: a YAML file, or the name of a shipped layout
    (docs/files.md); null for the CSV files that docs/files.md describes."""
    exclude: Names
    """Names of recordings to exclude: file names without _aligned, .csv and .gz."""


class SimulationConfig(Documented):
    """The simulated recordings, used while recordings.folder is null."""

    programs: Annotated[Names, Field(min_length=1)]
    """Names of the programs to simulate; config.yaml ships with all of them."""
    recordings_per_program: PositiveInt
    """How often each program is recorded."""
    seed: Seed
    """The same seed gives the same bytes."""


class ChannelsConfig(Documented):
    """Which channels of a recording the network sees."""

    groups: Annotated[list[ChannelGroup], Field(min_length=1), *UNIQUE]
    """Channel groups that are inputs; environment identifies the day, and controller holds the
    labels themselves."""
    min_coverage: float = Field(ge=0, le=1)
    """Share of the train recordings in which a channel has to be valid in half of the rows."""
    center: bool
    """Whether each recording's own mean of a channel is subtracted, which depends on how a node was
    mounted."""
    zscore: bool
    """Whether each recording's samples of a channel are divided by their own standard deviation too
    (and centered), which depends on the gain of a node in a session."""


class LagsConfig(Documented):
    """How far the sensors' time may be behind or before the controller's clock."""

    max_seconds: float = Field(ge=0, le=1e6)
    """Longest lag that is searched for each recording; 0: the clocks are synchronised, and no
    recording has a lag."""


class ProgramsConfig(Documented):
    """Which recordings run the same program."""

    same_share: float = Field(gt=0, le=1)
    """Share of the common line numbers of two recordings that have the same block, if both run the
    same program; 1 keeps programs apart that differ in one block."""


class WindowConfig(Documented):
    """How recordings are cut into windows."""

    rows: int = Field(ge=8, le=1_000_000)
    """Rows that the network sees at once."""
    stride_rows: PositiveInt
    """Rows from one train window to the next, at most window.rows."""
    max_gap_seconds: float = Field(gt=0, le=1e9)
    """Seconds; no window crosses a longer gap in the time stamps."""


class SplitConfig(Documented):
    """Which recordings train, which choose the best run, and which are kept for the test."""

    by: Literal["recording", "chronological", "session", "program", "window"]
    """What lies wholly in one split; window is leaky, for comparison only."""
    held_out: Names
    """Shell patterns of the test recordings; needed by session and program, empty for the
    others."""
    val_held_out: Names
    """Shell patterns of the val recordings, such as those of a session: the best run is then one
    that holds in another session. Empty: by val_fraction. Protocols do not use it."""
    val_fraction: float = Field(gt=0, lt=0.5)
    """Share of the recordings of each operation that chooses the best run; its sum with
    test_fraction has to be below 0.9."""
    test_fraction: float = Field(gt=0, lt=0.5)
    """Share of the recordings of each operation that is kept for the test; session and program do
    not use it."""
    seed: Seed
    """Of the draw of recordings; chronological draws nothing."""


class SweepConfig(Documented):
    """The search for the best run; docs/sweeps.md explains it."""

    engine: Literal["local", "wandb"]
    """Where the search runs; local needs no account and no network, wandb is the W&B service."""
    existing: WandbAddress | None
    """ENTITY/PROJECT/ID of a W&B sweep that exists already, with engine wandb; null to create
    one."""
    file: FilePath
    """Path of a sweep in the W&B schema; workflow/sweeps has three to start from."""
    run_cap: Annotated[int, Field(ge=1, le=MAX_RUNS)] | None
    """The sweep's total of runs; null for the number in the file."""
    seed: Seed
    """Of the search and of the runs."""
    phases: list[FilePath]
    """Sweep files that follow the first, each in ranges narrowed around the best runs."""
    constraints: list[Text]
    """Expressions that have to be true of every run, such as d_model % nhead == 0."""
    conditions: dict[str, Text]
    """Hyperparameter and the expression under which it is drawn; otherwise it keeps its default."""
    first: list[Annotated[dict[str, Any], Field(min_length=1), AfterValidator(_point)]]
    """Initial configurations, of the first runs; hyperparameters that they omit are drawn."""
    combined: dict[str, Text]
    """Metrics and the expressions of logged metrics that they are, such as 0.7 * val/aligned_acc +
    0.3 * (1 - val/loss); each is logged, and may be the sweep's metric."""
    pareto: Annotated[list[Text], *UNIQUE]
    """Two quantities by which figure and report compare the runs, such as [val/aligned_acc,
    parameters]; metrics, parameters (the network's number of weights) or seconds. Empty: none."""
    width: PositiveInt | None
    """Number of concurrent runs of a search that is bit-for-bit reproducible; null for the fastest
    search."""
    uses_dataset: bool
    """Whether a user script (key program of the YAML) uses the dataset of the recordings:
    GCODEFP_TRAIN, GCODEFP_VAL and GCODEFP_DATASET then name its files."""
    evaluate: Text | None
    """Command that evaluates a user script's best run and prints JSON; ${best} is the run's
    folder, ${run} best/run.json, ${args_json_file} its hyperparameters."""
    seeds_per_winner: PositiveInt
    """Number of seeds with which the best configurations are trained; 1: not again."""
    finalists: PositiveInt
    """How many configurations are trained again, where seeds_per_winner is above 1."""


class ProtocolsConfig(Documented):
    """The folds of `snakemake protocols`: divisions of the recordings into train, val and test,
    each with a network of its own."""

    seeds: Annotated[list[Seed], Field(min_length=1), *UNIQUE]
    """Of the folds by recording; the leaky fold takes the first."""
    sessions: Patterns
    """Shell patterns of the recordings of the sessions that are held out."""
    programs: Patterns
    """Shell patterns; the programs of the matching recordings are held out in turn."""


class AgentsConfig(Documented):
    """The processes that train."""

    count: Threads
    """How many agents train runs at the same time."""
    threads: Threads
    """CPU threads of each training; results are bit-for-bit reproducible with 1."""
    device: Literal["auto", "cpu", "cuda", "mps"]
    """Where runs are trained; auto takes a CUDA GPU if there is one; mps is that of a Mac."""
    per_gpu: Threads
    """How many trainings each agent has at a time, all on its GPU."""
    margin_seconds: int = Field(ge=0, le=1_000_000)
    """Seconds; how long before a time limit an agent ends, besides one and a half epochs."""


class ClusterConfig(Documented):
    """Settings for SLURM alone; docs/slurm.md explains them."""

    local_rules: Patterns
    """Rules that run where Snakemake does, not as SLURM jobs, such as figures and report_page."""


class WandbConfig(Documented):
    """What is logged for W&B; docs/wandb.md explains it."""

    enabled: bool
    """Whether every run is also logged in W&B's offline format; engine wandb needs it."""
    checkpoints: bool
    """Whether each run's best weights are logged to W&B as an artifact."""
    project: WandbName
    """The project's name in W&B."""
    entity: WandbName | None
    """User or team in W&B, for engine wandb; null for the one that is logged in."""


class Config(Documented):
    """Configuration of gcodefp."""

    results: FilePath
    """Folder for everything that the pipeline makes."""
    recordings: RecordingsConfig
    simulation: SimulationConfig
    channels: ChannelsConfig
    lags: LagsConfig
    programs: ProgramsConfig
    window: WindowConfig
    split: SplitConfig
    sweep: SweepConfig
    controls: Annotated[list[ControlName], *UNIQUE]
    """Negative controls: labels_shuffled and presence_only train a network each."""
    protocols: ProtocolsConfig
    agents: AgentsConfig
    cluster: ClusterConfig
    wandb: WandbConfig


def check_config(
    content: Mapping[str, Any],
    files: Sequence[str | Path] = (),
    command_line: Mapping[str, Any] | None = None,
    home: Path = Path(),
) -> Config:
    """Checks keys, types, values and the files they name; `~` in paths becomes the home folder.

    Args:
        content: the merged configuration.
        files: that it was merged from, the one that counts most first.
        command_line: what Snakemake's `--config` sets above the files.
        home: folder of the shipped files; where paths of sweeps are not in the current one, they
            are taken from there.

    Raises UserError: with the origin, the key, the value and the fix.
    """
    layers = {"--config": command_line or {}}
    for file in files:
        name = os.path.relpath(file)
        # Snakemake has read it already, but a key that appears twice has lost its first value.
        layers[name] = load_yaml(read_text(Path(file)), name, warn=True)

    def origin(key: tuple[int | str, ...]) -> str:
        names = (name for name, layer in layers.items() if _has(layer, key))
        return next(names, ", ".join(list(layers)[1:]) or "configuration")

    # Snakemake has merged the values of the command line, of which many are texts.
    typed = _merged(content, from_texts(Config, command_line or {}))
    config = _from_home(validated(Config, typed, origin), home)
    problems = [*_problems(config), *_file_problems(config)]
    if problems:
        raise UserError("\n".join(f"{origin(tuple(k.split('.')))}: {k}{t}" for k, t in problems))
    return config


def _merged(content: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The content with other values above it, key by key."""
    merged = dict(content)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(under := content.get(key), Mapping):
            value = _merged(under, value)
        merged[key] = value
    return merged


def _from_home(config: Config, home: Path) -> Config:
    def resolved(file: str) -> str:
        shipped = os.path.join(home, file)  # noqa: PTH118, a Path would drop a leading ./
        return shipped if not os.path.isfile(file) and os.path.isfile(shipped) else file  # noqa: PTH113

    sweep = config.sweep
    paths = {"file": resolved(sweep.file), "phases": [resolved(file) for file in sweep.phases]}
    return config.model_copy(update={"sweep": sweep.model_copy(update=paths)})


def _has(layer: Any, key: tuple[int | str, ...]) -> bool:
    """Whether a layer sets a key; an item of a list counts as the list."""
    for part in key:
        if not isinstance(layer, Mapping):
            return True
        if part not in layer:
            return False
        layer = layer[part]
    return True


Problems = Iterator[tuple[str, str]]
"""A key and what is wrong with it."""


def _problems(config: Config) -> Problems:
    """What single keys cannot say."""
    split, window, sweep = config.split, config.window, config.sweep
    needs_held_out = split.by in ("session", "program")
    rules = (
        (needs_held_out and not split.held_out, "split.held_out",
         f" is empty: split.by {split.by!r} needs patterns of the test recordings, such as "
         "[damage*]"),
        (split.held_out and not needs_held_out, "split.held_out",
         f" {shown(split.held_out)} is not used by split.by {split.by!r}; empty it, or choose "
         "session or program"),
        (split.val_held_out and split.by == "window", "split.val_held_out",
         f" {shown(split.val_held_out)} is not used by split.by 'window'; empty it"),
        (split.val_fraction + split.test_fraction >= 0.9, "split.val_fraction",
         f" {split.val_fraction} and split.test_fraction {split.test_fraction} leave too little "
         "to train on; make one smaller"),
        (window.stride_rows > window.rows, "window.stride_rows",
         f" {window.stride_rows} is more than window.rows {window.rows}: rows between windows "
         "would never be trained on; make it smaller"),
        (len(sweep.pareto) not in (0, 2), "sweep.pareto",
         f": {shown(sweep.pareto)} has to name two metrics, or none"),
        (sweep.pareto and sweep.existing, "sweep.pareto",
         f": {shown(sweep.pareto)}: sweep.existing is compared by none; use []"),
        (sweep.engine == "local" and sweep.existing, "sweep.existing",
         f" {sweep.existing!r} is a sweep of the W&B service; set sweep.engine: wandb, or "
         "sweep.existing: null"),
        (sweep.engine == "wandb" and not config.wandb.enabled, "wandb.enabled",
         ": false and sweep.engine: wandb; enable it, or set sweep.engine: local"),
        (config.recordings.folder is None and config.recordings.layout, "recordings.layout",
         f" {shown(config.recordings.layout)} is not used by simulated recordings; set "
         "recordings.folder, or recordings.layout: null"),
    )  # fmt: skip
    yield from ((key, text) for is_wrong, key, text in rules if is_wrong)


def _file_problems(config: Config) -> Problems:
    """Files, programs and recordings that are named must exist."""
    files = [("sweep.file", "", config.sweep.file)]
    files += [("sweep.phases", f"[{n}]", file) for n, file in enumerate(config.sweep.phases)]
    for key, index, file in files:
        if not os.path.isfile(file):  # noqa: PTH113, Path.is_file raises for a name that is too long
            yield (
                key,
                f"{index}: no such file: {shown(file, str)}; write the path of a sweep YAML, such "
                "as workflow/sweeps/random.yaml",
            )
    for program in config.simulation.programs:
        if program not in PROGRAMS:
            yield "simulation.programs", f": {shown(program)}; {did_you_mean(program, PROGRAMS)}"
    recordings = config.recordings
    if recordings.folder is None:
        return
    try:
        layout = read_optional_layout(recordings.layout)
    except UserError as error:
        yield "recordings.layout", f": {error}"
        return
    try:
        list_recordings(Path(recordings.folder), recordings.exclude, layout)
    except (UserError, OSError, ValueError) as error:
        yield "recordings.folder", f": {error}"
