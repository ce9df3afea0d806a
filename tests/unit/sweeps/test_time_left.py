"""The time that a sweep still takes."""

from collections.abc import Sequence

import pytest
from sweep_documents import specification

from gcodefp.sweeps.sweep_status import RunStatus, SweepStatus, sweep_seconds


def run(state: str, epochs: int, seconds: float | None, max_epochs: int = 20) -> RunStatus:
    over = state in ("finished", "failed")
    return RunStatus(0, state, over, None, max_epochs, (0.5,) * epochs, None, seconds)


@pytest.mark.parametrize(
    ("runs", "agents", "seconds"), [([], 2, 0), ([7], 3, 7), ([5, 5, 2], 2, 6), ([9, 1], 2, 9)]
)
def test_agents_share_the_runs_but_not_one_run(
    runs: Sequence[float], agents: int, seconds: float
) -> None:
    assert sweep_seconds(runs, agents) == seconds


ENDED = [run("finished", 20, 100.0), run("finished", 20, 120.0), run("failed", 1, 5.0)]
RUNNING = [run("running", 5, 50.0), run("running", 0, None)]


@pytest.mark.parametrize(
    ("runs", "to_start", "seconds"),
    [
        # A new run takes 110 s; one agent has 15 epochs of 10 s left, the other has just started.
        ([*ENDED, *RUNNING], 0, 150),
        ([*ENDED, *RUNNING, run("interrupted", 10, 80.0)], 2, (150 + 110 + 80 + 220) / 2),
        # 20 and 40 s a run, of which 16 and 20 s are left; two more take 30 s each.
        ([run("running", 2, 4.0, 10), run("running", 5, 20.0, 10)], 2, (16 + 20 + 2 * 30) / 2),
        # Without an epoch or an agent it is not known.
        ([run("running", 0, None)], 3, None),
        ([run("finished", 20, 60.0), run("interrupted", 1, 3.0)], 0, None),
        # Nothing is left; a run beyond its last epoch is about to end.
        ([run("finished", 20, 60.0)], 0, 0),
        ([], 0, 0),
        ([run("running", 12, 24.0, 10)], 0, 0),
    ],
)
def test_time_left(runs: Sequence[RunStatus], to_start: int, seconds: float | None) -> None:
    objective = specification().objective
    status = SweepStatus("id", "random", objective, len(runs), (*runs,), to_start, None, ())
    assert status.seconds_left() == seconds
