"""Which files of a folder make a recording: by a layout, or each CSV file by itself."""

import logging
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import pandas as pd

from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import digest
from gcodefp.recordings import columns
from gcodefp.recordings.laboratory.layout import NAME_FIELDS, Layout, describe_layout, with_groups
from gcodefp.recordings.laboratory.reader import FIX

logger = logging.getLogger("gcodefp.recordings")

SIMULATION_MARK = ".simulated"
"""A hidden file beside recordings that were simulated."""
_COMPRESSED = r"(?:\.(?:gz|bz2|xz))?"
_CSV = re.compile(rf"\.csv{_COMPRESSED}$", re.IGNORECASE)
MAX_SHOWN = 5


@dataclass(frozen=True)
class LabRecording:
    """The files of one recording, and what their names say of it.

    Attributes:
        files: source -> its file; an optional source may be absent.
        operation, session, machine: empty where nothing says them; `operation` never is.
        offsets: source -> seconds that are added to its clock.
        program: the G-code file that was executed; None without one.
    """

    name: str
    layout: Layout
    files: Mapping[str, Path]
    operation: str
    session: str = ""
    machine: str = ""
    offsets: Mapping[str, float] = field(default_factory=dict)
    program: Path | None = None


RawRecording = Path | LabRecording
"""Before it is read: a file by itself, or the files of a layout."""
AnyRawRecording = TypeVar("AnyRawRecording", Path, LabRecording)


def name_of(recording: RawRecording) -> str:
    """The recording's name; of a file by itself without its ending and `_aligned`."""
    if isinstance(recording, LabRecording):
        return recording.name
    name = _CSV.sub("", recording.name).removesuffix(".parquet")
    return name.removesuffix("_aligned") or recording.name


def paths_of(recordings: Sequence[RawRecording]) -> list[Path]:
    """All files of some recordings."""
    paths: list[Path] = []
    for recording in recordings:
        if isinstance(recording, LabRecording):
            program = [recording.program] if recording.program else []
            paths += [*recording.files.values(), *program]
        else:
            paths.append(recording)
    return list(dict.fromkeys(paths))


