"""Every command that the README and docs/ show exists, with its flags."""

import importlib
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from gcodefp.cli import RUN, module_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:python -m gcodefp\.|gcodefp |make |snakemake )[^`]+)`")
HYPERPARAMETERS = "gcodefp.train"
"""Takes flags that its help does not list one by one."""


def shown_commands() -> list[tuple[str, list[str]]]:
    """Page and words of each command, comments and continued lines taken care of."""
    shown = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = "\n".join(FENCED.findall(text)).replace("\\\n", " ").splitlines()
        for line in (*lines, *INLINE.findall(text)):
            for part in re.split(r"&&|\|", line):
                shown.append((page.name, shlex.split(part, comments=True)))
    return [(page, words) for page, words in shown if words]


def commands() -> list[tuple[str, str, frozenset[str]]]:
    """Page, module and flags of each `python -m gcodefp.MODULE` and `gcodefp COMMAND`."""
    shown = []
    for page, words in shown_commands():
        modules = [word for word in words if re.fullmatch(r"gcodefp\.[a-z_]+", word)]
        words = words[words[0] == "$" :]
        is_command = words[0] == "gcodefp" and re.fullmatch("[a-z][a-z-]+", words[1])
        if is_command and words[1] != RUN:
            modules = [f"gcodefp.{module_of(words[1])}"]
        if modules and ("-m" in words or is_command):
            flags = {word.split("=")[0] for word in words if word.startswith("--")}
            shown.append((page, modules[0], frozenset(flags)))
    return list(dict.fromkeys(shown))


@pytest.mark.parametrize(("page", "module", "flags"), commands())
def test_commands_have_the_flags_that_are_shown(
    page: str, module: str, flags: frozenset[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(module).main(["--help"])
    assert ended.value.code == 0
    accepted = set(re.findall(r"--[a-zA-Z][\w-]*", capsys.readouterr().out))
    unknown = flags - accepted
    assert module == HYPERPARAMETERS or not unknown, f"{page}: {module} has no {sorted(unknown)}"


def test_each_rule_has_a_text_of_its_own() -> None:
    """`snakemake --list` shows it; `use rule` would inherit one that is not true of its rule."""
    rules = ROOT.glob("workflow/rules/*.smk"), [ROOT / "Snakefile"]
    text = "\n".join(path.read_text() for paths in rules for path in paths)
    named = re.findall(r"^(?:use )?rule .*:\n", text, re.MULTILINE)
    texts = re.findall(r'^(?:use )?rule .*:\n    """(.*)"""\n', text, re.MULTILINE)
    assert len(named) == len(texts) == len(set(texts))


def test_make_and_snakemake_know_the_targets_that_are_shown() -> None:
    rules = set(
        re.findall(
            r"^(?:rule|use rule \w+ as) (\w+)",
            "\n".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk")),
            re.MULTILINE,
        )
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {(p, w) for p, words in shown_commands() if words[0] == "make" for w in words[1:]}
    unknown = {(p, w) for p, w in made if re.fullmatch(r"[a-z-]+", w) and w not in targets}
    forced = {
        (page, words[index + 1])
        for page, words in shown_commands()
        for index, word in enumerate(words[:-1])
        if words[0] == "snakemake" and word in ("-R", "--forcerun", "all")
    }
    named = {(p, w) for p, w in forced if re.fullmatch(r"[a-z_]+", w)}
    assert made
    assert named
    assert not unknown | {(p, w) for p, w in named if w not in rules}


def test_the_installation_says_before_each_long_step_what_it_takes() -> None:
    command = ["make", "--dry-run", "--always-make", "setup"]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pairs = list(pairwise(lines.splitlines()))
    long = [before for before, line in pairs if line.endswith(".lock")]
    assert len(long) == 2
    assert all(re.match(r"echo '.* GB on disk.* minute", line) for line in long)
