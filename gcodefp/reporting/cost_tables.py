"""What the sweep cost, as rows of text."""

from typing import Any

from gcodefp.findings.results import Document, Results
from gcodefp.findings.spending import Part, Process, Spending, spending

PROCESS_HEAD = [
    "host", "process", "runs", "epochs", "at work", "of it in epochs", "of the span",
]  # fmt: skip


def cost_tables(results: Results) -> dict[str, Any]:
    """`total` in one sentence, `winner`, and tables of runs by state and device, of processes."""
    spent = spending(results)
    return {
        "total": _total(spent),
        "winner": _winner(results.winner),
        "parts": {"head": ["", "runs", "epochs", "trained"], "rows": _parts(spent)},
        "processes": {
            "head": PROCESS_HEAD,
            "rows": [_process(of, spent.span_seconds) for of in spent.processes],
        },
        "trained_twice": spent.trained_twice,
    }


def duration(seconds: float) -> str:
    """`7 h 05 min`, `12 min 03 s`, `9.5 s`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def _total(spent: Spending) -> str:
    total = spent.total
    text = f"{total.runs:,} runs, {total.epochs:,} epochs, {duration(total.seconds)} of training"
    if spent.span_seconds is None:
        return f"{text}. Who trained them and when is not in the files."
    count = len(spent.processes)
    return (
        f"{text}, by {count} {'process' if count == 1 else 'processes'} within "
        f"{duration(spent.span_seconds)}."
    )


def _winner(winner: Document) -> dict[str, str]:
    """A run that another program trained on the W&B service need not tell all of it."""
    parameters, seconds = winner["parameters"], winner["seconds"]
    return {
        "parameters": "-" if parameters is None else f"{parameters:,}",
        "seconds": "-" if seconds is None else f"{seconds:.0f}",
        "device": winner["device"] or "-",
    }


def _parts(spent: Spending) -> list[list[str]]:
    named = [(of.name, of) for of in spent.states]
    named += [(f"device {of.name}", of) for of in spent.devices]
    if spent.repeats:
        named.append(("repeats with other seeds", spent.repeats))
    return [_part(name, of) for name, of in named]


def _part(name: str, of: Part) -> list[str]:
    return [name, f"{of.runs:,}", f"{of.epochs:,}", duration(of.seconds)]


def _process(of: Process, span_seconds: float | None) -> list[str]:
    return [
        of.host, str(of.pid), f"{of.runs:,}", f"{of.epochs:,}", duration(of.seconds),
        _share(of.trained_seconds, of.seconds), _share(of.trained_seconds, span_seconds),
    ]  # fmt: skip


def _share(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
