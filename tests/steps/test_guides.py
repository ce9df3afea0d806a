"""Every sweep that the guides show runs here, as it stands or after what --fix does to it.

It also runs end to end with a program of its user: the first guide's by `gcodefp sweep` and
`gcodefp agent`, the second's by `sweep` and `agent` in Python, in place of W&B's.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweep_documents import GUIDES, WHERE, guide
from user_scripts import ScriptSweep

from gcodefp import cli
from gcodefp.errors import UserError
from gcodefp.sweeps.check import problems
from gcodefp.sweeps.fixes import apply_fixes
from gcodefp.sweeps.run_folder import run_folders
from gcodefp.sweeps.specification import Specification, read_specification
from gcodefp.sweeps.trainable import check_trainable

SWEEPS = {"000": 5, "002": 10}
"""Guide -> how many sweeps it shows with a method and parameters."""
CUT_OFF = {"000": 1, "002": 2}
"""Those whose parameters it leaves out (`...`)."""
CASES = [(number, ordinal) for number, count in SWEEPS.items() for ordinal in range(count)]

AS_THEY_STAND = {("000", 0), ("000", 3), ("002", 2)}
OTHER_TRAINERS: dict[tuple[str, int], set[str]] = {
    ("002", 5): {"model.type", "model.size", "optimizer.type"},
    ("002", 7): {"architecture", "pretrained", "mixup_alpha", "cutmix_alpha"},
    ("002", 8): {"model_name", "warmup_ratio", "adam_beta1", "adam_beta2"},
}
"""Sweeps of other trainers -> the hyperparameters that ours does not have."""
OTHER_METRICS = {("002", ordinal) for ordinal in (0, 1, 5, 7, 8)}


def shown(number: str) -> Iterator[tuple[str, bool]]:
    """The YAML text of each sweep, and whether its parameters are there."""
    for language, block in re.findall(r"```(yaml|python)\n(.*?)```", guide(number), re.DOTALL):
        if language == "yaml":
            document = yaml.safe_load(block)
            if isinstance(document, dict) and {"method", "parameters"} <= set(document):
                yield block, document["parameters"] is not None
            continue
        try:
            tree = ast.parse(block)
        except SyntaxError:  # Entries of `parameters` alone; test_entries reads them.
            assert "'method'" not in block
            continue
        for node in ast.walk(tree):
            keys = node.keys if isinstance(node, ast.Dict) else []
            if {"method", "parameters"} <= {getattr(key, "value", None) for key in keys}:
                config = ast.literal_eval(node)
                whole = isinstance(config["parameters"], dict)  # {...} is a set
                yield yaml.safe_dump(config, sort_keys=False) if whole else "", whole


def sweeps(number: str) -> list[str]:
    return [text for text, whole in shown(number) if whole]


def read(text: str) -> Specification:
    return read_specification(yaml.safe_load(text), WHERE)


@pytest.mark.parametrize("number", SWEEPS)
def test_every_sweep_is_read(number: str) -> None:
    blocks = list(shown(number))
    assert len(sweeps(number)) == SWEEPS[number]
    assert len(blocks) == SWEEPS[number] + CUT_OFF[number]
    # By another way: every method that is written down in a block is one of them.
    methods = re.findall(r"^\s*'?method'?: ", guide(number), re.MULTILINE)
    without_parameters = guide(number).count("method: grid  # Exhaustive search (no duplicates)")
    assert len(methods) == len(blocks) + without_parameters


def test_both_guides_are_read() -> None:
    if GUIDES.exists():
        assert {path.name[:3] for path in GUIDES.glob("*.txt")} == set(SWEEPS)


@pytest.mark.parametrize(("number", "ordinal"), CASES)
def test_it_is_understood_as_it_stands_or_after_the_fix_that_is_offered(
    number: str, ordinal: int
) -> None:
    text = sweeps(number)[ordinal]
    changed, _, fixes = apply_fixes(text, WHERE)
    messages = problems(yaml.safe_load(text), WHERE)
    if (number, ordinal) in AS_THEY_STAND:
        assert not fixes
        assert not messages
    else:
        assert messages
        with pytest.raises(UserError):
            check_trainable(read(text), WHERE)
        # The readers' own messages hold what the fixes write.
        for fix in fixes:
            new = fix.new["name"] if isinstance(fix.new, dict) else fix.new
            assert any(str(new) in message for message in messages), fix.describe()
    assert read(changed).parameters


@pytest.mark.parametrize(("number", "ordinal"), CASES)
def test_trainer_takes_it_or_names_what_is_not_its_own(number: str, ordinal: int) -> None:
    text = apply_fixes(sweeps(number)[ordinal], WHERE)[0]
    specification = read(text)
    messages = problems(yaml.safe_load(text), WHERE)
    if not messages:
        check_trainable(specification, WHERE)
    names = {
        re.sub(r"^.*?: parameters\.|: no such hyper.*", "", message).replace(".parameters.", ".")
        for message in messages
        if "not logged by the trainer" not in message
    }
    assert names == OTHER_TRAINERS.get((number, ordinal), set())
    assert len(messages) - len(names) == ((number, ordinal) in OTHER_METRICS)


@pytest.mark.parametrize(("number", "count"), [("002", 16)])
def test_entries_that_stand_alone_are_understood(number: str, count: int) -> None:
    """The innermost dicts of the blocks that are no whole sweep, after the fix."""
    entries = 0
    for block in re.findall(r"```python\n(.*?)```", guide(number), re.DOTALL):
        if "'method'" in block:
            continue
        for name, body in re.findall(r"'(\w+)': (\{[^{}]*\})", block):
            entries += 1
            sweep = {"method": "random", "parameters": {name: ast.literal_eval(body)}}
            assert read(apply_fixes(yaml.safe_dump(sweep), WHERE)[0]).parameters
    assert entries == count


SCRIPT = """\
import sys
import wandb
values = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
run = wandb.init(project="gcode-fingerprinting")
assert values.keys() == dict(run.config).keys(), "as arguments and in wandb.config"
rate = run.config["learning_rate"]
for epoch in range(3):
    wandb.log({"val/gcode_acc": 1 / (1 + abs(rate - 0.001) + 1 / (epoch + 1))})
