"""The runs behind a figure: which they are, what they were given, which of them are repeats."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import is_number, value_key, value_texts
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.parameters import read_parameter
from gcodefp.sweeps.ranking import FACTS
from gcodefp.sweeps.rules import names_of, read_rules
from gcodefp.sweeps.values import leaf

STATES = {"finished": "finished", "stopped": "stopped early", "failed": "failed"}
"""State in runs.csv, in the order of the ranking -> its name for readers."""


@dataclass(frozen=True)
class Varied:
    """A hyperparameter of which the runs of a sweep had more than one value.

    Attributes:
        parameter: what the sweep, or its first phase, draws it from.
        values: one for each line of runs.csv; missing in runs that do not use it.
        places: (runs,) the index of a run's choice, or its number; nan in runs that do not use it,
            or have a number that is not finite.
        choices: its values as texts, in the order of the sweep; None for numbers of a range.
    """

    name: str
    parameter: Parameter
    values: "pd.Series[Any]"
    places: NDArray[np.float64]
    choices: tuple[str, ...] | None

    @property
    def is_log(self) -> bool:
        """Whether its numbers belong on a log axis."""
        return "log" in self.parameter.distribution and not (self.places <= 0).any()

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers in ascending order."""
        if self.choices is None:
            return True
        numbers = [float(v) for v in self.parameter.choices if isinstance(v, int | float)]
        are_numbers = all(map(is_number, self.parameter.choices))
        return are_numbers and len(numbers) == len(self.choices) and sorted(numbers) == numbers


def varied(results: Results) -> list[Varied]:
    """What the sweep searched and its runs differ in, in the order of the sweep."""
    parameters = _parameters(results)
    used = _used(results, parameters)
    found = []
    for path, parameter in parameters.items():
        name = leaf(path)
        if parameter.distribution == "constant" or name not in results.runs:
            continue
        values = results.runs[name].where(used[path])
        make = _of_choices if parameter.distribution.startswith("categorical") else _of_numbers
        found.append(make(name, parameter, values))
    return [one for one in found if one.values.nunique() > 1]


def differing(results: Results) -> list[str]:
    """What `varied` finds, then what the first sweep did not search but the runs differ in.

    A run that failed early holds only what it was asked for; what is missing is no other value.
    """
    searched = {name for name, of in results.searched.items() if of["distribution"] != "constant"}
    fixed = [
        name for name in map(str, results.runs) if name not in {"run", "sweep", *FACTS, *searched}
    ]
    others = [name for name in fixed if results.runs[name].nunique() > 1]
    return [*(one.name for one in varied(results)), *others]


def which_runs(results: Results) -> str:
    """How many runs of which sweeps there are, and how they ended.

    Phases and repeats need not have the first sweep's method, so that only one sweep's is told.
    """
    count, sweeps = len(results.runs), results.winner["sweeps"]
    ended = results.runs["state"].value_counts()
    states = ", ".join(f"{ended[state]} {name}" for state, name in STATES.items() if state in ended)
    of = f"sweep {sweeps[0]}" if len(sweeps) == 1 else f"{len(sweeps)} sweeps ({', '.join(sweeps)})"
    runs = "the only run" if count == 1 else f"all {count} runs"
    method = f", {results.sweep['method']} search" if len(sweeps) == 1 else ""
    return f"{runs} of {of}{method}: {states}"


def repeats(results: Results) -> NDArray[np.bool_]:
    """(runs,) whether a run is another's configuration again, with another seed."""
    again = {run for group in results.winner["seeds"] for run in group["runs"]}
    return results.runs["run"].isin(again).to_numpy()


def is_maximized(results: Results) -> bool:
    """Whether more of the metric is better."""
    return bool(results.winner["goal"] == "maximize")


def _of_choices(name: str, parameter: Parameter, values: "pd.Series[Any]") -> Varied:
    """A later phase may have values of its own."""
    known = {value_key(value): value for value in [*parameter.choices, *values.dropna()]}
    index = {key: float(place) for place, key in enumerate(known)}
    places = [np.nan if pd.isna(value) else index[value_key(value)] for value in values]
    return Varied(name, parameter, values, np.array(places), tuple(value_texts([*known.values()])))


def _of_numbers(name: str, parameter: Parameter, values: "pd.Series[Any]") -> Varied:
    numbers = pd.to_numeric(values, errors="coerce")
    numbers = numbers.where(np.isfinite(numbers))
    return Varied(name, parameter, numbers, numbers.to_numpy(float), None)


def _parameters(results: Results) -> dict[str, Parameter]:
    def read(path: str, entry: Mapping[str, Any]) -> Parameter:
        if entry["distribution"] == "constant":
            entry = {"value": entry["values"][0]}
        return read_parameter(entry, f"sweep.json: parameters.{path}")

    return {path: read(path, entry) for path, entry in results.sweep["parameters"].items()}


def _used(results: Results, parameters: Mapping[str, Parameter]) -> dict[str, NDArray[np.bool_]]:
    """Path -> for each run, whether it was drawn; the table has a default where it was not."""
    rules = read_rules(parameters, conditions=results.sweep.get("rules", {}).get("conditions"))
    everywhere = np.ones(len(results.runs), bool)
    of_runs = [
        names_of({p: row[leaf(p)] for p in parameters if pd.notna(row.get(leaf(p)))})
        for row in results.runs.to_dict("records")
    ]
    return {
        path: np.array([rules.conditions[path].holds(names) for names in of_runs], bool)
        if path in rules.conditions
        else everywhere
        for path in parameters
    }


