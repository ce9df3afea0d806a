"""GPUs of a workstation, locked by agents; no GPU is needed for the tests."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fake_commands import Commands

from gcodefp.cluster.gpus import assign_gpu, visible_gpu, warn_of_time_slices

HOLDER = """
import sys
from gcodefp.cluster.gpus import assign_gpu, visible_gpu
with assign_gpu("auto"):
    print(visible_gpu(), flush=True)
    sys.stdin.read()
"""


DRIVER = """
echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a8f)'
echo '  MIG 1g.5gb     Device  0: (UUID: MIG-1c2d)'
echo 'GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9b3e)'
"""


@pytest.fixture(autouse=True)
def _two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
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


def test_agents_share_gpus_evenly_and_a_killed_one_frees_its_own() -> None:
    with Holder() as first, Holder() as second, Holder() as third, Holder() as fourth:
        assert sorted([first.gpu, second.gpu]) == ["0", "1"]
        assert sorted([third.gpu, fourth.gpu]) == ["0", "1"]
        second.kill()
        with Holder() as fifth:
            assert fifth.gpu == second.gpu


def test_one_of_the_named_gpus_is_taken_and_the_names_are_restored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5f/a")
    with assign_gpu("cuda"):
        assert visible_gpu() == "3"
        with assign_gpu("cuda"):  # Only one is visible now.
            assert visible_gpu() == "3"
    assert visible_gpu() == "3, GPU-5f/a"


@pytest.mark.parametrize(("named", "device"), [("1", "auto"), ("", "auto"), ("0,1", "cpu")])
def test_nothing_changes_without_a_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str, device: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    with assign_gpu(device):
        assert visible_gpu() == named
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("order", [None, "FASTEST_FIRST"])
def test_driver_lists_the_gpus_and_the_environment_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str | None
) -> None:
    commands = Commands(tmp_path, monkeypatch)
    commands.add("nvidia-smi", DRIVER)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if order:
        monkeypatch.setenv("CUDA_DEVICE_ORDER", order)
    before = dict(os.environ)
    with assign_gpu("auto"):
        assert visible_gpu() == "0"
        assert os.environ["CUDA_DEVICE_ORDER"] == (order or "PCI_BUS_ID")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        with assign_gpu("auto"):
            assert visible_gpu() == "1"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert dict(os.environ) == before
    assert commands.calls() == ["nvidia-smi -L"] * 2


@pytest.mark.parametrize(
    "script", [DRIVER + "exit 9", "echo 'GPU 0: Tesla T4 (UUID: GPU-5a8f)'", "", None]
)
def test_without_two_working_gpus_nothing_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None
) -> None:
    commands = Commands(tmp_path, monkeypatch)
    if script is not None:
        commands.add("nvidia-smi", script)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with assign_gpu("auto"):
        assert visible_gpu() is None
        assert "CUDA_DEVICE_ORDER" not in os.environ


def test_trainings_that_take_turns_on_a_gpu_are_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "mps"))
    warn_of_time_slices("cpu", 8)
    warn_of_time_slices("auto", 1)
    assert not caplog.records
    warn_of_time_slices("auto", 8)
    assert "8 trainings share one GPU" in caplog.text
    caplog.clear()
    (tmp_path / "mps").mkdir()
    (tmp_path / "mps/control").touch()
    warn_of_time_slices("cuda", 8)
    assert not caplog.records