"""
"""Stands in for the first guide's scripts/train_multihead.py."""
PROGRAM = "scripts/train_multihead.py"
METRIC = {"name": "val/gcode_acc", "goal": "maximize"}
ENDED = 2


class FirstGuide:
    """Its user's folder: a script, the YAML, and the commands in place of W&B's."""

    def __init__(self, folder: Path, monkeypatch: Any, capsys: Any) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        Path("scripts").mkdir()
        Path(PROGRAM).write_text(SCRIPT)
        self._capsys = capsys

    def create(self, document: dict[str, Any]) -> tuple[str, str]:
        """The sweep's id, if there is one, and the log."""
        Path("sweep.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        code = cli.main(["sweep", "sweep.yaml", "--run-cap", str(ENDED)])
        output = self._capsys.readouterr()
        assert (code == 0) == bool(output.out.strip())
        return (output.out.split() or [""])[0], output.err


@pytest.fixture
def first_guide(tmp_path: Path, monkeypatch: Any, capsys: Any) -> FirstGuide:
    return FirstGuide(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("ordinal", range(SWEEPS["000"]))
def test_first_guide_runs_end_to_end_by_commands(ordinal: int, first_guide: FirstGuide) -> None:
    text = sweeps("000")[ordinal]
    own = {"program": PROGRAM, "metric": METRIC}
    if "max_runs" in text:
        assert "write run_cap:" in first_guide.create(yaml.safe_load(text) | own)[1]
    document = yaml.safe_load(apply_fixes(text, WHERE)[0])
    if "metric" not in yaml.safe_load(text):
        document.pop("metric", None)
        sweep_id, log = first_guide.create(document | {"program": PROGRAM})
        assert not sweep_id
        assert "metric" in log
    sweep_id, _ = first_guide.create(document | own)
    assert cli.main(["agent", sweep_id]) == 0
    folder = Path("results/runs", sweep_id)
    outcomes = [run.read_outcome() or {} for run in run_folders(folder)]
    assert [run["state"] for run in outcomes] == ["finished"] * ENDED
    assert all(run["hyperparameters"].keys() == document["parameters"].keys() for run in outcomes)
    assert len(run_folders(folder)[0].metrics()) == 3


def test_script_that_is_not_there_is_refused_with_both_ways_out(first_guide: FirstGuide) -> None:
    Path(PROGRAM).unlink()
    sweep_id, log = first_guide.create(yaml.safe_load(sweeps("000")[0]))
    assert not sweep_id
    for part in (f"program: '{PROGRAM}': no such file", "create the script", "remove the key"):
        assert part in log


BASIC = {"hidden_size": 8, "num_layers": 2, "dropout": 0.1, "optimizer": "adam",
         "learning_rate": 0.01, "weight_decay": 0.001, "batch_size": 16, "epochs": 3}  # fmt: skip
"""What the second guide's basic template reads of wandb.config."""
DRIVER = """\
import json, sys
import wandb
from gcodefp.errors import UserError
from gcodefp.sweeps import agent, sweep
from guide_stand_ins import *
{template}
template = train

def logs_metric():
    run = wandb.init()
    for step in range(3):
        wandb.log({{metric: step + len(dict(run.config)), "train/loss": 1.0}})

for number, (shown, config) in enumerate(json.load(open("configs.json"))):
    try:
        sweep(shown, project="my-project", run_cap=2, runs=f"refused/{{number}}")
    except UserError as error:
        print(json.dumps([number, str(error)]))
    metric = config["metric"]["name"]
    function = template if metric in ("val/loss", "val/accuracy") else logs_metric
    if "model" in config["parameters"]:
        function = logs_metric
    sweep_id = sweep(config, project="my-project", run_cap=2, runs=f"runs/{{number}}")
    agent(sweep_id, function=function, count=2, runs=f"runs/{{number}}")
"""


def runnable(text: str) -> dict[str, Any]:
    """A sweep as the messages want it, with all that the template reads of wandb.config."""
    config = yaml.safe_load(apply_fixes(text.replace("epochs:", "number_of_epochs:"), WHERE)[0])
    config["parameters"].pop("number_of_epochs", None)
    if "metric" not in yaml.safe_load(text):
        config["metric"] = {"name": "val/loss", "goal": "minimize"}
    if "model" not in config["parameters"]:
        fixed = {name: {"value": value} for name, value in BASIC.items()}
        config["parameters"] = fixed | config["parameters"]
    return dict(config)


@pytest.fixture(scope="module")
def second_guide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """Folder of all its sweeps after one user's process; number -> why it was refused at first."""
    folder = tmp_path_factory.mktemp("guide")
    template = guide("002").partition("### Basic Template")[2].partition("```python\n")[2]
    configs = [[yaml.safe_load(text), runnable(text)] for text in sweeps("002")]
    (folder / "configs.json").write_text(json.dumps(configs))
    (folder / "user.py").write_text(DRIVER.format(template=template.partition("```")[0]))
    support = str(Path(__file__).parents[1] / "support")
    environment = ScriptSweep(folder, None).environment()
    environment["PYTHONPATH"] += f":{support}"
    finished = subprocess.run(
        [sys.executable, "user.py"], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=500,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    lines = [line for line in finished.stdout.splitlines() if line.startswith("[")]
    return folder, dict(map(json.loads, lines))


@pytest.mark.parametrize("ordinal", range(SWEEPS["002"]))
def test_second_guide_runs_end_to_end_in_python(
    second_guide: tuple[Path, dict[int, str]], ordinal: int
) -> None:
    folder, refused = second_guide
    document = yaml.safe_load(sweeps("002")[ordinal])
    parameters = read(yaml.safe_dump(runnable(sweeps("002")[ordinal]))).parameters
    reasons = ["metric"] if "metric" not in document else []
    reasons += ["log_uniform_values"] if "log_uniform\n" in sweeps("002")[ordinal] else []
    assert (ordinal in refused) == bool(reasons)
    if ordinal in refused:
        assert any(reason in refused[ordinal] for reason in reasons)
    paths = sorted((folder / f"runs/{ordinal}").glob("*/[0-9]*/run.json"))
    outcomes = [json.loads(path.read_text()) for path in paths]
    assert [run["state"] for run in outcomes] == ["finished"] * ENDED, outcomes
    assert all(run["best_value"] is not None for run in outcomes)
    for run in outcomes:
        names = {".".join(path.split("/")) for path in parameters}
        assert names == run["hyperparameters"].keys()
