"""The console script `gcodefp`."""

import fcntl
import importlib
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from user_scripts import ScriptSweep

import gcodefp
from gcodefp import cli, status
from gcodefp.cli import main

SWEEPS = Path(__file__).parents[2] / "workflow/sweeps"


def test_help_imports_nothing_heavy() -> None:
    """Neither that of the command nor that of a module, and no wrong flag."""
    code = """
import contextlib, sys, gcodefp.cli as c
c.main(["-h"])
heavy = {"torch", "scipy", "wandb", "optuna", "matplotlib"}
for module in c.DIRECT:
    for words in (["-h"], ["--no-such-flag"]):
        with contextlib.suppress(SystemExit):
            c.main([module, *words])
            heavy |= {module}
print(heavy & {*sys.modules, *c.DIRECT})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    for command in ("preprocess", "check-sweep", "agent", "evaluate", "status", "sweep"):
        assert f"\n  {command} " in done.stdout
    assert "gcodefp sweep FILE" in done.stdout
    direct, _, others = done.stdout.partition("Called by the pipeline")
    called, _, developers = others.partition("For `make docs`")
    assert "\n  export " in direct
    assert "configuration-reference" in developers
    assert "configuration-reference" not in direct + called
    assert "Exit codes: 0 done;" in done.stdout
    for none in ("command_line", "  cli ", "create-sweep"):
        assert none not in done.stdout.partition("usage:")[0]
    assert done.stderr.count("--no-such-flag: no such flag; known are: ") == len(cli.DIRECT)


@pytest.mark.parametrize("module", cli._modules())
def test_command_line_that_is_checked_early_is_the_one_of_the_module(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli._check_early(module, ["-h"])
    early = capsys.readouterr().out
    assert early.startswith(f"usage: gcodefp {cli._command(module)} ")
    with pytest.raises(SystemExit):
        importlib.import_module(f"gcodefp.{module}").main(["-h"])
    assert capsys.readouterr().out == early


def test_commands_are_called_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gcodefp {metadata.version('gcodefp')}\n"
    assert gcodefp.__version__ == metadata.version("gcodefp")
    for wrong, hint in (("stats", "status"), ("check-swep", "check-sweep"), ("rum", "run")):
        assert main([wrong]) == 2
        assert f"{wrong!r} is no command; did you mean {hint!r}?" in capsys.readouterr().err
    for command in ("check_sweep", "check-sweep"):
        assert main([command, str(SWEEPS / "random.yaml")]) == 0
        assert capsys.readouterr().out.startswith("method ")
    assert main(["agent", "none", "--runs", "no/such"]) == 1
    assert "no/such/none/sweep.json: no such sweep" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "-h"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: gcodefp sweep [-h]")
    assert "[FILE]" in shown.partition("\n\n")[0]
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--checkpiont", "best.pt", "x.csv"])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "gcodefp predict: error: --checkpiont: no such flag; did you mean '--checkpoint'?" in (
        message
    )


@pytest.mark.parametrize(("former", "today"), cli.RENAMED.items())
def test_a_former_name_ends_with_the_one_of_today(former: str, today: str) -> None:
    command = [sys.executable, "-m", f"gcodefp.{former}", "--output", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{former!r} is replaced by: gcodefp {cli._command(today)}, or" in done.stderr
    assert today in cli._modules()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gcodefp che", ["check-sweep"]),
        ("gcodefp predict --checkp", ["--checkpoint"]),
        ("gcodefp predict --device c", ["cpu", "cuda"]),
        ("gcodefp no-such --f", []),
    ],
)
def test_shell_completes_commands_and_flags(line: str, words: list[str], tmp_path: Path) -> None:
    completion = {
        "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "words"),
    }  # fmt: skip
    command = [sys.executable, "-c", "import gcodefp.cli as c; c.main()"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, **completion}, check=True)
    shown = (tmp_path / "words").read_text().split("\013")
    assert [word.strip() for word in shown if word] == words


def test_flags_have_two_spellings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml_file = tmp_path / "sweep.yaml"
    document = {"method": "random", "run_cap": 9, "parameters": {"x": {"min": 0, "max": 9}}}
    document |= {"program": __file__, "metric": {"name": "score"}}
    yaml_file.write_text(yaml.safe_dump(document), encoding="utf-8")
    ids = set()
    for flags in (["--run-cap", "3"], ["--run_cap=3"]):
        assert main(["sweep", str(yaml_file), *flags, "--runs", str(tmp_path / "runs")]) == 0
        ids.add(capsys.readouterr().out.split()[0])
    assert len(ids) == 1
    with pytest.raises(SystemExit):
        main(["train", "--d-model", "x"])
    assert "argument --d_model: invalid int value: 'x'" in capsys.readouterr().err


def test_sweep_is_named_by_its_id_and_results_by_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ScriptSweep(tmp_path, """print('{"score": 1}')""")
    created = own.run("sweep", "sweep.yaml", "--results", "mine").stdout.split()
    own.sweep_id = created[0]
    assert created[-2:] == ["--runs", "mine/runs"]  # How to start agents.
    (tmp_path / "mine.yaml").write_text("results: mine\nagents: {count: 1}\n", encoding="utf-8")
    own.work("--results", "mine")
    assert not (tmp_path / "results").exists()
    for where in (["--results", "mine"], ["--configfile", "mine.yaml"], ["--runs", "mine/runs"]):
        assert main(["status", own.sweep_id, *where]) == 0
        assert "3 of 3 runs are over: 3 finished" in capsys.readouterr().out
    assert main(["select-best", own.sweep_id, "--results", "mine", "--output", "best"]) == 0
    assert (tmp_path / "best/run.json").is_file()
    assert status.main(["--configfile", "mine.yaml"]) == 1
    error = capsys.readouterr().err
    assert "mine/sweep/sweep.json: no such file; it is made by" in error
    assert error.endswith(": snakemake --configfile mine.yaml --cores all create_sweep\n")
    assert main(["status", own.sweep_id]) == 1
    assert "there is none yet" in capsys.readouterr().err
    both = [own.sweep_id, "--sweep", "x.json", "--results", "mine"]
    assert main(["status", *both]) == 1
    assert f"{own.sweep_id} and --sweep: name one sweep" in capsys.readouterr().err
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "mine.yaml").write_text("results: ~/out\n", encoding="utf-8")
    assert status.main(["--configfile", "mine.yaml"]) == 1
    assert str(tmp_path / "home/out/sweep/sweep.json") in capsys.readouterr().err
    (tmp_path / "mine.yaml").write_text("- results\n", encoding="utf-8")
    assert main(["status", "--configfile", "mine.yaml"]) == 1
    assert "mine.yaml: is no configuration with results" in capsys.readouterr().err


def test_run_removes_the_locks_of_a_killed_one_and_waits_for_no_active_one(tmp_path: Path) -> None:
    own = ScriptSweep(tmp_path, "print()")
    (tmp_path / "Snakefile").write_text("rule all:\n    output: 'x'\n    shell: 'touch x'\n")
    for name in ("input", "output"):
        lock = tmp_path / f".snakemake/locks/0.{name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(f"{tmp_path / 'x'}\n")
    with (tmp_path / ".snakemake/make-run.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = own.run("run")
        assert done.returncode == 1
        assert "another one is active in this folder; wait" in done.stderr
        assert "which the configuration's paths (recordings, layout, sweep) then" in done.stderr
    assert not (tmp_path / "x").exists()
    done = own.run("run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x").exists()


def test_run_is_snakemake_in_any_folder_with_a_configuration_of_yours(tmp_path: Path) -> None:
    own = ScriptSweep(tmp_path, "print()")

    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        return own.run("run", "--dry-run", *flags)

    done = run("--config", "sweep={run_cap: 7, conditions: {a: b > 1}}", "agents={count: 1}", "-p")
    assert done.returncode == 0, done.stderr  # With the shipped sweep.
    assert "--run-cap 7" in done.stdout + done.stderr
    done = run("--config", "sweep={run_cap: many}")
    assert "--config: sweep.run_cap: 'many': has to be a valid integer" in done.stdout
    (tmp_path / "config.yaml").write_text("sweep: {file: sweep.yaml}\n", encoding="utf-8")
    done = run("--quiet", "rules")
    assert done.returncode == 0, done.stderr
    mine = "results: mine\nagents: {count: 3}\n"
    (tmp_path / "mine.yaml").write_text(mine, encoding="utf-8")
    spellings = (
        ("--cores", "1", "--configfile", "mine.yaml"),
        ("--cores", "1", "--configfile=mine.yaml"),
        ("--configfile=mine.yaml", "--", "select_best"),
    )
    for flags in spellings:
        done = run(*flags)
        assert done.returncode == 0, done.stderr
        shown = done.stdout + done.stderr
        assert "mine/best/run.json" in shown
        assert "fit.py" in shown
        assert "agent               3" in shown
    (tmp_path / "mine.yaml").write_text("recordings: {folder: nowhere}\n", encoding="utf-8")
    shown = run("--configfile", "mine.yaml").stdout
    assert "mine.yaml: recordings.folder: nowhere: no such folder" in shown
    assert run("--no-such-flag").returncode == 2
