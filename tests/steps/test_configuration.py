import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from recording_files import write_recordings

from gcodefp.config import Config, check_config
from gcodefp.errors import UserError
from gcodefp.sweeps.schema import field_at, is_section, meaning

ROOT = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))

BAD: dict[str, tuple[str, Any, list[str]]] = {
    "misspelt": ("window.row", 64, ["window.row: no such key", "did you mean 'rows'?"]),
    "unknown section": ("modle", {}, ["modle: no such key", "known are:", "simulation"]),
    "misspelt section": ("agent", {}, ["agent: no such key", "did you mean 'agents'?"]),
    "text": ("window.rows", "64", ["'64'", "integer", "Rows that the network sees"]),
    "float": ("agents.count", 1.5, ["1.5", "integer", "How many agents"]),
    "truth": ("agents.count", True, ["True", "integer"]),
    "null": ("sweep", None, ["sweep: None is no mapping"]),
    "too small": ("agents.count", 0, ["0", "greater than or equal to 1"]),
    "too small window": ("window.rows", 4, ["4", "greater than or equal to 8"]),
    "share": (
        "channels.min_coverage",
        1.2,
        ["1.2", "less than or equal to 1", "Share of the train"],
    ),
    "no share": ("split.val_fraction", 0.0, ["0.0", "Share of the recordings"]),
    "cap": ("sweep.run_cap", 0, ["0", "greater than or equal to 1", "total of runs"]),
    "choice": ("split.by", "recordings", ["'recordings' is none of recording, chronological"]),
    "device": ("agents.device", "gpu", ["'gpu' is none of auto, cpu, cuda"]),
    "in a list": (
        "channels.groups",
        ["imu", "mics"],
        ["groups[1]: 'mics' is none of imu, mag", "mean 'mic'?"],
    ),
    "twice": ("channels.groups", ["imu", "imu"], ["['imu', 'imu']", "'imu' stands there twice"]),
    "empty list": ("simulation.programs", [], ["[]", "Names of the programs"]),
    "name": ("wandb.project", "a b", ["'a b'", "name in W&B"]),
    "control": ("controls", ["labels"], ["controls[0]: 'labels' is none of labels_shuffled"]),
    "no seed": ("protocols.seeds", [], ["[]", "Of the splits by recording"]),
    "not held out": (
        "split",
        {"by": "chronological", "held_out": ["face*"]},
        ["held_out ['face*'] is not used by split.by 'chronological'"],
    ),
    "no test": ("split.by", "session", ["split.held_out", "'session'", "[damage*]"]),
    "sums": ("split", {"val_fraction": 0.45, "test_fraction": 0.45}, ["0.45", "make one smaller"]),
    "stride": ("window.stride_rows", 65, ["65", "window.rows 64", "make it smaller"]),
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
    with pytest.raises(UserError) as error:
        check_config(config, "my.yaml")
    return str(error.value)


def keys(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from keys(value, f"{path}{name}.")
        else:
            yield path + name


def test_shipped_configuration_is_valid() -> None:
    assert check_config(SHIPPED, "config.yaml").model_dump() == SHIPPED


def test_every_key_and_section_has_a_description() -> None:
    for name, section in Config.model_fields.items():
        assert meaning(section).endswith("."), name
        inner = section.annotation.model_fields if is_section(section.annotation) else {}
        for key, field in inner.items():
            assert (field.description or "").endswith("."), f"{name}.{key}"


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_value_is_named_with_file_key_and_way_out(bad: str) -> None:
    key, value, parts = BAD[bad]
    message = message_of(changed(key, value))
    for part in ("my.yaml", "split" if bad in ("no test", "sums") else key, *parts):
        assert part in message


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


def test_missing_section_is_named_with_its_meaning() -> None:
    config = {name: value for name, value in SHIPPED.items() if name != "split"}
    assert "'split' is missing; add it: Which recordings train" in message_of(config)


def test_the_folder_of_recordings_is_looked_at(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    message = message_of(changed("recordings.folder", str(missing)))
    for part in ("my.yaml", "recordings.folder", str(missing), "no such folder"):
        assert part in message
    empty = tmp_path / "empty"
    empty.mkdir()
    message = message_of(changed("recordings.folder", str(empty)))
    for part in ("my.yaml", "recordings.folder", str(empty), ".csv"):
        assert part in message


def test_recordings_that_are_there_are_accepted(tmp_path: Path) -> None:
    folder = write_recordings(tmp_path / "recordings", {"face": 2})
    config = changed("recordings.folder", str(folder))
    check_config(config, "my.yaml")
    config["recordings"]["exclude"] = ["face_003"]
    message = message_of(config)
    for part in ("my.yaml", "recordings.exclude", "face_003", str(folder)):
        assert part in message
