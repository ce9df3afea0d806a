"""Sweeps of other programs, with `gcodefp sweep` and `gcodefp agent`, and W&B's SDK offline."""

import json
import math
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
from user_scripts import ScriptSweep
from waiting import ended, wait_for

from gcodefp import agent
from gcodefp.command_line import INTERRUPTED
from gcodefp.model.run_files import read_work

CASE = Path(__file__).parents[1] / "support/wandb_project"


@pytest.fixture
def case(tmp_path: Path) -> ScriptSweep:
    """A script and a YAML that `wandb sweep` and `wandb agent` run."""
    own = ScriptSweep(tmp_path, None)
    for path in CASE.iterdir():
        shutil.copy(path, tmp_path)
    return own


def test_project_of_wandb_runs_unchanged(case: ScriptSweep) -> None:
    assert case.create().total == 3
    assert "2 runs are done" in case.work("--count", "2")
    assert [run["state"] for run in case.outcomes()] == ["finished"] * 2
    assert "best so far 0.6883 (run 0001)" in case.work()
    runs = case.outcomes()
    assert [run["hyperparameters"]["learning_rate"] for run in runs] == [0.001, 0.01, 0.1]
    for number, run in enumerate(runs):
        rows = case.metrics(number)
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert run["best_value"] == rows[-1]["combined_score"]
        assert rows[-1]["_epoch"] == 5
        assert len(list((case.runs / f"{number:04d}/wandb").glob("offline-run-*"))) == 1
    changed = case.folder / "mytrain.py"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert "mytrain.py has changed since the sweep" in case.run("agent", case.sweep_id).stderr


def test_count_is_refused_where_it_would_not_hold(
    case: ScriptSweep, capsys: pytest.CaptureFixture[str]
) -> None:
    case.create()
    path = case.runs / "sweep.json"
    flags = ["--sweep", str(path), "--count", "2"]
    assert agent.main([*flags, "--workers", "2"]) == 1
    assert "--count 2: is for one worker" in capsys.readouterr().err
    document = json.loads(path.read_text(encoding="utf-8")) | {"wandb": "entity/project/abc"}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert agent.main(flags) == 1
    assert "on a sweep of the local engine" in capsys.readouterr().err


def test_no_connection_is_opened(case: ScriptSweep) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    case.create()
    trace = case.folder / "trace"
    words = ["strace", "-f", "-e", "trace=connect,sendto", "-o", str(trace)]
    command = case.command
    case.command = lambda *more: [*words, *command(*more)]  # type: ignore[method-assign]
    case.work("--count", "1")
    lines = trace.read_text(errors="replace").splitlines()
    assert [line for line in lines if "connect(" in line]
    calls = [line for line in lines if "AF_INET" in line]
    # The SDK and its own service talk over a local socket.
    assert [line for line in calls if "127.0.0.1" not in line and "::1" not in line] == []


VALUES = """
import json, os, pathlib, sys, time
assert "GCODEFP_TRAIN" not in os.environ
import wandb
case = os.environ["CASE"] if "CASE" in os.environ else sys.argv[1].partition("=")[2]
if case == "1":  # nan in between, other columns, a name that CSV has to quote
    with wandb.init() as run:
        assert run.config["model"]["depth"] == 2 and run.config["rate"] == 1e-05
        for score in (0.1, float("nan"), 0.7, 0.4):
            run.log({"score": score})
        run.log({'odd, "name"': float("inf")})
elif case == "2":  # in the summary alone
    with wandb.init() as run:
        run.log({"other": 1})
        run.summary["score"] = 0.3
elif case == "3":  # without wandb
    print("starts")
    print('{"score": 0.1, "note": "x"}\\n{"unrelated": 1}', flush=True)
    print('{"score": 0.5}', end="")  # The last line has no end.
elif case == "5":  # to W&B, then in a file too
    with wandb.init() as run:
        for score in (0.1, 0.8, 0.2):
            run.log({"score": score})
        table = pathlib.Path(os.environ["WANDB_DIR"], "metrics.csv")
        while not table.exists() or table.read_text().count("\\n") < 4:
            time.sleep(0.1)
        pathlib.Path(os.environ["GCODEFP_METRICS"]).write_text('{"score": 0.9}\\n' * 3)
else:
    with open(os.environ["GCODEFP_METRICS"], "w") as file:
        file.write('{"score": 0.6, "epoch": 4}\\n{"score": 0.2')
"""


