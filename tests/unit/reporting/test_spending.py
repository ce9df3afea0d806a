"""The costs on the page, of small files that are written here."""

from dataclasses import replace
from pathlib import Path

from gcodefp.reporting.page_tables import cost_tables, stage_costs
from gcodefp.reporting.results import Results


def test_runs_are_added_up_by_state_device_and_repeats(results: Results) -> None:
    best_run = {**results.best_run, "seeds": [{"runs": ["0000", "0002"]}]}
    costs = cost_tables(replace(results, best_run=best_run))
    assert costs["parts"]["rows"] == [
        ["all runs", "4", "7", "22 s"],
        ["finished", "2", "6", "18 s"],
        ["stopped", "1", "1", "3 s"],
        ["failed", "1", "0", "0 s"],
        ["device cpu", "3", "7", "22 s"],
        ["device unknown", "1", "0", "0 s"],
        ["repeats with other seeds", "2", "4", "12 s"],
    ]
    assert costs["total"] == "4 runs, 7 epochs, 22 s of training"
    assert (costs["repeated_epochs"], costs["stages"]) == (0, [])
    names = [row[0] for row in cost_tables(results)["parts"]["rows"]]
    assert "repeats with other seeds" not in names


def test_repeated_epochs_are_counted(results: Results) -> None:
    work = results.work.copy()
    # As if the end of the first epoch of run 0000 had not reached the disk.
    work.loc[(work["run"] == "0000") & (work["pid"] == 2), "epoch"] -= 1
    assert cost_tables(replace(results, work=work))["repeated_epochs"] == 1


def test_stages_are_those_of_the_benchmarks_longest_first(tmp_path: Path) -> None:
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, line in (
        ("evaluate", "1.5\t0:00:01\tNA\t-\n"),
        ("controls/presence_only", "9.5\t0:00:09\t300.25\t8.0\n"),
        ("report", "99\t0:01:39\t1\t1\n"),
        ("empty", ""),
        ("cut", "\udcffinf\t\x00\n"),
    ):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((head + line).encode(errors="surrogateescape"))
    assert stage_costs(tmp_path) == [
        ("controls/presence_only", 9.5, 8.0, 300.25),
        ("evaluate", 1.5, 0.0, 0.0),
        ("cut", 0.0, 0.0, 0.0),
    ]
    assert stage_costs(tmp_path / "none") == []
