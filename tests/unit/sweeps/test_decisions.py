"""What a run is given depends on what others are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_documents import specification

from gcodefp.sweeps import scheduler as decisions
from gcodefp.sweeps.rules import Rules
from gcodefp.sweeps.run_folder import run_folder
from gcodefp.sweeps.sampling import ConfigurationSequence, Observation
from gcodefp.sweeps.scheduler import Scheduler
from gcodefp.sweeps.space import Proposal
from gcodefp.sweeps.specification import Specification

BAYES = specification(method="bayes")


class Counted(ConfigurationSequence):
    """Notes who is asked about."""

    asked: list[int]

    def __init__(self, specification: Specification, seed: int) -> None:
        super().__init__(specification, seed)
        Counted.asked = []

    def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
        Counted.asked.append(number)
        return super().propose(number, others)


def test_what_runs_before_will_get_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them depends on those before it; and it is what they do get."""
    monkeypatch.setattr(decisions, "ConfigurationSequence", Counted)
    width = 6
    sweep = replace(BAYES, rules=Rules(width=width))
    foreseeing = Scheduler(sweep, 3, tmp_path)
    foreseen = foreseeing.assign(run_folder(tmp_path, width - 1))
    assert sorted(Counted.asked) == list(range(width))
    one_by_one = Scheduler(sweep, 3, tmp_path / "other")
    given = [one_by_one.assign(run_folder(tmp_path / "other", number)) for number in range(width)]
    assert given[-1] == foreseen


def test_a_closed_run_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It will be given nothing, however long one waits."""

    def never(seconds: float) -> None:
        raise AssertionError("it waits")

    monkeypatch.setattr(decisions.time, "sleep", never)
    with pytest.raises(AssertionError, match="it waits"):
        Scheduler(BAYES, 3, tmp_path).assign(run_folder(tmp_path, 1))
    run_folder(tmp_path, 0).close("every configuration of the space has been tried")
    assert Scheduler(BAYES, 3, tmp_path).assign(run_folder(tmp_path, 1)) is not None
