"""GPUs of a workstation, claimed by agents; which GPU it is needs none to be there."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gcodefp.placement.gpu import own_gpu, visible_gpu

HOLDER = """
import sys
from gcodefp.placement.gpu import own_gpu, visible_gpu
with own_gpu("auto"):
    print(visible_gpu(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


class Holder:
    """Another process with a GPU."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.gpu = self._process.stdout.readline().strip()

    def __enter__(self) -> "Holder":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def test_agents_share_gpus_evenly_and_a_killed_one_gives_its_own_back() -> None:
    with Holder() as first, Holder() as second, Holder() as third, Holder() as fourth:
        assert sorted([first.gpu, second.gpu]) == ["0", "1"]
        assert sorted([third.gpu, fourth.gpu]) == ["0", "1"]
        second.kill()
        with Holder() as fifth:
            assert fifth.gpu == second.gpu


def test_one_of_the_named_gpus_is_taken_and_the_name_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5f/a")
    with own_gpu("cuda"):
        assert visible_gpu() == "3"
        with own_gpu("cuda"):  # The only one that is seen by now.
            assert visible_gpu() == "3"
    assert visible_gpu() == "3, GPU-5f/a"


@pytest.mark.parametrize(("named", "device"), [("1", "auto"), ("", "auto"), ("0,1", "cpu")])
def test_nothing_changes_without_a_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, device: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    with own_gpu(device):
        assert visible_gpu() == named
    assert not list(tmp_path.iterdir())


def test_without_gpus_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    with own_gpu("auto"):
        assert visible_gpu() is None
