"""What the scheduler sees of run folders, and what it assigns."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_documents import specification
from trivial_runs import METRIC, write_run

from gcodefp.sweeps import scheduler as module
from gcodefp.sweeps.run_folder import run_folder
from gcodefp.sweeps.sampling import ConfigurationSequence, Proposal
from gcodefp.sweeps.scheduler import Scheduler, SweepHistory
from gcodefp.sweeps.search_options import SearchOptions
from gcodefp.sweeps.specification import Observation

RUNS: Sequence[tuple[str | None, Sequence[float]]] = (
    ("finished", (0.5, 0.6, 0.55)),
    ("failed", (0.3, 0.1, 0.2, math.nan)),
    ("failed", ()),
    (None, (0.45, 0.4)),
    (None, ()),
    ("stopped", (0.35,)),
)
"""State and accuracies of the runs 0 to 5; the worst of those that ended is 0.1."""
ALL = range(len(RUNS))
BAYES = specification(method="bayes")


@pytest.mark.parametrize(
    ("numbers", "visible", "metric", "expected"),
    [
        # Run 1 failed with values of its own; run 2 has none and is as bad as the worst.
        ((1, 2), ALL, {"impute": "worst"}, [-0.1, -0.1]),
        ((1, 2), ALL, {"impute": "best"}, [-0.3, -0.1]),
        ((1, 2), ALL, {"impute": "latest"}, [-0.2, -0.1]),
        ((1, 2), ALL, {"goal": "minimize"}, [0.6, 0.6]),
        ((1, 3), ALL, {"goal": "minimize", "impute": "best"}, [0.1, None]),
        # Runs 3 and 4 are open.
        ((3, 4), ALL, {}, [None, None]),
        ((3, 4), ALL, {"impute_while_running": "false"}, [None, None]),
        ((3, 4), ALL, {"impute_while_running": "worst"}, [-0.1, -0.1]),
        ((3, 4), ALL, {"impute_while_running": "best", "impute": "worst"}, [-0.45, -0.1]),
        ((3, 4), ALL, {"impute_while_running": "latest", "impute": "best"}, [-0.4, -0.1]),
        # Runs with a value count with their best one.
        ((0, 5), ALL, {"impute": "latest", "impute_while_running": "worst"}, [-0.6, -0.35]),
        ((0,), ALL, {"goal": "minimize"}, [0.6]),
        # Only visible runs count.
        ((2,), (0, 2), {}, [-0.5]),
        ((2,), (2, 3), {}, [math.inf]),
        ((3,), (2, 3), {"impute_while_running": "worst"}, [None]),
        # A run that is not visible counts as open.
        ((0, 1), (2,), {"impute_while_running": "worst"}, [None, None]),
    ],
)
def test_losses_of_failed_and_open_runs_are_imputed(
    tmp_path: Path,
    numbers: Sequence[int],
    visible: Sequence[int],
    metric: dict[str, str],
    expected: list[float | None],
) -> None:
    for number, (state, values) in enumerate(RUNS):
        write_run(tmp_path, number, state, values)
    named = {"name": METRIC, "goal": "maximize", **metric}
    results = SweepHistory(specification(method="bayes", metric=named), tmp_path)
    assert [results.observation(number, visible).loss for number in numbers] == expected


def test_earlier_assignments_are_predicted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each depends on those before it, and equals what is assigned later."""
    proposed: list[int] = []

    class Counted(ConfigurationSequence):
        def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
            proposed.append(number)
            return super().propose(number, others)

    monkeypatch.setattr(module, "ConfigurationSequence", Counted)
    width = 6
    sweep = replace(BAYES, options=SearchOptions(width=width))
    predicted = Scheduler(sweep, 3, tmp_path).assign(run_folder(tmp_path, width - 1))
    assert sorted(proposed) == list(range(width))
    in_order, folder = Scheduler(sweep, 3, tmp_path / "other"), tmp_path / "other"
    assigned = [in_order.assign(run_folder(folder, number)) for number in range(width)]
    assert assigned[-1] == predicted


def test_closed_run_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(module.time, "sleep", never)
    with pytest.raises(AssertionError, match="it waits"):
        Scheduler(BAYES, 3, tmp_path).assign(run_folder(tmp_path, 1))
    run_folder(tmp_path, 0).mark_sweep_end("every configuration of the space has been tried")
    assert Scheduler(BAYES, 3, tmp_path).assign(run_folder(tmp_path, 1)) is not None


def test_target_reached_while_an_agent_waits_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run 1 waits for the assignment of run 0, which in the meantime reaches the target."""
    monkeypatch.setattr(module.time, "sleep", lambda _: write_run(tmp_path, 0, "finished", (0.8,)))
    sweep = replace(BAYES, target=0.7)
    assert Scheduler(sweep, 3, tmp_path).assign(run_folder(tmp_path, 1)) is None
    assert run_folder(tmp_path, 1).sweep_end_reason() == "run 0000 has reached the metric's target"


def test_runs_that_wait_for_an_earlier_one_are_assigned_with_it(tmp_path: Path) -> None:
    waiting = [run_folder(tmp_path, number) for number in range(12)]
    for folder in waiting:
        folder.path.mkdir()
        if folder.number < 9:
            write_run(tmp_path, folder.number, "finished", (folder.number / 10,))
    first = Scheduler(BAYES, 3, tmp_path).assign(waiting[9])
    others = [folder.assigned() for folder in waiting[10:]]
    assert len({str(first), *(str(other and other["hyperparameters"]) for other in others)}) == 3
    assert Scheduler(BAYES, 3, tmp_path).assign(waiting[11]) == (others[1] or {})["hyperparameters"]