def test_metrics_count_however_they_are_logged(tmp_path: Path) -> None:
    parameters = {
        "case": {"values": [1, 2, 3, 4, 5]}, "rate": {"value": 1.0e-05},
        "model": {"parameters": {"depth": {"value": 2}}},
    }  # fmt: skip
    unused = tmp_path / "results/dataset/train.npz"  # Of no sweep without a dataset.
    unused.parent.mkdir(parents=True)
    unused.touch()
    own = ScriptSweep(tmp_path, VALUES, parameters=parameters)
    own.create()
    own.work()
    runs = own.outcomes()
    assert [(run["best_value"], run["best_epoch"], run["epochs"]) for run in runs] == [
        (0.7, 3, 5), (0.3, 2, 2), (0.5, 2, 2), (0.6, 1, 1), (0.8, 2, 3),
    ], runs  # fmt: skip
    assert runs[0]["hyperparameters"] == {"case": 1, "rate": 1e-05, "model.depth": 2}
    assert math.isnan(own.metrics(0)[1]["score"])
    assert own.metrics(0)[-1]['odd, "name"'] == math.inf
    assert own.metrics(3)[0]["_epoch"] == 4


UNDERSCORE = """
import pathlib, sys, time
import wandb
x = int(sys.argv[1].partition("=")[2])
with wandb.init() as run:
    if x == 1:
        run.log({"_score": 0.4, "other": 1})
    elif x == 2:
        run.summary["_score"] = 0.2
    else:
        run.log({"other": 1})
time.sleep(1.2)
pathlib.Path(f"end{x}").write_text(str(time.time()))
"""


def test_metric_may_begin_with_an_underscore_and_a_run_lasts_to_its_end(tmp_path: Path) -> None:
    own = ScriptSweep(tmp_path, UNDERSCORE, metric={"name": "_score", "goal": "maximize"})
    own.create()
    own.work()
    runs = own.outcomes()
    assert [run["best_value"] for run in runs] == [0.4, 0.2, None]
    assert runs[2]["reason"] == "the script ended without logging _score; it logged other"
    assert set(own.metrics(0)[0]) == {"epoch", "_step", "_score", "other"}
    for number, run in enumerate(runs[:2]):
        first, *_, last = read_work(own.runs / f"{number:04d}/work.csv")
        seconds = last["utc_seconds"] - first["utc_seconds"]
        assert last["utc_seconds"] >= float((tmp_path / f"end{number + 1}").read_text()) - 0.01
        assert run["seconds"] == pytest.approx(seconds, abs=0.01)


FAILURES = """
import os, signal, sys
import wandb
case = sys.argv[1].partition("=")[2]
run = wandb.init()
score = {"nan": float("nan"), "good": 1, "good ": 2}.get(case, "high")
run.log({"accuracy": 0.5, "score": score})
run.finish()
print("last words")
if case == "exit":
    sys.exit(3)
if case == "memory":
    raise MemoryError
if case == "cuda":
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
if case == "signal":
    os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_failures_are_classed_and_the_last_lines_are_kept(tmp_path: Path) -> None:
    cases = ["exit", "memory", "good", "cuda", "signal", "good ", "nan", "none"]
    own = ScriptSweep(tmp_path, FAILURES, parameters={"x": {"values": cases}})
    own.create()
    own.work()
    runs = own.outcomes()
    assert [run["failure"] for run in runs] == [
        "error", "out_of_memory", None, "out_of_memory", "killed", None, "diverged", "no_metric",
    ], runs  # fmt: skip
    reasons = [run["reason"] for run in runs]
    assert reasons[0] == "exit code 3; its output ends: last words"
    assert "MemoryError" in reasons[1]
    assert reasons[4].startswith("killed by SIGSEGV; its output ends: last words")
    assert reasons[6:] == [
        "score was never finite", "the script ended without logging score; it logged accuracy"
    ]  # fmt: skip
    broken = ScriptSweep(tmp_path, "1 / 0", parameters={"x": {"values": [1, 2, 3, 4]}})
    broken.create()
    done = broken.run("agent", broken.sweep_id)
    assert done.returncode == 1
    assert "3 runs failed in a row" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_program_of_ones_own_combines_its_metrics_itself(tmp_path: Path) -> None:
    own = ScriptSweep(tmp_path, "")
    assert "fit.py trains" in own.run("check_sweep", "sweep.yaml").stdout
    done = own.run("check_sweep", "sweep.yaml", "--combined", "both: loss + 1")
    assert done.returncode == 1
    assert "sweep.combined: fit.py logs its metrics itself" in done.stderr


HYPERBAND = """
import os, signal, sys, time
import wandb
x = int(sys.argv[1].partition("=")[2])
stubborn = x == 2
signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: sys.exit(0))
with wandb.init() as run:
    for epoch in range(6 if x == 9 else 10**6):
        run.log({"score": x + epoch / 10})
        time.sleep(0.01 if x == 9 else 0.1)
