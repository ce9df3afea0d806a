"""Commands of a cluster or a driver that say what a test wants; no other command is found."""

from pathlib import Path

import pytest


class Commands:
    """A PATH of its own, and the command lines that were run there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "commands"
        self._folder.mkdir()
        self._calls = folder / "calls.txt"
        self._calls.touch()
        monkeypatch.setenv("PATH", str(self._folder))

    def add(self, name: str, script: str) -> None:
        """A command that runs this script of `sh`, with nothing but its built-in commands."""
        path = self._folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self._calls}"\n{script}\n')
        path.chmod(0o700)

    def calls(self) -> list[str]:
        return self._calls.read_text(encoding="utf-8").splitlines()
