import copy
import os
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from fuzzing import fuzz, mutations
from hostile_yaml import mutate_yaml
from layout_files import content, write_laboratory
from recording_files import write_recordings
from snakemake.utils import update_config

from gcodefp.config import Config, check_config
from gcodefp.errors import UserError
from gcodefp.schema import field_at, is_section, meaning
from gcodefp.yaml_input import load_yaml, read_text

ROOT = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))

BAD: dict[str, tuple[str, Any, list[str]]] = {
    "misspelt": ("window.row", 64, ["window.row: no such key", "did you mean 'rows'?"]),
    "name of a class": ("Window", {"rows": 3}, ["Window: no such key", "mean 'window'?"]),
    "text": ("window.rows", "64", ["'64'", "integer", "Rows that the network sees"]),
    "null": ("sweep", None, ["sweep: None is not a mapping"]),
    "too small": ("agents.count", 0, ["0", "greater than or equal to 1"]),
    "choice": ("split.by", "recordings", ["'recordings' is none of recording, chronological"]),
    "in a list": (
        "channels.groups",
        ["imu", "mics"],
        ["groups[1]: 'mics' is none of imu, mag", "mean 'mic'?"],
    ),
    "program": ("simulation.programs", ["face41"], ["'face41'", "mean 'face40'?"]),
    "twice": ("channels.groups", ["imu", "imu"], ["['imu', 'imu']", "'imu' appears twice"]),
    "empty list": ("simulation.programs", [], ["[]", "Names of the programs"]),
    "not held out": (
        "split",
        {"by": "chronological", "held_out": ["face*"]},
        ["held_out ['face*'] is not used by split.by 'chronological'"],
    ),
    "window has no val": (
        "split",
        {"by": "window", "val_held_out": ["face*"]},
        ["val_held_out ['face*'] is not used by split.by 'window'"],
    ),
    "no test": ("split.by", "session", ["split.held_out", "'session'", "[damage*]"]),
    "sums": ("split", {"val_fraction": 0.45, "test_fraction": 0.45}, ["0.45", "make one smaller"]),
    "stride": ("window.stride_rows", 65, ["65", "window.rows 64", "make it smaller"]),
    "not a number": ("channels.min_coverage", float("nan"), ["nan", "finite", "Share of the"]),
    "huge": ("agents.threads", 10**20, ["less than or equal to 1024", "CPU threads"]),
    "first point": ("sweep.first", [{"a": {"b": float("inf")}}], ["inf is not a finite number"]),
    "date": ("sweep.first", [{"seed": date(2001, 1, 1)}], ["2001-01-01", "quotes"]),
    "number for a text": ("sweep.constraints", [3], ["sweep.constraints[0]: 3 is not a string"]),
    "key of a condition": (
        "sweep.conditions",
        {3: "x"},
        ["sweep.conditions[3]: 3 is not a string"],
    ),
    "nothing": ("results", "", ["results: ''"]),
    "long path": ("sweep.file", "x" * 5000, ["sweep.file: no such file: xxx"]),
    "sweep": ("sweep.file", "sweeps/none.yaml", ["sweeps/none.yaml", "no such file", "such as"]),
}