def list_recordings(
    folder: Path, exclude: Collection[str] = (), layout: Layout | None = None
) -> Sequence[RawRecording]:
    """The recordings of a folder by name, without those that are excluded.

    Without a layout they are its CSV files, compressed or not; in a folder without any, Parquet
    files that `canonical` wrote. Hidden files, such as macOS's `._x.csv`, are no recordings.

    Raises:
        UserError: the folder is missing or without recordings, two recordings have one name, an
            exclusion matches none, or the layout's table has what it must not have.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; set recordings.folder to where the files are")
    if layout is None:
        reason = "no .csv or .csv.gz file in this folder; docs/files.md has the schema"
        return _included(folder, _files_by_name(folder), exclude, reason)
    patterns = ", ".join(source.files for source in layout.sources.values())
    reason = f"no file matches sources.*.files of the layout: {patterns}"
    all_recordings = _match_files(folder, layout)
    recordings = _included(folder, all_recordings, exclude, reason)
    if layout.table is not None:
        recordings = _with_table(folder / layout.table, recordings)
    if layout.program is not None:
        depth = layout.program.files.count("/")
        names = {_uncompressed(folder, path): path for path in _files_below(folder, depth)}
        recordings = [_with_program(folder, names, recording) for recording in recordings]
    _log_others(folder, [*all_recordings.values(), *recordings], layout)
    return recordings


def _included(
    folder: Path, recordings: Mapping[str, AnyRawRecording], exclude: Collection[str], reason: str
) -> list[AnyRawRecording]:
    """The recordings without those that are excluded; `reason`: why there may be none."""
    if not recordings:
        raise UserError(f"{folder}: {reason}")
    if unknown := sorted(set(exclude) - set(recordings)):
        raise UserError(
            f"recordings.exclude: {unknown[0]!r} is not a recording in {folder}; "
            f"{did_you_mean(unknown[0], recordings)}"
        )
    included = [recording for name, recording in recordings.items() if name not in exclude]
    if not included:
        raise UserError(f"recordings.exclude: leaves none of the recordings of {folder}")
    if broken := [path for path in paths_of(included) if not path.is_file()]:
        raise UserError(f"{broken[0]}: is not a regular file; remove it, or {FIX}")
    return included


def _files_by_name(folder: Path) -> dict[str, Path]:
    """Recordings of one file each, without a layout."""
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    paths = [path for path in visible if _CSV.search(path.name)]
    paths = paths or [path for path in visible if path.suffix == ".parquet"]
    recordings: dict[str, Path] = {}
    for path in visible:
        name = name_of(path)
        if path not in paths:
            if ".csv" in path.name.lower():
                text = "excluded %s: its name ends in none of .csv .gz .bz2 .xz"
                logger.warning(text, path.name)
        elif not name.isprintable():
            raise UserError(f"{folder}: {name!r} cannot be printed; rename this file")
        elif name in recordings:
            raise UserError(f"{folder}: two files for the recording {name!r}; keep one of them")
        else:
            recordings[name] = path
    return recordings


def _log_others(folder: Path, recordings: Sequence[LabRecording], layout: Layout) -> None:
    """Lists the files that belong to no recording."""
    used = {*paths_of(recordings), *([folder / layout.table] if layout.table else [])}
    others = [path.name for path in _files_below(folder, _depth(layout)) if path not in used]
    if others:
        more = f" and {len(others) - MAX_SHOWN} more" if len(others) > MAX_SHOWN else ""
        logger.info("%s: in no recording: %s%s", folder, ", ".join(others[:MAX_SHOWN]), more)


def recordings_digest(
    folder: Path, exclude: Collection[str] = (), layout: Layout | None = None
) -> str:
    """A digest that changes when a file of a recording, or the layout, is changed."""
    if layout is None:
        stats = [(path.name, path.stat()) for path in paths_of(list_recordings(folder))]
        return digest([(name, s.st_size, s.st_mtime_ns) for name, s in stats])[:12]
    paths = paths_of(list_recordings(folder, exclude, layout))
    if layout.table is not None:
        paths.append(folder / layout.table)
    listing = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    return digest([listing, describe_layout(layout)])[:12]


def _match_files(folder: Path, layout: Layout) -> dict[str, LabRecording]:
    """Recordings by name, in the order of names."""
    patterns = {name: file_pattern(source.files) for name, source in layout.sources.items()}
    files: dict[str, dict[str, Path]] = {}
    fields: dict[str, dict[str, str]] = {}
    for path in _files_below(folder, _depth(layout)):
        relative = path.relative_to(folder).as_posix()
        if relative == layout.table:
            continue
        matches = {n: m for n, pattern in patterns.items() if (m := pattern.fullmatch(relative))}
        # {name}.csv matches run_accel.csv too, but {name}_accel.csv says more of it.
        text = {n: len(re.sub(r"{\w+}|\*", "", layout.sources[n].files)) for n in matches}
        matches = {n: m for n, m in matches.items() if text[n] == max(text.values())}
        for source, match in matches.items():
            groups = match.groupdict()
            name = groups.pop("name", None) or PurePosixPath(_uncompressed(folder, path)).stem
            if not name.isprintable():
                raise UserError(f"{folder}: {name!r} cannot be printed; rename this file")
            if source in files.setdefault(name, {}):
                raise UserError(
                    f"{path}: {files[name][source].relative_to(folder)} has the recording's name "
                    f"{name!r} too; change sources.{source}.files, or rename one of them"
                )
            files[name][source] = path
            _merge(fields.setdefault(name, {}), groups, path)
    return {
        name: _named(LabRecording(name, layout, files[name], ""), fields[name])
        for name in sorted(files)
    }


def _depth(layout: Layout) -> int:
    """Folders below folders that the patterns of the sources name."""
    return max(source.files.count("/") for source in layout.sources.values())


def _files_below(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files_below(path, depth - 1) if depth else ()
        else:
            yield path


def file_pattern(pattern: str) -> re.Pattern[str]:
    """The regular expression of a layout's pattern; its groups are the placeholders."""
    text = with_groups(pattern, "[^/]+").replace(r"\*", "[^/]*")
    return re.compile(text if re.search(r"\.(gz|bz2|xz)$", pattern) else text + _COMPRESSED)


def _uncompressed(folder: Path, path: Path) -> str:
    """A file's name below the folder, without what a compression adds."""
    return re.sub(rf"{_COMPRESSED}$", "", path.relative_to(folder).as_posix())


def _merge(fields: dict[str, str], groups: Mapping[str, str], path: Path) -> None:
    for name, value in groups.items():
        if fields.setdefault(name, value) != value:
            raise UserError(
                f"{path}: its {name} is {value!r}, that of the recording's other files "
                f"{fields[name]!r}"
            )


