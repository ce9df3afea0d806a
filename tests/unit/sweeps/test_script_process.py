"""The command line of a user script is the one that W&B's SDK makes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wandb.sdk.launch.sweeps import utils

from gcodefp.errors import UserError
from gcodefp.sweeps.user_script.command import MACROS, UserScript, read_script
from gcodefp.sweeps.user_script.process import command_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
PARTS = [f"${{{name}}}" for name in MACROS] + [
    "${envvar:HOME}", "--out=${envvar:HOME}/${envvar:NOT_SET_1}",
    "${envvar:NOT_SET_1}", "-m", "a b",
    "'$x'",
]  # fmt: skip


def of_sdk(command: list[str], hyperparameters: dict[str, Any], json_file: str) -> list[str]:
    """As wandb_agent.Agent._command_run puts it together."""
    command = utils.create_sweep_command(copy.copy(command))
    arguments = {"args": {name: {"value": value} for name, value in hyperparameters.items()}}
    replaced = utils.create_sweep_command_args(arguments)
    replaced |= {"interpreter": ["python"], "program": ["fit.py"], "env": ["/usr/bin/env"]}
    replaced["args_json_file"] = [json_file]
    line: list[str] = []
    for part in command:
        is_macro = part.startswith("${") and part.endswith("}")
        line += (replaced.get(part[2:-1]) or []) if is_macro else [part]
    return line


@given(
    command=st.lists(st.sampled_from(PARTS), min_size=1, max_size=6),
    hyperparameters=st.dictionaries(st.text(min_size=1), VALUES, max_size=4),
)
def test_every_macro_is_replaced_as_by_the_sdk(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], hyperparameters: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "config.json"
    path.unlink(missing_ok=True)
    line = command_line(UserScript("fit.py", tuple(command)), hyperparameters, path)
    assert line == of_sdk(command, hyperparameters, str(path))
    assert path.exists() == ("${args_json_file}" in command)
    if path.exists():
        assert path.read_text(encoding="utf-8") == json.dumps(hyperparameters)


def test_default_command_is_that_of_the_sdk(tmp_path: Path) -> None:
    script = tmp_path / "fit.py"
    script.touch()
    script_read = read_script({"program": str(script)}, "s.yaml")
    assert script_read is not None
    assert list(script_read.command) == utils.DEFAULT_SWEEP_COMMAND


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"program": 3}, "program: 3 is not the path of a script"),
        ({"program": "none.py"}, "program: 'none.py': no such file in"),
        ({"command": "python a.py"}, "command: 'python a.py' is not a list"),
        ({"command": ["a", True]}, "command\\[1\\]: True is not a string"),
        ({"command": ["${argz}"]}, "command\\[0\\]: '\\${argz}' is no macro of W&B"),
        ({"command": ["${program}"]}, "command: has \\${program}, but the key program is missing"),
    ],
)
def test_what_cannot_be_run_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"^s.yaml: {message}"):
        read_script(document, "s.yaml")


@pytest.mark.parametrize("program", [None, "gcodefp/train.py", "./gcodefp/train.py"])
def test_trainer_of_this_project_is_no_user_script(program: str | None) -> None:
    assert read_script({"program": program} if program else {}, "s.yaml") is None
