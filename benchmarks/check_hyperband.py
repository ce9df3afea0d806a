"""Whether hyperband decides about the runs of a user script as W&B's own engine does.

    pip install --no-deps --target FOLDER sweeps jsonref  # It asks for NumPy 1, and runs with 2
    PYTHONPATH=tests/support:FOLDER python benchmarks/check_hyperband.py

Agents run sweeps of a script whose histories have gaps and NaN. Then W&B's engine is asked, after
each row of each run, with the rows of the runs before it. The exit code is 1 if a decision differs.
"""

import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sweeps import RunState, SweepRun, stop_runs
from user_scripts import ScriptSweep

RUNS = 30
HISTORY = '''
import json, math, os, random, sys


def history(x):
    """Rows of a run: some without the metric, some with NaN, and an optimum on the way."""
    choice = random.Random(x)
    level, turn = choice.random(), choice.randrange(4, 40)
    for step in range(choice.randrange(2, 60)):
        value = round(level + abs(step - turn) / 40 + choice.gauss(0, 0.05), 2)
        kind = choice.random()
        yield {} if kind < 0.1 else {"score": math.nan if kind < 0.2 else value}


if __name__ == "__main__":
    with open(os.environ["GCODEFP_METRICS"], "w") as file:
        for row in history(float(sys.argv[1].partition("=")[2])):
            file.write(json.dumps({**row, "step": 0}) + "\\n")
'''
RULES = [
    {"min_iter": 3}, {"min_iter": 2, "eta": 2}, {"min_iter": 1, "eta": 1.5, "strict": False},
    {"max_iter": 27, "s": 2}, {"max_iter": 40, "s": 3, "eta": 1.3},
    {"min_iter": 4, "eta": 2, "strict": False},
]  # fmt: skip


def main() -> int:
    namespace: dict[str, Any] = {"__name__": "script"}
    exec(HISTORY, namespace)  # The histories that the script logs.
    compared = stopped = different = 0
    for rule in RULES:
        for goal in ("minimize", "maximize"):
            with tempfile.TemporaryDirectory() as folder:
                own = ScriptSweep(
                    Path(folder), HISTORY, method="random", run_cap=RUNS,
                    metric={"name": "score", "goal": goal},
                    early_terminate={"type": "hyperband", **rule},
                    parameters={"x": {"distribution": "uniform", "min": 0.0, "max": 1.0}},
                )  # fmt: skip
                own.create()
                own.work()
                rows = [
                    [*namespace["history"](run["hyperparameters"]["x"])] for run in own.outcomes()
                ]
                expected = [*decisions(rows, own.document)]
                decided = [
                    run["epochs"] if run["state"] == "stopped" else None for run in own.outcomes()
                ]
            compared, stopped = compared + len(decided), stopped + len([n for n in decided if n])
            different += sum(a != b for a, b in zip(decided, expected, strict=True))
            print(f"{json.dumps(rule)}, {goal}: W&B {expected}, here {decided}", flush=True)
    print(f"{compared} runs, {stopped} of them stopped; {different} decisions differ")
    return int(different > 0)


def decisions(rows: list[list[dict[str, float]]], document: dict[str, Any]) -> Iterator[int | None]:
    """For each run, after how many rows W&B's engine stops it; None if it does not."""
    before: list[SweepRun] = []
    for number, history in enumerate(rows):
        end = None
        for count in range(1, len(history)):  # After its last row a run has ended.
            is_new = math.isfinite(history[count - 1].get("score", math.nan))
            run = made(number, RunState.running, history[:count])
            if is_new and stop_runs(document, [*before, run]):
                end = count
                break
        before.append(made(number, RunState.finished, history[:end]))
        yield end


def made(number: int, state: RunState, history: list[dict[str, float]]) -> SweepRun:
    return SweepRun(name=str(number), state=state, history=history)


if __name__ == "__main__":
    sys.exit(main())
