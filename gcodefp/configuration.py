"""The configuration's check: one clear message for the first thing that is wrong."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator, ValidationError

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings.reader import find_recordings
from gcodefp.simulation.programs import PROGRAMS


def check_configuration(config: Mapping[str, Any], schema_file: Path, where: str) -> None:
    """Checks keys, types, values and the folders they name.

    Args:
        config: the merged configuration.
        schema_file: JSON Schema, as YAML.
        where: the files that the configuration was read from, for the message.

    Raises:
        UserError: with file, key, value and the way out.
    """
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: len(e.path))
    if errors:
        raise UserError(f"{where}: {_describe(errors[0])}")
    _check_split(config, where)
    _check_engine(config, where)
    _check_files(config, where)


def _check_split(config: Mapping[str, Any], where: str) -> None:
    """What the schema cannot say of split and window."""
    split = config["split"]
    if split["by"] in ("session", "program") and not split["held_out"]:
        raise UserError(
            f"{where}: split.held_out is empty: split.by {split['by']!r} needs patterns of the "
            "recordings that are the test, such as [damage*]"
        )
    if split["by"] in ("recording", "chronological", "window") and split["held_out"]:
        raise UserError(
            f"{where}: split.held_out {split['held_out']} is not used by split.by {split['by']!r}; "
            "empty it, or choose session or program"
        )
    if split["val_fraction"] + split["test_fraction"] >= 0.9:
        raise UserError(
            f"{where}: split.val_fraction {split['val_fraction']} and split.test_fraction "
            f"{split['test_fraction']} leave too little to learn from; make one smaller"
        )
    window = config["window"]
    if window["stride_rows"] > window["rows"]:
        raise UserError(
            f"{where}: window.stride_rows {window['stride_rows']} is more than window.rows "
            f"{window['rows']}: rows between windows would never be learnt; make it smaller"
        )


def _check_engine(config: Mapping[str, Any], where: str) -> None:
    """What only one of the engines can do."""
    sweep = config["sweep"]
    if sweep["engine"] == "local" and sweep["existing"]:
        raise UserError(
            f"{where}: sweep.existing {sweep['existing']!r} is a sweep of the W&B service; set "
            "sweep.engine: wandb, or sweep.existing: null"
        )
    if sweep["engine"] == "wandb" and not config["wandb"]["enabled"]:
        raise UserError(
            f"{where}: wandb.enabled: false and sweep.engine: wandb; enable it, or set "
            "sweep.engine: local"
        )


def _check_files(config: Mapping[str, Any], where: str) -> None:
    """Files and programs that are named must be there."""
    sweep = config["sweep"]
    files = {"file": sweep["file"]} | {f"phases[{i}]": f for i, f in enumerate(sweep["phases"])}
    for key, file in files.items():
        if not Path(file).is_file():
            raise UserError(
                f"{where}: sweep.{key}: no such file: {file}; write the path of a sweep YAML, such "
                "as workflow/sweeps/random.yaml"
            )
    for program in config["simulation"]["programs"]:
        if program not in PROGRAMS:
            raise UserError(
                f"{where}: simulation.programs: {program!r}; {did_you_mean(program, PROGRAMS)}"
            )
    folder = config["recordings"]["folder"]
    if folder is not None:
        try:
            find_recordings(Path(folder), config["recordings"]["exclude"])
        except UserError as error:
            raise UserError(f"{where}: recordings.folder: {error}") from None


def _describe(error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    if error.validator == "additionalProperties":
        known, given = schema["properties"], dict(cast("Mapping[str, Any]", error.instance))
        unknown = next(name for name in given if name not in known)
        path = f"{key}.{unknown}" if key else unknown
        return f"unknown key {path}; {did_you_mean(str(unknown), known)}"
    if error.validator == "required":
        given = dict(cast("Mapping[str, Any]", error.instance))
        missing = next(name for name in schema["required"] if name not in given)
        hint = schema["properties"][missing].get("description", "see the shipped config.yaml")
        return f"key {key + '.' if key else ''}{missing} is missing; add it: {hint}"
    if error.validator == "enum":
        value, choices = error.instance, schema["enum"]
        # A hint only if it is very near, since the word nearest to gpu is cpu.
        near = get_close_matches(str(value), choices, n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{key}: {value!r} is none of {', '.join(choices)}{hint}"
    hint = schema.get("description", "")
    return f"{key}: {error.message}{'. ' + hint if hint else ''}"