LONG_PAUSE = 0.25
"""Share of all time at work; when nobody works for longer, the clock hardly goes on."""
SHOWN_PAUSE = 0.06
"""What is left of a long pause, as a share of the time at work."""


class Piece(NamedTuple):
    """A process's work on a run, from its first to its last note of it.

    What it did after its last whole epoch is not known.

    Attributes:
        begin, end: UTC seconds.
        begun, reached: epochs that were there when it began, and at its last note.
    """

    run: str
    host: str
    pid: int
    begin: float
    end: float
    begun: int
    reached: int

    @property
    def process(self) -> tuple[str, int]:
        return self.host, self.pid


def work_pieces(work: pd.DataFrame) -> list[Piece]:
    """By begin. A process that does not note the next epoch has begun anew."""
    pieces: list[Piece] = []
    last: dict[tuple[str, str, int], int] = {}
    names = ["run", "host", "pid", "utc_seconds", "epoch"]
    for run, host, pid, seconds, epoch in work[names].itertuples(index=False):
        who = (run, host, pid)
        if who in last and epoch == pieces[last[who]].reached + 1:
            pieces[last[who]] = pieces[last[who]]._replace(end=seconds, reached=epoch)
        else:
            last[who] = len(pieces)
            pieces.append(Piece(run, str(host), int(pid), seconds, seconds, epoch, epoch))
    return sorted(pieces, key=lambda piece: (piece.begin, piece.run))


def cut_off(pieces: Sequence[Piece]) -> list[bool]:
    """For each piece, whether another one goes on with the run."""
    last = {piece.run: index for index, piece in enumerate(pieces)}
    return [last[piece.run] != index for index, piece in enumerate(pieces)]


def epochs_twice(pieces: Iterable[Piece]) -> int:
    """How many whole epochs were trained though the run had had them."""
    trained: dict[str, int] = {}
    reached: dict[str, int] = {}
    for piece in pieces:
        trained[piece.run] = trained.get(piece.run, 0) + piece.reached - piece.begun
        reached[piece.run] = max(reached.get(piece.run, 0), piece.reached)
    return sum(trained[run] - reached[run] for run in trained)


def process_ends(pieces: Iterable[Piece]) -> dict[tuple[str, int], tuple[float, float]]:
    """Host and process -> UTC seconds of its first and last note; by the first of pieces."""
    ends: dict[tuple[str, int], tuple[float, float]] = {}
    for piece in pieces:
        begin, end = ends.get(piece.process, (piece.begin, piece.end))
        ends[piece.process] = (min(begin, piece.begin), max(end, piece.end))
    return ends


def share_at_work(pieces: Sequence[Piece]) -> float:
    """The share of processes' time between their first and last note that is within a piece."""
    there = sum(end - begin for begin, end in process_ends(pieces).values())
    return sum(piece.end - piece.begin for piece in pieces) / there if there else 1.0


class Cut(NamedTuple):
    """A long pause: where it stands on the clock, in seconds, and how long it was."""

    begin: float
    end: float
    seconds: float


class Clock:
    """Time since the first piece began; long pauses, in which nobody worked, are cut."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        """Reads the pauses; there is at least one piece."""
        busy = _busy(pieces)
        total = sum(end - begin for begin, end in busy)
        utc, shown = [busy[0][0]], [0.0]
        self.cuts: list[Cut] = []
        self.pauses: list[tuple[float, float]] = []
        """All pauses, in UTC seconds."""
        for (begin, end), following in zip(busy, [*busy[1:], None], strict=True):
            utc.append(end)
            shown.append(shown[-1] + end - begin)
            if following is None:
                break
            pause = following[0] - end
            self.pauses.append((end, following[0]))
            left = SHOWN_PAUSE * total if pause > LONG_PAUSE * total else pause
            if left < pause:
                self.cuts.append(Cut(shown[-1], shown[-1] + left, pause))
            utc.append(following[0])
            shown.append(shown[-1] + left)
        self._utc, self._shown = np.array(utc), np.array(shown)

    @property
    def length(self) -> float:
        """Seconds from the begin of the first to the end of the last piece."""
        return float(self._shown[-1])

    @property
    def seconds_but_cuts(self) -> float:
        """The length without the long pauses."""
        return self.length - sum(cut.end - cut.begin for cut in self.cuts)

    def seconds(self, utc: ArrayLike) -> NDArray[np.float64]:
        """Where moments, in UTC seconds, stand on the clock."""
        return np.asarray(np.interp(np.asarray(utc, float), self._utc, self._shown))


def _busy(pieces: Sequence[Piece]) -> list[tuple[float, float]]:
    """The stretches in which somebody worked."""
    merged: list[tuple[float, float]] = []
    for piece in sorted(pieces, key=lambda piece: piece.begin):
        if merged and piece.begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], piece.end))
        else:
            merged.append((piece.begin, piece.end))
    return merged