"""


def impatient(own: ScriptSweep) -> None:
    """The agents of this sweep wait a second in place of thirty."""
    patch = "import gcodefp.sweeps.user_script.run as r, gcodefp.cli as c, sys; r.GRACE_SECONDS=1;"
    command = own.command("agent", own.sweep_id)
    own.command = lambda *_: [  # type: ignore[method-assign]
        command[0], "-c", f"{patch} sys.exit(c.main(['agent', '{own.sweep_id}']))"
    ]  # fmt: skip


def test_hyperband_stops_a_run_after_the_rows_of_a_band(tmp_path: Path) -> None:
    """A run that ignores SIGTERM is killed; rows after the decision do not count."""
    own = ScriptSweep(
        tmp_path, HYPERBAND, parameters={"x": {"values": [9, 2, 1]}},
        early_terminate={"type": "hyperband", "min_iter": 3, "eta": 3},
    )  # fmt: skip
    own.create("--width", "1")
    impatient(own)
    own.work()
    runs = own.outcomes()
    assert [(run["state"], run["epochs"]) for run in runs] == [
        ("finished", 6), ("stopped", 3), ("stopped", 3),
    ]  # fmt: skip
    assert [run["best_value"] for run in runs] == [9.5, 2.2, 1.2]


SILENT = """
import pathlib, time
pathlib.Path("pid").touch()
time.sleep(1000)
"""


def test_sigterm_ends_an_agent_whose_program_logs_nothing(tmp_path: Path) -> None:
    own = ScriptSweep(tmp_path, SILENT)
    own.create()
    impatient(own)
    with ended(own.start_agent()) as agent:
        wait_for((tmp_path / "pid").exists)
        agent.terminate()
        wait_for(lambda: agent.poll() is not None)
    assert agent.returncode == INTERRUPTED
    assert own.outcomes() == []


RESUMING = """
import os, pathlib, time
import wandb
checkpoint = pathlib.Path(os.environ["GCODEFP_RUN_DIR"], "epoch")
done = int(checkpoint.read_text()) if checkpoint.exists() else 0
pathlib.Path("pids").open("a").write(f"{os.getpid()} {done}\\n")
with wandb.init(resume="allow") as run:
    for epoch in range(done, 8):
        run.log({"score": epoch, "epoch": epoch})
        time.sleep(0.4)
        checkpoint.with_name("new").write_text(str(epoch + 1))
        checkpoint.with_name("new").replace(checkpoint)
pathlib.Path("pids").open("a").write(f"{os.getpid()} end\\n")
"""


@pytest.mark.parametrize("resumes", [True, False])
def test_kill_of_an_agent_ends_its_script_and_another_goes_on(
    tmp_path: Path, resumes: bool
) -> None:
    script = RESUMING if resumes else RESUMING.replace("checkpoint.exists()", "False")
    own = ScriptSweep(tmp_path, script, parameters={"x": {"value": 1}})
    own.create()
    with ended(own.start_agent()) as agent:
        [metrics] = wait_for(lambda: list(own.runs.glob("0000/generation.*/metrics.csv")))
        wait_for(lambda: len(metrics.read_text(encoding="utf-8").splitlines()) >= 4)
        pid = int((tmp_path / "pids").read_text(encoding="utf-8").split()[0])
        process = psutil.Process(pid)
        os.kill(agent.pid, signal.SIGKILL)
        agent.wait()
        wait_for(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    own.work()
    [first, second, end] = (tmp_path / "pids").read_text(encoding="utf-8").splitlines()
    assert first == f"{pid} 0"
    new_pid, done = map(int, second.split())
    assert end == f"{new_pid} end"
    assert (2 <= done < 8) if resumes else done == 0
    [run] = own.outcomes()
    assert (run["state"], run["epochs"], run["best_value"]) == ("finished", 8, 7)
    assert [row["score"] for row in own.metrics(0)] == list(range(8))
    assert (own.runs / "0000/program/epoch").read_text(encoding="utf-8") == "8"
    assert not list(own.runs.glob("0000/generation.*"))
