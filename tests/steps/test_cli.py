"""The console script `gcodefp`."""

import subprocess
import sys
from importlib import metadata

import pytest

from gcodefp.cli import main


def test_help_lists_every_step_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, gcodefp.cli as c; c.main(['-h']); print({'torch', 'wandb'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    for step in ("preprocess", "create_sweep", "agent", "evaluate", "status"):
        assert f"\n  {step} " in done.stdout
    assert "gcodefp sweep FILE" in done.stdout
    assert "command_line" not in done.stdout


def test_steps_are_called_and_unknown_ones_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gcodefp {metadata.version('gcodefp')}\n"
    assert main(["stats"]) == 2
    assert "'stats' is no step; did you mean 'status'?" in capsys.readouterr().err
    assert main(["check_sweep", "workflow/sweeps/random.yaml"]) == 0
    assert capsys.readouterr().out.startswith("method ")
    assert main(["agent", "none", "--runs", "no/such"]) == 1
    assert "no/such/none/sweep.json: no such sweep" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sweep", "-h"])
    assert "--run-cap" in capsys.readouterr().out