def _named(recording: LabRecording, fields: Mapping[str, str]) -> LabRecording:
    """A recording with the operation, session and machine of its name and files' names."""
    name, pattern = recording.name, recording.layout.recording
    groups: dict[str, Any] = {"operation": columns.parse_operation(name)}
    if pattern is not None:
        match = re.search(pattern, name)
        if match is None:
            raise UserError(f"recording {name!r} does not match the layout's {pattern!r}")
        groups |= {key: value for key, value in match.groupdict().items() if value}
    return replace(recording, **(groups | dict(fields)))


def _with_table(path: Path, recordings: Sequence[LabRecording]) -> list[LabRecording]:
    """Recordings with what the layout's table says of them; each one needs a row.

    Other columns of the table are notes, unless their names are like those that mean something.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as the layout's table: {error}") from None
    layout = recordings[0].layout
    offsets = {f"offset_seconds.{source}": source for source in layout.sources}
    allowed = ("recording", *NAME_FIELDS[1:], "offset_seconds", *offsets)
    for column in table.columns.difference(list(allowed)):
        if get_close_matches(column, allowed, 1):
            hint = did_you_mean(column, allowed)
            raise UserError(f"{path}: column {column!r} means nothing; {hint}")
    table = table.reindex(columns=list(allowed), fill_value="")
    names = table["recording"]
    if (wrong := (names == "") | names.duplicated()).any():
        line = int(wrong.to_numpy().argmax())
        raise UserError(
            f"{path}: line {line + 2}: recording {names[line]!r} is empty or listed twice"
        )
    entries: dict[Any, dict[Any, Any]] = table.set_index("recording").to_dict("index")
    result = []
    for recording in recordings:
        name = recording.name
        if name not in entries:
            raise UserError(f"{path}: recording {name!r} is not listed; add it, or exclude it")
        entry = entries[name]
        seconds = {
            key: _number(path, f"recording {name!r}: {key}", entry[key] or "0")
            for key in ("offset_seconds", *offsets)
        }
        shifts = {s: seconds["offset_seconds"] + seconds[key] for key, s in offsets.items()}
        fields = {key: entry[key] or getattr(recording, key) for key in NAME_FIELDS[1:]}
        result.append(replace(recording, offsets=shifts, **fields))
    return result


def _number(path: Path, what: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{path}: {what} {text!r} is not a number")
    return number


def _with_program(folder: Path, files: Mapping[str, Path], recording: LabRecording) -> LabRecording:
    """A recording with its program's file, of the folder's files by name."""
    assert recording.layout.program is not None
    values = {key: getattr(recording, key) for key in NAME_FIELDS}
    file = recording.layout.program.files.format_map(values)
    if path := files.get(file) or files.get(re.sub(rf"{_COMPRESSED}$", "", file)):
        return replace(recording, program=path)
    raise UserError(
        f"{folder}: recording {recording.name!r} needs the G-code file {file}, by program.files of "
        "the layout"
    )


def recordings_of(paths: Sequence[Path], layout: Layout | None) -> list[RawRecording]:
    """The recordings that single files belong to, with their other files in the same folder.

    Labels are not needed, so neither is the program. A table is used where there is one.

    Raises UserError: a file is missing, or matches no pattern of the layout.
    """
    if layout is None:
        return list(paths)
    recordings: dict[str, RawRecording] = {}
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such recording")
        members = _recordings_at(path.absolute(), layout.model_copy(update={"program": None}))
        recordings |= {recording.name: recording for recording in members}
    return list(recordings.values())


def _recordings_at(path: Path, layout: Layout) -> list[LabRecording]:
    """All recordings of a folder, or the one that a file belongs to."""
    depths = sorted({source.files.count("/") for source in layout.sources.values()})
    for folder in [path] if path.is_dir() else [path.parents[depth] for depth in depths]:
        recordings = [
            recording
            for recording in _match_files(folder, layout).values()
            if path.is_dir() or path in recording.files.values()
        ]
        if recordings and layout.table is not None:
            if (folder / layout.table).is_file():
                return _with_table(folder / layout.table, recordings)
            logger.warning("%s: no %s: all clocks are taken as they are", folder, layout.table)
        if recordings:
            return recordings
    patterns = ", ".join(source.files for source in layout.sources.values())
    raise UserError(f"{path}: matches no pattern of the layout's sources: {patterns}")
