"""What runs use of CPU, memory and GPU: measured of real processes, kept, and shown."""

import logging
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from user_scripts import ScriptSweep
from waiting import ended, wait_for

from gcodefp import compare, select_best
from gcodefp.reporting.differences import compare_files
from gcodefp.reporting.optuna_studies import study
from gcodefp.reporting.page_tables import runs_table
from gcodefp.reporting.sweep_results import read_sweep_results
from gcodefp.status import main as status
from gcodefp.sweeps.sweep_status import StatusReader
from gcodefp.sweeps.system_metrics import (
    SYSTEM_COLUMNS,
    SYSTEM_FIELDS,
    read_system,
    system_metrics,
    system_summary,
)

SCRIPT = """
import json, os, pathlib, subprocess, sys, time
x = int(sys.argv[1].partition("=")[2])
if x == 1:  # a child does the work
    work = "import time; kept = bytearray(b'1') * 10**8 * 2\\nwhile time.process_time() < 3: pass"
    child = subprocess.Popen([sys.executable, "-c", work])
    pathlib.Path("gpu_pids").write_text(str(child.pid))
    child.wait()
else:
    time.sleep(1.5)
print(json.dumps({"score": x}))
"""
NVML = """
import pathlib
from types import SimpleNamespace
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 4
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetUtilizationRates(gpu): return SimpleNamespace(gpu=[40, 100, 60, 0][gpu])
def nvmlDeviceGetComputeRunningProcesses(gpu):
    if gpu == 3:
        raise NVMLError("not supported")
    path = pathlib.Path("gpu_pids")
    own = [int(path.read_text() or 0)] if path.exists() and gpu != 1 else []
    return [SimpleNamespace(pid=pid, usedGpuMemory=5 * 10**8) for pid in [*own, 1]]
"""
"""Stands in for NVIDIA's library: a machine with four GPUs; the child is on two of them."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> ScriptSweep:
    """Two runs: one works, in a child and on GPUs; the other sleeps."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "pynvml.py").write_text(NVML)
    own = ScriptSweep(folder, SCRIPT, parameters={"x": {"values": [1, 2]}})
    own.create()
    own.work()
    (folder / "results/sweep").mkdir()
    shutil.copy(own.runs / "sweep.json", folder / "results/sweep")
    return own


def test_processes_of_a_program_are_measured(own: ScriptSweep) -> None:
    at_work, asleep = (system_summary(own.runs / name) for name in ("0000", "0001"))
    rows = read_system(own.runs / "0000/system.csv")
    assert sum((row["cpu_share"] or 0.0) * (row["seconds"] or 0.0) for row in rows) >= 1.0
    assert 200 < (at_work["peak_memory_mb"] or 0) < 600
    assert 1 < (asleep["peak_memory_mb"] or 0) < 200
    assert (at_work["cpu_share"] or 0) > (asleep["cpu_share"] or 0)
    assert (at_work["gpu_share"], at_work["peak_gpu_memory_mb"]) == (0.5, 1000.0)
    assert (asleep["gpu_share"], asleep["peak_gpu_memory_mb"]) == (None, None)


