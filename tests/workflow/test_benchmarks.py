"""The GPU benchmark runs on a CPU, so that it works when a GPU can be had; no figure is checked."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECTIONS = ("training", "evaluation", "agents", "out_of_memory", "plain", "together", "processes")


def test_gpu_benchmark_has_no_failing_section_on_a_cpu(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--minutes", "15"]
    command += ["--only", *SECTIONS, "--output", str(output)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=900, stdout=subprocess.DEVNULL)
    results = json.loads(output.read_text(encoding="utf-8"))
    assert set(SECTIONS) <= results.keys()
    parts = {
        f"{section}.{name}": part
        for section in SECTIONS
        for name, part in results[section].items()
        if isinstance(part, dict) and "state" in part
    }
    assert len(parts) > len(SECTIONS)
    assert {name: part for name, part in parts.items() if part["state"].startswith("failed")} == {}
