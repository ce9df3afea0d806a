"""Which files of a folder make a recording, and what their names and the table say of it."""

from pathlib import Path
from typing import Any

import pytest
from layout_files import content, layout, write_laboratory

from gcodefp.dataset.split import match_recordings
from gcodefp.errors import UserError
from gcodefp.recordings.laboratory.lab_files import (
    LabRecording,
    list_recordings,
    name_of,
    recordings_digest,
    recordings_of,
)


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def recordings_in(folder: Path, exclude: Any = (), **changes: Any) -> dict[str, LabRecording]:
    recordings = list_recordings(folder, exclude, layout(**{"program": None} | changes))
    return {name_of(r): r for r in recordings if isinstance(r, LabRecording)}


def patterns(controller: str, toolhead: str) -> dict[str, Any]:
    sources = content()["sources"]
    sources["controller"]["files"], sources["toolhead"]["files"] = controller, toolhead
    return {"sources": sources}


def test_folders_and_names_say_session_and_machine(tmp_path: Path) -> None:
    touch(
        tmp_path, "monday/mill_face_1.log", "tuesday/mill_face_2.log", "tuesday/x/mill_face_3.log"
    )
    changes = patterns("{session}/{name}.log", "{session}/{name}.bin")
    recordings = recordings_in(
        tmp_path, recording=r"(?P<machine>[a-z]+)_(?P<operation>[a-z]+)_\d+", **changes
    )
    assert {(r.session, r.machine, r.operation) for r in recordings.values()} == {
        ("monday", "mill", "face"),
        ("tuesday", "mill", "face"),
    }
    sessions = {name: recording.session for name, recording in recordings.items()}
    assert match_recordings(sessions, ["mon*"], sessions) == {"mill_face_1"}
    assert match_recordings(sessions, ["*_2"], sessions) == {"mill_face_2"}
    with pytest.raises(UserError, match="'wed\\*' matches no recording"):
        match_recordings(sessions, ["wed*"], sessions)


TABLE = (
    "recording,operation,session,offset_seconds,offset_seconds.toolhead\na,face,s1,1,0.5\nb,,,,\n"
)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            TABLE.replace("session", "sesion"),
            "column 'sesion' means nothing; did you mean 'session'",
        ),
        (TABLE.replace("b,", "c,"), "recording 'b' is not listed; add it, or exclude it"),
        (TABLE.replace("b,", "a,"), "recording 'a' is empty or listed twice"),
        (TABLE.replace("0.5", "nan"), "'nan' is not a number"),
        (
            TABLE.replace("0.5", "soon"),
            "recording 'a': offset_seconds.toolhead 'soon' is not a number",
        ),
        (None, "cannot be read as the layout's table"),
    ],
)
def test_a_wrong_table(tmp_path: Path, table: str | None, message: str) -> None:
    touch(tmp_path, "a.csv", "b.csv")
    if table is not None:
        (tmp_path / "list.csv").write_text(table)
    with pytest.raises(UserError, match=message) as error:
        recordings_in(tmp_path, table="list.csv")
    assert str(tmp_path / "list.csv") in str(error.value)


def test_folders_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        recordings_in(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no file matches .*: {name}\.csv, {name}_accel\.csv"):
        recordings_in(touch(tmp_path, "run.txt"))
    touch(tmp_path, "face_1.csv")
    with pytest.raises(UserError, match=r"'face_2' is not a recording .* did you mean 'face_1'"):
        recordings_in(tmp_path, exclude=["face_2"])
    with pytest.raises(UserError, match="leaves none"):
        recordings_in(tmp_path, exclude=["face_1"])
    with pytest.raises(UserError, match=r"'face_1' needs the G-code file face\.nc"):
        recordings_in(tmp_path, program={"files": "{operation}.nc"})
    with pytest.raises(UserError, match="'face_1' does not match"):
        recordings_in(tmp_path, recording=r"^(?P<session>\d+)_")
    touch(tmp_path, "face_1.csv.gz")
    with pytest.raises(UserError, match=r"face_1\.csv has the recording's name 'face_1' too"):
        recordings_in(tmp_path)


def test_files_to_predict_bring_the_others_of_their_recording(tmp_path: Path) -> None:
    folder = write_laboratory(tmp_path / "new", {"face": 2})
    accel = folder / "face_001_accel.csv"
    (recording,) = recordings_of([accel, folder / "face_001.csv"], layout())
    assert isinstance(recording, LabRecording)
    assert set(recording.files) == {"controller", "toolhead"}
    assert len(recordings_of([folder], layout())) == 2
    assert recordings_of([accel], None) == [accel]
    with pytest.raises(UserError, match=r"face\.nc: matches no pattern"):
        recordings_of([folder / "face.nc"], layout())
    with pytest.raises(UserError, match="no such recording"):
        recordings_of([folder / "gone.csv"], layout())


def test_the_digest_sees_files_layout_and_table(tmp_path: Path) -> None:
    folder = write_laboratory(tmp_path, {"face": 2})
    digests = [
        recordings_digest(folder, (), layout()),
        recordings_digest(folder, (), layout(preamble=True)),
    ]
    (folder / "face.nc").write_text("G1 X1\n")
    digests.append(recordings_digest(folder, (), layout()))
    (folder / "face_002_accel.csv").write_text("t,a_x,a_y\n")
    digests.append(recordings_digest(folder, (), layout()))
    assert len(set(digests)) == 4
    assert recordings_digest(folder, (), layout()) == digests[-1]