def test_all_views_show_them(
    own: ScriptSweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    results, sweep = own.folder / "results", own.folder / "results/sweep/sweep.json"
    best, runs = results / "best", results / "runs"
    where = ["--sweep", str(sweep), "--runs", str(runs)]
    assert select_best.main([*where, "--output", str(best)]) == 0
    table = runs_table(read_sweep_results(sweep, best))
    for name in ("cpu share", "peak memory MB", "gpu share", "peak gpu memory MB"):
        assert name in table["header"]
    lines = [line.split(",") for line in (best / "runs.csv").read_text().splitlines()]
    best_run = dict(zip(lines[0], lines[1], strict=True))
    summary = system_summary(own.runs / "0001")
    assert best_run["run"] == "0001"
    assert {name: best_run[name] for name in SYSTEM_FIELDS} == {
        name: "" if value is None else str(value) for name, value in summary.items()
    }
    capsys.readouterr()
    assert status([*where, "--no-watch"]) == 0
    assert "CPU, memory" in (shown := capsys.readouterr().out)
    assert "GPU 50 % 1000 MB" in shown
    assert compare.main([str(own.runs / "0000"), str(own.runs / "0001")]) == 0
    facts = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["peak_gpu_memory_mb", "1,000", "-"] in facts
    file = own.create()
    trials = study(file, StatusReader(file, own.runs).read()).trials
    assert trials[0].user_attrs["peak_gpu_memory_mb"] == 1000
    assert "gpu_share" not in trials[1].user_attrs


def test_tables_of_earlier_versions_are_read_and_verified(own: ScriptSweep, tmp_path: Path) -> None:
    header = "run,sweep,state,reason,best_value,best_epoch,epochs,seconds,parameters,device"
    row = "0000,a,finished,done,0.5,1,1,2.0,,"
    old, new = tmp_path / "old/runs.csv", tmp_path / "new/runs.csv"
    for path, more, cells in ((old, "", ""), (new, ",cpu_share,peak_memory_mb", ",0.5,70")):
        path.parent.mkdir()
        path.write_text(f"{header}{more}\n{row}{cells}\n")
    assert list(compare_files(new, old, is_same=True)) == []
    new.write_text(new.read_text().replace("done", "else"))
    assert len(list(compare_files(new, old, is_same=True))) == 1
    (path,) = own.runs.glob("0001/system.csv")
    copy = tmp_path / "0001"
    copy.mkdir()
    assert set(system_summary(copy).values()) == {None}
    shutil.copy(path, copy)
    assert system_summary(copy) == system_summary(path.parent)


def test_rows_stay_when_another_agent_takes_the_run_over(tmp_path: Path) -> None:
    script = "import json, time; time.sleep(2)\nprint(json.dumps({'score': 1}))"
    own = ScriptSweep(tmp_path, script, parameters={"x": {"values": [1]}})
    own.create()
    with ended(own.start_agent()) as agent:
        [path] = wait_for(lambda: list(own.runs.glob("0000/generation.*/system.csv")))
        wait_for(lambda: read_system(path))
        os.kill(agent.pid, signal.SIGKILL)
        agent.wait()
    before = read_system(path)
    with path.open("a", encoding="utf-8") as file:
        file.write("1790000000.5,0.5,0.7")  # Interrupted.
    assert read_system(path) == before
    own.work()
    after = read_system(own.runs / "0000/system.csv")
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_mean_is_over_time_and_peak_is_the_highest(tmp_path: Path) -> None:
    samples = ["10,1,1,100,,,30", "19,9,0,300,,,20", "20,x,5,900,,,1", "nonsense"]
    lines = [",".join(SYSTEM_COLUMNS), *samples]
    (tmp_path / "system.csv").write_text("\n".join(lines) + "\n21,1,9,999,,,9")
    summary = system_summary(tmp_path)
    assert summary == dict(zip(SYSTEM_FIELDS, (0.1, 300.0, None, 30.0), strict=True))


def test_shortest_run_has_a_row_without_a_share(tmp_path: Path) -> None:
    with system_metrics(tmp_path, os.getpid()):
        pass
    [row] = read_system(tmp_path / "system.csv")
    assert (row["memory_mb"] or 0) > 10
    assert row["cpu_share"] is None or (row["seconds"] or 0) > 0.1


@pytest.mark.parametrize(("used", "megabytes"), [([None, None], None), ([None, 5 * 10**8], 500)])
def test_memory_that_the_driver_does_not_have_is_not_zero(
    used: list[int | None], megabytes: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [[SimpleNamespace(pid=os.getpid(), usedGpuMemory=memory)] for memory in used]
    nvml = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlDeviceGetCount=lambda: len(used),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=40),
        nvmlDeviceGetComputeRunningProcesses=lambda gpu: listed[gpu],
    )
    monkeypatch.setattr("gcodefp.sweeps.system_metrics._nvml", lambda: nvml)
    with system_metrics(tmp_path, os.getpid()):
        pass
    [row] = read_system(tmp_path / "system.csv")
    assert (row["gpu_share"], row["gpu_memory_mb"]) == (0.4, megabytes)


def test_error_of_the_sampler_is_logged_once_and_costs_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), system_metrics(tmp_path / "removed", os.getpid()):
        wait_for(lambda: caplog.records)
        time.sleep(1)
    assert len(caplog.records) == 1
    assert "the run goes on without system metrics" in caplog.text
