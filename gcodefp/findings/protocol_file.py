"""protocols.json: the lines of all protocols, and whose hyperparameters they are of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.files import read_json
from gcodefp.findings.protocols import Line, Value

PROTOCOLS_FORMAT = "gcodefp-protocols-2"
PROTOCOLS_REBUILD = "snakemake --cores all protocols"


class ProtocolTable(NamedTuple):
    """What protocols.json says.

    Attributes:
        lines: one a protocol.
        left_out: protocols without a fold, and why.
        hyperparameters: of the winner, which every fold was trained with.
        sweeps: ids of those that the winner was chosen from; each is a hash of data and training
            code too.
        provenance: as in every document.
    """

    lines: list[Line]
    left_out: list[str]
    hyperparameters: Mapping[str, Any]
    sweeps: list[str]
    provenance: Mapping[str, Any]


def described(lines: Sequence[Line], left_out: Sequence[str], winner: Mapping[str, Any]) -> Any:
    """The content of protocols.json, without provenance.

    Args:
        winner: best/run.json.
    """
    return {
        "winner": {key: winner[key] for key in ("run", "sweeps", "hyperparameters")},
        "left_out": list(left_out),
        "protocols": [_described(line) for line in lines],
    }


def read_protocols(path: Path) -> ProtocolTable:
    """Reads protocols.json.

    Raises:
        UserError: it is missing or of another format.
    """
    document = read_json(path, PROTOCOLS_FORMAT, PROTOCOLS_REBUILD)
    return ProtocolTable(
        [_line(of) for of in document["protocols"]],
        document["left_out"],
        document["winner"]["hyperparameters"],
        document["winner"]["sweeps"],
        document["provenance"],
    )


def _described(line: Line) -> dict[str, Any]:
    exact = {name: of._asdict() for name, of in line.exact.items()}
    measured = {
        metric: {name: of._asdict() for name, of in names.items()}
        for metric, names in line.measured.items()
    }
    return {**line._asdict(), "exact": exact, "measured": measured}


def _line(content: Mapping[str, Any]) -> Line:
    exact = {name: Value(**of) for name, of in content["exact"].items()}
    measured = {
        metric: {name: Value(**of) for name, of in names.items()}
        for metric, names in content["measured"].items()
    }
    return Line(**{**content, "exact": exact, "measured": measured})
