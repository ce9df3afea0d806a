"""What the workflow does for the recordings of a layout."""

import re
from pathlib import Path

import yaml
from layout_files import content, write_laboratory
from workflow_project import change, copy_project, snakemake


def test_a_layout_makes_parquet_files_and_its_sessions_a_protocol(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    folder = write_laboratory(tmp_path / "lab", {"face": 4})
    rows = [f"face_{n:03d},{'monday' if n < 4 else 'friday'}" for n in range(1, 5)]
    (folder / "list.csv").write_text("\n".join(["recording,session", *rows]))
    layout = project / "lab.yaml"
    layout.write_text(yaml.safe_dump(content(table="list.csv")))
    change(project, "recordings", folder=str(folder), layout="lab.yaml")
    change(project, "channels", groups=["imu"])
    change(project, "protocols", seeds=[0], sessions=["fri*"], programs=[])
    output = snakemake(project, "--dry-run", "--printshellcmds", "protocols")
    commands = re.findall(r"python -m gcodefp.preprocess .*", output)
    assert len(commands) == 5, "the dataset, window, recording, chronological, session"
    assert all("--layout lab.yaml" in command for command in commands)
    kept = [command for command in commands if "--canonical" in command]
    assert len(kept) == 1
    assert "--canonical results/dataset/recordings" in kept[0]
    assert sum("--held-out 'fri*'" in command for command in commands) == 1
    snakemake(project, "preprocess")
    assert len(list(project.glob("results/dataset/recordings/*.parquet"))) == 4
    assert "Nothing to be done" in snakemake(project, "--dry-run", "preprocess")
    layout.write_text(yaml.safe_dump(content(table="list.csv", preamble=True)))
    assert "rule preprocess" in snakemake(project, "--dry-run", "preprocess")