@pytest.fixture(autouse=True)
def _project_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in config.yaml are relative to the project."""
    monkeypatch.chdir(ROOT)


def changed(key: str, value: Any) -> dict[str, Any]:
    """The shipped configuration with one key changed; a mapping is merged into its section."""
    config = copy.deepcopy(SHIPPED)
    *sections, name = key.split(".")
    inner = config
    for section in sections:
        inner = inner[section]
    merged = isinstance(value, Mapping) and name in inner
    inner[name] = inner[name] | value if merged else value
    return config


def message_of(config: Mapping[str, Any]) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder, "my.yaml")
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        with pytest.raises(UserError) as error:
            check_config(config, [path])
    return str(error.value)


def keys(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from keys(value, f"{path}{name}.")
        else:
            yield path + name


def test_shipped_configuration_is_valid() -> None:
    assert check_config(SHIPPED, ["config.yaml"]).model_dump() == SHIPPED


def test_every_key_and_section_has_a_description() -> None:
    for name, section in Config.model_fields.items():
        assert meaning(section).endswith("."), name
        inner = section.annotation.model_fields if is_section(section.annotation) else {}
        for key, field in inner.items():
            assert (field.description or "").endswith("."), f"{name}.{key}"


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_value_is_named_with_file_key_and_fix(bad: str) -> None:
    key, value, parts = BAD[bad]
    message = message_of(changed(key, value))
    for part in ("my.yaml", "split" if bad in ("no test", "sums") else key, *parts):
        assert part in message


def test_texts_of_the_command_line_get_the_types_of_the_schema() -> None:
    texts = {
        "sweep": {
            "run_cap": "12", "width": "null", "uses_dataset": "true",
            "first": [{"d_model": "64", "optimizer": "sgd"}], "conditions": {"momentum": "true"},
        },
        "recordings": {"folder": "null", "exclude": ["1"]},
        "wandb": {"project": "12", "entity": "null"},
        "protocols": {"seeds": ["3", "4"]},
        "window": {"max_gap_seconds": "2.5"},
    }  # fmt: skip
    content = copy.deepcopy(SHIPPED)
    update_config(content, texts)  # As Snakemake does.
    config = check_config(content, ["config.yaml"], texts)
    sweep, first = config.sweep, {"d_model": 64, "optimizer": "sgd"}
    assert (sweep.run_cap, sweep.width, sweep.uses_dataset, sweep.first) == (
        12,
        None,
        True,
        [first],
    )
    assert sweep.conditions == {"momentum": "true"}
    assert (config.recordings.folder, config.recordings.exclude) == (None, ["1"])
    assert (config.wandb.project, config.wandb.entity) == ("12", None)
    assert (config.protocols.seeds, config.window.max_gap_seconds) == ([3, 4], 2.5)
    wrong = {"agents": {"count": "two", "counts": "3"}}
    update_config(content, wrong)
    with pytest.raises(UserError) as error:
        check_config(content, ["config.yaml"], wrong)
    assert "--config: agents.count: 'two': has to be a valid integer" in str(error.value)
    assert "--config: agents.counts: no such key" in str(error.value)


def test_shipped_sweep_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = SHIPPED["sweep"]["file"]
    assert check_config(SHIPPED, home=ROOT).sweep.file == str(ROOT / file)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert check_config(SHIPPED, home=ROOT).sweep.file == file  # The user's own comes first.


@pytest.mark.parametrize("path", sorted(keys(SHIPPED)))
def test_every_key_must_be_there(path: str) -> None:
    config = copy.deepcopy(SHIPPED)
    *sections, name = path.split(".")
    inner = config
    for section in sections:
        inner = inner[section]
    del inner[name]
    message = message_of(config)
    description = meaning(field_at(Config, tuple(path.split(".")))[1])
    where = ": ".join(["my.yaml", *sections])
    assert f"{where}: {name!r} is missing; add it: {description}" in message


def test_a_layout_is_checked_with_the_folder(tmp_path: Path) -> None:
    folder = write_laboratory(tmp_path / "lab", {"face": 2})
    layout = tmp_path / "lab.yaml"
    config = changed("recordings.folder", str(folder))
    config["recordings"]["layout"] = str(layout)
    assert f"my.yaml: recordings.layout: '{layout}' is neither a file" in message_of(config)
    layout.write_text(yaml.safe_dump(content(table="list.csv")))
    assert f"recordings.folder: {folder / 'list.csv'}: cannot be read" in message_of(config)
    layout.write_text(yaml.safe_dump(content()))
    check_config(config)
    config["recordings"]["folder"] = None
    assert "is not used by simulated recordings" in message_of(config)


def test_origin_of_a_value_is_the_layer_that_counts(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("agents: {count: 0, threads: 2}\nwindow: {row: 3}\n", encoding="utf-8")
    config = changed("agents", {"count": 0, "threads": 0}) | {"window": {"row": 3}}
    with pytest.raises(UserError) as error:
        check_config(config, [mine, "config.yaml"], {"agents": {"threads": 0}})
    lines = {line.partition(": has to")[0] for line in str(error.value).split("\n")}
    where = os.path.relpath(mine)
    assert {f"{where}: agents.count: 0", "--config: agents.threads: 0"} <= lines
    assert any(line.startswith(f"{where}: window.row: no such key") for line in lines)
    # No layer has what is missing.
    with pytest.raises(UserError, match=f"{where}: window: 'rows' is missing; add it: Rows that"):
        check_config(config, [mine])
    config = changed("window.stride_rows", 65)
    with pytest.raises(UserError, match=r"^--config: window.stride_rows 65 is more"):
        check_config(config, ["config.yaml"], {"window": {"stride_rows": 65}})


def test_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("agents:\n  count: 1\n  count: 2\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml: agents\.count .* in lines 2 and 3"):
        check_config(SHIPPED, [path, "config.yaml"])


def test_number_of_another_base_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("protocols: {seeds: [016, 032, 10]}\n", encoding="utf-8")
    check_config(changed("protocols.seeds", [14, 26, 10]), [path, "config.yaml"])
    for part in ("protocols.seeds[0]: YAML reads 016 as 14", "seeds[1]: YAML reads 032 as 26"):
        assert part in caplog.text
    assert len(caplog.records) == 2


def test_home_folder_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = write_recordings(tmp_path / "data", {"face": 2})
    (tmp_path / "s.yaml").write_text(Path(SHIPPED["sweep"]["file"]).read_text(encoding="utf-8"))
    config = changed("sweep", {"file": "~/s.yaml", "phases": ["~/s.yaml"]})
    config |= {
        "results": "~/out",
        "recordings": {"folder": "~/data", "layout": None, "exclude": []},
    }
    checked = check_config(config)
    assert checked.results == str(tmp_path / "out")
    assert checked.recordings.folder == str(folder)
    assert {checked.sweep.file, *checked.sweep.phases} == {str(tmp_path / "s.yaml")}


FILLED = {
    "sweep": SHIPPED["sweep"]
    | {
        "first": [{"learning_rate": 0.004, "model": {"d_model": 64}}],
        "constraints": ["d_model % nhead == 0"],
        "conditions": {"momentum": "optimizer == 'sgd'"},
        "phases": [SHIPPED["sweep"]["file"]],
        "combined": {"score": "1 - val/loss"},
        "pareto": ["score", "parameters"],
        "run_cap": 3,
        "width": 2,
    },
    "split": SHIPPED["split"] | {"by": "session", "held_out": ["face*"]},
}


def read_layer(content: bytes) -> None:
    """A file that is laid over the shipped configuration, as Snakemake does."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_bytes(content)
        layer = load_yaml(read_text(path), "mine.yaml")
        if not isinstance(layer, dict):
            raise UserError("mine.yaml: no mapping")
        config = copy.deepcopy(SHIPPED)
        for key, value in layer.items():
            section = config.get(key)
            both = isinstance(section, dict) and isinstance(value, dict)
            config[key] = section | value if both else value
        check_config(config, [path, "config.yaml"])


def layers() -> Iterator[bytes]:
    shipped = Path(ROOT, "config.yaml").read_bytes()
    return mutations([shipped, yaml.safe_dump(FILLED, sort_keys=False).encode()], mutate_yaml)


def test_fuzzed_configuration() -> None:
    fuzz(read_layer, layers()).check()
