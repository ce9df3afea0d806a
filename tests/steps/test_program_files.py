"""Recordings of controllers that report no line are labelled from their program's file."""

from pathlib import Path

import numpy as np
import pytest
from laboratory_samples import write_laboratory
from recording_files import preprocess, read_dataset

from gcodefp.dataset.external import read_external_split
from gcodefp.errors import UserError
from gcodefp.recordings.gcode import format_block, parse_block

RECORDINGS, SPEED = 4, 2.0
TOLERANCE_SECONDS = 0.3
ROW_HZ = {"grbl_without_lines": 5.0, "duet": 10.0, "two_accelerometers": 10.0}
LAG_COUNTS = {"grbl_without_lines": 0.0, "duet": 1.0, "two_accelerometers": 1.0}
"""Whether labels are in the time of the sensors; else in that of the reported positions."""


@pytest.mark.parametrize("logger", sorted(ROW_HZ))
def test_rows_get_the_lines_that_were_executed(
    logger: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = write_laboratory(logger, tmp_path / "files", RECORDINGS, SPEED, programs=2)
    output = tmp_path / "dataset"
    assert preprocess(
        tmp_path / "files", output, layout=logger, groups=["imu"], window=16, stride=8
    ) == 0  # fmt: skip
    assert "machine limits fitted to the train recordings" in caplog.text
    description, splits = read_dataset(output)
    shares = []
    for split in splits.values():
        for index, name in enumerate(split.recordings.tolist()):
            own, run = split.recording == index, runs[name]
            seconds = split.row[own] / ROW_HZ[logger] - LAG_COUNTS[logger] * run.lag_seconds
            blocks = split.blocks[split.block[own]]
            texts = {b.line: format_block(parse_block(b.text)) for b in run.blocks}
            executed = [
                [texts.get(line, "") for line in run.lines(seconds + tolerance)]
                for tolerance in (-TOLERANCE_SECONDS, 0.0, TOLERANCE_SECONDS)
            ]
            assert own.sum() > 0.75 * (run.seconds - 4) * ROW_HZ[logger]
            shares.append((np.array(executed) == blocks).any(0).mean())
            document = {"not_running_rows": 0, **description.document["recordings"][name]}
            assert document["label_uncertainty_seconds"] < 0.3
            # GRBL's reports say whether the machine runs: its other rows are dropped before.
            assert document["outside_program_rows"] + document["not_running_rows"] > 0
    assert min(shares) > 0.7
    assert np.mean(shares) > 0.8
    write_laboratory(logger, tmp_path / "new", 1, SPEED, programs=1, first=9)
    with pytest.raises(UserError, match="no recording is left"):
        read_external_split(tmp_path / "new", description)
    assert "square_009: it has no line report: only preprocess labels it" in caplog.text


def test_sensors_that_do_not_follow_the_program_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    write_laboratory("duet", folder, RECORDINGS, SPEED, programs=2)
    square, zigzag = folder / "square.gcode", folder / "zigzag.gcode"
    text = square.read_text()
    square.write_text(zigzag.read_text())
    zigzag.write_text(text)
    code = preprocess(folder, tmp_path / "x", layout="duet", groups=["imu"], window=16, stride=8)
    assert code == 1
    assert "train recordings do not follow its motion" in capsys.readouterr().err
