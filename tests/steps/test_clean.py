"""What `clean` deletes of sweeps that were trained for real, and what it leaves alone."""

import json
import os
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from finished_results import finish
from small_disk import small_disk
from tiny_sweep import TinySweep
from waiting import ended, wait_for

from gcodefp import agent, clean, select_best, verify
from gcodefp.clean import find_references
from gcodefp.errors import UserError
from gcodefp.sweeps.lease import LeaseWatch, acquire
from gcodefp.sweeps.run_folder import run_folder, run_folders
from gcodefp.sweeps.sweep_file import read_sweep

Output = pytest.CaptureFixture[str]
ENDLESS = {"max_epochs": {"value": 10**6}}
MONTH_SECONDS = 30 * 86_400


class OldSweep(TinySweep):
    """A sweep whose runs lie beside those of the results, and which nothing there refers to."""

    @property
    def runs(self) -> Path:
        return self.dataset.parent / "runs" / read_sweep(self.folder / "sweep.json").sweep_id

    def flags(self, *more: object) -> list[str]:
        flags = super().flags(*more)
        flags[flags.index("--runs") + 1] = str(self.dataset.parent / "runs")
        return flags


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished results, and a sweep of an earlier day that was logged to W&B."""
    results = finish(tmp_path_factory.mktemp("finished"))
    old = OldSweep(results / "dataset", results.parent / "old")
    assert old.create(parameters={"learning_rate": {"values": [0.003, 0.03]}}) == 0
    assert old.work("--wandb-project", "tests") == 0
    make_old(results / "runs")
    return results


@pytest.fixture
def results(finished: Path, tmp_path: Path) -> Path:
    """A copy to be cleaned."""
    return Path(shutil.copytree(finished, tmp_path / "results", symlinks=True))


def old_sweep(finished: Path, results: Path) -> OldSweep:
    return OldSweep(results / "dataset", finished.parent / "old")


def make_old(folder: Path) -> None:
    then = time.time() - MONTH_SECONDS
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (then, then), follow_symlinks=False)


def cleaned(results: Path, *flags: str) -> int:
    return clean.main([str(results), *flags])


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def names(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


def test_only_what_is_synced_goes_and_the_results_still_hold(
    finished: Path, results: Path, capsys: Output
) -> None:
    old, before = old_sweep(finished, results), contents(results)
    synced, waiting = sorted(old.runs.iterdir())
    (log,) = (synced / "wandb").glob("offline-run-*")
    (marked,) = log.glob("*.wandb")
    marked.with_name(f"{marked.name}.synced").touch()
    (synced / "outputs").mkdir()
    (synced / "outputs/scores.npy").write_bytes(bytes(5 << 20))
    (synced / "checkpoint.pt").chmod(0o400)
    make_old(old.runs)
    capsys.readouterr()
    assert cleaned(results) == 0
    shown = capsys.readouterr().out
    best = json.loads((results / "best/run.json").read_text(encoding="utf-8"))["sweeps"][0]
    (row,) = [line for line in shown.splitlines() if line.startswith(f"{old.runs.name} ")]
    assert "30 days" in row or "a month" in row
    assert " 5." in row
    assert f"{best} stays: " in shown
    assert f"{old.runs.name} stays" not in shown
    assert "Nothing is deleted yet: --yes deletes 5." in shown
    assert before.items() <= contents(results).items()
    assert cleaned(results, "--yes") == 0
    records = {"hyperparameters.json", "metrics.csv", "work.csv", "system.csv", "run.json"}
    assert names(synced) == {*records, "wandb"}
    assert list((synced / "wandb").glob("offline-run-*")) == []
    assert names(waiting) == {*records, "checkpoint.pt", "wandb"}, "its upload needs it"
    after = contents(results)
    assert after.items() <= before.items()
    assert {path.name for path in before.keys() - after.keys() if log.name not in str(path)} == {
        "checkpoint.pt"
    }
    assert cleaned(results, "--yes", "--unsynced") == 0
    assert names(waiting) == {*records, "wandb"}
    assert verify.main([str(results), "--device", "cpu"]) == 0


def test_agent_and_select_best_of_a_cleaned_sweep(
    finished: Path, results: Path, tmp_path: Path, capsys: Output
) -> None:
    old = old_sweep(finished, results)
    assert cleaned(results, "--yes", "--unsynced") == 0
    before = contents(results)
    assert agent.main(old.flags()) == 0
    assert contents(results) == before, "no run is trained again"
    capsys.readouterr()
    assert select_best.main(old.flags("--output", tmp_path / "best")) == 1
    message = capsys.readouterr().err
    assert "gcodefp.clean may have deleted it: remove the run's folder" in message
    for run in run_folders(old.runs):
        shutil.rmtree(run.path)
    assert agent.main(old.flags()) == 0
    assert select_best.main(old.flags("--output", tmp_path / "best")) == 0


def test_sweep_at_work_stays_and_a_killed_one_begins_again(
    finished: Path, results: Path, tmp_path: Path, capsys: Output
) -> None:
    sweep = OldSweep(results / "dataset", tmp_path / "endless")
    assert sweep.create(parameters=ENDLESS) == 0
    run = run_folder(sweep.runs, 0)
    flags = ["--older-than", "0m", "--yes"]
    with ended(sweep.start()) as process:
        wait_for(lambda: len(run.metrics()) >= 2)
        assert cleaned(results, *flags) == 0
        assert "stays: an agent works on run 0000" in capsys.readouterr().out
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (run.files / "last.pt").exists()
    done = len(run.metrics())
    assert cleaned(results, "--yes") == 0
    assert (run.files / "last.pt").exists(), "it is too new"
    assert cleaned(results, *flags) == 0
    assert not (run.files / "last.pt").exists()
    assert len(run.metrics()) == done
    with ended(sweep.start()):
        wait_for(lambda: len(run.metrics()) > done)
    assert run.history("epoch") == list(range(1, len(run.metrics()) + 1))
    assert (run.assigned() or {})["hyperparameters"]["max_epochs"] == 10**6


def test_links_are_not_followed(finished: Path, results: Path, tmp_path: Path) -> None:
    old, outside = old_sweep(finished, results), tmp_path / "outside"
    for name in ("0007", "sweep/0000"):
        shutil.copytree(old.runs / "0000", outside / name)
    before = contents(outside)
    (old.runs / "0007").symlink_to(outside / "0007")
    (results / "runs/linked").symlink_to(outside / "sweep")
    (old.runs / "0000/data").symlink_to(outside)
    own = old.runs / "0001/own"
    own.mkdir()
    (own / "data").symlink_to(outside)
    make_old(results / "runs")
    assert cleaned(results, "--yes", "--unsynced") == 0
    assert contents(outside) == before
    assert not own.exists()
    assert (old.runs / "0000/data").is_symlink()
    assert not (old.runs / "0000/checkpoint.pt").exists()


def test_path_that_cannot_be_deleted_is_named_and_others_go(
    finished: Path, results: Path, capsys: Output
) -> None:
    old = old_sweep(finished, results)
    with small_disk(old.runs / "0000/busy", 1):
        make_old(results / "runs")
        assert cleaned(results, "--yes", "--unsynced") == 1
        assert (old.runs / "0000/busy").exists()
    message = capsys.readouterr().err
    assert f"{old.runs}/0000/busy" in message
    assert "1 paths stay, named above; all others are gone" in message
    assert not list(old.runs.rglob("checkpoint.pt"))


def test_sweep_on_which_an_agent_starts_meanwhile_stays_whole(
    finished: Path, results: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = old_sweep(finished, results)
    with ExitStack() as agents:
        held = acquire(old.runs / "0002", LeaseWatch())
        monkeypatch.setattr(clean, "_show", lambda _: agents.enter_context(held))
        assert cleaned(results, "--yes", "--unsynced") == 1
    message = capsys.readouterr().err
    assert f"{old.runs} stays whole: an agent works on run 0002" in message
    assert "could not be deleted" not in message
    assert len(list(old.runs.rglob("checkpoint.pt"))) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("best/run.json", {"sweeps": ["other", "abcd1234"]}),
        ("sweep/phase_2/sweep.json", {"id": "abcd1234"}),
        ("protocols/protocols.json", {"winner": {"sweeps": ["abcd1234"]}}),
        ("controls/x/run.json", {"inputs": {"results/runs/abcd1234/0001/checkpoint.pt": "0"}}),
    ],
)
def test_each_document_that_names_a_sweep_keeps_it(
    tmp_path: Path, name: str, content: object
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "runs/abcd1234").mkdir(parents=True)
    (tmp_path / "runs/abcd1234/own.json").write_text('"12345678"', encoding="utf-8")
    sweeps = {"abcd1234", "12345678", "bcd1234"}
    assert find_references(tmp_path, sweeps) == {"abcd1234": f"{name} refers to it"}
    path.write_text(path.read_text(encoding="utf-8")[:-2], encoding="utf-8")
    with pytest.raises(UserError, match=r"is damaged .* may refer to a sweep"):
        find_references(tmp_path, sweeps)
