"""What kind of G-code a program has: units, modes, words, lines that are not understood."""

import re
from collections import Counter
from pathlib import Path

from gcodefp.recordings.gcode import Word, parse_block
from gcodefp.recordings.sources import opened

MAX_LINES = 1_000_000
_GENERATOR = re.compile(
    r"(?:generated (?:by|with)|FLAVOR:|post.?processor:?)\s*(.{1,40})", re.IGNORECASE
)
MODES = {
    "G20": "inches", "G21": "mm", "G90": "absolute", "G91": "relative", "M82": "absolute E",
    "M83": "relative E", "G2": "arcs", "G3": "arcs",
}  # fmt: skip
"""Command -> what a program that has it uses."""


def describe_program(path: Path) -> str:
    """One line on a program: `1,204 blocks, mm, absolute, arcs; 3 lines not understood`."""
    words: Counter[str] = Counter()
    blocks = numbered = 0
    generator, unread = "", list[str]()
    with opened(path) as stream:
        for number, raw in zip(range(1, MAX_LINES + 1), stream, strict=False):
            line = raw.decode("utf-8", errors="replace").strip()
            if not generator and (match := _GENERATOR.search(line)):
                generator = match[1].strip(" ()")
            try:
                block = parse_block(line)
            except ValueError:
                unread.append(f"line {number}: {line[:40]}")
                continue
            blocks += bool(block)
            numbered += bool(re.match(r"\s*N\s*\d", line, re.IGNORECASE))
            words.update(_names(block))
    modes = [text for command, text in MODES.items() if words[command]]
    if not words["G20"] and not words["G21"]:
        modes.append("no G20 or G21: mm")
    if numbered > blocks / 2:
        modes.append("N words")
    if words["E"]:
        modes.append("E words: a printer's")
    text = f"{blocks:,} blocks, {', '.join(dict.fromkeys(modes))}"
    text += f", by {generator}" if generator else ""
    if unread:
        text += f"; {len(unread)} lines not understood, such as {unread[0]}"
    return text


def _names(block: tuple[Word, ...]) -> list[str]:
    return [str(word) if word.is_command else word.letter for word in block]
